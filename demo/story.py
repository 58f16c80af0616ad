# SPDX-License-Identifier: Apache-2.0
"""What the demo's stories share: an emulated account, an Airflow, and a reader who sees both consoles."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import time
import zipfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow
from demo.rest_api import AirflowFailed

REGION = "us-east-1"
JOB_SECONDS = 90
RUN_ENDED = ("success", "failed")
SOURCE = {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}
_SOURCES = "demo-sources"
_LOOK_SECONDS = 0.6
#: The copies of the examples look more often, in seconds: somebody waits. What goes on within 5 s of its
#: deferral may be failed by Airflow's scheduler, which may not know yet that it was deferred.
_QUICKER = {
    "poke_interval=5,": "poke_interval=0.5,",
    "poll_interval=5,": "poll_interval=0.5,",
    "progress_interval=60,": "progress_interval=4,",
}


class Reader(Protocol):
    """Who hears the story."""

    def say(self, text: str) -> None:
        """Print something that happened."""

    def begin(self, doing: str) -> None:
        """Print what is being done now."""


class Story(ABC):
    """
    Set the scene and tell what happens.

    :param emulator: A started emulator.
    :param airflow: An Airflow with the DAGs of :func:`copy_dags`; healthy when the story begins.
    :param reader: Who hears the story.
    """

    #: The example files that it needs.
    examples: Sequence[str]
    #: The DAGs to switch on, those that poll last; None for those that are named like the files.
    dags: Sequence[str] | None = None
    pipeline_name = "demo-pipeline"

    def __init__(self, emulator: Emulator, airflow: LocalAirflow, reader: Reader) -> None:
        self.emulator = emulator
        self.airflow = airflow
        self.say = reader.say
        self.begin = reader.begin
        self.aws_secret = secret("aws/secret")
        #: What Airflow must not store, by its kind; and what it does store, so that a search finds it.
        self.secrets: defaultdict[str, set[str]] = defaultdict(set)
        self.secrets["AWS secret key of the connection"].add(self.aws_secret)
        self.job_ids: list[str] = []
        self._shown: dict[str, str] = {}
        self._looked = 0.0

    @abstractmethod
    def tell(self) -> None:
        """
        Tell the story.

        :raises AirflowFailed: It ended otherwise than it should.
        """

    def connect_aws(self) -> None:
        """Add the connection ``aws_default``, which leads to the emulator."""
        extra = {"endpoint_url": self.emulator.url, "region_name": REGION}
        self.add_connection(
            "aws_default", "aws", login="AKIAEXAMPLEEXAMPLE00", password=self.aws_secret, extra=extra
        )
        self.say(f"connection aws_default: AWS is at {self.emulator.url}")

    def add_connection(self, conn_id: str, conn_type: str, **fields: Any) -> None:
        """Add an Airflow connection, in the fields of the REST API; ``extra`` is a mapping."""
        if "extra" in fields:
            fields["extra"] = json.dumps(fields["extra"])
        self.airflow.api.call(
            "POST", "/connections", {"connection_id": conn_id, "conn_type": conn_type, **fields}
        )

    def create_action_type(self, declaration: str) -> None:
        """
        Create a custom action type from a file beside this one, as its owner would.

        :raises AirflowFailed: It was refused.
        """
        from airflow_codepipeline_partner.cli import main

        path = Path(__file__).with_name(declaration)
        where = ["--endpoint-url", self.emulator.url, "--region", REGION]
        credentials = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00", "AWS_SECRET_ACCESS_KEY": self.aws_secret}
        os.environ |= credentials
        # The policy that it prints is long.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            exit_code = main(["action-type", "create", str(path), *where])
        for name in credentials:
            del os.environ[name]
        if exit_code != 0:
            raise AirflowFailed(f"The action type was not created: {said.getvalue()}")
        self.say(f"action-type create {declaration}: {said.getvalue().partition('. ')[0]}")

    def switch_on(self) -> None:
        """Unpause the DAGs as soon as Airflow knows them."""
        wanted = self.examples if self.dags is None else self.dags

        def known() -> bool:
            found = self.airflow.api.call("GET", "/dags")["dags"]
            errors = self.airflow.api.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise AirflowFailed(f"{errors[0]['filename']} has an error:\n{errors[0]['stack_trace']}")
            return {dag["dag_id"] for dag in found} >= set(wanted)

        self.wait_for(known, "the DAGs", 60)
        for dag_id in reversed(wanted):
            self.airflow.api.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        # Airflow watches the assets of a DAG when it next reads its file: at once, if that is changed.
        for name in self.examples:
            Path(self.airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"], f"{name}.py").touch()
        self.say(f"DAGs switched on: {', '.join(wanted)}")

    @cached_property
    def console(self) -> Any:
        """CodePipeline, as the pipeline's owner uses it."""
        return self._client("codepipeline")

    def declare_pipeline(self, name: str, *stages: Mapping[str, Any], **more: Any) -> None:
        """
        Create a pipeline whose source is an object in S3.

        :param stages: The stages behind the source, in AWS's shape.
        :param more: More of the declaration, for instance ``variables``.
        """
        fetch = action("Fetch", SOURCE, outputs=["SourceOutput"])
        fetch["configuration"] = {"S3Bucket": _SOURCES, "S3ObjectKey": "shop.zip"}
        self.console.create_pipeline(
            pipeline={
                "name": name,
                "roleArn": self._role,
                "pipelineType": "V2",
                "artifactStore": {"type": "S3", "location": "demo-artifacts"},
                "stages": [{"name": "Source", "actions": [fetch]}, *stages],
                **more,
            }
        )
        behind = ", ".join(
            f"{stage['name']} / {each['name']}" for stage in stages for each in stage["actions"]
        )
        self.say(f"pipeline {name}: Source / Fetch, {behind}")

    def show_news(self, pipeline_name: str, dag_ids: Sequence[str]) -> None:
        """
        Print what both consoles show that they did not show before; at most every ``_LOOK_SECONDS``.

        :param dag_ids: The DAGs whose tasks are shown.
        """
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        for stage in self.console.get_pipeline_state(name=pipeline_name)["stageStates"]:
            for each in stage["actionStates"]:
                if latest := each.get("latestExecution"):
                    place = f"{stage['stageName']} / {each['actionName']}"
                    key = f"{pipeline_name} {place} {latest['actionExecutionId']}"
                    self._show(key, f"CodePipeline  {place}: {_status_of(latest)}")
        for dag_id in dag_ids:
            found = self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/~/taskInstances?limit=100")
            for task in sorted(found["task_instances"], key=lambda each: each["start_date"] or "~"):
                if task["state"] not in (None, "scheduled", "queued"):
                    key = f"{dag_id} {task['dag_run_id']} {task['task_id']}"
                    self._show(key, f"Airflow       {dag_id} / {task['task_id']}: {task['state']}")
        self._looked = time.monotonic()

    def _show(self, key: str, line: str) -> None:
        if self._shown.get(key) != line:
            self._shown[key] = line
            self.say(line)

    def show_last_news(self, pipeline_name: str, dag_ids: Sequence[str]) -> None:
        """Print what both consoles show in the end."""
        self._looked = 0.0
        self.show_news(pipeline_name, dag_ids)

    def wait_for_poll(self, dag_id: str) -> None:
        """Wait until a worker has polled for jobs."""
        self.wait_for(lambda: self.emulator.ledger.polls(), "a poll for jobs")
        self.say(f"{dag_id} polls for jobs; there is none yet")

    def log_lines(self, dag_id: str, run_id: str, task_id: str) -> list[str]:
        """Return the messages and errors in the logs of a task and its triggers, by time, each once."""
        logs = self.airflow.task_logs(dag_id, run_id, task_id)
        entries = [json.loads(line) for log in logs for line in log.read_text(errors="replace").splitlines()]
        lines: dict[str, None] = {}
        for entry in sorted(entries, key=lambda each: each["timestamp"]):
            lines[str(entry["event"])] = None
            lines.update((str(error["exc_value"]), None) for error in entry.get("error_detail") or ())
        return list(lines)

    def log_of_failure(self, dag_id: str) -> Path | None:
        """Return the log of a task that failed in the newest run of a DAG, or None."""
        found = self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/~/taskInstances?limit=100")
        for task in found["task_instances"]:
            if task["state"] == "failed":
                return self.airflow.task_log(dag_id, task["dag_run_id"], task["task_id"])
        return None

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """Return the state of a run, or None if there is no such run yet."""
        found = self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return next((run["state"] for run in found if run["dag_run_id"] == run_id), None)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, in the order of their start."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found: list[dict[str, Any]] = self.airflow.api.call("GET", path)["task_instances"]
        return sorted(found, key=lambda task: task["start_date"] or "~")

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = JOB_SECONDS) -> None:
        """
        Wait until a condition holds.

        :raises AirflowFailed: It does not hold in time.
        """
        try:
            self.airflow.wait_for(condition, what, seconds)
        except TimeoutError as error:
            raise AirflowFailed(str(error)) from None

    @cached_property
    def _role(self) -> str:
        """The pipelines' role, with a source for them and a bucket for their artifacts."""
        s3 = self._client("s3")
        for bucket in (_SOURCES, "demo-artifacts"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=_SOURCES, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket=_SOURCES, Key="shop.zip", Body=source_artifact())
        service = {"Service": "codepipeline.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = self._client("iam").create_role(RoleName="pipelines", AssumeRolePolicyDocument=document)
        arn: str = made["Role"]["Arn"]
        return arn

    def _client(self, service: str) -> Any:
        import boto3

        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.emulator.url,
            region_name=REGION,
            aws_access_key_id="customer",
            aws_secret_access_key="customer",  # noqa: S106 - the emulator asks for none
        )


def action(
    name: str, action_type: Mapping[str, str], *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> dict[str, Any]:
    """Return an action of a pipeline's declaration."""
    return {
        "name": name,
        "actionTypeId": action_type,
        "inputArtifacts": [{"name": each} for each in inputs],
        "outputArtifacts": [{"name": each} for each in outputs],
    }


def copy_dags(source: Path, target: Path, names: Sequence[str]) -> Path:
    """
    Copy the example DAGs of a story, and no others, so that Airflow has little to read.

    :return: The directory with the copies.
    """
    target.mkdir(parents=True)
    for name in names:
        code = (source / f"{name}.py").read_text()
        for slow, quick in _QUICKER.items():
            code = code.replace(slow, quick)
        (target / f"{name}.py").write_text(code)
    return target


def source_artifact() -> bytes:
    """Return a small Python project with a test, as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("shop.py", "def total(prices):\n    return sum(prices)\n")
        archive.writestr(
            "test_shop.py",
            "import unittest\n\nimport shop\n\n\nclass TotalTest(unittest.TestCase):\n"
            "    def test_total(self):\n        self.assertEqual(shop.total([1, 2]), 3)\n",
        )
    return buffer.getvalue()


def secret(kind: str) -> str:
    """Return a value that can be found again, with characters that are quoted in URLs."""
    return f"{kind}={secrets.token_urlsafe(24)}"


def _status_of(latest: Mapping[str, Any]) -> str:
    percent = f", {latest['percentComplete']} %" if "percentComplete" in latest else ""
    error = latest.get("errorDetails")
    said = f"{error['code']}: {error['message']}" if error else latest.get("summary")
    return f"{latest['status']}{percent}{f': {said}' if said else ''}"
