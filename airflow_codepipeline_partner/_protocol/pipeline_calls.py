# SPDX-License-Identifier: Apache-2.0
"""Compose the calls that start, stop and watch pipelines; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_codepipeline_partner._limits import MAX_PIPELINE_VARIABLES, MAX_SOURCE_REVISIONS
from airflow_codepipeline_partner._protocol.parsing import (
    by_snake_case,
    check_text,
    is_missing,
    read_list,
    read_mapping,
)
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded

_REVISION_NAMES = {
    "action_name": "actionName",
    "revision_type": "revisionType",
    "revision_value": "revisionValue",
}
#: Executions, or executions of actions, of one answer: the most that CodePipeline gives.
PAGE_SIZE = 100


def read_variables(value: object) -> dict[str, str]:
    """
    Return the variables of an execution.

    :param value: A mapping of names to texts, or None; a number counts as its text.
    :raises InvalidInput: It is something else, has more than 50, or one that CodePipeline does not take.
    """
    if is_missing(value):
        return {}
    given = read_mapping(value, "variables")
    if len(given) > MAX_PIPELINE_VARIABLES:
        raise LimitExceeded(
            f"variables has {len(given)} entries; an execution takes at most {MAX_PIPELINE_VARIABLES}.",
            field="variables",
        )
    read = {}
    for name, text in given.items():
        key = check_text("variables.name", name, named="the name of a variable")
        read[key] = check_text("variables.value", text, named=f"the value of variable {key!r}")
    return read


def read_source_revisions(value: object) -> list[dict[str, str]]:
    """
    Return the revisions of an execution's sources.

    :param value: A list of mappings with ``action_name``, ``revision_type`` and ``revision_value``, in
        snake_case or in AWS's spelling; or None.
    :raises InvalidInput: It is something else, has more than 50, or two of one action.
    """
    if is_missing(value):
        return []
    given = read_list(value) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise InvalidInput(f"source_revisions must be a list of mappings, not a {type(value).__name__}.")
    if len(given) > MAX_SOURCE_REVISIONS:
        raise LimitExceeded(
            f"source_revisions has {len(given)} entries; an execution takes at most {MAX_SOURCE_REVISIONS}.",
            field="sourceRevisions",
        )
    read = [_read_source_revision(each) for each in given]
    names = [each["actionName"] for each in read]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(f"source_revisions has more than one revision for action {name!r}.")
    return read


def _read_source_revision(value: object) -> dict[str, str]:
    members = by_snake_case(value, "a source revision", _REVISION_NAMES)
    missing = [aws for snake, aws in _REVISION_NAMES.items() if is_missing(members.get(snake))]
    if missing:
        raise InvalidInput(f"A source revision has no {', '.join(missing)}.")
    return {
        "actionName": check_text("actionName", members["action_name"]),
        "revisionType": check_text("sourceRevisions.revisionType", members["revision_type"]),
        "revisionValue": check_text("sourceRevisions.revisionValue", members["revision_value"]),
    }


def start(
    pipeline_name: str,
    *,
    variables: Mapping[str, str],
    source_revisions: list[dict[str, str]],
    client_request_token: str,
) -> Call:
    """
    Start a pipeline. The same token again starts no second execution.

    Source: StartPipelineExecution, CodePipeline API 2015-07-09.
    """
    arguments: dict[str, Any] = {
        "name": check_text("pipelineName", pipeline_name),
        "clientRequestToken": check_text("clientRequestToken", client_request_token),
    }
    if variables:
        arguments["variables"] = [{"name": name, "value": value} for name, value in variables.items()]
    if source_revisions:
        arguments["sourceRevisions"] = source_revisions
    return Call("StartPipelineExecution", arguments)


def stop(pipeline_name: str, execution_id: str, *, abandon: bool, reason: str | None) -> Call:
    """
    Stop an execution.

    :param abandon: Whether the actions in progress are abandoned. If not, the execution stops after them.
    :param reason: Why, for people, cut to 200 characters; or None.

    Source: StopPipelineExecution, CodePipeline API 2015-07-09.
    """
    arguments = {**_names(pipeline_name, execution_id), "abandon": abandon}
    if reason is not None:
        arguments["reason"] = check_text("stop.reason", reason)
    return Call("StopPipelineExecution", arguments)


def execution(pipeline_name: str, execution_id: str) -> Call:
    """
    Ask for one execution.

    Source: GetPipelineExecution, CodePipeline API 2015-07-09.
    """
    return Call("GetPipelineExecution", _names(pipeline_name, execution_id))


def executions(pipeline_name: str, next_token: str | None = None) -> Call:
    """
    Ask for a page of a pipeline's executions, the newest first.

    Source: ListPipelineExecutions, CodePipeline API 2015-07-09.
    """
    return Call("ListPipelineExecutions", _page(pipeline_name, next_token))


def action_executions(
    pipeline_name: str, execution_id: str | None = None, next_token: str | None = None
) -> Call:
    """
    Ask for a page of the executions of a pipeline's actions, the newest first.

    :param execution_id: Those of one execution of the pipeline. If None, those of all.

    Source: ListActionExecutions, CodePipeline API 2015-07-09.
    """
    arguments = _page(pipeline_name, next_token)
    if execution_id is not None:
        arguments["filter"] = {"pipelineExecutionId": check_text("pipelineExecutionId", execution_id)}
    return Call("ListActionExecutions", arguments)


def state(pipeline_name: str) -> Call:
    """
    Ask for the state of a pipeline's stages and actions.

    Source: GetPipelineState, CodePipeline API 2015-07-09.
    """
    return Call("GetPipelineState", {"name": check_text("pipelineName", pipeline_name)})


def retry_stage(pipeline_name: str, stage_name: str, execution_id: str, retry_mode: str) -> Call:
    """
    Have a stage that has failed run again, in the same execution.

    :param retry_mode: ``FAILED_ACTIONS`` or ``ALL_ACTIONS``.

    Source: RetryStageExecution, CodePipeline API 2015-07-09.
    """
    mode = check_text("retryMode", retry_mode, named="retry_mode")
    names = _names(pipeline_name, execution_id)
    return Call("RetryStageExecution", {**names, **_stage(stage_name), "retryMode": mode})


def roll_back_stage(pipeline_name: str, stage_name: str, target_execution_id: str) -> Call:
    """
    Roll a stage back to what an earlier execution has brought there.

    Source: RollbackStage, CodePipeline API 2015-07-09.
    """
    target = check_text("pipelineExecutionId", target_execution_id, named="target_execution_id")
    arguments = {"pipelineName": check_text("pipelineName", pipeline_name), **_stage(stage_name)}
    return Call("RollbackStage", {**arguments, "targetPipelineExecutionId": target})


def put_approval_result(
    pipeline_name: str, stage_name: str, action_name: str, *, status: str, summary: str, token: str
) -> Call:
    """
    Approve, or reject.

    :param status: ``Approved`` or ``Rejected``.
    :param summary: Why, for people, cut to 512 characters.
    :param token: The token of the approval that waits.

    Source: PutApprovalResult, CodePipeline API 2015-07-09.
    """
    result = {
        "summary": check_text("approval.summary", summary, named="summary"),
        "status": check_text("approval.status", status, named="status"),
    }
    arguments = {
        "pipelineName": check_text("pipelineName", pipeline_name),
        **_stage(stage_name),
        "actionName": check_text("actionName", action_name),
        "result": result,
        "token": check_text("approval.token", token, named="token"),
    }
    return Call("PutApprovalResult", arguments)


def set_transition(
    pipeline_name: str, stage_name: str, *, enabled: bool, transition_type: str, reason: str | None
) -> Call:
    """
    Let executions into a stage, or out of it, or hold them up.

    :param transition_type: ``Inbound`` or ``Outbound``.
    :param reason: Why they are held up. Needed for that.

    Source: EnableStageTransition, DisableStageTransition, CodePipeline API 2015-07-09.
    """
    arguments = {
        "pipelineName": check_text("pipelineName", pipeline_name),
        **_stage(stage_name),
        "transitionType": check_text("transitionType", transition_type, named="transition_type"),
    }
    if enabled:
        return Call("EnableStageTransition", arguments)
    arguments["reason"] = check_text("transition.reason", reason, named="reason")
    return Call("DisableStageTransition", arguments)


def override_condition(
    pipeline_name: str, stage_name: str, execution_id: str, *, condition_type: str
) -> Call:
    """
    Let an execution pass a condition of a stage that is not met.

    :param condition_type: ``BEFORE_ENTRY`` or ``ON_SUCCESS``.

    Source: OverrideStageCondition, CodePipeline API 2015-07-09.
    """
    kind = check_text("conditionType", condition_type, named="condition_type")
    names = _names(pipeline_name, execution_id)
    return Call("OverrideStageCondition", {**names, **_stage(stage_name), "conditionType": kind})


def put_action_revision(
    pipeline_name: str,
    stage_name: str,
    action_name: str,
    *,
    revision_id: str,
    revision_change_id: str,
    created: datetime,
) -> Call:
    """
    Tell a custom source action of a new revision, which starts the pipeline.

    :param created: When the revision was made, with a time zone.

    Source: PutActionRevision, CodePipeline API 2015-07-09.
    """
    revision = {
        "revisionId": check_text("actionRevision.revisionId", revision_id, named="revision_id"),
        "revisionChangeId": check_text(
            "actionRevision.revisionChangeId", revision_change_id, named="revision_change_id"
        ),
        "created": created.isoformat(),
    }
    arguments = {
        "pipelineName": check_text("pipelineName", pipeline_name),
        **_stage(stage_name),
        "actionName": check_text("actionName", action_name),
    }
    return Call("PutActionRevision", {**arguments, "actionRevision": revision})


def _stage(stage_name: str) -> dict[str, Any]:
    return {"stageName": check_text("stageName", stage_name)}


def _names(pipeline_name: str, execution_id: str) -> dict[str, Any]:
    return {
        "pipelineName": check_text("pipelineName", pipeline_name),
        "pipelineExecutionId": check_text("pipelineExecutionId", execution_id),
    }


def _page(pipeline_name: str, next_token: str | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "pipelineName": check_text("pipelineName", pipeline_name),
        "maxResults": PAGE_SIZE,
    }
    if next_token is not None:
        arguments["nextToken"] = next_token
    return arguments
