# SPDX-License-Identifier: Apache-2.0
"""What a test can do with the emulator; ``control_table`` offers the same over HTTP and as commands."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.api.executions import ExecutionsApi
from airflow_codepipeline_partner.emulator.control_arguments import (
    check_artifacts,
    read_action_type,
    read_mapping,
    read_names,
    read_seconds,
)
from airflow_codepipeline_partner.emulator.engine.event_bus import find_queue
from airflow_codepipeline_partner.emulator.engine.moto_store import MotoStore
from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.faults import Fault
from airflow_codepipeline_partner.emulator.ledger import Ledger, moment
from airflow_codepipeline_partner.emulator.model.action_types import THIRD_PARTY, ActionTypeName
from airflow_codepipeline_partner.emulator.model.customers import Customer
from airflow_codepipeline_partner.emulator.model.executions import Trigger
from airflow_codepipeline_partner.emulator.model.jobs import JobSnapshot
from airflow_codepipeline_partner.emulator.model.pipelines import (
    DEFAULT_REGION,
    S3_SOURCE,
    Action,
    Pipeline,
    Stage,
)
from airflow_codepipeline_partner.emulator.model.planned_failures import PlannedFailure
from airflow_codepipeline_partner.emulator.model.start_requests import StartRequest
from airflow_codepipeline_partner.emulator.settings import Settings

SOURCE = "Source"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Controls:
    """
    Prepare, drive and watch an emulated CodePipeline.

    The signatures and docstrings are also those of the HTTP routes and of the commands.

    :param state: The state.
    :param store: Where artifacts are kept.
    """

    def __init__(self, state: State, store: MotoStore) -> None:
        self.state = state
        self.store = store
        self.runner = PipelineRunner(state, store)
        self.executions_api = ExecutionsApi(state, self.runner)
        # All emulators of a process share moto's S3, so each has a bucket of its own.
        self._bucket = f"codepipeline-emulator-{uuid.uuid4().hex[:12]}"

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self.state.settings

    def configure(self, /, **settings: Any) -> Settings:
        """
        Change settings from now on; what is already due stays due at its time.

        :param settings: Fields of :class:`Settings`.
        """
        with self.state.lock:
            self.state.settings = Settings.from_mapping(settings, self.state.settings)
            shown = self.state.settings.as_dict()
            self.state.record(
                "control", "Configure", self.state.tick(), details={name: shown[name] for name in settings}
            )
            return self.state.settings

    def add_customer(self, client_id: str | None = None, client_token: str | None = None) -> Customer:
        """
        Add a customer of the partner.

        :param client_id: UUID in lower case. Defaults to a new one.
        :param client_token: 1 to 256 characters. Defaults to a random one.
        """
        with self.state.lock:
            customer = self.state.customers.add(client_id, client_token)
            self.state.record("control", "AddCustomer", self.state.tick(), client_id=customer.client_id)
            return customer

    def rotate_token(
        self, client_id: str, client_token: str | None = None, overlap: float | None = None
    ) -> Customer:
        """
        Give a customer a new token.

        :param client_id: The customer.
        :param client_token: 1 to 256 characters. Defaults to a random one.
        :param overlap: Seconds, ≥ 0, for which the former token stays valid. Defaults to the setting
            ``rotation_overlap``.
        """
        seconds = (
            self.state.settings.rotation_overlap if overlap is None else read_seconds("overlap", overlap)
        )
        with self.state.lock:
            now = self.state.tick()
            customer = self.state.customers.rotate(client_id, client_token, now + seconds)
            details = {"overlap": seconds}
            self.state.record("control", "RotateToken", now, client_id=client_id, details=details)
            return customer

    def connect_request(self, client_id: str, configuration_url: str) -> str:
        """
        Make the URL that a customer's Connect opens; it carries the client token, so it is a secret.

        :param client_id: The customer.
        :param configuration_url: The partner's page, https.
        """
        with self.state.lock:
            return self.state.customers.connect_url(client_id, configuration_url, self.state.settings)

    def add_action_type(
        self, action_type: ActionTypeName, secret_configuration_keys: Iterable[str] = ()
    ) -> None:
        """
        Register an action type, so that workers can poll for it before a pipeline uses it.

        Its actions accept any configuration; CreateCustomActionType defines more. A deleted action type comes
        back as it was.

        :param action_type: Category, owner (``ThirdParty`` or ``Custom``), provider and version: a mapping or
            a text such as ``Deploy/ThirdParty/Acme/1``.
        :param secret_configuration_keys: Keys whose values only the worker sees in clear, in pipelines that
            are made after this.
        """
        secret_keys = frozenset(read_names("secret_configuration_keys", secret_configuration_keys))
        with self.state.lock:
            known = read_action_type(action_type)
            self.state.action_types.register(known, secret_keys)
            details = {"actionTypeId": known.as_dict()}
            self.state.record("control", "AddActionType", self.state.tick(), details=details)

    def pipelines(self) -> list[str]:
        """List the names of the pipelines, sorted."""
        with self.state.lock:
            return sorted(self.state.pipelines)

    def add_pipeline(
        self,
        name: str,
        *,
        client_id: str | None = None,
        action_type: ActionTypeName = "Deploy/ThirdParty/Example/1",
        configuration: Mapping[str, str] | None = None,
        secret_configuration_keys: Iterable[str] = (),
        input_artifacts: Iterable[str] = ("SourceOutput",),
        output_artifacts: Iterable[str] = (),
        stage_name: str = "Partner",
        action_name: str = "Partner",
        encryption_key: str | None = None,
        job_timeout: float | None = None,
        execution_url_template: str | None = None,
        bucket: str | None = None,
    ) -> Pipeline:
        """
        Add a pipeline: a source, then a stage with one action that a worker does.

        :param name: 1 to 100 characters.
        :param client_id: The customer whose pipeline it is. Leave it out for a custom action.
        :param action_type: Category, owner (``ThirdParty`` or ``Custom``), provider and version: a mapping or
            a text. Registered if it is not. Defaults to ``Deploy/ThirdParty/Example/1``.
        :param configuration: The action's configuration: keys of 1 to 50, values of 1 to 1000 characters.
        :param secret_configuration_keys: Keys whose values only the worker sees in clear.
        :param input_artifacts: Names of the source's artifacts, which are the action's input. Defaults to
            ``SourceOutput``.
        :param output_artifacts: Names of the action's output artifacts. Defaults to none.
        :param stage_name: Name of the action's stage. Defaults to ``Partner``.
        :param action_name: Name of the action. Defaults to ``Partner``.
        :param encryption_key: KMS key id of the artifacts, 1 to 400 characters. Defaults to AWS's managed
            key.
        :param job_timeout: Seconds, > 0, for one job. Defaults to the action type's, or to the setting
            ``job_timeout``.
        :param execution_url_template: The worker's page of an execution, with ``{Config:name}`` and
            ``{ExternalExecutionId}``. Defaults to the action type's.
        :param bucket: S3 bucket of the artifacts, created if it is missing. Defaults to the emulator's own.
        """
        type_id = read_action_type(action_type)
        if (type_id.owner == THIRD_PARTY) != (client_id is not None):
            raise ControlError(
                "a partner's action belongs to a customer and needs client_id; a custom one has none"
            )
        with self.state.lock:
            known = self.state.action_types.for_pipeline(type_id)
        configured = dict(read_mapping("configuration", configuration))
        secret_keys = frozenset(read_names("secret_configuration_keys", secret_configuration_keys))
        inputs = read_names("input_artifacts", input_artifacts)
        outputs = read_names("output_artifacts", output_artifacts)
        check_artifacts((*inputs, *outputs))
        action = Action(
            name=action_name,
            action_type=type_id,
            configuration=configured,
            secret_configuration_keys=secret_keys | (known.secret_keys & configured.keys()),
            input_artifacts=inputs,
            output_artifacts=outputs,
            client_id=client_id,
            queryable=known.queryable,
            execution_url_template=(
                known.execution_url_template if execution_url_template is None else execution_url_template
            ),
            entity_url_template=known.entity_url_template,
            revision_url_template=known.revision_url_template,
            job_timeout=known.job_timeout
            if job_timeout is None
            else read_seconds("job_timeout", job_timeout),
        )
        source = Action(SOURCE, S3_SOURCE, output_artifacts=inputs)
        bucket = self._bucket if bucket is None else bucket
        if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
            raise ControlError(f"a name of a bucket is 3 to 63 of a-z 0-9 . -, not {bucket!r}")
        pipeline = Pipeline(
            name=name,
            stages=(Stage(SOURCE, (source,)), Stage(stage_name, (action,))),
            bucket=bucket,
            encryption_key=encryption_key,
            created_at=self.state.clock.now(),
            updated_at=self.state.clock.now(),
        )
        for fault in known.faults_of(configured, len(inputs), len(outputs)):
            raise ControlError(fault)
        if pipeline.has_artifacts:
            self.store.ensure_bucket(pipeline.bucket)
        self.state.add_pipeline(pipeline)
        return pipeline

    def start_execution(
        self,
        name: str,
        artifacts: Mapping[str, bytes] | None = None,
        *,
        trigger: str = "start_execution",
        variables: Mapping[str, str] | None = None,
    ) -> str:
        """
        Start a pipeline; the jobs of its first actions are queued at once.

        :param name: The pipeline.
        :param artifacts: Contents of the source's artifacts, by artifact name; base64 over HTTP, files on the
            command line. Defaults to what the source gives: the object that an S3 source is configured with,
            otherwise a small zip.
        :param trigger: What is shown as having started the execution.
        :param variables: Values of the pipeline's own variables. A variable without a default needs one.
        :return: The pipeline execution's id.
        """
        bodies, values = (
            dict(read_mapping("artifacts", artifacts)),
            dict(read_mapping("variables", variables)),
        )
        with self.state.lock:
            pipeline = self.state.pipeline(name)
            for artifact_name, body in bodies.items():
                if artifact_name not in pipeline.source_artifacts:
                    raise ControlError(f"the source of pipeline {name} has no artifact {artifact_name}")
                if not isinstance(body, bytes | bytearray):
                    raise ControlError(f"artifact {artifact_name} is bytes, not {type(body).__name__}")
            fault = pipeline.fault_of_variables(values)
            if fault is not None:
                raise ControlError(fault)
            if not all(isinstance(value, str) for value in values.values()):
                raise ControlError("the values of variables are texts")
            return self.runner.start(pipeline, Trigger(trigger), StartRequest(values), bodies)

    def fail_action(
        self,
        name: str,
        action_name: str,
        *,
        stage_name: str | None = None,
        code: str = "JobFailed",
        message: str = "The control fail_action made this action fail.",
        times: int | None = 1,
    ) -> None:
        """
        Let an action that has no worker fail: its next run, or more of them.

        :param name: The pipeline.
        :param action_name: The action; one that no worker does. An approval then asks nobody.
        :param stage_name: Its stage. Needed if more than one has an action of this name.
        :param code: The error's code. Defaults to ``JobFailed``.
        :param message: The error's message, 1 to 5000 characters.
        :param times: How many runs fail, ≥ 0; 0 ends what was said before. None means all until then, or
            until the faults are cleared.
        """
        with self.state.lock:
            stage, action = self.state.pipeline(name).find_action(action_name, stage_name)
            if action.makes_jobs:
                raise ControlError(f"a worker does the action {action_name}, and can fail it by its result")
            place = name, stage.name, action_name
            self.state.planned_failures[place] = PlannedFailure(code, message, times)
            details = {"stageName": stage.name, "actionName": action_name, "code": code, "times": times}
            now = self.state.tick()
            self.state.record("control", "FailAction", now, pipeline_name=name, details=details)

    def pipeline_state(self, name: str) -> dict[str, Any]:
        """
        Return what GetPipelineState answers, with times in seconds since the epoch.

        :param name: The pipeline.
        """
        self.state.pipeline(name)
        return self.executions_api.state(name)

    def send_events_to(self, queue: str, region: str | None = None) -> None:
        """
        Send all of CodePipeline's events to an SQS queue, until the next reset; no rule is needed.

        :param queue: Name, URL or ARN of a standard queue.
        :param region: The queue's region. Defaults to the setting ``region``, or to us-east-1.
        """
        if not isinstance(queue, str) or not queue:
            raise ControlError(f"queue is a text, not {queue!r}")
        with self.state.lock:
            place = region or self.state.settings.region or DEFAULT_REGION
            name = find_queue(queue, place)
            self.state.event_queues.add((place, name))
            details = {"queue": name, "region": place}
            self.state.record("control", "SendEventsTo", self.state.tick(), details=details)

    def jobs(self) -> list[JobSnapshot]:
        """List all jobs that are still known, the oldest first."""
        return self.state.snapshots()

    def now(self) -> datetime.datetime:
        """Return the emulator's time in UTC."""
        with self.state.lock:
            return moment(self.state.tick())

    def advance(self, seconds: float) -> datetime.datetime:
        """
        Move the emulator's time forward; all that is due by then happens.

        :param seconds: Seconds, ≥ 0; not past the year 9999.
        :return: The new time in UTC.
        """
        with self.state.lock:
            self.state.clock.advance(read_seconds("seconds", seconds))
            now = self.state.tick()
            self.state.record("control", "Advance", now, details={"seconds": seconds})
            return moment(now)

    def inject(
        self,
        /,
        kind: str,
        operation: str | None = None,
        *,
        times: int | None = 1,
        probability: float | None = None,
        seed: int | None = None,
        job_id: str | None = None,
        client_id: str | None = None,
        **params: Any,
    ) -> Fault:
        """
        Make calls or events go wrong.

        :param kind: ``throttle``; ``server_error`` (``status``, 500 to 599, default 500); ``error``
            (``code``, ``message``, ``status``, 400 to 599, default 400); ``drop_request`` (the connection
            closes before the call is done); ``drop_response`` (the call is done, then the connection closes);
            ``cut_body`` (the connection closes after ``after_bytes`` of an object's body);
            ``slow`` (``seconds``, 0 to 60, of real time, before the call is done; if 48 such calls wait, the
            next ones do not); ``duplicate`` (a poll also returns jobs that are handed out, with
            ``in_progress=True`` acknowledged ones too); ``omit`` (``members``, a list of paths such as
            ``data.pipelineContext``, is left out of the details); ``replace`` (``members``, a mapping of
            paths to values, is changed in the details); ``lose_event``; ``double_event``; ``delay_event``
            (``seconds`` by the emulator's clock).
        :param operation: The operation to hit: a job call, a call about executions such as
            ``StartPipelineExecution``, an S3 call with a job's credentials such as ``PutObject``, or an
            event: ``PipelineEvent``, ``StageEvent`` or ``ActionEvent``. Defaults to each of the job calls, or
            of the events, that the kind applies to.
        :param times: How many to hit, ≥ 1. None means all until the faults are cleared.
        :param probability: Of hitting one, 0 to 1. Defaults to always.
        :param seed: Makes the chance repeatable.
        :param job_id: Hit only this job's calls. Defaults to any job's.
        :param client_id: Hit only calls for this client's jobs. Defaults to any client's.
        :param params: What the kind takes, for instance ``seconds=2`` or ``members=["data"]``.
        """
        with self.state.lock:
            fault = self.state.faults.inject(
                kind, operation, times, probability, seed, job_id, client_id, params
            )
            # The parameters may hold what stands for a secret.
            details = {"kind": kind, "operation": fault.operation, "times": times}
            self.state.record("control", "Inject", self.state.tick(), details=details)
            return fault

    def faults(self) -> list[Fault]:
        """List the faults that can still hit calls."""
        with self.state.lock:
            return list(self.state.faults.active)

    def clear_faults(self) -> None:
        """Drop all faults, end the waits of slow calls, and forget what fail_action planned."""
        with self.state.lock:
            self.state.faults.clear()
            self.state.planned_failures.clear()
            self.state.record("control", "ClearFaults", self.state.tick())

    @property
    def ledger(self) -> Ledger:
        """What has happened so far; a copy."""
        return self.state.entries()

    def reset(self, settings: Settings | None = None) -> None:
        """
        Forget everything except the time, here and in moto.

        All emulators of a process share moto, so the others lose their artifacts too.

        :param settings: New settings. Defaults to the current ones.
        """
        self.state.reset(settings)
        self.store.reset()
