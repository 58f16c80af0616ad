# SPDX-License-Identifier: Apache-2.0
"""AWS's own actions: an S3 source finds its object, and all others just succeed."""

from __future__ import annotations

import dataclasses
import hashlib

from airflow_codepipeline_partner.emulator.engine.moto_store import MotoStore, S3Object, small_zip
from airflow_codepipeline_partner.emulator.errors import ActionFailed, ControlError
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution
from airflow_codepipeline_partner.emulator.model.pipelines import SOURCE_CATEGORY, PipelineArtifact
from airflow_codepipeline_partner.emulator.model.start_requests import S3_KEY, S3_VERSION

_REVISION_CHARS = 40


class BuiltInActions:
    """
    Do AWS's own actions, each at once.

    :param store: The store of artifacts and of S3 sources.
    """

    def __init__(self, store: MotoStore) -> None:
        self._store = store

    def perform(self, action: ActionExecution) -> None:
        """
        Do an action, and put its output artifacts in their locations.

        An artifact that the test gave for the execution comes first. Otherwise an S3 source gives the object
        that it is configured with, and every other action small zips.

        :raises ActionFailed: The object does not exist, or an artifact cannot be put.
        """
        found: S3Object | None = None
        if not action.action.is_emulated:
            action.summary = (
                f"The emulator does not do {action.action.action_type}: this action succeeded at once."
            )
        elif "S3Bucket" in action.configuration:
            found = self._find(action)
        try:
            action.outputs = tuple(self._put(each, action, found) for each in action.outputs)
        except ControlError as error:
            raise ActionFailed("ConfigurationError", f"An artifact could not be put: {error}.") from None

    def _put(
        self, artifact: PipelineArtifact, action: ActionExecution, found: S3Object | None
    ) -> PipelineArtifact:
        if found is not None:
            body, revision = found.body, found.version_id or found.etag
        else:
            given = action.execution.given.get(artifact.name)
            body = small_zip() if given is None else bytes(given)
            asked = action.execution.source_revisions.get(action.action.name, {})
            # A commit or a digest, which says nothing about the small zip.
            revision = next(iter(asked.values()), hashlib.sha256(body).hexdigest()[:_REVISION_CHARS])
        # It is gone if another emulator in the process was reset.
        self._store.ensure_bucket(artifact.bucket)
        self._store.put(artifact.bucket, artifact.key, body)
        if action.action.action_type.category == SOURCE_CATEGORY and action.current_revision is None:
            action.current_revision = {
                "revision": revision,
                "changeIdentifier": revision,
                "created": action.started_at,
            }
        return dataclasses.replace(artifact, revision=revision)

    def _find(self, action: ActionExecution) -> S3Object:
        asked = action.execution.source_revisions.get(action.action.name, {})
        bucket = action.configuration["S3Bucket"]
        key = asked.get(S3_KEY, action.configuration.get("S3ObjectKey", ""))
        version = asked.get(S3_VERSION)
        given = [action.execution.given.get(artifact.name) for artifact in action.outputs]
        found = next((_as_stored(body) for body in given if body is not None), None)
        found = found or self._store.get(bucket, key, version)
        if found is None:
            where = f"{key} in the bucket {bucket}" + (f" with the version {version}" if version else "")
            raise ActionFailed("ConfigurationError", f"There is no object {where}.")
        action.output_variables = {
            "BucketName": bucket,
            "ETag": found.etag,
            "ObjectKey": key,
            "VersionId": found.version_id or "null",
        }
        action.summary = f"Amazon S3 version id: {found.version_id or 'null'}"
        return found


def _as_stored(body: bytes) -> S3Object:
    """Return the object that S3 would make of a body in a bucket that keeps no versions."""
    return S3Object(bytes(body), hashlib.md5(body, usedforsecurity=False).hexdigest(), None)
