# SPDX-License-Identifier: Apache-2.0
"""What a long transfer says of itself in the task's log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

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
