# SPDX-License-Identifier: Apache-2.0
"""The calls that start, stop and show pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.core import Core
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.pipelines import (
    ACCOUNT_ID,
    DEFAULT_REGION,
    SOURCE_ACTION,
    SOURCE_STAGE,
    ActionExecution,
    Artifact,
    Pipeline,
    PipelineExecution,
)
from airflow_codepipeline_partner.emulator.validation import validate

ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/codepipeline-emulator"
MAX_RESULTS = 100
_VERSION = 1
_TRIGGER = {"triggerType": "StartPipelineExecution"}
_SOURCE_TYPE = {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}

Request = dict[str, Any]
Answer = dict[str, Any]


class PipelineCalls:
    """
    Answer the calls about the emulator's own pipelines.

    :param core: The state.
    :param start: Starts an execution of a pipeline by its name, and returns the execution's id.
    """

    def __init__(self, core: Core, start: Callable[[str], str]) -> None:
        self._core = core
        self._start = start
        self._handlers: dict[str, Callable[[Pipeline, Request], Answer]] = {
            "GetPipeline": self._get_pipeline,
            "GetPipelineState": lambda pipeline, _: self._state(pipeline),
            "GetPipelineExecution": self._get_execution,
            "ListPipelineExecutions": self._list_executions,
            "ListActionExecutions": self._list_actions,
            "StartPipelineExecution": self._start_execution,
            "StopPipelineExecution": self._stop_execution,
            "RetryStageExecution": self._retry,
        }

    def __contains__(self, operation: str) -> bool:
        return operation in self._handlers

    def answer(self, operation: str, request: Any) -> Answer:
        """
        Do a call.

        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._core.lock:
            self._core.tick()
            name = request.get("name", request.get("pipelineName"))
            pipeline = self._core.pipelines.get(name)
            if pipeline is None:
                raise ApiError(
                    "PipelineNotFoundException", f"Account '{ACCOUNT_ID}' does not have a pipeline '{name}'"
                )
            return self._handlers[operation](pipeline, request)

    def state(self, name: str) -> Answer:
        """Return what GetPipelineState answers for a pipeline."""
        return self.answer("GetPipelineState", {"name": name})

    def summaries(self) -> list[Answer]:
        """Return the emulator's pipelines as ListPipelines shows them."""
        with self._core.lock:
            return [
                {
                    "name": pipeline.name,
                    "version": _VERSION,
                    "pipelineType": "V2",
                    "executionMode": "PARALLEL",
                    "created": pipeline.created_at,
                    "updated": pipeline.created_at,
                }
                for pipeline in self._core.pipelines.values()
            ]

    def _get_pipeline(self, pipeline: Pipeline, request: Request) -> Answer:
        if request.get("version", _VERSION) != _VERSION:
            raise ApiError("PipelineVersionNotFoundException", "There is only version 1.")
        store: dict[str, Any] = {"type": "S3", "location": pipeline.bucket}
        if pipeline.encryption_key is not None:
            store["encryptionKey"] = {"id": pipeline.encryption_key, "type": "KMS"}
        source = {
            "name": SOURCE_ACTION,
            "actionTypeId": _SOURCE_TYPE,
            "runOrder": 1,
            "configuration": {},
            "inputArtifacts": [],
            "outputArtifacts": [{"name": name} for name in pipeline.input_artifacts],
        }
        partner = {
            "name": pipeline.action_name,
            "actionTypeId": pipeline.action_type.as_dict(),
            "runOrder": 1,
            "configuration": pipeline.shown_configuration(),
            "inputArtifacts": [{"name": name} for name in pipeline.input_artifacts],
            "outputArtifacts": [{"name": name} for name in pipeline.output_artifacts],
        }
        return {
            "pipeline": {
                "name": pipeline.name,
                "roleArn": ROLE_ARN,
                "artifactStore": store,
                "stages": [
                    {"name": SOURCE_STAGE, "actions": [source]},
                    {"name": pipeline.stage_name, "actions": [partner]},
                ],
                "version": _VERSION,
                "executionMode": "PARALLEL",
                "pipelineType": "V2",
            },
            "metadata": {
                "pipelineArn": pipeline.arn(self._core.settings.region),
                "created": pipeline.created_at,
                "updated": pipeline.created_at,
            },
        }

    @property
    def _region(self) -> str:
        return self._core.settings.region or DEFAULT_REGION

    def _state(self, pipeline: Pipeline) -> Answer:
        executions = self._core.executions[pipeline.name]
        source: dict[str, Any] = {"actionName": SOURCE_ACTION}
        partner: dict[str, Any] = {"actionName": pipeline.action_name}
        stages: list[dict[str, Any]] = [
            {"stageName": SOURCE_STAGE, "actionStates": [source]},
            {"stageName": pipeline.stage_name, "actionStates": [partner]},
        ]
        for stage in stages:
            stage["inboundTransitionState"] = {"enabled": True}
        if executions:
            latest = executions[-1]
            source["latestExecution"] = {
                "actionExecutionId": latest.source_execution_id,
                "status": "Succeeded",
                "lastStatusChange": latest.started_at,
            }
            action = latest.actions[-1]
            partner["latestExecution"] = _present(
                {
                    "actionExecutionId": action.action_execution_id,
                    "status": action.status,
                    "summary": action.summary,
                    "lastStatusChange": action.updated_at,
                    "externalExecutionId": action.external_execution_id,
                    "externalExecutionUrl": pipeline.execution_url(action.external_execution_id),
                    "percentComplete": action.percent_complete,
                    "errorDetails": action.error_details,
                }
            )
            revision = action.current_revision
            if revision is not None:
                partner["currentRevision"] = {
                    "revisionId": revision["revision"],
                    "revisionChangeId": revision["changeIdentifier"],
                    "created": revision["created"],
                }
            for stage, status in zip(stages, ("Succeeded", latest.status), strict=True):
                stage["latestExecution"] = {
                    "pipelineExecutionId": latest.pipeline_execution_id,
                    "status": status,
                    "type": "STANDARD",
                }
        return {
            "pipelineName": pipeline.name,
            "pipelineVersion": _VERSION,
            "stageStates": stages,
            "created": pipeline.created_at,
            "updated": pipeline.created_at,
        }

    def _get_execution(self, pipeline: Pipeline, request: Request) -> Answer:
        execution = self._find(pipeline, request["pipelineExecutionId"])
        return {
            "pipelineExecution": _present(
                {
                    "pipelineName": pipeline.name,
                    "pipelineVersion": _VERSION,
                    "pipelineExecutionId": execution.pipeline_execution_id,
                    "status": execution.status,
                    "statusSummary": execution.stop_reason,
                    "artifactRevisions": [
                        {"name": artifact.name, "revisionId": artifact.revision}
                        for artifact in execution.inputs
                    ],
                    "trigger": _TRIGGER | {"triggerDetail": execution.trigger},
                    "executionMode": "PARALLEL",
                    "executionType": "STANDARD",
                }
            )
        }

    def _list_executions(self, pipeline: Pipeline, request: Request) -> Answer:
        executions = self._core.executions[pipeline.name][::-1]
        stage = request.get("filter", {}).get("succeededInStage", {}).get("stageName")
        if stage == pipeline.stage_name:
            executions = [execution for execution in executions if execution.status == "Succeeded"]
        page, following = _page(executions, request)
        summaries = [
            _present(
                {
                    "pipelineExecutionId": execution.pipeline_execution_id,
                    "status": execution.status,
                    "startTime": execution.started_at,
                    "lastUpdateTime": execution.updated_at,
                    "sourceRevisions": [
                        {"actionName": SOURCE_ACTION, "revisionId": artifact.revision}
                        for artifact in execution.inputs
                    ],
                    "trigger": _TRIGGER | {"triggerDetail": execution.trigger},
                    "stopTrigger": {"reason": execution.stop_reason} if execution.stop_reason else None,
                    "executionMode": "PARALLEL",
                    "executionType": "STANDARD",
                }
            )
            for execution in page
        ]
        return {"pipelineExecutionSummaries": summaries} | following

    def _list_actions(self, pipeline: Pipeline, request: Request) -> Answer:
        asked = request.get("filter", {})
        latest = asked.get("latestInPipelineExecution", {})
        execution_id = asked.get("pipelineExecutionId", latest.get("pipelineExecutionId"))
        executions = self._core.executions[pipeline.name][::-1]
        if execution_id is not None:
            executions = [self._find(pipeline, execution_id)]
        details: list[Answer] = []
        for execution in executions:
            details += [self._action(pipeline, action) for action in execution.actions[::-1]]
            details.append(self._source(pipeline, execution))
        page, following = _page(details, request)
        return {"actionExecutionDetails": page} | following

    def _action(self, pipeline: Pipeline, action: ActionExecution) -> Answer:
        result = {
            "externalExecutionId": action.external_execution_id,
            "externalExecutionSummary": action.summary,
            "externalExecutionUrl": pipeline.execution_url(action.external_execution_id),
            "errorDetails": action.error_details,
        }
        return {
            "pipelineExecutionId": action.execution.pipeline_execution_id,
            "actionExecutionId": action.action_execution_id,
            "pipelineVersion": _VERSION,
            "stageName": pipeline.stage_name,
            "actionName": pipeline.action_name,
            "startTime": action.started_at,
            "lastUpdateTime": action.updated_at,
            "status": action.status,
            "input": {
                "actionTypeId": pipeline.action_type.as_dict(),
                "configuration": pipeline.shown_configuration(),
                "resolvedConfiguration": pipeline.shown_configuration(),
                "region": self._region,
                "inputArtifacts": [_located(artifact) for artifact in action.execution.inputs],
            },
            "output": {
                "outputArtifacts": [_located(artifact) for artifact in action.outputs],
                "executionResult": _present(result),
                **({"outputVariables": action.output_variables} if action.output_variables else {}),
            },
        }

    def _source(self, pipeline: Pipeline, execution: PipelineExecution) -> Answer:
        return {
            "pipelineExecutionId": execution.pipeline_execution_id,
            "actionExecutionId": execution.source_execution_id,
            "pipelineVersion": _VERSION,
            "stageName": SOURCE_STAGE,
            "actionName": SOURCE_ACTION,
            "startTime": execution.started_at,
            "lastUpdateTime": execution.started_at,
            "status": "Succeeded",
            "input": {"actionTypeId": _SOURCE_TYPE, "configuration": {}, "region": self._region},
            "output": {"outputArtifacts": [_located(artifact) for artifact in execution.inputs]},
        }

    def _start_execution(self, pipeline: Pipeline, request: Request) -> Answer:
        token = request.get("clientRequestToken")
        known = self._core.start_tokens
        if token is None or (pipeline.name, token) not in known:
            started = self._start(pipeline.name)
            if token is None:
                return {"pipelineExecutionId": started}
            known[pipeline.name, token] = started
        return {"pipelineExecutionId": known[pipeline.name, token]}

    def _stop_execution(self, pipeline: Pipeline, request: Request) -> Answer:
        execution = self._find(pipeline, request["pipelineExecutionId"], "PipelineExecutionNotStoppable")
        abandon = request.get("abandon", False)
        if execution.status == "Stopping" and not abandon:
            raise ApiError("DuplicatedStopRequestException", "The execution is already stopping.")
        if execution.status not in ("InProgress", "Stopping"):
            raise ApiError(
                "PipelineExecutionNotStoppableException", f"The execution is already {execution.status}."
            )
        self._core.stop_execution(execution, abandon, request.get("reason"))
        return {"pipelineExecutionId": execution.pipeline_execution_id}

    def _retry(self, pipeline: Pipeline, request: Request) -> Answer:
        if request["stageName"] != pipeline.stage_name:
            raise ApiError("StageNotFoundException", f"There is no stage {request['stageName']} to retry.")
        execution = self._find(pipeline, request["pipelineExecutionId"], "StageNotRetryable")
        if execution.actions[-1].status not in ("Failed", "Abandoned"):
            raise ApiError("StageNotRetryableException", "The stage has no failed action.")
        self._core.retry_execution(execution)
        return {"pipelineExecutionId": execution.pipeline_execution_id}

    def _find(
        self, pipeline: Pipeline, execution_id: str, error: str = "PipelineExecutionNotFound"
    ) -> PipelineExecution:
        for execution in self._core.executions[pipeline.name]:
            if execution.pipeline_execution_id == execution_id:
                return execution
        raise ApiError(f"{error}Exception", f"The pipeline has no execution {execution_id}.")


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _located(artifact: Artifact) -> dict[str, Any]:
    return {"name": artifact.name, "s3location": {"bucket": artifact.bucket, "key": artifact.key}}


def _page(items: Sequence[Any], request: Request) -> tuple[Sequence[Any], dict[str, str]]:
    token = request.get("nextToken", "0")
    if not (token.isascii() and token.isdigit() and int(token) <= len(items)):
        raise ApiError("InvalidNextTokenException", "The next token is not one of this list's.")
    start = int(token)
    end = start + request.get("maxResults", MAX_RESULTS)
    return items[start:end], {"nextToken": str(end)} if end < len(items) else {}
