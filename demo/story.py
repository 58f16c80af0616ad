# SPDX-License-Identifier: Apache-2.0
"""The story of a job: a customer starts a pipeline, and Airflow does the work of the partner's action."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import json
import os
import secrets
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_codepipeline_partner.emulator import Emulator, JobSnapshot, LedgerEntry
from demo.local_airflow import LocalAirflow
from demo.rest_api import AirflowFailed

REGION = "us-east-1"
JOB_SECONDS = 90
_ENDED = ("Succeeded", "Failed", "TimedOut", "Withdrawn")
_RUN_ENDED = ("success", "failed")

Say = Callable[[str], None]


def _action_type(category: str, owner: str, provider: str) -> dict[str, str]:
    return {"category": category, "owner": owner, "provider": provider, "version": "1"}


@dataclasses.dataclass(frozen=True)
class Way:
    """
    One of the two kinds of action that Airflow can do.

    :param name: Its name on the command line.
    :param worker_dag: The example that polls.
    :param job_dag: The example that does the work on one job.
    :param action_type: What is polled for, in AWS's shape.
    """

    name: str
    worker_dag: str
    job_dag: str
    action_type: Mapping[str, str]

    @property
    def dags(self) -> tuple[str, str]:
        """The ids of both DAGs."""
        return self.worker_dag, self.job_dag

    @property
    def is_custom(self) -> bool:
        """Whether it is an account's own action, without a partner's customer."""
        return self.action_type["owner"] == "Custom"


WAYS = {
    way.name: way
    for way in (
        Way(
            "partner",
            "example_one_run_per_job",
            "example_build_from_artifacts",
            _action_type("Deploy", "ThirdParty", "Example"),
        ),
        Way(
            "custom",
            "example_custom_jobs_by_query",
            "example_build_with_output_variables",
            _action_type("Build", "Custom", "Airflow"),
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Customer:
    """
    A customer of the partner, and their pipeline.

    :param client_token: What CodePipeline accepts.
    :param known_token: What the Airflow connection holds; with another token every call fails.
    :param configuration: The values that the customer entered, by name; ``ApiKey`` is a secret key.
    """

    pipeline_name: str
    client_token: str = dataclasses.field(default_factory=lambda: _secret("client/token"), repr=False)
    known_token: str | None = dataclasses.field(default=None, repr=False)
    client_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    configuration: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"Target": _secret("plain+value"), "ApiKey": _secret("secret+value")},
        repr=False,
    )

    @property
    def conn_id(self) -> str:
        """The id of the Airflow connection with the token, by the provider's default template."""
        return f"codepipeline_client_{self.client_id.replace('-', '_')}"


class Story:
    """
    Set the scene and follow the jobs.

    :param emulator: A started emulator.
    :param airflow: A healthy Airflow with the DAGs of :func:`copy_dags`.
    :param say: Prints a line for the reader.
    :param way: The kind of action.
    """

    def __init__(
        self, emulator: Emulator, airflow: LocalAirflow, say: Say, way: Way = WAYS["partner"]
    ) -> None:
        self.way = way
        self.emulator = emulator
        self.airflow = airflow
        self.aws_secret = _secret("aws/secret")
        self.say = say

    def connect_aws(self) -> None:
        """Add the connection ``aws_default``, which leads to the emulator."""
        extra = {"endpoint_url": self.emulator.url, "region_name": REGION}
        self._add_connection(
            "aws_default", "aws", login="AKIAEXAMPLEEXAMPLE00", password=self.aws_secret, extra=extra
        )
        self.say(f"connection aws_default: AWS is at {self.emulator.url}")

    def add_pipeline(self, customer: Customer) -> None:
        """Add a pipeline; for a partner's action also its customer, and their token to Airflow."""
        if not self.way.is_custom:
            self.emulator.add_customer(customer.client_id, customer.client_token)
        self.emulator.add_pipeline(
            customer.pipeline_name,
            client_id=None if self.way.is_custom else customer.client_id,
            action_type=self.way.action_type,
            configuration=customer.configuration,
            secret_configuration_keys=("ApiKey",),
            output_artifacts=("BuildOutput",),
            stage_name=self.way.action_type["category"],
            action_name=self.way.action_type["category"],
        )
        if self.way.is_custom:
            self.say(f"pipeline {customer.pipeline_name} has an action of that type")
            return
        self._add_connection(
            customer.conn_id,
            "codepipeline_partner_client",
            login=customer.client_id,
            password=customer.known_token or customer.client_token,
        )
        token = "client token" if customer.known_token is None else "wrong client token"
        self.say(f"connection {customer.conn_id}: the {token} of the customer with {customer.pipeline_name}")

    def create_action_type(self) -> None:
        """
        Create the custom action type from its declaration, as its owner would.

        :raises AirflowFailed: It was refused; the reason was printed.
        """
        from airflow_codepipeline_partner.cli import main

        declared = Path(__file__).with_name("action-type.yaml")
        where = ["--endpoint-url", self.emulator.url, "--region", REGION]
        credentials = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00", "AWS_SECRET_ACCESS_KEY": self.aws_secret}
        os.environ |= credentials
        # The policy that it prints is long.
        with contextlib.redirect_stdout(io.StringIO()):
            exit_code = main(["action-type", "create", str(declared), *where])
        for name in credentials:
            del os.environ[name]
        if exit_code != 0:
            raise AirflowFailed("The action type was not created.")
        self.say(f"action-type create {declared.name}: {'/'.join(self.way.action_type.values())}")

    def switch_on(self) -> None:
        """Unpause the DAGs as soon as Airflow knows them."""

        def known() -> bool:
            found = self.airflow.api.call("GET", "/dags")["dags"]
            errors = self.airflow.api.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise AirflowFailed(f"{errors[0]['filename']} has an error:\n{errors[0]['stack_trace']}")
            return {dag["dag_id"] for dag in found} >= set(self.way.dags)

        self._wait_for(known, "the DAGs", 60)
        for dag_id in reversed(self.way.dags):
            self.airflow.api.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        self.say(f"DAGs switched on: {', '.join(self.way.dags)}")

    def wait_for_poll(self) -> None:
        """Wait until the worker has polled for jobs."""
        self._wait_for(lambda: self.emulator.ledger.polls(), "a poll for jobs", JOB_SECONDS)
        self.say(f"{self.way.worker_dag} polls for jobs; there is none yet")

    def start_pipeline(self, customer: Customer) -> JobSnapshot:
        """Put the source artifact in S3, start the pipeline, and return the job that this makes."""
        artifact = _source_artifact()
        execution_id = self.emulator.start_execution(customer.pipeline_name, {"SourceOutput": artifact})
        job = next(job for job in self.emulator.jobs() if job.pipeline_execution_id == execution_id)
        self.say(
            f"pipeline {customer.pipeline_name} started: SourceOutput ({len(artifact)} bytes) is in S3, "
            f"job {job.job_id} is queued"
        )
        return job

    def follow(self, job: JobSnapshot, seconds: float = JOB_SECONDS) -> dict[str, Any]:
        """
        Report what happens to a job until it and its DAG run have ended.

        :param seconds: How long to wait before this counts as a failure.
        :return: The DAG run, as the REST API gives it.
        """
        reported = 0
        queued: datetime.datetime | None = None

        def report() -> None:
            nonlocal reported, queued
            ledger = self.emulator.ledger
            for entry in ledger[reported:]:
                # HEAD and GET of one artifact are one thing to the reader.
                if entry.job_id == job.job_id and entry.operation != "HeadObject":
                    queued = queued or entry.time
                    moment = (entry.time - queued).total_seconds()
                    self.say(f"{moment:7.1f} s  {entry.status_after or '':<11} {_line_for(entry, self.way)}")
            reported = len(ledger)

        self.wait_for_end(job, seconds, report)
        run = self.wait_for_run(job)
        self.say("")
        self.say(f"The DAG run {self.way.job_dag} / {run['dag_run_id']}: {run['state']}")
        for task in self.tasks(run):
            begin, end = _seconds_after(queued, task["start_date"]), _seconds_after(queued, task["end_date"])
            self.say(f"{begin} to {end.strip()} s  {task['task_id']:<11} {task['state']}")
        return run

    def wait_for_end(
        self, job: JobSnapshot, seconds: float = JOB_SECONDS, report: Callable[[], None] = lambda: None
    ) -> str:
        """Wait until a job has ended, and return its last status; call ``report`` meanwhile."""
        status = job.status

        def ended() -> bool:
            nonlocal status
            report()
            status = next(now.status for now in self.emulator.jobs() if now.job_id == job.job_id)
            return status in _ENDED

        self._wait_for(ended, f"a result of job {job.job_id}", seconds)
        return status

    def wait_for_run(self, job: JobSnapshot, seconds: float = JOB_SECONDS) -> dict[str, Any]:
        """Wait until the DAG run of a job has ended, and return it."""
        run: dict[str, Any] = {}

        def ended() -> bool:
            nonlocal run
            found = self.airflow.api.call("GET", f"/dags/{self.way.job_dag}/dagRuns?limit=100")["dag_runs"]
            run = next((r for r in found if job.job_id in r["dag_run_id"]), {})
            return run.get("state") in _RUN_ENDED

        self._wait_for(ended, f"the end of the DAG run for job {job.job_id}", seconds)
        return run

    def tasks(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the task instances of a run, in the order of their start."""
        path = f"/dags/{self.way.job_dag}/dagRuns/{quote(run['dag_run_id'], safe='')}/taskInstances"
        found: list[dict[str, Any]] = self.airflow.api.call("GET", path)["task_instances"]
        return sorted(found, key=lambda task: task["start_date"] or "~")

    def log_of(self, job: JobSnapshot) -> Path | None:
        """Return the log of the task that failed first in a job's DAG run, or None."""
        run = self.wait_for_run(job)
        failed = [task for task in self.tasks(run) if task["state"] == "failed"]
        return (
            self.airflow.task_log(self.way.job_dag, run["dag_run_id"], failed[0]["task_id"])
            if failed
            else None
        )

    def show_state(self, customer: Customer) -> bool:
        """Print what GetPipelineState answers, and return whether all actions succeeded."""
        import boto3

        client = boto3.client(
            "codepipeline",
            endpoint_url=self.emulator.url,
            region_name=REGION,
            aws_access_key_id="customer",
            aws_secret_access_key="customer",  # noqa: S106 - the emulator asks for none
        )
        state = client.get_pipeline_state(name=customer.pipeline_name)
        self.say("")
        self.say(f"What the customer sees (GetPipelineState of {customer.pipeline_name}):")
        statuses = []
        for stage in state["stageStates"]:
            for action in stage["actionStates"]:
                latest = action.get("latestExecution", {})
                statuses.append(latest.get("status"))
                percent = f", {latest['percentComplete']} %" if "percentComplete" in latest else ""
                said = f": {latest['summary']}" if "summary" in latest else ""
                error = latest.get("errorDetails", {})
                why = f" {error['code']}: {error['message']}" if error else ""
                self.say(f"  action {action['actionName']:<8} {latest.get('status')}{percent}{said}{why}")
                revision = action.get("currentRevision")
                if revision and action["actionName"] != "Source":
                    self.say(f"  its revision  {revision['revisionId'][:12]}…")
                for name, value in self._output_variables(action["actionName"]).items():
                    self.say(f"  variable      {name} = {value[:20]}")
                if "externalExecutionId" in latest:
                    self.say(f"  its work      {latest['externalExecutionId']}")
        return all(status == "Succeeded" for status in statuses)

    def _output_variables(self, action_name: str) -> Mapping[str, str]:
        """Return the output variables of an action's last success."""
        puts = self.emulator.ledger.terminal_results()
        return {} if action_name == "Source" or not puts else puts[-1].details.get("outputVariables", {})

    def _add_connection(self, conn_id: str, conn_type: str, **fields: Any) -> None:
        if "extra" in fields:
            fields["extra"] = json.dumps(fields["extra"])
        self.airflow.api.call(
            "POST", "/connections", {"connection_id": conn_id, "conn_type": conn_type, **fields}
        )

    def _wait_for(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        try:
            self.airflow.wait_for(condition, what, seconds)
        except TimeoutError as error:
            raise AirflowFailed(str(error)) from None


def copy_dags(source: Path, target: Path, way: Way) -> Path:
    """
    Copy the example DAGs of the story, and no others, so that Airflow has little to read.

    They poll more often than the examples: somebody waits.

    :return: The directory with the copies.
    """
    target.mkdir(parents=True)
    for dag_id in way.dags:
        code = (source / f"{dag_id}.py").read_text()
        (target / f"{dag_id}.py").write_text(code.replace("poke_interval=5,", "poke_interval=0.5,"))
    return target


def _line_for(entry: LedgerEntry, way: Way) -> str:
    who = {
        "Queued": "CodePipeline has a job",
        "HandedOut": f"a poll offers it to {way.worker_dag}, in the triggerer",
        "Details": f"{entry.operation}: configuration, artifact credentials",
        "Acknowledge": f"{entry.operation}: {way.job_dag} has claimed it",
        "Success": f"{entry.operation}: done",
        "Failure": f"{entry.operation}: failed",
    }
    if entry.kind == "artifact" and entry.outcome == "ok":
        name, size = entry.details["artifact"], entry.details.get("bytes", 0)
        doing = {"GetObject": "reads", "PutObject": "uploads"}.get(entry.operation, entry.operation)
        return f"{way.job_dag} {doing} {name} ({size} bytes) with the job's own credentials"
    if entry.outcome != "ok":
        return f"{entry.operation}: {entry.outcome}"
    return next((text for part, text in who.items() if part in entry.operation), entry.operation)


def _seconds_after(begin: datetime.datetime | None, moment: str | None) -> str:
    if begin is None or moment is None:
        return f"{'?':>7}"
    return f"{(datetime.datetime.fromisoformat(moment) - begin).total_seconds():7.1f}"


def _source_artifact() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("shop.py", "def total(prices):\n    return sum(prices)\n")
        archive.writestr(
            "test_shop.py",
            "import unittest\n\nimport shop\n\n\nclass TotalTest(unittest.TestCase):\n"
            "    def test_total(self):\n        self.assertEqual(shop.total([1, 2]), 3)\n",
        )
    return buffer.getvalue()


def _secret(kind: str) -> str:
    """Return a value that can be found again, with characters that are quoted in URLs."""
    return f"{kind}={secrets.token_urlsafe(24)}"
