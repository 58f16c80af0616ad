# SPDX-License-Identifier: Apache-2.0
"""What happened in a history, as its verdict needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Call:
    """A call to CodePipeline, as it really went."""

    by: str
    #: The run, and in brackets the map index if it is not -1.
    of: str | None
    operation: str
    job_id: str | None
    was_carried_out: bool
    was_answered: bool
    outcome: str
    request: Mapping[str, Any]
    status: str | None = None
    at: float = 0.0


@dataclass
class Work:
    """What a user's function did."""

    run_id: str
    job_id: str
    task: str
    what: str
    of: str
    at: float
    #: The process.
    by: str = ""
