# SPDX-License-Identifier: Apache-2.0
"""Artifacts as streams, from one place to another without lying on the worker's disk."""

from __future__ import annotations

import io
import logging
from typing import IO, TYPE_CHECKING, Any

from airflow_codepipeline_partner.exceptions import ArtifactError
from airflow_codepipeline_partner.jobs import Artifact

if TYPE_CHECKING:
    from airflow_codepipeline_partner.artifact_storage import ArtifactStorage

log = logging.getLogger(__name__)

#: So often a stream that was cut is taken up where it ended.
MAX_RESUMPTIONS = 5


class ArtifactStream(io.RawIOBase):
    """
    An artifact's content, to be read once, from its beginning to its end.

    :param storage: Where it lies.
    :param artifact: Which.
    """

    def __init__(self, storage: ArtifactStorage, artifact: Artifact) -> None:
        super().__init__()
        self._storage = storage
        self._artifact = artifact
        self._position = 0
        self._resumptions = 0
        answer = self._get()
        #: All its bytes.
        self.size: int = answer["ContentLength"]
        self._etag: str = answer["ETag"]
        self._body = answer["Body"]
        self._log = storage.transfer_log("Reading", artifact, self.size)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """
        Read the next bytes.

        :raises ArtifactError: The connection was cut too often.
        """
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, most: int) -> bytes:
        from botocore.exceptions import BotoCoreError, HTTPClientError
        from urllib3.exceptions import HTTPError

        while self._position < self.size:
            try:
                data: bytes = self._body.read(min(most, self.size - self._position))
            except (BotoCoreError, HTTPClientError, HTTPError, OSError) as error:
                self._resume(error)
                continue
            if data:
                self._position += len(data)
                self._log(len(data))
                if self._position == self.size:
                    self._log.end()
                return data
            self._resume(EOFError("cut"))
        return b""

    def _resume(self, error: Exception) -> None:
        self._body.close()
        if self._resumptions == MAX_RESUMPTIONS:
            raise ArtifactError(
                f"The artifact {self._artifact.name} of job {self._storage.job.job_id} could not be read: "
                f"the connection to S3 was cut {MAX_RESUMPTIONS + 1} times ({type(error).__name__}).",
                failure_type="SystemUnavailable",
                retryable=True,
                job_id=self._storage.job.job_id,
            ) from error
        self._resumptions += 1
        log.info("Artifact %s: cut at byte %d; going on there.", self._artifact.name, self._position)
        self._body = self._get(Range=f"bytes={self._position}-", IfMatch=self._etag)["Body"]

    def _get(self, **how: str) -> Any:
        with self._storage.errors(self._artifact, "read"):
            return self._storage.client.get_object(
                Bucket=self._artifact.bucket, Key=self._artifact.key, **how
            )

    def close(self) -> None:
        """Close the connection."""
        if not self.closed:
            self._body.close()
        super().close()


class CountedStream:
    """
    A stream that must give so many bytes.

    It cannot be sought, so that the transfer manager reads it once, part by part.
    """

    def __init__(self, stream: IO[bytes], size: int | None, name: str) -> None:
        self._stream = stream
        self._size = size
        self._name = name
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        """
        Read so many bytes, or all that are left.

        :raises ArtifactError: There are more or fewer than was said.
        """
        chunks, wanted = [], size
        while wanted:
            chunk = self._stream.read(wanted)
            if not chunk:
                break
            chunks.append(chunk)
            wanted -= len(chunk) if wanted > 0 else 0
        data = b"".join(chunks)
        self._given += len(data)
        is_end = len(data) < size or size < 0
        if self._size is not None and (self._given > self._size or (is_end and self._given < self._size)):
            gave = "more" if self._given > self._size else self._given
            raise ArtifactError(
                f"What was to be uploaded as the artifact {self._name} changed meanwhile: it had "
                f"{self._size} bytes, and gave {gave}. Nothing was uploaded."
            )
        return data
