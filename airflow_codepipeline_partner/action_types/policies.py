# SPDX-License-Identifier: Apache-2.0
"""What the worker of an action type may do: its IAM policy."""

from __future__ import annotations

import re
from typing import Any

from airflow_codepipeline_partner._protocol.dialects import CUSTOM, DIALECTS, THIRD_PARTY, Dialect
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.action_types.model import path_of
from airflow_codepipeline_partner.exceptions import InvalidInput

#: Part of an ARN → its pattern.
_ARN_PARTS = {"account_id": r"\d{12}|\*", "region": r"[a-z0-9-]+|\*", "partition": r"aws[a-z-]*|\*"}
_QUEUE_ARN = r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}"


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
    given = {"account_id": account_id, "region": region, "partition": partition}
    for name, pattern in _ARN_PARTS.items():
        if not re.fullmatch(pattern, given[name], re.ASCII):
            raise InvalidInput(f"{name} ({len(given[name])} characters) must match {pattern}.")
    if wake_queue_arn is not None and not re.fullmatch(_QUEUE_ARN, wake_queue_arn, re.ASCII):
        raise InvalidInput(
            f"wake_queue_arn ({len(wake_queue_arn)} characters) must be the ARN of an SQS queue, such as "
            "arn:aws:sqs:eu-central-1:123456789012:started."
        )
    policy = policy_over(arn_of(action_type, partition, region, account_id))
    if wake_queue_arn is not None:
        reading = ("ReceiveMessage", "DeleteMessage")
        policy["Statement"].append(_statement("ReadWakeQueue", reading, wake_queue_arn, service="sqs"))
    return policy


def arn_of(action_type: ActionType, partition: str, region: str, account_id: str) -> str:
    """Return the ARN of a custom action type; its parts may be placeholders of a template."""
    return f"arn:{partition}:codepipeline:{region}:{account_id}:actiontype:{CUSTOM}/{path_of(action_type)}"


def policy_over(arn: Any) -> dict[str, Any]:
    """
    Return the policy of a worker that polls for one custom action type.

    :param arn: Its ARN, or what a template has in the place of that.
    """
    calls = DIALECTS[CUSTOM]
    # Of CodePipeline's calls, only the poll supports a resource.
    return _policy(
        _statement("PollForJobs", (calls.poll,), arn),
        _statement("WorkOnJobs", _calls_on_jobs(calls), "*"),
    )


def partner_worker_policy() -> dict[str, Any]:
    """
    Return the IAM policy that allows a partner's worker to work on jobs. Its calls support no resource.

    Source: Actions, resources, and condition keys for AWS CodePipeline, Service Authorization Reference.
    """
    calls = DIALECTS[THIRD_PARTY]
    return _policy(_statement("WorkOnThirdPartyJobs", (calls.poll, *_calls_on_jobs(calls)), "*"))


def _calls_on_jobs(calls: Dialect) -> tuple[str, ...]:
    return calls.details, calls.acknowledge, calls.success, calls.failure


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(
    sid: str, calls: tuple[str, ...], resource: Any, service: str = "codepipeline"
) -> dict[str, Any]:
    actions = [f"{service}:{call}" for call in calls]
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
