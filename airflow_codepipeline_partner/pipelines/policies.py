# SPDX-License-Identifier: Apache-2.0
"""What a DAG may do with a pipeline: its IAM policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_codepipeline_partner._iam_policies import (
    codepipeline_arn,
    may_read_wake_queue,
    policy,
    statement,
)
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner._suggestions import did_you_mean
from airflow_codepipeline_partner.exceptions import InvalidInput

EVENTS = "events"
#: Purpose → the calls that its operator, sensor or watcher makes.
PURPOSES: dict[str, tuple[str, ...]] = {
    "start": ("StartPipelineExecution",),
    "wait": ("GetPipelineExecution", "ListPipelineExecutions", "ListActionExecutions"),
    "stop": ("StopPipelineExecution", "GetPipelineExecution", "ListActionExecutions"),
    # Where it is refused, it looks whether the stage runs again already.
    "retry": ("RetryStageExecution", "GetPipelineExecution"),
    # A retry of the task looks for the rollback that an earlier try has started.
    "roll-back": ("RollbackStage", "ListPipelineExecutions", "ListActionExecutions"),
    # The token is in the action's execution with the execution mode PARALLEL; a retry looks for its answer.
    "approve": ("GetPipelineState", "ListActionExecutions", "PutApprovalResult"),
    "transition": ("EnableStageTransition", "DisableStageTransition"),
    "override-condition": ("OverrideStageCondition",),
    "put-revision": ("PutActionRevision",),
    EVENTS: ("ListPipelineExecutions", "GetPipelineExecution"),
}
DEFAULT_PURPOSES = ("start", "wait")
#: What IAM restricts each call to: a pipeline, one of its stages, or one of a stage's actions.
_PIPELINE_CALLS = (
    "StartPipelineExecution",
    "StopPipelineExecution",
    "GetPipelineExecution",
    "ListPipelineExecutions",
    "ListActionExecutions",
    "GetPipelineState",
)
_STAGE_CALLS = (
    "RetryStageExecution",
    "RollbackStage",
    "EnableStageTransition",
    "DisableStageTransition",
    "OverrideStageCondition",
)
_ACTION_CALLS = ("PutApprovalResult", "PutActionRevision")


def pipeline_policy(
    pipeline_name: str,
    purposes: Iterable[str] = DEFAULT_PURPOSES,
    *,
    stage_name: str | None = None,
    action_name: str | None = None,
    account_id: str = "*",
    region: str = "*",
    partition: str = "*",
    wake_queue_arn: str | None = None,
) -> dict[str, Any]:
    """
    Return the IAM policy that allows DAGs to do some things with a pipeline, and nothing else.

    :param pipeline_name: The pipeline.
    :param purposes: What the DAGs do: keys of ``PURPOSES``. Operators that wait need ``wait``, too.
    :param stage_name: Only this stage may be retried, rolled back, opened, closed or passed, and only
        actions of it answered or given a revision. If None, any stage.
    :param action_name: Only this action of the stage may be answered or given a revision. If None, any one.
    :param account_id: The pipeline's account, 12 digits, or ``*``, the default, for any.
    :param region: Its region, such as ``eu-central-1``, or ``*``.
    :param partition: Its partition, such as ``aws`` or ``aws-cn``, or ``*``.
    :param wake_queue_arn: The ARN of the SQS queue that the DAGs name as ``wake_queue``, or None.
    :raises InvalidInput: A value is invalid, or restricts nothing of what the policy allows.

    Source: Actions, resources, and condition keys for AWS CodePipeline, Service Authorization Reference.
    """
    wanted = _checked(purposes)
    calls = {call for purpose in wanted for call in PURPOSES[purpose]}
    path = check_text("pipelineName", pipeline_name)
    stage = "*" if stage_name is None else check_text("stageName", stage_name)
    action = "*" if action_name is None else check_text("actionName", action_name)
    if action_name is not None and stage_name is None:
        raise InvalidInput("An action is restricted together with its stage: name the stage, too.")
    if stage_name is not None and not calls & {*_STAGE_CALLS, *_ACTION_CALLS}:
        raise InvalidInput(f"No call for {', '.join(wanted)} can be restricted to a stage.")
    if action_name is not None and not calls & {*_ACTION_CALLS}:
        raise InvalidInput(f"No call for {', '.join(wanted)} can be restricted to an action.")
    if wake_queue_arn is not None and EVENTS not in wanted:
        raise InvalidInput(
            f"A wake queue is read for {EVENTS} only, and the policy is for {', '.join(wanted)}."
        )
    kinds = (
        ("Pipeline", _PIPELINE_CALLS, path),
        ("Stages", _STAGE_CALLS, f"{path}/{stage}"),
        ("Actions", _ACTION_CALLS, f"{path}/{stage}/{action}"),
    )
    place = {"account_id": account_id, "region": region, "partition": partition}
    statements = [
        statement(sid, used, codepipeline_arn(resource, **place))
        for sid, of_kind, resource in kinds
        if (used := [call for call in of_kind if call in calls])
    ]
    if wake_queue_arn is not None:
        statements.append(may_read_wake_queue(wake_queue_arn))
    return policy(*statements)


def _checked(purposes: Iterable[str]) -> list[str]:
    given = [purposes] if isinstance(purposes, str) else list(purposes)
    for each in given:
        if each not in PURPOSES:
            raise InvalidInput(
                f"There is no such purpose ({len(str(each))} characters{did_you_mean(each, PURPOSES)}); "
                f"there are {', '.join(PURPOSES)}."
            )
    if not given:
        raise InvalidInput(f"The policy is for nothing; name at least one of {', '.join(PURPOSES)}.")
    return [purpose for purpose in PURPOSES if purpose in given]
