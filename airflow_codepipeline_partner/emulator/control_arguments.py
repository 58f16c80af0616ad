# SPDX-License-Identifier: Apache-2.0
"""What a caller gives a control, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.errors import ApiError, ControlError
from airflow_codepipeline_partner.emulator.model.action_types import (
    CUSTOM,
    THIRD_PARTY,
    ActionTypeId,
    ActionTypeName,
)
from airflow_codepipeline_partner.emulator.service_model import validate
from airflow_codepipeline_partner.emulator.settings import MAX_NUMBER

_ARTIFACT_NAME = re.compile(r"[a-zA-Z0-9_\-]{1,100}")


def read_action_type(name: ActionTypeName) -> ActionTypeId:
    """Return the action type that a caller names, if the emulator can know it."""
    action_type = ActionTypeId.read(name)
    # The service's own limits of the four parts.
    try:
        validate("PollForThirdPartyJobs", {"actionTypeId": action_type.as_dict()})
    except ApiError as error:
        raise ControlError(error.message) from None
    if action_type.owner not in (THIRD_PARTY, CUSTOM):
        message = f"owner ThirdParty or Custom, not {action_type.owner}"
        raise ControlError(f"the emulator knows action types with {message}")
    return action_type


def read_names(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return a list of names."""
    if isinstance(names, Iterable) and not isinstance(names, str):
        listed = tuple(names)
        if all(isinstance(name, str) for name in listed):
            return listed
    raise ControlError(f"{what} is a list of names, not {names!r}")


def check_artifacts(names: tuple[str, ...]) -> None:
    """Refuse names that cannot be those of a pipeline's artifacts."""
    for name in names:
        if not _ARTIFACT_NAME.fullmatch(name):
            raise ControlError(f"a name of an artifact is 1 to 100 of A-Z a-z 0-9 - _, not {name!r}")
    if len(set(names)) < len(names):
        raise ControlError("each artifact of a pipeline has a name of its own")


def read_mapping(what: str, values: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a mapping; an empty one for None."""
    if values is not None and not isinstance(values, Mapping):
        raise ControlError(f"{what} is a mapping")
    return values or {}


def read_seconds(name: str, seconds: float) -> float:
    """Return a number of seconds."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= MAX_NUMBER:
        raise ControlError(f"{name} is a number of seconds, 0 or more and at most {MAX_NUMBER}")
    return seconds
