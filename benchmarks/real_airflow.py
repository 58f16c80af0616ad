# SPDX-License-Identifier: Apache-2.0
"""A real Airflow on SQLite and LocalExecutor, beside an emulated CodePipeline."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_codepipeline_partner.action_types import wake_queue_template
from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.jobs import ActionType
from benchmarks.apart import ROOT
from benchmarks.emulated import ACTION_TYPE, bare_client, connections
from demo.local_airflow import LocalAirflow

#: What claims and results need; docs/scale.md recommends that workers import it before they fork.
PRELOADED = "airflow_codepipeline_partner.hooks"
DAGS = ("job_run", "job_dispatch", "job_all", "job_woken", "plain_run", "plain_dispatch", "plain_event")
_PAGE = 100
_PUTS = ("PutThirdPartyJobSuccessResult", "PutJobSuccessResult")


class RealAirflow:
    """
    What the benchmarks do with it.

    :param airflow: A healthy Airflow with the DAGs of benchmarks/dags.
    :param emulator: An emulator with the pipelines ``benchmark``; ``all``, whose jobs share runs; and
        ``woken``, whose action wakes the poll for its jobs.
    """

    def __init__(self, airflow: LocalAirflow, emulator: Emulator) -> None:
        self.airflow = airflow
        self.emulator = emulator

    def queue_jobs(self, number: int, pipeline: str = "benchmark") -> datetime.datetime:
        """Queue jobs, and return the moment before the first."""
        began = datetime.datetime.now(datetime.UTC)
        for _ in range(number):
            self.emulator.start_execution(pipeline)
        return began

    def make_event(self, asset: str, number: int) -> datetime.datetime:
        """Make an event of an asset with this number of ids, and return the moment before."""
        ids = [str(uuid.uuid4()) for _ in range(number)]
        asset_id = self._asset_id(asset)
        began = datetime.datetime.now(datetime.UTC)
        # One event: of several at almost the same moment, Airflow's run gets the first only.
        self.airflow.api.call("POST", "/assets/events", {"asset_id": asset_id, "extra": {"ids": ids}})
        return began

    def ended_runs(self, dag_id: str) -> int:
        """Return how many runs of a DAG have ended well."""
        found = self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns?state=success&limit=1")
        number: int = found["total_entries"]
        return number

    def wait_for_runs(self, dag_id: str, number: int, seconds: float) -> None:
        """Wait until this number of runs of a DAG have ended well in all."""
        last = 0.0

        def have_ended() -> bool:
            nonlocal last
            # A look costs Airflow something.
            if time.monotonic() - last < 1:
                return False
            last = time.monotonic()
            return self.ended_runs(dag_id) >= number

        self.airflow.wait_for(have_ended, f"{number} runs of {dag_id}", seconds)

    def tasks_since(self, dag_id: str, began: datetime.datetime) -> dict[str, list[dict[str, Any]]]:
        """Return the task instances of the runs that began after a moment, by run id."""
        found: dict[str, list[dict[str, Any]]] = {}
        since = quote(began.isoformat(), safe="")
        path = f"/dags/{dag_id}/dagRuns/~/taskInstances?start_date_gte={since}&limit={_PAGE}"
        offset = 0
        while some := self.airflow.api.call("GET", f"{path}&offset={offset}")["task_instances"]:
            for each in some:
                found.setdefault(each["dag_run_id"], []).append(each)
            offset += _PAGE
        return found

    def calls_since(self, began: datetime.datetime) -> dict[str, dict[str, datetime.datetime]]:
        """Return when each job that ended since a moment had its calls: job id → operation → moment."""
        found: dict[str, dict[str, datetime.datetime]] = {}
        for entry in self.emulator.ledger:
            if entry.job_id is not None and entry.outcome == "ok" and entry.time >= began:
                found.setdefault(entry.job_id, {}).setdefault(entry.operation, entry.time)
        return {job_id: calls for job_id, calls in found.items() if set(_PUTS) & set(calls)}

    def _asset_id(self, name: str) -> int:
        found = self.airflow.api.call("GET", f"/assets?name_pattern={name}")["assets"]
        asset_id: int = next(each["id"] for each in found if each["name"] == name)
        return asset_id

    def switch_on(self) -> None:
        """Unpause all DAGs when Airflow knows them."""

        def are_known() -> bool:
            found = self.airflow.api.call("GET", "/dags")["dags"]
            errors = self.airflow.api.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise RuntimeError(errors[0]["stack_trace"])
            return {dag["dag_id"] for dag in found} >= set(DAGS)

        self.airflow.wait_for(are_known, "the DAGs", 120)
        for dag_id in DAGS:
            self.airflow.api.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def warm_up(self) -> None:
        """Have each DAG run once."""
        self.queue_jobs(2)
        self.wait_for_runs("job_run", 2, 180)
        self.queue_jobs(1, "all")
        self.wait_for_runs("job_all", 1, 180)
        self.queue_jobs(1, "woken")
        self.wait_for_runs("job_run", 3, 180)
        self.make_event("benchmark_ids", 2)
        self.wait_for_runs("plain_run", 2, 180)
        self.make_event("benchmark_event", 1)
        self.wait_for_runs("plain_event", 1, 180)


@contextlib.contextmanager
def real_airflow(preloaded: Iterable[str] = ()) -> Iterator[RealAirflow]:
    """
    Run an Airflow of its own; it ends, with all that it wrote, at the end.

    :param preloaded: Modules that its workers import before they fork.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-airflow-") as folder, Emulator() as emulator:
        home = Path(folder)
        shutil.copytree(ROOT / "benchmarks" / "dags", home / "dags")
        customer = emulator.add_customer()
        emulator.add_pipeline(
            "benchmark", client_id=customer.client_id, action_type=ACTION_TYPE, input_artifacts=[]
        )
        emulator.add_pipeline(
            "all", client_id=customer.client_id, action_type="Build/ThirdParty/All/1", input_artifacts=[]
        )
        emulator.add_pipeline("woken", action_type="Build/Custom/Woken/1", input_artifacts=[])
        queue = _wake_queue(emulator.url)
        known = connections(emulator.url, {customer.client_id: customer.client_token})
        known["BENCHMARK_WAKE_QUEUE"] = queue
        with LocalAirflow(home, home / "dags", environment=known, preloaded=preloaded) as airflow:
            running = RealAirflow(airflow, emulator)
            running.switch_on()
            running.warm_up()
            yield running


def _wake_queue(url: str) -> str:
    """Make a queue with the events of the pipeline ``woken``, and return its URL."""
    sqs, events = bare_client("sqs", url), bare_client("events", url)
    queue: str = sqs.create_queue(QueueName="started")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    template = wake_queue_template(ActionType("Build", "Woken", owner="Custom"))
    pattern = template["Resources"]["Rule"]["Properties"]["EventPattern"]
    events.put_rule(Name="started", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="started", Targets=[{"Id": "queue", "Arn": arn}])
    return queue


def seconds_between(begin: datetime.datetime | str, end: datetime.datetime | str) -> float:
    """Return the seconds between two moments, each of which may be in ISO 8601."""
    moments = [
        datetime.datetime.fromisoformat(each) if isinstance(each, str) else each for each in (begin, end)
    ]
    return (moments[1] - moments[0]).total_seconds()
