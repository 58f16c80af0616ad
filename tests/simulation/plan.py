# SPDX-License-Identifier: Apache-2.0
"""What is drawn before a history begins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from simulation import ways
from simulation.ways import Way

#: What CodePipeline may do, where AWS documents nothing.
SETTINGS: dict[str, list[Any]] = {
    "lease_seconds": [60.0, 20.0],
    "nonce_on_redelivery": ["new", "same"],
    "details_rotate_nonce": [False, True],
    "continuation_delay": [5.0, 0.0, 60.0],
    "retention": [300.0, 20.0],
    "acknowledge_ended_job": ["status", "error"],
}
FIXED_SETTINGS: dict[str, Any] = {
    # If a second acknowledgement were answered like the first, no worker could know whose a job is.
    "repeated_acknowledge": "invalid_nonce",
    # A job's own time never runs out here: it is long, and histories are short.
    "job_timeout": 36_000.0,
    "action_timeout": 360_000.0,
    "custom_action_timeout": 360_000.0,
    "default_batch_size": 10,
}
USER_ACTIONS = [
    "mark failed",
    "mark run success",
    "clear",
    "clear claim",
    "clear alone",
    "abandon",
    "time out",
    "mark success",
]
#: What is drawn before a history begins; the first of each is the harmless one.
PLANS: dict[str, list[Any]] = {
    **SETTINGS,
    "work": ["ok", "ok", "fail", "stumble", "job failure"],
    "deaths": [0, 1, 2],
    "losses": [0, 1, 2],
    "failures": [0, 0, 1],
    "user": ["nothing", "nothing", *USER_ACTIONS],
    # A second action of a user, some time after the first.
    "then": [*["nothing"] * 7, *USER_ACTIONS],
    "rival": [False, False, True],
    "looks": [1, 0, 2, 3],
}


@dataclass
class Plan:
    """What is drawn before the history begins."""

    way: str
    settings: dict[str, Any]
    work: str
    deaths: int
    losses: int
    failures: int
    user: str
    then: str
    rival: bool
    looks: int


@cache
def all_ways() -> dict[str, Way]:
    """Return all ways in which a DAG takes jobs; made once."""
    return ways.ways()
