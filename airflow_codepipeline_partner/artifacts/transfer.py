# SPDX-License-Identifier: Apache-2.0
"""Artifacts as streams, from one place to another without lying on the worker's disk."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES
from airflow_codepipeline_partner.exceptions import ArtifactError

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


def transfer_manager(client: Any) -> Any:
    """Return boto3's transfer manager over an S3 client, to be used in a ``with``."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    # AWS's own runtime, where it is installed, would not ask for new credentials.
    return create_transfer_manager(client, TransferConfig(preferred_transfer_client="classic"))


def subscribers_of(progress: TransferLog, size: int | None = None) -> list[Any]:
    """
    Return what tells a transfer's progress, and the transfer manager its size.

    :param progress: Counts the bytes.
    :param size: All bytes of a stream, by which its parts are made so long that their number is enough.
    """
    from s3transfer.subscribers import BaseSubscriber

    class Subscriber(BaseSubscriber):
        def on_queued(self, future: Any, **_: Any) -> None:
            if size is not None:
                future.meta.provide_transfer_size(size)

        def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:
            # A download's size it finds out by itself.
            progress.total = future.meta.size if progress.total is None else progress.total
            progress(bytes_transferred)

    return [Subscriber()]


#: Seconds between two lines of one transfer.
LOG_INTERVAL = 5.0


_MIB = 1024 * 1024


class TransferLog:
    """
    Count the bytes of a transfer, from any thread, and tell now and again how it goes.

    :param what: What is going on, as in ``Downloading artifact Source of job …``.
    :param total: All bytes, or None where they are not known.
    :param clock: Seconds.
    """

    def __init__(
        self, what: str, total: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        #: All bytes; may be set as soon as they are known.
        self.total = total
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._told = clock()

    def __call__(self, size: int) -> None:
        """Count bytes; less than 0 where a part is sent again."""
        with self._lock:
            self._done += size
            now = self._clock()
            if now - self._told < LOG_INTERVAL:
                return
            self._told = now
            told = self._say(now)
        log.info("%s: %s", self._what, told)

    def end(self) -> None:
        """Tell how it went."""
        with self._lock:
            told = self._say(self._clock())
        log.info("%s: done, %s", self._what, told)

    def _say(self, now: float) -> str:
        of = ""
        if self.total is not None:
            percent = f" ({100 * self._done // self.total} %)" if self.total else ""
            of = f" of {_size(self.total)}{percent}"
        elapsed = max(now - self._began, 1e-9)
        return f"{_size(self._done)}{of} in {elapsed:.1f} s, {_size(int(self._done / elapsed))}/s"


def _size(number: int) -> str:
    return f"{number} bytes" if number < _MIB / 10 else f"{number / _MIB:.1f} MiB"
