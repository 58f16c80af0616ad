# SPDX-License-Identifier: Apache-2.0
"""
The limits of the CodePipeline API, in one place.

botocore checks required members, types and minima before it sends a request, but no maxima, patterns or
enumerations. These limits allow a wrong value to be refused, by name, before any call. The names are those of
the shapes in the service model (API version 2015-07-09); a test compares every number with it.
"""

from __future__ import annotations

from dataclasses import dataclass


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
SOURCE_REVISION_TYPES = ("COMMIT_ID", "IMAGE_DIGEST", "S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY")
#: Most variables of one execution (the shape PipelineVariableList), and most revisions of its sources.
MAX_PIPELINE_VARIABLES = 50
MAX_SOURCE_REVISIONS = 50
_NAME = "[0-9A-Za-z_-]+"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

#: Field of the calls about jobs, in AWS's spelling → its shape in the service model, and that shape's limits.
JOB_TEXTS: dict[str, tuple[str, Text]] = {
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
#: The same for the calls about pipelines.
PIPELINE_TEXTS: dict[str, tuple[str, Text]] = {
    "pipelineName": ("PipelineName", Text(100, pattern=r"[A-Za-z0-9.@\-_]+")),
    "pipelineExecutionId": ("PipelineExecutionId", Text(min_chars=0, pattern=_UUID)),
    "stageName": ("StageName", Text(100, pattern=r"[A-Za-z0-9.@\-_]+")),
    "actionName": ("ActionName", Text(100, pattern=r"[A-Za-z0-9.@\-_]+")),
    "clientRequestToken": ("ClientRequestToken", Text(128, pattern="^[a-zA-Z0-9-]+$")),
    "variables.name": ("PipelineVariableName", Text(128, pattern=r"[A-Za-z0-9@\-_]+")),
    "variables.value": ("PipelineVariableValue", Text(1000, pattern=".*")),
    "sourceRevisions.revisionType": ("SourceRevisionType", Text(one_of=SOURCE_REVISION_TYPES)),
    "sourceRevisions.revisionValue": ("Revision", Text(1500)),
    "retryMode": ("StageRetryMode", Text(one_of=("FAILED_ACTIONS", "ALL_ACTIONS"))),
    "approval.summary": ("ApprovalSummary", Text(512, min_chars=0, free=True)),
    "approval.status": ("ApprovalStatus", Text(one_of=("Approved", "Rejected"))),
    "approval.token": ("ApprovalToken", Text(min_chars=0, pattern=_UUID)),
    "transitionType": ("StageTransitionType", Text(one_of=("Inbound", "Outbound"))),
    "transition.reason": ("DisabledReason", Text(300, pattern=r"[a-zA-Z0-9!@ \(\)\.\*\?\-]+")),
    "conditionType": ("ConditionType", Text(one_of=("BEFORE_ENTRY", "ON_SUCCESS"))),
    "actionRevision.revisionId": ("Revision", Text(1500)),
    "actionRevision.revisionChangeId": ("RevisionChangeIdentifier", Text(100)),
    "stop.reason": ("StopPipelineExecutionReason", Text(200, min_chars=0, free=True)),
}
TEXTS = JOB_TEXTS | PIPELINE_TEXTS
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
