# SPDX-License-Identifier: Apache-2.0
"""An emulated CodePipeline, and an Airflow that runs DAGs in this process: what tests of DAGs need."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE, client_conn_id
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.emulator import Customer, Emulator
from airflow_codepipeline_partner.testing.dag_runs import DagRuns, Run, is_job_sensor, load_dags
from airflow_codepipeline_partner.testing.faults import Faults
from airflow_codepipeline_partner.testing.files import Content, body_of
from airflow_codepipeline_partner.testing.offline_airflow import (
    ACCESS_KEY,
    REGION,
    offline_airflow,
    quiet_airflow,
    set_connection,
    temporary_home,
)
from airflow_codepipeline_partner.testing.queued_job import QueuedJob
from airflow_codepipeline_partner.testing.started_pipeline import Pipeline

if TYPE_CHECKING:
    from types import TracebackType

    from airflow.sdk import DAG

__all__: list[str] = []

#: How a run gets its jobs.
Way = Literal["sensor", "asset", "conf", "none"]


class CodePipeline:
    """
    An emulated CodePipeline and an offline Airflow; use it as a context manager.

    While it is open, Airflow has a temporary SQLite database, the connection ``aws_default`` leads to the
    emulator, and so does every AWS client that names no endpoint. Your own AWS settings, Airflow's secrets
    backends and its database are not used. All of that is undone at the end.

    :param home: A folder for Airflow's database, which can be used again by the next one. Defaults to a
        temporary folder of this process.
    """

    def __init__(self, home: Path | None = None) -> None:
        #: The emulator, with all its controls.
        self.emulator = Emulator()
        #: What can go wrong between a worker and CodePipeline.
        self.faults = Faults(self.emulator)
        #: The runs that :meth:`run` has made, and those that they started.
        self.runs: list[Run] = []
        #: Values that no failure message may show.
        self.secrets: set[str] = set()
        self._home = home
        self._jobs: list[QueuedJob] = []
        self._offers: dict[str, dict[str, Any]] = {}
        self._customer: Customer | None = None
        self._dag_runs = DagRuns()
        self._stack = ExitStack()

    def __enter__(self) -> CodePipeline:
        with ExitStack() as stack:
            stack.enter_context(self.emulator)
            # Pipelines and buckets lie in moto, which outlives an emulator.
            stack.callback(self.emulator.reset)
            home = temporary_home() if self._home is None else self._home
            stack.enter_context(offline_airflow(home, self.emulator.url))
            # A test need not wait for the job that continues an action.
            self.emulator.configure(continuation_delay=0)
            self.connect("aws_default")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def customer(self) -> Customer:
        """The partner's customer to whom jobs with the owner ``ThirdParty`` belong if no other is named."""
        if self._customer is None:
            self._customer = self.add_customer()
        return self._customer

    def add_customer(self, *, client_conn_id_template: str = DEFAULT_TEMPLATE) -> Customer:
        """
        Add a customer of the partner, and store the client token in Airflow's connection.

        :param client_conn_id_template: How the connection's id is made, as your DAG has it.
        :return: The client id and the client token.
        """
        customer = self.emulator.add_customer()
        self.secrets.add(customer.client_token)
        set_connection(
            client_conn_id(customer.client_id, client_conn_id_template),
            {
                "conn_type": "codepipeline_partner_client",
                "login": customer.client_id,
                "password": customer.client_token,
            },
        )
        return customer

    def connect(self, aws_conn_id: str) -> None:
        """
        Lead an AWS connection to the emulator.

        ``aws_default``, and those that tasks name as their ``aws_conn_id``, are led there anyway.

        :param aws_conn_id: The connection's id.
        """
        extra = {"region_name": REGION, "endpoint_url": self.emulator.url}
        set_connection(aws_conn_id, {"conn_type": "aws", **ACCESS_KEY, "extra": extra})

    def queue_job(
        self,
        action_type: Any,
        *,
        configuration: Mapping[str, str] | None = None,
        artifacts: Mapping[str, Content] | None = None,
        output_artifacts: Iterable[str] = (),
        customer: Customer | None = None,
        secret_configuration_keys: Iterable[str] = (),
        pipeline_name: str | None = None,
    ) -> QueuedJob:
        """
        Start a new pipeline with an action of a type, so that a job of it is queued.

        :param action_type: ``category/owner/provider/version``, AWS's mapping, or an ActionType.
        :param configuration: The action's configuration.
        :param artifacts: The input artifacts by name: the files of a zip, a folder or a file, or bytes.
            Defaults to the artifact ``SourceOutput``, a small zip.
        :param output_artifacts: The names of the action's output artifacts.
        :param customer: The customer whose pipeline it is, if the owner is ``ThirdParty``. Defaults to
            :attr:`customer`.
        :param secret_configuration_keys: Keys of the configuration whose values are secret.
        :param pipeline_name: The pipeline's name. Defaults to a new one. A pipeline that is there already is
            started again: then only ``artifacts`` may be given.
        """
        kind = ActionType.from_value(action_type)
        bodies = {name: body_of(content) for name, content in (artifacts or {}).items()}
        name = pipeline_name or f"pipeline-{len(self._jobs) + 1}"
        if name not in self.emulator.pipelines():
            if kind.owner == "ThirdParty":
                customer = customer or self.customer
            values = dict(configuration or {})
            secret_keys = tuple(secret_configuration_keys)
            self.secrets |= {values[key] for key in secret_keys if key in values}
            self.emulator.add_pipeline(
                name,
                client_id=None if customer is None else customer.client_id,
                action_type=kind.to_api(),
                configuration=values,
                secret_configuration_keys=secret_keys,
                input_artifacts=tuple(bodies) or ("SourceOutput",),
                output_artifacts=tuple(output_artifacts),
                stage_name=kind.category,
                action_name=kind.provider,
            )
        elif configuration is not None or tuple(output_artifacts) or customer is not None:
            raise ValueError(f"The pipeline {name} is there already, so only artifacts can be given.")
        execution_id = self.emulator.start_execution(name, bodies)
        [job] = [
            job
            for job in self.emulator.state.jobs.values()
            if job.action.execution.pipeline_execution_id == execution_id
        ]
        queued = QueuedJob(self, job.action)
        self._jobs.append(queued)
        return queued

    def add_pipeline(self, name: str, *, variables: Iterable[str] = ()) -> Pipeline:
        """
        Create a pipeline for DAGs that start one: a source and a deployment, which end at once.

        :param name: The pipeline's name.
        :param variables: The names of the variables that it declares.
        """
        return Pipeline.create(self.emulator, name, variables)

    def load_dag(self, path: str | Path, dag_id: str | None = None) -> DAG:
        """
        Load a DAG from its file, as Airflow does.

        :param path: The file.
        :param dag_id: Which of its DAGs. Needed if there is more than one.
        :raises AssertionError: The file cannot be imported, or has no such DAG.
        """
        __tracebackhide__ = True
        with quiet_airflow():
            dags = load_dags(Path(path))
        if dag_id is None and len(dags) == 1:
            [dag_id] = dags
        if dag_id not in dags:
            there = ", ".join(sorted(dags)) or "none"
            if dag_id is None and dags:
                raise AssertionError(
                    f"{path} has {len(dags)} DAGs. Name one: load_dag({str(path)!r}, {min(dags)!r}). "
                    f"Its DAGs: {there}."
                )
            raise AssertionError(f"{path} has no DAG {dag_id or 'at all'}. Its DAGs: {there}.")
        return dags[dag_id]

    def run(
        self,
        dag: DAG,
        *,
        conf: Mapping[str, Any] | None = None,
        started: Sequence[DAG] = (),
        way: Way | None = None,
    ) -> Run:
        """
        Run a DAG once to its end, with the jobs that are queued, in the way in which it takes jobs.

        A DAG with a sensor for jobs polls for them. A DAG that is scheduled by ``codepipeline_jobs`` gets an
        event with all the jobs that are offered. Any other gets the oldest job in its conf; if no job is
        queued, it gets the conf alone.

        Tasks are tried as often as the DAG says, without its pauses. Between two looks they wait half a
        second at most, and a sensor for jobs gives up after 10 s.

        :param dag: The DAG.
        :param conf: More values of the run's conf.
        :param started: The DAGs of which its tasks start runs, for instance by ``dispatch_jobs``. These runs
            are run too, each as soon as it is started.
        :param way: ``sensor``, ``asset``, ``conf``, or ``none`` for a run without jobs. Defaults to what the
            DAG looks like.
        :return: The run, also if it failed.
        :raises AssertionError: No job is queued for a DAG with a sensor or an asset.
        """
        __tracebackhide__ = True
        if way not in (None, *get_args(Way)):
            raise ValueError(f"way is one of {', '.join(get_args(Way))}, not {way!r}.")
        with quiet_airflow():
            for each in (dag, *started):
                for conn_id in _aws_conn_ids(each):
                    self.connect(conn_id)
            self._dag_runs.know((dag, *started))
            run = self._dag_runs.run(dag, *self._jobs_for(dag, way, dict(conf or {})))
        self.runs += run.all()
        return run

    def offer(self, job: QueuedJob) -> dict[str, Any]:
        """
        Poll until a job is offered, and return the offer as it lies in XCom.

        :param job: The job.
        :raises AssertionError: It is not offered: a worker has it, or it has ended.
        """
        __tracebackhide__ = True
        if job.job_id not in self._offers:
            kind = str(job._action.action.action_type)
            with quiet_airflow():
                for offered in self._poll(kind, job):
                    self._offers[offered["job_id"]] = offered
        if job.job_id not in self._offers:
            raise AssertionError(f"{job!r} is not offered to a poll.")
        return self._offers[job.job_id]

    def advance(self, seconds: float) -> datetime.datetime:
        """
        Move CodePipeline's time forward; all that is due by then happens. Airflow's time is the machine's.

        :param seconds: Seconds, at least 0.
        :return: The new time in UTC.
        """
        return self.emulator.advance(seconds)

    def _jobs_for(
        self, dag: DAG, way: Way | None, conf: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Return the run's conf, and the payloads of the events that start it."""
        __tracebackhide__ = True
        chosen = way or self._way_of(dag)
        if chosen == "asset":
            return conf or None, self._payloads(dag)
        if chosen == "conf":
            return {**self._oldest_offer(), **conf}, {}
        if chosen == "sensor" and way is None:
            self._check_queued(dag)
        return conf or None, {}

    def _way_of(self, dag: DAG) -> Way:
        if any(is_job_sensor(task) for task in dag.tasks):
            return "sensor"
        if any(True for _ in _job_triggers(dag)):
            return "asset"
        return "conf" if self._waiting() else "none"

    def _waiting(self) -> list[QueuedJob]:
        return [job for job in self._jobs if job.status in ("Created", "Queued", "Dispatched")]

    def _oldest_offer(self) -> dict[str, Any]:
        __tracebackhide__ = True
        waiting = self._waiting()
        if not waiting:
            raise AssertionError("No job is queued: codepipeline.queue_job(…) queues one.")
        return self.offer(waiting[0])

    def _check_queued(self, dag: DAG) -> None:
        __tracebackhide__ = True
        if not self._waiting():
            raise AssertionError(
                f"DAG {dag.dag_id} waits for jobs, and none is queued: codepipeline.queue_job(…) queues one. "
                "To run it without a job, say way='sensor'."
            )

    def _payloads(self, dag: DAG) -> dict[str, Any]:
        __tracebackhide__ = True
        payloads = {}
        for asset_name, trigger in _job_triggers(dag):
            kind = str(trigger.action_type)
            jobs = self._poll(kind, None, trigger.query_param)
            # What was offered before is offered by an asset again, as long as no run claims it.
            jobs += [
                self._offers[job.job_id]
                for job in self._waiting()
                if str(job._action.action.action_type) == kind and job.job_id in self._offers
            ]
            if jobs:
                payloads[asset_name] = {"status": "offered", "jobs": jobs, "error": None}
        if not payloads:
            raise AssertionError(f"No job is queued for which an asset of DAG {dag.dag_id} has an event.")
        return payloads

    def _poll(
        self, kind: str, job: QueuedJob | None, query_param: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        from airflow_codepipeline_partner.hooks import CodePipelineHook

        if job is not None and job._action.action.queryable is not None:
            key = job._action.action.queryable
            query_param = {key: job._action.configuration[key]}
        offered = CodePipelineHook().poll(kind, max_batch_size=1000, query_param=query_param)
        return [each.to_xcom() for each in offered]


def _job_triggers(dag: DAG) -> Iterator[tuple[str, Any]]:
    """Yield the triggers that watch for jobs, with the names of their assets."""
    from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

    conditions = [getattr(dag.timetable, "asset_condition", None)]
    while conditions:
        condition: Any = conditions.pop()
        conditions += getattr(condition, "objects", ())
        for watcher in getattr(condition, "watchers", ()):
            if isinstance(watcher.trigger, CodePipelineJobTrigger):
                yield condition.name, watcher.trigger


def _aws_conn_ids(dag: DAG) -> Iterator[str]:
    """Yield the AWS connections that tasks and watchers name."""
    triggers = [trigger.aws for _, trigger in _job_triggers(dag)]
    for task in [*dag.tasks, *triggers]:
        conn_id = getattr(task, "aws_conn_id", None) or getattr(task, "partial_kwargs", {}).get("aws_conn_id")
        if isinstance(conn_id, str) and "{{" not in conn_id:
            yield conn_id
