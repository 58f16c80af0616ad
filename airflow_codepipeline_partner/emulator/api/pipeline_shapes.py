# SPDX-License-Identifier: Apache-2.0
"""Pipelines and their executions in AWS's shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.pipelines import (
    ACCOUNT_ID,
    CALLER_ARN,
    DEFAULT_REGION,
    PARALLEL,
    Action,
    Pipeline,
    PipelineArtifact,
    Stage,
)
from airflow_codepipeline_partner.emulator.model.stage_views import StageView
from airflow_codepipeline_partner.emulator.model.transitions import Transition
from airflow_codepipeline_partner.emulator.model.variables import OF_PIPELINE

Shape = dict[str, Any]

ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/codepipeline-emulator"


def declaration(pipeline: Pipeline, region: str | None) -> Shape:
    """Return what GetPipeline answers, secrets masked."""
    store: Shape = {"type": "S3", "location": pipeline.bucket}
    if pipeline.encryption_key is not None:
        store["encryptionKey"] = {"id": pipeline.encryption_key, "type": "KMS"}
    return {
        "pipeline": {
            "name": pipeline.name,
            "roleArn": ROLE_ARN,
            "artifactStore": store,
            "stages": [
                {"name": stage.name, "actions": [_declared(action) for action in stage.actions]}
                for stage in pipeline.stages
            ],
            "version": pipeline.version,
            "executionMode": pipeline.execution_mode,
            "pipelineType": "V2",
        },
        "metadata": {
            "pipelineArn": pipeline.arn(region),
            "created": pipeline.created_at,
            "updated": pipeline.updated_at,
        },
    }


def _declared(action: Action) -> Shape:
    return {
        "name": action.name,
        "actionTypeId": action.action_type.as_dict(),
        "runOrder": action.run_order,
        "configuration": action.shown(action.configuration),
        "inputArtifacts": [{"name": name} for name in action.input_artifacts],
        "outputArtifacts": [{"name": name} for name in action.output_artifacts],
    }


def pipeline_summary(pipeline: Pipeline) -> Shape:
    """Return a pipeline as ListPipelines shows it."""
    return {
        "name": pipeline.name,
        "version": pipeline.version,
        "pipelineType": "V2",
        "executionMode": pipeline.execution_mode,
        "created": pipeline.created_at,
        "updated": pipeline.updated_at,
    }


def state(pipeline: Pipeline, views: Iterable[tuple[Stage, StageView]]) -> Shape:
    """
    Return what GetPipelineState answers.

    :param views: The pipeline's stages, and what is in them.
    """
    return {
        "pipelineName": pipeline.name,
        "pipelineVersion": pipeline.version,
        "stageStates": [_stage_state(stage, view) for stage, view in views],
        "created": pipeline.created_at,
        "updated": pipeline.updated_at,
    }


def _transition(changed: Transition | None) -> Shape:
    if changed is None:
        return {"enabled": True}
    return _present(
        {
            "enabled": changed.enabled,
            "lastChangedBy": CALLER_ARN,
            "lastChangedAt": changed.changed_at,
            "disabledReason": changed.disabled_reason,
        }
    )


def _stage_state(stage: Stage, view: StageView) -> Shape:
    shape: Shape = {
        "stageName": stage.name,
        "inboundTransitionState": _transition(view.transition),
        "actionStates": [_action_state(action, view.runs.get(action.name)) for action in stage.actions],
    }
    if view.inbound:
        shape["inboundExecution"] = _stage_execution(view.inbound[0], "InProgress")
        shape["inboundExecutions"] = [_stage_execution(each, "InProgress") for each in view.inbound]
    newest = view.newest
    if newest is not None:
        shape["latestExecution"] = _stage_execution(newest, newest.stage_statuses[stage.name])
        retries = newest.stage_retries.get(stage.name)
        if retries is not None:
            counted = {"manualStageRetryAttempt": retries, "latestRetryTrigger": "ManualStageRetry"}
            shape["retryStageMetadata"] = counted
    return shape


def _stage_execution(execution: PipelineExecution, status: str) -> Shape:
    ids = {"pipelineExecutionId": execution.pipeline_execution_id}
    return ids | {"status": status, "type": execution.kind}


def _action_state(action: Action, latest: ActionExecution | None) -> Shape:
    shape: Shape = {"actionName": action.name}
    configuration = None if latest is None else latest.configuration
    links = {"entityUrl": action.entity_url_template, "revisionUrl": action.revision_url_template}
    shape |= _present({name: action.link(url, configuration) for name, url in links.items()})
    if latest is None:
        return shape
    shape["latestExecution"] = _present(
        {
            "actionExecutionId": latest.action_execution_id,
            "status": latest.status,
            "summary": latest.summary,
            "lastStatusChange": latest.updated_at,
            "token": latest.open_token if latest.pipeline.execution_mode != PARALLEL else None,
            "lastUpdatedBy": latest.updated_by,
            "externalExecutionId": latest.external_execution_id,
            "externalExecutionUrl": latest.execution_url(),
            "percentComplete": latest.percent_complete,
            "errorDetails": latest.error_details,
        }
    )
    revision = latest.current_revision
    if revision is not None:
        shape["currentRevision"] = {
            "revisionId": revision["revision"],
            "revisionChangeId": revision["changeIdentifier"],
            "created": revision["created"],
        }
    return shape


def execution(execution: PipelineExecution) -> Shape:
    """Return an execution as GetPipelineExecution shows it."""
    revisions = [
        _revision(source) | {"name": artifact.name, "revisionId": artifact.revision}
        for source in execution.source_actions()
        for artifact in source.outputs
        if artifact.revision is not None
    ]
    own = execution.variables.get(OF_PIPELINE) or {}
    return _present(
        {
            "pipelineName": execution.pipeline.name,
            "pipelineVersion": execution.pipeline.version,
            "pipelineExecutionId": execution.pipeline_execution_id,
            "status": execution.status,
            "statusSummary": execution.stop_reason,
            "artifactRevisions": revisions,
            "variables": [{"name": name, "resolvedValue": value} for name, value in own.items()] or None,
            "trigger": execution.trigger.shape,
            "executionMode": execution.pipeline.execution_mode,
            "executionType": execution.kind,
            "rollbackMetadata": _rollback(execution),
        }
    )


def _rollback(execution: PipelineExecution) -> Shape | None:
    target = execution.rollback_target
    return None if target is None else {"rollbackTargetPipelineExecutionId": target.pipeline_execution_id}


def _revision(source: ActionExecution) -> Shape:
    """Return a source action's revision, as its result described it."""
    found = source.current_revision or {}
    members = {"changeIdentifier": "revisionChangeIdentifier", "revisionSummary": "revisionSummary"}
    shown = {member: found.get(name) for name, member in members.items()}
    return _present(shown | {"created": found.get("created")})


def execution_summary(execution: PipelineExecution) -> Shape:
    """Return an execution as ListPipelineExecutions shows it."""
    revisions = [
        {"actionName": source.action.name, "revisionId": artifact.revision}
        | _present({"revisionSummary": (source.current_revision or {}).get("revisionSummary")})
        for source in execution.source_actions()
        for artifact in source.outputs
        if artifact.revision is not None
    ]
    return _present(
        {
            "pipelineExecutionId": execution.pipeline_execution_id,
            "status": execution.status,
            "statusSummary": execution.stop_reason,
            "startTime": execution.started_at,
            "lastUpdateTime": execution.updated_at,
            "sourceRevisions": revisions,
            "trigger": execution.trigger.shape,
            "stopTrigger": {"reason": execution.stop_reason} if execution.stop_reason else None,
            "executionMode": execution.pipeline.execution_mode,
            "executionType": execution.kind,
            "rollbackMetadata": _rollback(execution),
        }
    )


def action_execution(run: ActionExecution, region: str | None) -> Shape:
    """Return an action's execution as ListActionExecutions shows it, secrets masked."""
    action = run.action
    result = {
        "externalExecutionId": run.external_id,
        "externalExecutionSummary": run.summary,
        "externalExecutionUrl": run.execution_url(),
        "errorDetails": run.error_details,
    }
    return {
        "pipelineExecutionId": run.execution.pipeline_execution_id,
        "actionExecutionId": run.action_execution_id,
        "pipelineVersion": run.pipeline.version,
        "stageName": run.stage_name,
        "actionName": action.name,
        "startTime": run.started_at,
        "lastUpdateTime": run.updated_at,
        "status": run.status,
        **_present({"updatedBy": run.updated_by}),
        "input": _present(
            {
                "actionTypeId": action.action_type.as_dict(),
                "configuration": action.shown(action.configuration),
                "resolvedConfiguration": action.shown(run.configuration),
                "region": action.region or run.pipeline.declared_in or region or DEFAULT_REGION,
                "inputArtifacts": [_located(artifact) for artifact in run.inputs],
                "namespace": action.namespace,
            }
        ),
        "output": _present(
            {
                "outputArtifacts": [_located(artifact) for artifact in run.outputs],
                "executionResult": _present(result),
                "outputVariables": run.output_variables or None,
            }
        ),
    }


def _located(artifact: PipelineArtifact) -> Shape:
    return {"name": artifact.name, "s3location": {"bucket": artifact.bucket, "key": artifact.key}}


def _present(values: Shape) -> Shape:
    return {name: value for name, value in values.items() if value is not None}
