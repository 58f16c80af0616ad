# SPDX-License-Identifier: Apache-2.0
"""
What CodePipeline's events say: that an action has started, or that an execution has another state.

EventBridge delivers each event at least once, and in any order. An event of an action names the action's
type, and neither its job nor its configuration; an event of an execution names its pipeline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.exceptions import InvalidInput

SOURCE = "aws.codepipeline"
ACTION_STATE_CHANGE = "CodePipeline Action Execution State Change"
EXECUTION_STATE_CHANGE = "CodePipeline Pipeline Execution State Change"
STARTED = "STARTED"
#: After this time an event says nothing any more: other workers have polled since.
FRESH_FOR = timedelta(seconds=60)

_REGION_IN_HOST = re.compile(r"(?:^|\.)([a-z]{2}(?:-[a-z]+)+-\d)\.")


@dataclass(frozen=True)
class ChangedPipeline:
    """
    A pipeline of which an execution has another state.

    :param name: Its name.
    """

    name: str


def pattern_of(subject: ActionType | ChangedPipeline) -> dict[str, Any]:
    """Return the EventBridge pattern of the events about a subject, as :func:`subject_of` reads them."""
    if isinstance(subject, ChangedPipeline):
        return {
            "source": [SOURCE],
            "detail-type": [EXECUTION_STATE_CHANGE],
            "detail": {"pipeline": [subject.name]},
        }
    return {
        "source": [SOURCE],
        "detail-type": [ACTION_STATE_CHANGE],
        "detail": {
            "state": [STARTED],
            "type": {name: [value] for name, value in subject.to_api().items()},
        },
    }


def subject_of(body: str) -> ActionType | ChangedPipeline | None:
    """
    Return what an event is about: the type of an action that has started, or a pipeline.

    An event of a pipeline says that one of its executions has another state.

    :param body: A message as EventBridge puts it into an SQS queue.
    :return: None if CodePipeline says something else.
    :raises InvalidInput: It is no event of CodePipeline's.

    Source: Monitoring CodePipeline events, AWS CodePipeline User Guide.
    """
    event = _read(body)
    if event.get("source") != SOURCE:
        raise InvalidInput("The message is no event of CodePipeline's.")
    detail = event.get("detail")
    if not isinstance(detail, Mapping):
        return None
    if event.get("detail-type") == EXECUTION_STATE_CHANGE:
        name = detail.get("pipeline")
        if not isinstance(name, str) or not name:
            raise InvalidInput("The event does not say which pipeline has changed.")
        return ChangedPipeline(name)
    if event.get("detail-type") == ACTION_STATE_CHANGE and detail.get("state") == STARTED:
        return _type_of(detail)
    return None


def _type_of(detail: Mapping[str, Any]) -> ActionType | None:
    kind = detail.get("type")
    if not isinstance(kind, Mapping):
        raise InvalidInput("The event does not say which type of action has started.")
    try:
        return ActionType(
            category=str(kind.get("category")),
            owner=str(kind.get("owner")),
            provider=str(kind.get("provider")),
            version=_version(kind.get("version")),
        )
    except InvalidInput:
        # An action that no worker polls for.
        return None


def is_fresh(body: str, now: datetime) -> bool:
    """Return whether an event is so young that another worker may still want to hear of it."""
    try:
        at = datetime.fromisoformat(str(_read(body).get("time")))
    except ValueError:
        return False
    return now - (at if at.tzinfo else at.replace(tzinfo=UTC)) < FRESH_FOR


def region_of_queue(url: str) -> str | None:
    """Return the region that the URL of an SQS queue names, or None if it names none."""
    found = _REGION_IN_HOST.search(url.partition("//")[2].partition("/")[0])
    return found[1] if found else None


def _version(value: object) -> str:
    # AWS writes it as a text, in some of its examples as a number.
    return f"{value:g}" if isinstance(value, float) else str(value)


def _read(body: str) -> Mapping[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, Mapping):
        raise InvalidInput("The message is no JSON object.")
    return event
