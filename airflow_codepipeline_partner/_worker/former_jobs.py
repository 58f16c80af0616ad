# SPDX-License-Identifier: Apache-2.0
"""What a claim's record keeps of the action's earlier jobs: for people who read it, nothing depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Most of them in one record, the newest ones: an action may have hundreds.
MAX_FORMER_JOBS = 50
#: Most of a summary that is kept.
MAX_SUMMARY_CHARS = 200


@dataclass(frozen=True)
class FormerJob:
    """
    An earlier job of an action, which a run ended with a continuation token.

    :param job_id: The job.
    :param claimed_at: When its claim was recorded, in ISO 8601.
    :param ended_at: When its result was recorded, in ISO 8601; None if it is not known.
    :param percent: The progress of its result, or None.
    :param summary: The beginning of the summary of its result, or None.
    """

    job_id: str
    claimed_at: str
    ended_at: str | None = None
    percent: int | None = None
    summary: str | None = None

    @classmethod
    def of(cls, claim: Any, result: Any) -> FormerJob:
        """
        Return what is kept of a job.

        :param claim: The record of its claim.
        :param result: The record of its result, or None.
        """
        job_id, claimed_at = claim.job.job_id, claim.at.isoformat()
        if result is None:
            return cls(job_id, claimed_at)
        details = result.arguments.get("executionDetails")
        details = details if isinstance(details, Mapping) else {}
        percent, summary = details.get("percentComplete"), details.get("summary")
        return cls(
            job_id,
            claimed_at,
            result.at.isoformat(),
            percent if isinstance(percent, int) else None,
            summary[:MAX_SUMMARY_CHARS] if isinstance(summary, str) else None,
        )

    def to_xcom(self) -> dict[str, Any]:
        """Return the XCom value."""
        return {name: value for name, value in vars(self).items() if value is not None}


def former_jobs_from_xcom(value: object) -> tuple[Mapping[str, Any], ...]:
    """Return what a record lists; nothing of it is needed, so what is no mapping is left out."""
    if not isinstance(value, list | tuple):
        return ()
    return tuple(each for each in value if isinstance(each, Mapping))[-MAX_FORMER_JOBS:]
