# SPDX-License-Identifier: Apache-2.0
"""Artifacts as streams, from one place to another without lying on the worker's disk."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from typing import IO, Any

from airflow_codepipeline_partner.archives import CHUNK_BYTES
from airflow_codepipeline_partner.exceptions import ArtifactError
from airflow_codepipeline_partner.transfer_log import TransferLog

log = logging.getLogger(__name__)

#: So often a stream that was cut is taken up where it ended.
MAX_RESUMPTIONS = 5


class _ResumedStream(io.RawIOBase):
    """The pieces of an object's content, as the connection gives them; see :class:`ResumedStream`."""

    def __init__(self, get: Callable[..., Mapping[str, Any]], name: str, progress: TransferLog) -> None:
        super().__init__()
        self._get = get
        self._name = name
        self._progress = progress
        self._position = 0
        self._resumptions = 0
        answer = get()
        self.size = progress.total = int(answer["ContentLength"])
        self._etag: str = answer["ETag"]
        self._body = answer["Body"]
        if not self.size:
            self._check_end()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """
        Read the next bytes.

        :raises ArtifactError: The connection was cut too often.
        """
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        from botocore.exceptions import BotoCoreError, HTTPClientError
        from urllib3.exceptions import HTTPError

        while self._position < self.size:
            try:
                data: bytes = self._body.read(min(most, self.size - self._position))
                if not data:
                    raise EOFError("cut")
            except (BotoCoreError, HTTPClientError, HTTPError, OSError, EOFError) as error:
                self._resume(error)
                continue
            self._position += len(data)
            self._progress(len(data))
            if self._position == self.size:
                self._check_end()
            return data
        return b""

    def _check_end(self) -> None:
        """Have botocore compare the checksum, where S3 told one: it does so as it finds the end."""
        from botocore.exceptions import FlexibleChecksumError

        try:
            self._body.read(1)
        except FlexibleChecksumError as error:
            raise ArtifactError(
                f"The artifact {self._name} could not be read: what arrived has not the checksum that S3 "
                "told.",
                failure_type="SystemUnavailable",
                retryable=True,
            ) from error
        self._progress.end()

    def _resume(self, error: Exception) -> None:
        self._body.close()
        if self._resumptions == MAX_RESUMPTIONS:
            raise ArtifactError(
                f"The artifact {self._name} could not be read: the connection to S3 was cut "
                f"{MAX_RESUMPTIONS + 1} times ({type(error).__name__}).",
                failure_type="SystemUnavailable",
                retryable=True,
            ) from error
        self._resumptions += 1
        log.info("Artifact %s: cut at byte %d; going on there.", self._name, self._position)
        self._body = self._get(Range=f"bytes={self._position}-", IfMatch=self._etag)["Body"]

    def close(self) -> None:
        """Close the connection."""
        if not self.closed:
            self._body.close()
        super().close()


class ResumedStream(io.BufferedReader):
    """
    An object's content, to be read once, from its beginning to its end, however often the connection is cut.

    A read gives as many bytes as it is asked for, but at the end.

    :param get: Asks S3 for the object, or with ``Range`` and ``IfMatch`` for the rest of the same; what it
        raises, each read raises.
    :param name: The artifact's name, for errors.
    :param progress: Counts the bytes, and ends when they are all there.
    """

    def __init__(self, get: Callable[..., Mapping[str, Any]], name: str, progress: TransferLog) -> None:
        pieces = _ResumedStream(get, name, progress)
        super().__init__(pieces, CHUNK_BYTES)
        #: All its bytes.
        self.size = pieces.size


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
        if size < 0 and self._size is not None:
            # One more, to see whether it has grown.
            wanted = self._size - self._given + 1
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
