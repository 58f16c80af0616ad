# SPDX-License-Identifier: Apache-2.0
"""The story of a job: a customer starts a pipeline, and Airflow does the work of the partner's action."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_codepipeline_partner.emulator import Emulator, JobSnapshot, LedgerEntry
from demo.local_airflow import LocalAirflow
from demo.rest_api import AirflowFailed
from demo.story import JOB_SECONDS, RUN_ENDED, Reader, Story, secret, source_artifact

_ENDED = ("Succeeded", "Failed", "TimedOut", "Withdrawn")


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
    client_token: str = dataclasses.field(default_factory=lambda: secret("client/token"), repr=False)
    known_token: str | None = dataclasses.field(default=None, repr=False)
    client_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    configuration: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"Target": secret("plain+value"), "ApiKey": secret("secret+value")},
        repr=False,
    )

    @property
    def conn_id(self) -> str:
        """The id of the Airflow connection with the token, by the provider's default template."""
        return f"codepipeline_client_{self.client_id.replace('-', '_')}"


class JobStory(Story):
    """
    Follow a job from its queue to its result.

    :param way: The kind of action.
    """

    def __init__(
        self, emulator: Emulator, airflow: LocalAirflow, reader: Reader, way: Way = WAYS["partner"]
    ) -> None:
        super().__init__(emulator, airflow, reader)
        self.way = way
        self.examples = way.dags

    def tell(self) -> None:
        """Run one job of the pipeline ``demo-pipeline``."""
        customer = Customer(self.pipeline_name)
        self.connect_aws()
        if self.way.is_custom:
            self.create_action_type("action-type.yaml")
        self.add_pipeline(customer)
        self.switch_on()
        self.begin("waiting for the worker's first poll")
        self.wait_for_poll(self.way.worker_dag)
        job = self.start_pipeline(customer)
        self.begin("following the job: seconds since it was queued, its status, what happened")
        self.follow(job)
        if not self.show_state(customer):
            raise AirflowFailed("The action has not succeeded.", self.log_of(job))

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
        self.add_connection(
            customer.conn_id,
            "codepipeline_partner_client",
            login=customer.client_id,
            password=customer.known_token or customer.client_token,
        )
        token = "client token" if customer.known_token is None else "wrong client token"
        self.say(f"connection {customer.conn_id}: the {token} of the customer with {customer.pipeline_name}")

    def start_pipeline(self, customer: Customer) -> JobSnapshot:
        """Put the source artifact in S3, start the pipeline, and return the job that this makes."""
        artifact = source_artifact()
        execution_id = self.emulator.start_execution(customer.pipeline_name, {"SourceOutput": artifact})
        job = next(job for job in self.emulator.jobs() if job.pipeline_execution_id == execution_id)
        self._note(customer, job)
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

        self.wait_for(ended, f"a result of job {job.job_id}", seconds)
        return status

    def wait_for_run(self, job: JobSnapshot, seconds: float = JOB_SECONDS) -> dict[str, Any]:
        """Wait until the DAG run of a job has ended, and return it."""
        run: dict[str, Any] = {}

        def ended() -> bool:
            nonlocal run
            found = self.airflow.api.call("GET", f"/dags/{self.way.job_dag}/dagRuns?limit=100")["dag_runs"]
            run = next((r for r in found if job.job_id in r["dag_run_id"]), {})
            return run.get("state") in RUN_ENDED

        self.wait_for(ended, f"the end of the DAG run for job {job.job_id}", seconds)
        return run

    def tasks(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the task instances of a run, in the order of their start."""
        return self.task_instances(self.way.job_dag, run["dag_run_id"])

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
        state = self.console.get_pipeline_state(name=customer.pipeline_name)
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

    def _note(self, customer: Customer, job: JobSnapshot) -> None:
        """Note a customer's secrets."""
        self.job_ids.append(job.job_id)
        if not self.way.is_custom:
            self.secrets["client token"].add(customer.client_token)
        if customer.known_token is not None:
            self.secrets["wrong client token"].add(customer.known_token)
        self.secrets["configuration value"].add(customer.configuration["Target"])
        self.secrets["secret configuration value"].add(customer.configuration["ApiKey"])

    def _output_variables(self, action_name: str) -> Mapping[str, str]:
        """Return the output variables of an action's last success."""
        puts = self.emulator.ledger.terminal_results()
        return {} if action_name == "Source" or not puts else puts[-1].details.get("outputVariables", {})


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
