# SPDX-License-Identifier: Apache-2.0
"""
The limits of the CodePipeline API, in one place.

botocore checks required members, types and minima before it sends a request, but no maxima, patterns or
enumerations. These limits allow a wrong value to be refused, by name, before any call. The names are those of
the shapes in the service model (API version 2015-07-09); a test compares every number with it.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

log = logging.getLogger(__name__)

#: A text that can hardly be anything but a name.
_PLAIN_NAME = re.compile("[A-Za-z_]{1,30}")
#: The end of a text that was cut to its limit.
CUT_MARK = " … [cut]"


@dataclass(frozen=True)
class Text:
    """
    The limits of a text.

    :param max_chars: Most characters, or None for no limit.
    :param min_chars: Fewest characters.
    :param pattern: A regular expression for the whole text, or None.
    :param one_of: The only allowed values, or None.
    :param free: Free text for people is cut to its limit; ids and tokens are refused.
    """

    max_chars: int | None = None
    min_chars: int = 1
    pattern: str | None = None
    one_of: tuple[str, ...] | None = None
    free: bool = False


@dataclass(frozen=True)
class Number:
    """
    The limits of a whole number.

    :param minimum: Smallest value.
    :param maximum: Largest value.
    """

    minimum: int
    maximum: int


CATEGORIES = ("Source", "Build", "Deploy", "Test", "Invoke", "Approval", "Compute")
OWNERS = ("AWS", "ThirdParty", "Custom")
FAILURE_TYPES = (
    "JobFailed",
    "ConfigurationError",
    "PermissionError",
    "RevisionOutOfSync",
    "RevisionUnavailable",
    "SystemUnavailable",
)
_NAME = "[0-9A-Za-z_-]+"

#: Field, in AWS's spelling → its shape in the service model, and the limits of that shape.
TEXTS: dict[str, tuple[str, Text]] = {
    "actionTypeId.category": ("ActionCategory", Text(one_of=CATEGORIES)),
    "actionTypeId.owner": ("ActionOwner", Text(one_of=OWNERS)),
    "actionTypeId.provider": ("ActionProvider", Text(35, pattern=_NAME)),
    "actionTypeId.version": ("Version", Text(9, pattern=_NAME)),
    "jobId": ("ThirdPartyJobId", Text(512)),
    "clientToken": ("ClientToken", Text(256)),
    "nonce": ("Nonce", Text(50)),
    "queryParam.key": ("ActionConfigurationKey", Text(50)),
    "queryParam.value": ("ActionConfigurationQueryableValue", Text(50, pattern="[a-zA-Z0-9_-]+")),
    "outputVariables.key": ("OutputVariablesKey", Text(min_chars=0, pattern=r"[A-Za-z0-9@\-_]+")),
    "continuationToken": ("ContinuationToken", Text(2048)),
    "currentRevision.revision": ("Revision", Text(1500)),
    "currentRevision.changeIdentifier": ("RevisionChangeIdentifier", Text(100)),
    "currentRevision.revisionSummary": ("RevisionSummary", Text(2048, free=True)),
    "executionDetails.summary": ("ExecutionSummary", Text(2048, free=True)),
    "executionDetails.externalExecutionId": ("ExecutionId", Text(1500)),
    "failureDetails.type": ("FailureType", Text(one_of=FAILURE_TYPES)),
    "failureDetails.message": ("Message", Text(5000, free=True)),
    "failureDetails.externalExecutionId": ("ExecutionId", Text(1500)),
}
NUMBERS: dict[str, tuple[str, Number]] = {
    # The model has no maximum, but its integers have 32 bits.
    "maxBatchSize": ("MaxBatchSize", Number(1, 2**31 - 1)),
    "executionDetails.percentComplete": ("Percentage", Number(0, 100)),
}
#: All output variables of one action, names and values together, in UTF-8.
#: Source: quotas, CodePipeline user guide.
MAX_OUTPUT_VARIABLES_BYTES = 122_880


# Custom action types.

PROPERTY_TYPES = ("String", "Number", "Boolean")
#: Most configuration properties of one action type (the shape ActionConfigurationPropertyList).
MAX_CONFIGURATION_PROPERTIES = 10
#: Most tags of one action type. The model names no limit; CodePipeline's guide on tagging does.
MAX_TAGS = 50
#: Tag keys that begin like this, in any case, are AWS's own.
RESERVED_TAG_PREFIX = "aws:"
#: Most custom action types of one account in one region, unless AWS raises it. CodePipeline's page of quotas.
MAX_CUSTOM_ACTION_TYPES = 50

#: Member of CreateCustomActionType → its shape and limits. Members of list entries are named as if there were
#: no list.
ACTION_TYPE_TEXTS: dict[str, tuple[str, Text]] = {
    "category": TEXTS["actionTypeId.category"],
    "provider": TEXTS["actionTypeId.provider"],
    "version": TEXTS["actionTypeId.version"],
    "settings.thirdPartyConfigurationUrl": ("Url", Text(2048)),
    "settings.entityUrlTemplate": ("UrlTemplate", Text(2048)),
    "settings.executionUrlTemplate": ("UrlTemplate", Text(2048)),
    "settings.revisionUrlTemplate": ("UrlTemplate", Text(2048)),
    "configurationProperties.name": ("ActionConfigurationKey", Text(50)),
    "configurationProperties.description": ("Description", Text(160)),
    "configurationProperties.type": ("ActionConfigurationPropertyType", Text(one_of=PROPERTY_TYPES)),
    "tags.key": ("TagKey", Text(128)),
    "tags.value": ("TagValue", Text(256, min_chars=0)),
}
ACTION_TYPE_NUMBERS: dict[str, tuple[str, Number]] = {
    "inputArtifactDetails.minimumCount": ("MinimumArtifactCount", Number(0, 5)),
    "inputArtifactDetails.maximumCount": ("MaximumArtifactCount", Number(0, 5)),
    "outputArtifactDetails.minimumCount": ("MinimumArtifactCount", Number(0, 5)),
    "outputArtifactDetails.maximumCount": ("MaximumArtifactCount", Number(0, 5)),
}


def text_fault(value: object, limit: Text) -> str | None:
    """
    Return what is wrong with a text; None if nothing is.

    Nothing is cut, not even free text. The value is not shown, unless it is nearly one of the allowed ones.

    :param value: What was given.
    :param limit: The limits of the text.
    """
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if limit.one_of is not None:
        if value in limit.one_of:
            return None
        near = near_name(value, limit.one_of)
        # What is spelled nearly like one of them is no secret.
        is_shown = near is not None and _PLAIN_NAME.fullmatch(value)
        given = repr(value) if is_shown else f"this text of {len(value)} characters"
        meant = "" if near is None else f"; did you mean {near!r}?"
        return f"must be one of {', '.join(limit.one_of)}, not {given}{meant}"
    if len(value) < limit.min_chars or (limit.max_chars is not None and len(value) > limit.max_chars):
        return f"has {len(value)} characters; CodePipeline takes {limit.min_chars} to {limit.max_chars}"
    if limit.pattern is not None and not re.fullmatch(limit.pattern, value):
        return f"({len(value)} characters) must match {limit.pattern}"
    return None


def number_fault(value: object, limit: Number) -> str | None:
    """
    Return what is wrong with a whole number; None if nothing is.

    :param value: What was given; a string does not count as a number.
    :param limit: The limits of the number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        return f"must be a whole number, not {type(value).__name__}"
    if not limit.minimum <= value <= limit.maximum:
        shown = value if abs(value) < 10**18 else "beyond all bounds"
        return f"is {shown}; it must be at least {limit.minimum} and at most {limit.maximum}"
    return None


def quoted_name(name: object) -> str:
    """
    Return a name that a DAG's author wrote, in quotes, for an error; only its length if it may not be a name.

    Not for keys that the work of a job gives: they may be a customer's data.

    :param name: A name of a member or of a property.
    """
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return repr(name)
    return f"({len(str(name))} characters)"


def near_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a name, or None if none is near."""
    plain = {_letters(each): each for each in known}
    near = difflib.get_close_matches(_letters(str(name)), plain, 1)
    return plain[near[0]] if near else None


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def fit_text(field: str, value: object) -> tuple[str | None, str]:
    """
    Return a text that keeps the field's limits, or what is wrong with the value.

    :param field: A key of :data:`TEXTS`.
    :param value: What was given.
    :return: The text and an empty text, or None and the fault.
    """
    limit = TEXTS[field][1]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        # A revision 1234567 comes like this from XCom, and from Jinja's native rendering.
        value = str(value)
    fault = text_fault(value, limit)
    if isinstance(value, str) and fault is None:
        return value, ""
    if not isinstance(value, str) or limit.one_of is not None:
        return None, f"{fault}."
    if limit.max_chars is not None and len(value) > limit.max_chars:
        if limit.free:
            log.warning(
                "%s has %d characters and was cut to %d, the most that CodePipeline takes.",
                field,
                len(value),
                limit.max_chars,
            )
            return value[: limit.max_chars - len(CUT_MARK)] + CUT_MARK, ""
        return None, f"{fault}. It is not cut, since a part of it would mean something else."
    if len(value) < limit.min_chars:
        return None, f"{fault}. Leave it out (None) if there is nothing to say."
    return None, f"{fault}."
