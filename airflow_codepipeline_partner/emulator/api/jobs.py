# SPDX-License-Identifier: Apache-2.0
"""The calls of the job protocol: five for partners' actions, and the same five for custom actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.faults import Fault
from airflow_codepipeline_partner.emulator.model.action_types import (
    CUSTOM,
    THIRD_PARTY,
    ActionTypeId,
    RegisteredActionType,
    not_available,
)
from airflow_codepipeline_partner.emulator.model.jobs import Job, JobEvent, JobStatus, new_nonce
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID, PipelineArtifact
from airflow_codepipeline_partner.emulator.service_model import validate

Request = dict[str, Any]
Answer = dict[str, Any]
MAX_OUTPUT_VARIABLES_BYTES = 122_880  # of one action; AWS's quota


class ObjectStore(Protocol):
    """What the job calls need of S3."""

    def exists(self, bucket: str, key: str) -> bool:
        """Return whether the object exists."""


class JobsApi:
    """
    Answer the job calls, and record each in the ledger.

    :param state: The state.
    :param runner: What moves jobs and actions forward.
    :param store: Where artifacts are kept.
    """

    def __init__(self, state: State, runner: PipelineRunner, store: ObjectStore) -> None:
        self._state = state
        self._runner = runner
        self._store = store
        self._handlers: dict[str, Callable[[JobCall], Answer]] = {
            "PollForThirdPartyJobs": self._poll,
            "GetThirdPartyJobDetails": self._details,
            "AcknowledgeThirdPartyJob": self._acknowledge,
            "PutThirdPartyJobSuccessResult": self._succeed,
            "PutThirdPartyJobFailureResult": self._fail,
            "PollForJobs": self._poll,
            "GetJobDetails": self._details,
            "AcknowledgeJob": self._acknowledge,
            "PutJobSuccessResult": self._succeed,
            "PutJobFailureResult": self._fail,
        }

    def __contains__(self, operation: str) -> bool:
        return operation in self._handlers

    def answer(
        self,
        operation: str,
        request: Any,
        region: str | None = None,
        faults: Iterable[Fault] = (),
        refusal: ApiError | None = None,
    ) -> Answer:
        """
        Do a call.

        :param request: The request's JSON.
        :param region: The region that the request is signed for.
        :param faults: The faults that hit the call.
        :param refusal: Why the call is refused before it is read, for instance for a missing signature.
        :raises ApiError: The call is refused.
        """
        with self._state.lock:
            call = JobCall(operation, request, region, tuple(faults), self._state)
            try:
                if refusal is not None:
                    raise refusal
                call.request = validate(operation, request)
                return self._handlers[operation](call)
            except ApiError as error:
                call.outcome = error.code
                raise
            finally:
                call.record()

    def _poll(self, call: JobCall) -> Answer:
        asked = call.request["actionTypeId"]
        action_type = ActionTypeId.of(asked)
        settings = self._state.settings
        call.details = {"actionTypeId": action_type.as_dict()}
        if action_type.owner != call.owner:
            # AWS's text for PollForJobs with a wrong owner.
            message = f"ActionType with owner '{action_type.owner}' is not supported"
            raise ApiError("ValidationException", message)
        known = self._state.action_types.find(action_type, call.region)
        if known is None or settings.region not in (None, call.region):
            raise ApiError("ActionTypeNotFoundException", not_available(action_type))
        queried = _queried(known, call.request.get("queryParam") or {})
        queues = self._state.queues_of(action_type, queried, call.region)
        limit = call.request.get("maxBatchSize", settings.default_batch_size)
        call.details["maxBatchSize"] = limit
        limit = min(limit, settings.max_batch_size or limit)
        again: list[Job] = []
        for fault in call.faults:
            if fault.kind == "duplicate":
                handed_out = (queue.handed_out(fault.params["in_progress"]) for queue in queues)
                again = [job for jobs in handed_out for job in jobs][:limit]
        jobs = again
        for queue in queues:
            jobs = jobs + queue.take(limit - len(jobs))
        for job in jobs:
            # A job in progress that is handed out by mistake does not change.
            if job.after(JobEvent.HAND_OUT) is not None:
                self._runner.jobs.hand_out(job, call.now)
        call.details["jobs"] = [job.job_id for job in jobs]
        if call.owner == THIRD_PARTY:
            return {"jobs": [{"clientId": job.client_id, "jobId": job.job_id} for job in jobs]}
        return {"jobs": [self._custom_job(job, call.now) | {"nonce": job.nonce} for job in jobs]}

    def _custom_job(self, job: Job, now: float) -> dict[str, Any]:
        return {"id": job.job_id, "accountId": ACCOUNT_ID, "data": self._data(job, now)}

    def _details(self, call: JobCall) -> Answer:
        job = call.find_job()
        waiting = job.after(JobEvent.ACKNOWLEDGE) is not None
        if waiting and self._state.settings.details_rotate_nonce and call.owner == THIRD_PARTY:
            job.nonce = new_nonce()
        if call.owner == CUSTOM:
            return {"jobDetails": self._custom_job(job, call.now)}
        return {"jobDetails": {"id": job.job_id, "nonce": job.nonce, "data": self._data(job, call.now)}}

    def _data(self, job: Job, now: float) -> dict[str, Any]:
        action, declared, pipeline = job.action, job.action.action, job.action.pipeline
        context: dict[str, Any] = {
            "pipelineName": pipeline.name,
            "stage": {"name": action.stage_name},
            "action": {"name": declared.name, "actionExecutionId": action.action_execution_id},
        }
        if declared.action_type.owner == CUSTOM:
            # AWS leaves these two out for third parties.
            context["pipelineArn"] = pipeline.arn(self._state.settings.region)
            context["pipelineExecutionId"] = action.execution.pipeline_execution_id
        data: dict[str, Any] = {
            "actionTypeId": declared.action_type.as_dict(),
            "actionConfiguration": {"configuration": dict(action.configuration)},
            "pipelineContext": context,
            "inputArtifacts": [_artifact(artifact) for artifact in action.inputs],
            "outputArtifacts": [_artifact(artifact) for artifact in action.outputs],
        }
        # AWS: present "if the action requires access".
        if not job.status.ended and (action.inputs or action.outputs):
            expires_at = now + self._state.settings.credentials_lifetime
            credentials = self._state.credentials.issue(job, expires_at)
            data["artifactCredentials"] = {
                "accessKeyId": credentials.access_key_id,
                "secretAccessKey": credentials.secret_access_key,
                "sessionToken": credentials.session_token,
            }
        if job.continuation_token is not None:
            data["continuationToken"] = job.continuation_token
        if pipeline.encryption_key is not None:
            data["encryptionKey"] = {"id": pipeline.encryption_key, "type": "KMS"}
        return data

    def _acknowledge(self, call: JobCall) -> Answer:
        job = call.find_job()
        settings, nonce = self._state.settings, call.request["nonce"]
        if job.status.ended and settings.acknowledge_ended_job == "status":
            return {"status": job.status.on_the_wire}
        if job.status is JobStatus.IN_PROGRESS and nonce == job.winning_nonce:
            if settings.repeated_acknowledge == "in_progress":
                return {"status": job.status.value}
        elif job.after(JobEvent.ACKNOWLEDGE) is not None and nonce == job.nonce:
            self._runner.jobs.acknowledge(job, call.now)
            return {"status": job.status.value}
        raise ApiError(
            "InvalidNonceException", f"The nonce is not valid for job {job.job_id}, or the job is taken."
        )

    def _succeed(self, call: JobCall) -> Answer:
        job = call.find_job()
        revision = call.request.get("currentRevision")
        token = call.request.get("continuationToken")
        execution = call.request.get("executionDetails", {})
        call.note_result("currentRevision", "continuationToken", "executionDetails", "outputVariables")
        variables = call.request.get("outputVariables")
        if variables:
            _check_output_variables(variables, token)
        event = self._put_event(job, JobEvent.SUCCEED, JobEvent.SUCCEED_UNACKNOWLEDGED)
        if token is None and self._state.settings.require_output_artifacts:
            for artifact in job.action.outputs:
                if not self._store.exists(artifact.bucket, artifact.key):
                    message = f"Output artifact {artifact.name} has no object at its location."
                    raise ApiError("ValidationException", message)
        self._runner.jobs.apply(job, event, call.now)
        call.result = "success" if token is None else "continue"
        action = job.action
        action.summary = execution.get("summary", action.summary)
        action.external_execution_id = execution.get("externalExecutionId", action.external_execution_id)
        action.percent_complete = execution.get("percentComplete", action.percent_complete)
        action.output_variables = variables or action.output_variables
        if revision is not None:
            action.current_revision = {"created": call.now} | revision
        action.updated_at = call.now
        if token is None:
            self._runner.end_action(action, "Succeeded", call.now)
        else:
            self._runner.jobs.go_on(action, token, call.now)
        return {}

    def _fail(self, call: JobCall) -> Answer:
        job = call.find_job()
        failure = call.request["failureDetails"]
        call.note_result("failureDetails")
        event = self._put_event(job, JobEvent.FAIL, JobEvent.FAIL_UNACKNOWLEDGED)
        self._runner.jobs.apply(job, event, call.now)
        call.result = "failure"
        action = job.action
        action.external_execution_id = failure.get("externalExecutionId", action.external_execution_id)
        error = {"code": failure["type"], "message": failure["message"]}
        self._runner.end_action(action, "Failed", call.now, error)
        return {}

    def _put_event(self, job: Job, usual: JobEvent, unacknowledged: JobEvent) -> JobEvent:
        accept = self._state.settings.put_before_acknowledge == "accept"
        event = unacknowledged if accept and job.status is JobStatus.DISPATCHED else usual
        if job.after(event) is None:
            message = f"Job {job.job_id} cannot take a result: its state is {job.status.on_the_wire}."
            raise ApiError("InvalidJobStateException", message)
        return event


class JobCall:
    """A call in progress, and what the ledger will record of it."""

    def __init__(
        self, operation: str, raw: Any, region: str | None, faults: tuple[Fault, ...], state: State
    ) -> None:
        self.operation = operation
        self.owner = THIRD_PARTY if "ThirdParty" in operation else CUSTOM
        self.region = region
        self.faults = faults
        self.now = state.tick()
        self.request: Request = {}
        self.details: dict[str, Any] = {}
        self.outcome = "ok"
        self.result: str | None = None
        self._state = state
        named = raw.get("jobId") if isinstance(raw, dict) else None
        self._job_id = named if isinstance(named, str) else None
        job = state.jobs.get(self._job_id or "")
        #: This call does not find a job of the other owner, or of another region.
        self._job = None
        if job is not None and job.action.action.action_type.owner == self.owner:
            self._job = job if job.action.pipeline.is_in(region) else None
        self._before = self._job.status.value if self._job is not None else None

    def find_job(self) -> Job:
        """Return the job, if the token is its client's; a custom job has no client."""
        state, token = self._state, self.request.get("clientToken", "")
        if self._job is None:
            if (
                self.owner == THIRD_PARTY
                and state.settings.check_first == "token"
                and not state.customers.anyones(token, self.now)
            ):
                raise ApiError("InvalidClientTokenException", "The client token is not valid.")
            raise ApiError("JobNotFoundException", f"Job {self._job_id} was not found.")
        client_id = self._job.client_id
        if client_id is not None and not state.customers.accepts(client_id, token, self.now):
            raise ApiError(
                "InvalidClientTokenException", f"The client token is not valid for job {self._job_id}."
            )
        return self._job

    def note_result(self, *members: str) -> None:
        """Keep the result for the ledger."""
        self.details = {name: self.request[name] for name in members if name in self.request}

    def record(self) -> None:
        """Record the call in the ledger."""
        self._state.record(
            "call",
            self.operation,
            self.now,
            self._job,
            **({} if self._job is not None else {"job_id": self._job_id}),
            outcome=self.outcome,
            status_before=self._before,
            result=self.result,
            faults=tuple(fault.kind for fault in self.faults),
            details=self.details,
        )


def _queried(action_type: RegisteredActionType, query: Mapping[str, str]) -> str | None:
    """Return the value of the queryable property that a poll asks for, or None if there is none."""
    wanted = [] if action_type.queryable is None else [action_type.queryable]
    if list(query) != wanted:
        needed = f"must have the key {wanted[0]}" if wanted else "must be empty"
        raise ApiError(
            "ValidationException", f"queryParam {needed} for action type {'/'.join(action_type.id)}."
        )
    return query[wanted[0]] if wanted else None


def _check_output_variables(variables: Mapping[str, str], continuation_token: str | None) -> None:
    if continuation_token is not None:
        message = "outputVariables cannot be supplied when there is a continuationToken."
        raise ApiError("ValidationException", message)
    size = sum(len(text.encode(errors="surrogatepass")) for pair in variables.items() for text in pair)
    if size > MAX_OUTPUT_VARIABLES_BYTES:
        message = f"The output variables have {size} bytes, of at most {MAX_OUTPUT_VARIABLES_BYTES}."
        raise ApiError("OutputVariablesSizeExceededException", message)


def _artifact(artifact: PipelineArtifact) -> dict[str, Any]:
    location = {"bucketName": artifact.bucket, "objectKey": artifact.key}
    shape: dict[str, Any] = {"name": artifact.name, "location": {"type": "S3", "s3Location": location}}
    return shape if artifact.revision is None else shape | {"revision": artifact.revision}
