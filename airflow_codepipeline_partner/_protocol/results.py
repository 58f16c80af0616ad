# SPDX-License-Identifier: Apache-2.0
"""The details of a result: the revision, how the work stands, why it failed. Frozen and checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from numbers import Real
from typing import Any, ClassVar, Self

from airflow_codepipeline_partner._limits import MAX_OUTPUT_VARIABLES_BYTES
from airflow_codepipeline_partner._protocol.choices import DEFAULT_FAILURE_TYPE, check_failure_type
from airflow_codepipeline_partner._protocol.parsing import (
    by_snake_case,
    check_number,
    check_text,
    is_missing,
    read_created,
    read_mapping,
    without_none,
)
from airflow_codepipeline_partner.exceptions import LimitExceeded


@dataclass(frozen=True)
class CurrentRevision:
    """
    The revision that the job made or found.

    :param revision: The revision id, 1 to 1500 characters.
    :param change_identifier: A text that differs if the revision changed, 1 to 100 characters.
    :param created: When the revision was made: a datetime or an ISO 8601 string, in UTC if it has no zone.
    :param revision_summary: A text that says what changed, cut to 2048 characters. An empty one counts as
        None.
    :raises LimitExceeded: A member does not fit.

    Source: CurrentRevision, CodePipeline API 2015-07-09.
    """

    revision: str
    change_identifier: str
    created: datetime | None = None
    revision_summary: str | None = None

    _NAMES: ClassVar[Mapping[str, str]] = {
        "revision": "revision",
        "change_identifier": "changeIdentifier",
        "created": "created",
        "revision_summary": "revisionSummary",
    }

    def __post_init__(self) -> None:
        revision = check_text("currentRevision.revision", self.revision)
        change_identifier = check_text("currentRevision.changeIdentifier", self.change_identifier)
        object.__setattr__(self, "revision", revision)
        object.__setattr__(self, "change_identifier", change_identifier)
        object.__setattr__(self, "created", read_created(self.created))
        if self.revision_summary == "":
            object.__setattr__(self, "revision_summary", None)
        elif self.revision_summary is not None:
            summary = check_text("currentRevision.revisionSummary", self.revision_summary)
            object.__setattr__(self, "revision_summary", summary)

    @classmethod
    def from_value(cls, value: object) -> Self | None:
        """
        Return the revision from a value; None stays None.

        :raises InvalidInput: The value is not a revision, or does not fit.
        """
        if is_missing(value):
            return None
        if isinstance(value, cls):
            return value
        given = by_snake_case(value, "currentRevision", cls._NAMES)
        for required in ("revision", "change_identifier"):
            if given.get(required) is None:
                aws_name = cls._NAMES[required]
                raise LimitExceeded(
                    f"currentRevision needs {aws_name}: CodePipeline takes a revision only with "
                    "both revision and changeIdentifier.",
                    field=f"currentRevision.{aws_name}",
                )
        return cls(**given)

    def to_api(self) -> dict[str, Any]:
        """Return AWS's shape."""
        return without_none(
            revision=self.revision,
            changeIdentifier=self.change_identifier,
            created=self.created,
            revisionSummary=self.revision_summary,
        )


@dataclass(frozen=True)
class ExecutionDetails:
    """
    How the work stands, for the CodePipeline console.

    :param summary: A sentence for the customer, cut to 2048 characters. An empty one counts as None.
    :param external_execution_id: The id of the work in the worker's own system, 1 to 1500 characters. The
        console's execution link contains it. An empty one counts as None.
    :param percent_complete: 0 to 100. A numeric string is accepted. A fraction is rounded down.
    :raises LimitExceeded: A member does not fit.

    Source: ExecutionDetails, CodePipeline API 2015-07-09.
    """

    summary: str | None = None
    external_execution_id: str | None = None
    percent_complete: int | None = None

    _NAMES: ClassVar[Mapping[str, str]] = {
        "summary": "summary",
        "external_execution_id": "externalExecutionId",
        "percent_complete": "percentComplete",
    }

    def __post_init__(self) -> None:
        for optional in ("summary", "external_execution_id"):
            if getattr(self, optional) == "":
                object.__setattr__(self, optional, None)
        if self.summary is not None:
            object.__setattr__(self, "summary", check_text("executionDetails.summary", self.summary))
        if self.external_execution_id is not None:
            name = check_text("executionDetails.externalExecutionId", self.external_execution_id)
            object.__setattr__(self, "external_execution_id", name)
        if self.percent_complete is not None:
            percent = check_number("executionDetails.percentComplete", _rounded_down(self.percent_complete))
            object.__setattr__(self, "percent_complete", percent)

    @classmethod
    def from_value(cls, value: object) -> Self | None:
        """
        Return the details from a value; None stays None.

        :raises InvalidInput: The value is not execution details, or does not fit.
        """
        if is_missing(value):
            return None
        if isinstance(value, cls):
            return value
        return cls(**by_snake_case(value, "executionDetails", cls._NAMES))

    def to_api(self) -> dict[str, Any]:
        """Return AWS's shape."""
        return without_none(
            summary=self.summary,
            externalExecutionId=self.external_execution_id,
            percentComplete=self.percent_complete,
        )


def _rounded_down(percent: object) -> object:
    """
    Return a percentage as a whole number; anything else as it is.

    Down, so that work which is not done is never shown as done.
    """
    if isinstance(percent, str) and re.fullmatch(r"\s*[0-9]{1,3}\.[0-9]+\s*", percent):
        return percent.partition(".")[0]
    if isinstance(percent, int) or not isinstance(percent, Real | Decimal):
        return percent
    try:
        return math.floor(percent)
    except (ValueError, ArithmeticError):
        # Not a number, or infinite.
        return percent


@dataclass(frozen=True)
class FailureDetails:
    """
    Why the job failed, for the customer.

    :param message: What went wrong and what to do, cut to 5000 characters.
    :param type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable.
    :param external_execution_id: The id of the work in the worker's own system, 1 to 1500 characters.
    :raises LimitExceeded: A member does not fit.

    Source: FailureDetails, CodePipeline API 2015-07-09.
    """

    message: str
    type: str = DEFAULT_FAILURE_TYPE
    external_execution_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", check_text("failureDetails.message", self.message))
        check_failure_type(self.type)
        if self.external_execution_id is not None:
            name = check_text("failureDetails.externalExecutionId", self.external_execution_id)
            object.__setattr__(self, "external_execution_id", name)

    def to_api(self) -> dict[str, Any]:
        """Return AWS's shape."""
        return without_none(
            type=self.type,
            message=self.message,
            externalExecutionId=self.external_execution_id,
        )


def read_output_variables(value: object) -> dict[str, str] | None:
    """
    Return the output variables from a value; None if it is None or an empty mapping.

    The CodePipeline console shows them, and later actions' configuration uses them: no place for secrets.

    :param value: A mapping of names, of ``0-9 A-Z a-z @ _ -``, to texts; a number is a text. Names and values
        together have at most 122,880 bytes in UTF-8.
    :raises InvalidInput: The value is something else, or too large.

    Source: PutJobSuccessResult, CodePipeline API 2015-07-09; quotas, CodePipeline user guide.
    """
    if is_missing(value):
        return None
    # A name that the work gave may be a customer's data, and customers read this error.
    variables = {
        check_text("outputVariables.key", name, named=f"The name of output_variables number {number}"): (
            _variable(number, held)
        )
        for number, (name, held) in enumerate(read_mapping(value, "output_variables").items(), 1)
    }
    size = sum(len(text.encode(errors="surrogatepass")) for pair in variables.items() for text in pair)
    if size > MAX_OUTPUT_VARIABLES_BYTES:
        raise LimitExceeded(
            f"output_variables have {size} bytes, names and values together; CodePipeline takes "
            f"{MAX_OUTPUT_VARIABLES_BYTES} of an action. Put what is larger into an output artifact.",
            field="outputVariables",
        )
    return variables or None


def _variable(number: int, value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value
    # Only the user knows which text is meant: true or True, a list as JSON or not.
    raise LimitExceeded(
        f"output_variables must be strings, or numbers; number {number} is of type {type(value).__name__}.",
        field="outputVariables",
    )
