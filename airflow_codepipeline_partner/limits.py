# SPDX-License-Identifier: Apache-2.0
"""
The limits of the CodePipeline API, in one place.

botocore checks required members, types and minima before it sends a request, but neither maxima nor
patterns nor enumerations; this module does, so that a value that cannot pass is refused by name before
any call. The names are those of the shapes in the service model (API version 2015-07-09), against which
a test compares every number.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from airflow_codepipeline_partner.exceptions import LimitExceeded

log = logging.getLogger(__name__)

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


def check_text(field: str, value: object, *, job_id: str | None = None, named: str | None = None) -> str:
    """
    Return a text that keeps the field's limits.

    Free text over its limit is cut, with a mark at its end and a warning in the log; anything else
    that does not fit is refused. The value itself is never named, only its kind and length.

    :param field: A key of :data:`TEXTS`.
    :param value: What was given.
    :param job_id: The job that it is for, to be named in the error.
    :param named: What the user calls it, for the error; None takes the field.
    :raises LimitExceeded: The value does not fit.
    """
    limit = TEXTS[field][1]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        # A revision 1234567 comes so from XCom, and from Jinja's native rendering.
        value = str(value)
    fault = text_fault(value, limit)
    if isinstance(value, str) and fault is None:
        return value
    advice = ""
    if isinstance(value, str) and limit.one_of is None:
        if len(value) < limit.min_chars:
            advice = " Leave it out (None) where there is nothing to say."
        elif limit.max_chars is not None and len(value) > limit.max_chars:
            if limit.free:
                log.warning(
                    "%s has %d characters and was cut to %d, the most that CodePipeline takes.",
                    field,
                    len(value),
                    limit.max_chars,
                )
                return value[: limit.max_chars - len(CUT_MARK)] + CUT_MARK
            advice = " It is not cut, since a part of it would mean something else."
    raise LimitExceeded(f"{named or field} {fault}.{advice}", field=field, job_id=job_id)


def check_number(field: str, value: object, *, job_id: str | None = None) -> int:
    """
    Return a whole number that keeps the field's limits; a numeric string, as Jinja gives it, is one.

    :param field: A key of :data:`NUMBERS`.
    :param value: What was given.
    :param job_id: The job that it is for, to be named in the error.
    :raises LimitExceeded: The value does not fit.
    """
    limit = NUMBERS[field][1]
    number: int | None = None
    whole = isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value)
    if whole or (isinstance(value, float) and value.is_integer()):
        number = int(value)  # type: ignore[call-overload]  # a string or a float, as just seen
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    fault = number_fault(value if number is None else number, limit)
    if number is None or fault is not None:
        raise LimitExceeded(f"{field} {fault}.", field=field, job_id=job_id)
    return number


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
        given = f"a string of {len(value)} characters was given that is none of them"
        meant = "".join(f"; {each} is meant?" for each in limit.one_of if each.lower() == value.lower())
        return f"must be one of {', '.join(limit.one_of)}; {given}{meant}"
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
