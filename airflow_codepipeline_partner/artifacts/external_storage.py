# SPDX-License-Identifier: Apache-2.0
"""
The user's own storage for an artifact's content, outside the job: S3, or any other object storage.

boto3 reads and writes ``s3://`` with an Airflow connection. Airflow's ``ObjectStoragePath`` serves everything
else, such as ``gs://``.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from airflow_codepipeline_partner._secrets import in_closed_frames
from airflow_codepipeline_partner.artifacts.errors import disk_errors, s3_errors
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES
from airflow_codepipeline_partner.artifacts.transfer import (
    ResumedStream,
    TransferLog,
    subscribers_of,
    transfer_manager,
)
from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput

_DEFAULT_CONN_ID = "aws_default"


class ExternalObject(Protocol):
    """One object in the user's storage."""

    def open(self) -> AbstractContextManager[tuple[IO[bytes], int | None]]:
        """Yield a stream of its content, and its size if that is known."""

    def write(self, content: IO[bytes], size: int | None = None) -> None:
        """Write a stream of ``size`` bytes. The object appears once it is complete."""


def external_object(location: str, conn_id: str | None, artifact: str) -> ExternalObject:
    """
    Return the object at a location.

    :param location: ``s3://bucket/key``, or another URL that ``ObjectStoragePath`` accepts.
    :param conn_id: The connection with the credentials. If None, for ``s3://`` the connection in the location
        is used (``s3://conn_id@bucket/key``), or else ``aws_default``.
    :param artifact: The artifact's name, for errors.
    :raises InvalidInput: The location names no object, or nothing serves it.
    """
    place = urlsplit(location)
    if place.scheme != "s3":
        return _FilesystemObject(location, conn_id, artifact)
    in_location, _, bucket = place.netloc.rpartition("@")
    # A key may hold ? and #, which end the path of other URLs.
    key = location.split("://", 1)[1].partition("/")[2]
    if not bucket or not key or key.endswith("/"):
        raise InvalidInput(f"{location!r:.200} names no object in S3. Write s3://bucket/key.")
    return _S3Object(bucket, key, conn_id or in_location or _DEFAULT_CONN_ID, artifact)


def _for_customer(artifact: str) -> str:
    # The worker's storage is not the customer's business.
    return f"The artifact {artifact} could not be copied to or from the worker's own storage."


class _S3Object:
    def __init__(self, bucket: str, key: str, conn_id: str, artifact: str) -> None:
        self._where = {"Bucket": bucket, "Key": key}
        self._name = f"s3://{bucket}/{key}"
        self._conn_id = conn_id
        self._artifact = artifact

    @property
    def _client(self) -> Any:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return in_closed_frames(lambda: S3Hook(self._conn_id).conn)

    def _errors(self, what: str) -> AbstractContextManager[None]:
        return s3_errors(
            f"{self._name}, for the artifact {self._artifact}, could not be {what}",
            self._name,
            f"Check the permissions of the Airflow connection {self._conn_id!r}.",
            for_customer=_for_customer(self._artifact),
        )

    @contextmanager
    def open(self) -> Iterator[tuple[IO[bytes], int | None]]:
        client = self._client

        def get(**how: str) -> Any:
            with self._errors("read"):
                return client.get_object(**self._where, **how)

        with ResumedStream(get, self._artifact, TransferLog(f"Reading {self._name}")) as stream:
            yield stream, stream.size

    def write(self, content: IO[bytes], size: int | None = None) -> None:
        progress = TransferLog(f"Writing {self._name}", size)
        with self._errors("written"), transfer_manager(self._client) as manager:
            manager.upload(
                content,
                self._where["Bucket"],
                self._where["Key"],
                subscribers=subscribers_of(progress, size),
            ).result()


class _FilesystemObject:
    def __init__(self, location: str, conn_id: str | None, artifact: str) -> None:
        from airflow.sdk import ObjectStoragePath

        self._location = location
        self._artifact = artifact
        try:
            path = ObjectStoragePath(location, conn_id=conn_id)
            self._fs, self._path = in_closed_frames(lambda: path.fs), path.path
        except (ValueError, ImportError) as error:
            # No provider serves the scheme, or its package is not installed. The error says which.
            raise InvalidInput(f"{location!r:.200} cannot be reached: {error}") from error

    @contextmanager
    def open(self) -> Iterator[tuple[IO[bytes], int | None]]:
        with disk_errors(self._artifact, "read"):
            try:
                size = self._fs.size(self._path)
                stream = self._fs.open(self._path, "rb")
            except (FileNotFoundError, IsADirectoryError) as error:
                what = "nothing" if isinstance(error, FileNotFoundError) else "a folder"
                raise ArtifactError(
                    f"There is {what} at {self._location!r:.200}, which was to be uploaded as the artifact "
                    f"{self._artifact}. Check the location, and that an earlier task made it.",
                    for_customer=_for_customer(self._artifact),
                ) from error
            with stream:
                yield stream, size

    def write(self, content: IO[bytes], size: int | None = None) -> None:
        fs, path = self._fs, self._path
        half = f"{path}.{uuid.uuid4().hex}.part"
        with disk_errors(self._artifact, "stored"):
            try:
                fs.makedirs(os.path.dirname(path), exist_ok=True)
                with fs.open(half, "wb") as file:
                    shutil.copyfileobj(content, file, CHUNK_BYTES)
                fs.mv(half, path)
            except BaseException:
                if fs.exists(half):
                    fs.rm(half)
                raise
