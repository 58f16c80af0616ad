# SPDX-License-Identifier: Apache-2.0
"""What a triggerer's event loop costs while triggers wait in it: processor time, lag, memory."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from pathlib import Path

_TICK_SECONDS = 0.005


@dataclasses.dataclass
class Lag:
    """How late a ticker of 5 ms is, in milliseconds: use it as an asynchronous context manager."""

    late: list[float] = dataclasses.field(default_factory=list)
    _ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lag:
        self._ticking = asyncio.get_running_loop().create_task(self._tick())
        return self

    async def __aexit__(self, *raised: object) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TICK_SECONDS)
            self.late.append((time.perf_counter() - began - _TICK_SECONDS) * 1000)

    def percentiles(self) -> dict[str, float]:
        """Return how late half, 99 %, 99.9 % and all ticks were at most."""
        ordered = sorted(self.late)
        shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
        return {name: ordered[int(share * (len(ordered) - 1))] for name, share in shares.items()}


def resident_mib() -> float:
    """Return the memory of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("This system does not report a process's memory. Run this on Linux.")
