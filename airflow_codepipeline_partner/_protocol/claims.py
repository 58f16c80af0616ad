# SPDX-License-Identifier: Apache-2.0
"""The outcome of a claim, and whether the job then counts as this worker's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, Self

from airflow_codepipeline_partner._limit_checks import text_fault
from airflow_codepipeline_partner._limits import Text
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, InvalidInput

log = logging.getLogger(__name__)

#: The values of the parameter ``unknown_claim``.
UNKNOWN_CLAIM_CHOICES = ("assume_ours", "leave")
UnknownClaim = Literal["assume_ours", "leave"]
#: The statuses of a job that has ended, as an acknowledgement returns them.
ENDED_STATUSES = ("Succeeded", "Failed", "TimedOut")


class ClaimState(StrEnum):
    """Where a claim stands; the ``state`` of the claim's record."""

    INTENT = "intent"  #: The acknowledgement is about to be sent, or was sent.
    CLAIMED = "claimed"  #: This worker has the job.
    UNKNOWN = "unknown"  #: The answer was lost: this worker or another one has the job.
    LOST = "lost"  #: Another worker has it, or the nonce was stale.
    REFUSED = "refused"  #: Nothing was acknowledged: CodePipeline refused, or the client token is missing.

    @property
    def is_unknown(self) -> bool:
        """Whether the acknowledgement may have been carried out; an ``intent`` that is left over counts."""
        return self in (ClaimState.INTENT, ClaimState.UNKNOWN)

    def counts_as_ours(self, unknown_claim: str) -> bool:
        """
        Return whether this worker works on the job and ends it.

        :param unknown_claim: What to do with an unknown claim: ``assume_ours`` or ``leave``.
        :raises InvalidInput: It is neither.
        """
        if self.is_unknown:
            return check_unknown_claim(unknown_claim) == "assume_ours"
        return self is ClaimState.CLAIMED


@dataclass(frozen=True)
class Claim:
    """
    The outcome of an attempt to claim a job.

    :param state: ``claimed``, ``unknown`` or ``lost``.
    :param job: The job with its details; the state says who has it.
    :param status: The job's status, as the acknowledgement returned it; None if it returned none.
    """

    state: ClaimState
    job: ClaimedJob
    status: str | None = None

    @classmethod
    def from_status(cls, job: ClaimedJob, status: str | None) -> Self:
        """Return the outcome of an answered acknowledgement: only ``InProgress`` claims the job."""
        return cls(ClaimState.CLAIMED if status == "InProgress" else ClaimState.LOST, job, status)

    @classmethod
    def from_refused_nonce(
        cls, job: ClaimedJob, spent: str, may_be_ours: bool, ask_nonce: Callable[[], str | None]
    ) -> Self:
        """
        Return the outcome of an acknowledgement that was refused because of its nonce.

        If an earlier answer was lost, that may have been the answer to a successful acknowledgement. But the
        nonce of a claimed job does not change. If it is another one now, and stays that, the job was offered
        once more: so nobody had claimed it, and the lost answer was a refusal.

        :param job: The job.
        :param spent: The nonce that was refused.
        :param may_be_ours: Whether an acknowledgement of this worker may have been carried out before.
        :param ask_nonce: Asks for the nonce that the job has now. Not used for a custom job, whose nonce is
            only in a poll.
        """
        lost = cls(ClaimState.LOST, job)
        unknown = cls(ClaimState.UNKNOWN, replace(job, certain=False))
        if not may_be_ours:
            return lost
        if job.job.dialect.poll_gives_nonce:
            return unknown
        try:
            fresh = ask_nonce()
            # It is not known whether asking for details changes the nonce; if so, it proves nothing.
            return lost if fresh and fresh != spent and fresh == ask_nonce() else unknown
        except CodePipelineProviderError as error:
            log.info("The claim of job %s stays unknown: %s", job.job_id, type(error).__name__)
            return unknown

    @property
    def has_ended(self) -> bool:
        """Whether the acknowledgement says that the job has a result, or timed out."""
        return self.status in ENDED_STATUSES

    def counts_as_ours(self, unknown_claim: str) -> bool:
        """Return whether to work on the job; see :meth:`ClaimState.counts_as_ours`."""
        return self.state.counts_as_ours(unknown_claim)


def check_unknown_claim(value: str) -> str:
    """
    Return ``unknown_claim`` if it is valid.

    :raises InvalidInput: It is not.
    """
    given = value if isinstance(value, str) else ""
    fault = text_fault(given, Text(one_of=UNKNOWN_CLAIM_CHOICES))
    if fault is not None:
        raise InvalidInput(f"unknown_claim {fault}.")
    return given
