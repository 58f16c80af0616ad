# SPDX-License-Identifier: Apache-2.0
"""The parts of IAM policies: statements, and the checks of what stands in their ARNs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from airflow_codepipeline_partner.exceptions import InvalidInput

#: Part of an ARN → its pattern.
_ARN_PARTS = {"account_id": r"\d{12}|\*", "region": r"[a-z0-9-]+|\*", "partition": r"aws[a-z-]*|\*"}
_QUEUE_ARN = r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}"


def codepipeline_arn(resource: str, *, account_id: str, region: str, partition: str) -> str:
    """
    Return the ARN of a resource of CodePipeline.

    :param resource: What follows the account, such as a pipeline's name.
    :param account_id: The account, 12 digits, or ``*`` for any.
    :param region: The region, such as ``eu-central-1``, or ``*``.
    :param partition: The partition, such as ``aws`` or ``aws-cn``, or ``*``.
    :raises InvalidInput: A part is invalid.
    """
    given = {"account_id": account_id, "region": region, "partition": partition}
    for name, pattern in _ARN_PARTS.items():
        if not re.fullmatch(pattern, given[name], re.ASCII):
            raise InvalidInput(f"{name} ({len(given[name])} characters) must match {pattern}.")
    return f"arn:{partition}:codepipeline:{region}:{account_id}:{resource}"


def may_read_wake_queue(queue_arn: str) -> dict[str, Any]:
    """
    Return the statement that allows a triggerer to read a wake queue.

    :param queue_arn: The queue's ARN.
    :raises InvalidInput: It is something else.
    """
    if not re.fullmatch(_QUEUE_ARN, queue_arn, re.ASCII):
        raise InvalidInput(
            f"wake_queue_arn ({len(queue_arn)} characters) must be the ARN of an SQS queue, such as "
            "arn:aws:sqs:eu-central-1:123456789012:started."
        )
    return statement("ReadWakeQueue", ("ReceiveMessage", "DeleteMessage"), queue_arn, service="sqs")


def statement(sid: str, calls: Iterable[str], resource: Any, service: str = "codepipeline") -> dict[str, Any]:
    """Return a statement that allows calls on a resource."""
    actions = [f"{service}:{call}" for call in calls]
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return the policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
