# SPDX-License-Identifier: Apache-2.0
"""Artifacts as streams, which never lie on the worker's disk, and the log of a transfer."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from airflow_codepipeline_partner._secrets import without_frames
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES
from airflow_codepipeline_partner.exceptions import ArtifactError

log = logging.getLogger(__name__)

#: How often one stream is resumed after its connection was cut.
MAX_RESUMPTIONS = 5


class _ResumedStream(io.RawIOBase):
    """The pieces of an object's content, as the connection delivers them; see :class:`ResumedStream`."""

    def __init__(self, get: Callable[..., Mapping[str, Any]], name: str, progress: TransferLog) -> None:
        super().__init__()
        self._get = get
        self._name = name
        self._progress = progress
        self._position = 0
        self._resumptions = 0
        # Closed also if S3 refuses it.
        self._body: Any = None
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

        :raises ArtifactError: The connection was cut too often, or the checksum does not match.
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
        """Have botocore compare the checksum, if S3 sent one: it does so at the end of the content."""
        from botocore.exceptions import FlexibleChecksumError

        try:
            self._body.read(1)
        except FlexibleChecksumError as error:
            raise ArtifactError(
                f"The artifact {self._name} could not be read: the content does not match S3's checksum.",
                failure_type="SystemUnavailable",
                retryable=True,
            ) from without_frames(error)
        self._progress.end()

    def _resume(self, error: Exception) -> None:
        self._body.close()
        if self._resumptions == MAX_RESUMPTIONS:
            raise ArtifactError(
                f"The artifact {self._name} could not be read: the connection to S3 was cut "
                f"{MAX_RESUMPTIONS + 1} times ({type(error).__name__}).",
                failure_type="SystemUnavailable",
                retryable=True,
            ) from without_frames(error)
        self._resumptions += 1
        log.info(
            "Artifact %s: the connection was cut at byte %d. Resuming there.", self._name, self._position
        )
        self._body = self._get(Range=f"bytes={self._position}-", IfMatch=self._etag)["Body"]

    def close(self) -> None:
        """Close the connection."""
        if not self.closed and self._body is not None:
            self._body.close()
        super().close()


class ResumedStream(io.BufferedReader):
    """
    An object's content, read once from beginning to end, and resumed if the connection is cut.

    A read returns as many bytes as requested, except at the end.

    :param get: Requests the object from S3, or with ``Range`` and ``IfMatch`` the rest of the same object.
        What it raises, each read may raise.
    :param name: The artifact's name, for errors.
    :param progress: Counts the bytes, and ends with the last one.
    """

    def __init__(self, get: Callable[..., Mapping[str, Any]], name: str, progress: TransferLog) -> None:
        pieces = _ResumedStream(get, name, progress)
        super().__init__(pieces, CHUNK_BYTES)
        #: Its size in bytes.
        self.size = pieces.size


class CountedStream:
    """
    A stream that must have a given size.

    It cannot seek, so that the transfer manager reads it once, part by part.
    """

    def __init__(self, stream: IO[bytes], size: int | None, name: str) -> None:
        self._stream = stream
        self._size = size
        self._name = name
        self._read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """
        Read bytes, by default all that are left.

        :raises ArtifactError: The stream has more or fewer bytes than its size says.
        """
        chunks, wanted = [], size
        if size < 0 and self._size is not None:
            # One more byte shows whether it has grown.
            wanted = self._size - self._read_bytes + 1
        while wanted:
            chunk = self._stream.read(wanted)
            if not chunk:
                break
            chunks.append(chunk)
            wanted -= len(chunk) if wanted > 0 else 0
        data = b"".join(chunks)
        self._read_bytes += len(data)
        is_end = len(data) < size or size < 0
        if self._size is not None and (
            self._read_bytes > self._size or (is_end and self._read_bytes < self._size)
        ):
            read = "more" if self._read_bytes > self._size else self._read_bytes
            raise ArtifactError(
                f"The source of the artifact {self._name} changed during the upload: it had {self._size} "
                f"bytes, and {read} were read. Nothing was uploaded."
            )
        return data


def transfer_manager(client: Any) -> Any:
    """Return boto3's transfer manager over an S3 client, for a ``with``."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    # The AWS Common Runtime, if installed, would not renew the credentials.
    return create_transfer_manager(client, TransferConfig(preferred_transfer_client="classic"))


def subscribers_of(progress: TransferLog, size: int | None = None) -> list[Any]:
    """
    Return the subscribers that log a transfer's progress and give the transfer manager its size.

    :param progress: Counts the bytes.
    :param size: A stream's size in bytes, by which the manager sizes its parts. None if it is unknown.
    """
    from s3transfer.subscribers import BaseSubscriber

    class Subscriber(BaseSubscriber):
        def on_queued(self, future: Any, **_: Any) -> None:
            if size is not None:
                future.meta.provide_transfer_size(size)

        def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:
            # The manager finds out a download's size itself.
            progress.total = future.meta.size if progress.total is None else progress.total
            progress(bytes_transferred)

    return [Subscriber()]


#: Seconds between two log lines of one transfer.
LOG_INTERVAL = 5.0
_MIB = 1024 * 1024


class TransferLog:
    """
    Count the bytes of a transfer, from any thread, and log its progress now and again.

    :param what: The transfer, such as ``Downloading artifact Source of job …``.
    :param total: Its size in bytes. None if it is unknown.
    :param clock: A clock in seconds.
    """

    def __init__(
        self, what: str, total: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        #: Its size in bytes; may be set once it is known.
        self.total = total
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._logged_at = clock()

    def __call__(self, size: int) -> None:
        """Count bytes; a negative number if a part is sent again."""
        with self._lock:
            self._done += size
            now = self._clock()
            if now - self._logged_at < LOG_INTERVAL:
                return
            self._logged_at = now
            state = self._state(now)
        log.info("%s: %s", self._what, state)

    def end(self) -> None:
        """Log the end of the transfer."""
        with self._lock:
            state = self._state(self._clock())
        log.info("%s: done, %s", self._what, state)

    def _state(self, now: float) -> str:
        of = ""
        if self.total is not None:
            percent = f" ({100 * self._done // self.total} %)" if self.total else ""
            of = f" of {_size(self.total)}{percent}"
        elapsed = max(now - self._began, 1e-9)
        return f"{_size(self._done)}{of} in {elapsed:.1f} s, {_size(int(self._done / elapsed))}/s"


def _size(number: int) -> str:
    return f"{number} bytes" if number < _MIB / 10 else f"{number / _MIB:.1f} MiB"
