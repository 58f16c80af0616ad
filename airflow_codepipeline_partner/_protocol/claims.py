# SPDX-License-Identifier: Apache-2.0
"""The steps of a claim that reach CodePipeline, their outcome, and whether the job then counts as ours."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar, cast

from airflow_codepipeline_partner._protocol.choices import check_unknown_claim
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._secrets import Secret
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, InvalidNonce

Step = TypeVar("Step")
End = TypeVar("End")

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

    :param state: ``claimed``, ``unknown``, ``lost`` or ``refused``.
    :param job: The job with its details; the state says who has it.
    :param status: The job's status, as the acknowledgement returned it; None if it returned none.
    :param error: Why the acknowledgement got no answer, or was refused for another reason than its nonce.
    """

    state: ClaimState
    job: ClaimedJob
    status: str | None = None
    error: CodePipelineProviderError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the acknowledgement says that the job has a result, or timed out."""
        return self.status in ENDED_STATUSES

    def counts_as_ours(self, unknown_claim: str) -> bool:
        """Return whether to work on the job; see :meth:`ClaimState.counts_as_ours`."""
        return not self.has_ended and self.state.counts_as_ours(unknown_claim)


# The steps of a claim that reach CodePipeline: pure, so that every order of them can be explored.


@dataclass(frozen=True)
class AskDetails:
    """Ask for the job's details; the answer is :class:`Asked`, or an error."""


@dataclass(frozen=True)
class Asked:
    """
    The answer to a question for a job's details.

    :param job: The job with its details.
    :param nonce: The nonce that the acknowledgement spends. A custom job's is only in its poll.
    """

    job: ClaimedJob
    nonce: Secret


@dataclass(frozen=True)
class Acknowledge:
    """Acknowledge the job; the answer is :class:`Acknowledged`, or an error."""

    nonce: Secret


@dataclass(frozen=True)
class Acknowledged:
    """
    The answer to an acknowledgement.

    :param status: The job's status, or None if the answer holds none.
    :param in_doubt: Whether an attempt before this answer may have been carried out.
    """

    status: str | None
    in_doubt: bool = False


Call = AskDetails | Acknowledge


def acknowledging(job: ClaimedJob, nonce: Secret, *, in_doubt: bool = False) -> Generator[Call, Any, Claim]:
    """
    Acknowledge a job, and find out whose it is.

    :param job: The job with its details.
    :param nonce: The nonce to spend.
    :param in_doubt: Whether an earlier try of this worker may have acknowledged the job.
    """
    answer: Acknowledged | CodePipelineProviderError = yield Acknowledge(nonce)
    may_be_ours = in_doubt or answer.in_doubt
    unknown = Claim(ClaimState.UNKNOWN, replace(job, certain=False))
    if isinstance(answer, Acknowledged):
        if answer.status in ENDED_STATUSES and may_be_ours:
            # Most likely it was ours.
            return replace(unknown, status=answer.status)
        # Only InProgress claims the job.
        state = ClaimState.CLAIMED if answer.status == "InProgress" else ClaimState.LOST
        return Claim(state, job, answer.status)
    if not isinstance(answer, InvalidNonce):
        return replace(unknown if may_be_ours else Claim(ClaimState.REFUSED, job), error=answer)
    if not may_be_ours:
        return Claim(ClaimState.LOST, job)
    # The lost answer may have been the answer to a successful acknowledgement. But the nonce of a claimed job
    # does not change. If it is another one now, and stays that, the job was offered once more: so nobody had
    # claimed it, and the lost answer was a refusal.
    if job.job.dialect.poll_gives_nonce:
        return unknown
    now: Asked | CodePipelineProviderError = yield AskDetails()
    if isinstance(now, Asked) and now.nonce != nonce:
        # It is not known whether asking for details changes the nonce; if so, it proves nothing.
        again: Asked | CodePipelineProviderError = yield AskDetails()
        if isinstance(again, Asked) and again.nonce == now.nonce:
            return Claim(ClaimState.LOST, job)
    return unknown


def drive(steps: Generator[Step, Any, End], carry_out: Callable[[Step], Any]) -> End:
    """
    Carry out the steps that a generator yields, and return its end.

    :param steps: The generator; it is sent what came of each step.
    :param carry_out: Carries out one step. What it raises ends the steps.
    """
    came_of_it: Any = None
    while True:
        try:
            step = steps.send(came_of_it)
        except StopIteration as end:
            return cast("End", end.value)
        came_of_it = carry_out(step)
