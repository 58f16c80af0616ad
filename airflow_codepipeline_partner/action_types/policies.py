# SPDX-License-Identifier: Apache-2.0
"""What the worker of an action type may do: its IAM policy."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner._iam_policies import (
    codepipeline_arn,
    may_read_wake_queue,
    policy,
    statement,
)
from airflow_codepipeline_partner._protocol.dialects import CUSTOM, DIALECTS, THIRD_PARTY, Dialect
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.action_types.model import path_of


def worker_policy(
    action_type: ActionType,
    *,
    account_id: str = "*",
    region: str = "*",
    partition: str = "*",
    wake_queue_arn: str | None = None,
) -> dict[str, Any]:
    """
    Return the IAM policy that allows a worker to work on a custom action type's jobs, and nothing else.

    Artifacts need no permissions: each job comes with credentials for its own.

    :param action_type: The action type. Only the poll can be restricted to it.
    :param account_id: The action type's account, 12 digits, or ``*``, the default, for any.
    :param region: Its region, such as ``eu-central-1``, or ``*``.
    :param partition: Its partition, such as ``aws`` or ``aws-cn``, or ``*``.
    :param wake_queue_arn: The ARN of the SQS queue that the worker reads as its ``wake_queue``, or None.
    :raises InvalidInput: An ARN or a part of one is invalid.

    Source: Actions, resources, and condition keys for AWS CodePipeline, Service Authorization Reference.
    """
    made = policy_over(
        codepipeline_arn(_resource_of(action_type), account_id=account_id, region=region, partition=partition)
    )
    if wake_queue_arn is not None:
        made["Statement"].append(may_read_wake_queue(wake_queue_arn))
    return made


def _resource_of(action_type: ActionType) -> str:
    return f"actiontype:{CUSTOM}/{path_of(action_type)}"


def arn_of(action_type: ActionType, partition: str, region: str, account_id: str) -> str:
    """Return the ARN of a custom action type; its parts may be placeholders of a template."""
    return f"arn:{partition}:codepipeline:{region}:{account_id}:{_resource_of(action_type)}"


def policy_over(arn: Any) -> dict[str, Any]:
    """
    Return the policy of a worker that polls for one custom action type.

    :param arn: Its ARN, or what a template has in the place of that.
    """
    calls = DIALECTS[CUSTOM]
    # Of CodePipeline's calls, only the poll supports a resource.
    return policy(
        statement("PollForJobs", (calls.poll,), arn),
        statement("WorkOnJobs", _calls_on_jobs(calls), "*"),
    )


def partner_worker_policy() -> dict[str, Any]:
    """
    Return the IAM policy that allows a partner's worker to work on jobs. Its calls support no resource.

    Source: Actions, resources, and condition keys for AWS CodePipeline, Service Authorization Reference.
    """
    calls = DIALECTS[THIRD_PARTY]
    return policy(statement("WorkOnThirdPartyJobs", (calls.poll, *_calls_on_jobs(calls)), "*"))


def _calls_on_jobs(calls: Dialect) -> tuple[str, ...]:
    return calls.details, calls.acknowledge, calls.success, calls.failure
