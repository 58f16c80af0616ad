# SPDX-License-Identifier: Apache-2.0
"""
The limits of the CodePipeline API, in one place.

botocore checks required members, types and minima before it sends a request, but neither maxima nor
patterns nor enumerations; this module does, so that a value that cannot pass is refused by name before
any call. The names are those of the shapes in the service model (API version 2015-07-09), against which
a test compares every number.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

log = logging.getLogger(__name__)

#: What cannot well be anything but a name.
_PLAIN_NAME = re.compile("[A-Za-z_]{1,30}")
#: Ends a text that was cut to its limit.
CUT_MARK = " … [cut]"


@dataclass(frozen=True)
class Text:
    """
    What a text may be.

    :param max_chars: Most characters, or None for no limit.
    :param min_chars: Fewest characters.
    :param pattern: What the whole text must match, or None.
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
    What a whole number may be.

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

#: Field, in AWS's spelling → the shape of the service model that it has, and what that shape allows.
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
    # The model names no maximum, but its integers have 32 bits.
    "maxBatchSize": ("MaxBatchSize", Number(1, 2**31 - 1)),
    "executionDetails.percentComplete": ("Percentage", Number(0, 100)),
}
#: Of all output variables of an action, names and values together, in UTF-8.
#: Source: quotas, CodePipeline user guide.
MAX_OUTPUT_VARIABLES_BYTES = 122_880


# A custom action type, which is declared and created before there is any job of it.

PROPERTY_TYPES = ("String", "Number", "Boolean")
#: Most configuration properties of one action type (the shape ActionConfigurationPropertyList).
MAX_CONFIGURATION_PROPERTIES = 10
#: Most tags of one action type. The model names no limit; CodePipeline's guide on tagging does.
MAX_TAGS = 50
#: How the keys of AWS's own tags begin, in whatever case; nobody else's may. So for all of AWS.
RESERVED_TAG_PREFIX = "aws:"
#: Most custom action types of one account in one region, unless AWS raises it. CodePipeline's page of quotas.
MAX_CUSTOM_ACTION_TYPES = 50

#: Member of CreateCustomActionType → its shape, and what that allows. Members of lists are named as if there
#: were no list.
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
    Tell what keeps a value from being such a text; None where nothing does.

    Nothing is cut, free text neither, and the value is never named: for whoever collects all faults.

    :param value: What was given.
    :param limit: What the text may be.
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
    Tell what keeps a value from being such a whole number; None where nothing does.

    :param value: What was given; a string is no number here.
    :param limit: What the number may be.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        return f"must be a whole number, not {type(value).__name__}"
    if not limit.minimum <= value <= limit.maximum:
        shown = value if abs(value) < 10**18 else "beyond all bounds"
        return f"is {shown}; it must be at least {limit.minimum} and at most {limit.maximum}"
    return None


def quoted_name(name: object) -> str:
    """
    Return a name that a user wrote, in quotes, for an error; of what may be no name only its length.

    Not for what the work of a job gives: its keys may be a customer's data.

    :param name: A name of a member or of a property.
    """
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return repr(name)
    return f"({len(str(name))} characters)"


def near_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, or None."""
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
