# SPDX-License-Identifier: Apache-2.0
"""What a start of a pipeline asks for, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.pipelines import S3_SOURCE, SOURCE_CATEGORY, Action, Pipeline

S3_VERSION, S3_KEY = "S3_OBJECT_VERSION_ID", "S3_OBJECT_KEY"
_COMMIT, _DIGEST = "COMMIT_ID", "IMAGE_DIGEST"
#: By the provider of a source.
_REVISION_TYPES = {
    "CodeCommit": (_COMMIT,),
    "CodeStarSourceConnection": (_COMMIT,),
    "ECR": (_DIGEST,),
    "GitHub": (_COMMIT,),
    "S3": (S3_KEY, S3_VERSION),
}
_ALLOWS_OTHER_KEY = "AllowOverrideForS3ObjectKey"

#: Values by the type of the revision, by the name of the source action.
SourceRevisions = Mapping[str, Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class StartRequest:
    """
    What a start of a pipeline asks for.

    :param variables: Values of the pipeline's own variables, beside their defaults.
    :param source_revisions: What the source actions take, instead of the newest.
    :param put_revisions: By source action, the revision of which PutActionRevision told, in the shape of a
        worker's result.
    """

    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    source_revisions: SourceRevisions = dataclasses.field(default_factory=dict)
    put_revisions: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, pipeline: Pipeline, request: Mapping[str, Any]) -> StartRequest:
        """
        Read the request of StartPipelineExecution.

        :raises ApiError: The pipeline has no such variable or source, or a variable has no value.
        """
        variables: dict[str, str] = {}
        for each in request.get("variables", ()):
            if each["name"] in variables:
                raise _invalid(f"There is more than one value for {each['name']}.")
            variables[each["name"]] = each["value"]
        fault = pipeline.fault_of_variables(variables)
        if fault is not None:
            raise _invalid(f"{fault[0].upper()}{fault[1:]}.")
        return cls(variables, _source_revisions(pipeline, request.get("sourceRevisions", ())))

    @classmethod
    def of_revision(cls, pipeline: Pipeline, source: Action, revision: Mapping[str, Any]) -> StartRequest:
        """
        Return the start for a new revision of a source.

        :param revision: In the shape of PutActionRevision.
        :raises ApiError: A variable of the pipeline has no default.
        """
        read = cls.read(pipeline, {})
        kind = S3_VERSION if source.action_type == S3_SOURCE else _COMMIT
        put = {
            "revision": revision["revisionId"],
            "changeIdentifier": revision["revisionChangeId"],
            "created": revision["created"],
        }
        revisions = {} if source.makes_jobs else {source.name: {kind: revision["revisionId"]}}
        return dataclasses.replace(read, source_revisions=revisions, put_revisions={source.name: put})


def _source_revisions(pipeline: Pipeline, asked: Sequence[Mapping[str, str]]) -> SourceRevisions:
    sources = {
        action.name: action
        for action in pipeline.stages[0].actions
        if action.action_type.category == SOURCE_CATEGORY
    }
    found: dict[str, dict[str, str]] = {}
    for each in asked:
        name, kind = each["actionName"], each["revisionType"]
        if name not in sources:
            raise _invalid(f"The pipeline has no source action {name}.")
        _check_type(sources[name], kind)
        if kind in found.setdefault(name, {}):
            raise _invalid(f"There is more than one {kind} for the source action {name}.")
        found[name][kind] = each["revisionValue"]
    return found


def _check_type(source: Action, kind: str) -> None:
    taken = () if source.makes_jobs else _REVISION_TYPES.get(source.action_type.provider, ())
    if kind not in taken:
        raise _invalid(
            f"The source action {source.name} takes {', '.join(taken) or 'no revision'}, not {kind}."
        )
    if kind == S3_KEY and source.configuration.get(_ALLOWS_OTHER_KEY, "").lower() != "true":
        raise _invalid(f"The source action {source.name} takes {kind} only if {_ALLOWS_OTHER_KEY} is true.")


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
