# SPDX-License-Identifier: Apache-2.0
"""What a claim comes to, and whose the job is then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner.exceptions import CodePipelineError, InvalidInput

#: What the parameter ``unknown_claim`` may be.
UNKNOWN_CLAIM_CHOICES = ("assume_ours", "leave")
UnknownClaim = Literal["assume_ours", "leave"]


class ClaimState(StrEnum):
    """Where a claim stands; the ``state`` of the claim's record."""

    INTENT = "intent"  #: The acknowledgement may be under way.
    CLAIMED = "claimed"  #: The job is ours.
    UNKNOWN = "unknown"  #: Our answer was lost, so the job may be ours or another worker's.
    LOST = "lost"  #: Another worker has it, or the nonce was stale.
    REFUSED = "refused"  #: CodePipeline or a missing token refused; nothing was acknowledged.

    @property
    def is_unknown(self) -> bool:
        """Whether an acknowledgement of ours may have been carried out; an ``intent`` left over counts so."""
        return self in (ClaimState.INTENT, ClaimState.UNKNOWN)

    def counts_as_ours(self, unknown_claim: str) -> bool:
        """
        Tell whether a job with a claim in this state is ours to work on and to end.

        :param unknown_claim: What an unknown claim counts as: ``assume_ours`` or ``leave``.
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
    :param job: The job with what its details told; whose it is, the state says.
    :param status: The job's status, as its acknowledgement answered; None where there was no such answer.
    """

    state: ClaimState
    job: ClaimedJob
    status: str | None = None

    @classmethod
    def from_status(cls, job: ClaimedJob, status: str | None) -> Self:
        """Judge the answer of an acknowledgement: only ``InProgress`` makes the job ours."""
        return cls(ClaimState.CLAIMED if status == "InProgress" else ClaimState.LOST, job, status)

    @property
    def has_ended(self) -> bool:
        """Whether the acknowledgement told that the job has its result, or ran out of its time."""
        return self.status in ("Succeeded", "Failed", "TimedOut")

    def counts_as_ours(self, unknown_claim: str) -> bool:
        """Tell whether to work on the job; see :meth:`ClaimState.counts_as_ours`."""
        return self.state.counts_as_ours(unknown_claim)


def check_unknown_claim(value: str) -> str:
    """
    Return the choice, if it is one.

    :raises InvalidInput: It is none.
    """
    if value not in UNKNOWN_CLAIM_CHOICES:
        raise InvalidInput(
            f"unknown_claim must be one of {', '.join(UNKNOWN_CLAIM_CHOICES)}; "
            f"a {type(value).__name__} of {len(str(value))} characters was given that is none of them."
        )
    return value


def put_is_settled(error: CodePipelineError, *, intended_before: bool, certain: bool = True) -> bool:
    """
    Tell whether a refused put means that the result is already there.

    Only an ``InvalidJobStateException`` can mean that, and only where we may have put the same result
    before: the answer of an attempt was lost, or the result was already intended when this try began. Of a
    job that is not certainly ours it can as well mean that nobody has acknowledged it.
    """
    return certain and isinstance(error, exceptions.JobNotInProgress) and (error.in_doubt or intended_before)
