# SPDX-License-Identifier: Apache-2.0
"""
The steps of a task that claims a job: pure, so that every order of them can be explored.

:func:`claiming` is for the action's first job, :func:`claiming_next` for each next one, and
:func:`claiming_anew` for a job that seemed to be ours and is offered again. They are generators: each yields
what is to be done next, and is sent what came of it. The first two write the intent before the
acknowledgement, and the outcome after it. :mod:`~airflow_codepipeline_partner._worker.claim` and
:mod:`~airflow_codepipeline_partner._worker.next_job` carry the steps out.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from airflow_codepipeline_partner._protocol.claims import (
    AskDetails,
    Asked,
    Claim,
    ClaimState,
    acknowledging,
)
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._worker.job_life import MAY_BE_ACKNOWLEDGED
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import ServiceUnavailable


@dataclass(frozen=True)
class Recall:
    """Read what the task's earlier tries recorded of the job; the answer is an :class:`Earlier`."""


@dataclass(frozen=True)
class Earlier:
    """
    What a task knows of its earlier tries.

    :param record: Their record of the job's claim, or None.
    :param was_cleared: Whether a user has cleared the task after it had ended.
    :param is_forgotten: Whether there were earlier tries, and what they recorded may be gone.
    :param was_run_cleared: Whether a user has cleared tasks of the run after its end, and nothing is recorded
        since.
    :param is_of_ended_run: Whether the record shows that the job may have been ours before the run ended. A
        user has cleared the run since.
    :param later: What another task of the run recorded of a later job of the action, or None. A user has
        cleared this task when the action was at that job.
    :param continued: The result with which another task of the run ended the newest job, or was about to end
        it, to wait for the next one; or None. A user has cleared this task meanwhile.
    """

    record: ClaimRecord | None = None
    was_cleared: bool = False
    is_forgotten: bool = False
    was_run_cleared: bool = False
    is_of_ended_run: bool = False
    later: ClaimRecord | None = None
    continued: ResultRecord | None = None


@dataclass(frozen=True)
class RestoreResult:
    """Put the record of a result back that a clear has removed."""

    record: ResultRecord


@dataclass(frozen=True)
class Restore:
    """
    Put a record of a later job of the action back, and ask nothing.

    A user has cleared the claim, so the record is gone where it lay. A task that continues the action has
    kept a copy.
    """

    record: ClaimRecord


@dataclass(frozen=True)
class ReadClaim:
    """Read what all tasks' records say of the claim; the answer is a record."""


@dataclass(frozen=True)
class Write:
    """
    Write the running task's own record.

    :param is_first: Whether the claim has come to this for the first time, so that it is to be counted.
    """

    state: ClaimState
    job: ClaimedJob
    is_first: bool = False


@dataclass(frozen=True)
class IsAwaited:
    """Look whether another task waits for the job and is to claim it; the answer is a boolean."""

    job: ClaimedJob


@dataclass(frozen=True)
class IsCutOff:
    """
    Look whether Airflow has ended this task meanwhile, although it still runs; the answer is a boolean.

    A user has marked it or its run as failed, or the run's time was over. The task that finishes the job, or
    the callback, may have looked for a claim before there was one.
    """


@dataclass(frozen=True)
class NoteEnd:
    """Note that the task does nothing more after its claim."""

    claim: Claim


@dataclass(frozen=True)
class ReadResults:
    """Read all tasks' results of the job; the answer is for the two steps below."""


@dataclass(frozen=True)
class DoubtResults:
    """
    Have results that count as put count as intended; the answer is for :class:`WithdrawResults`.

    The job is offered, so they were not put. If this task dies after its acknowledgement, and before it can
    record that, the next try puts them again: to a job that is ours then.

    :param known: What was read.
    """

    known: Any


@dataclass(frozen=True)
class WithdrawResults:
    """
    Forget results of the job: it was not ours yet, so none was taken.

    :param known: What was read before the acknowledgement. A record that was written since stays: the job
        may have taken that result.
    """

    known: Any


class Reason(StrEnum):
    """How a claim ends, and so what the task does then."""

    OURS = "the job is ours: work"
    AWAITED = "another task waits for the job: skip"
    NOT_WON = "another worker has the job, or may have it: skip"
    HAS_ENDED = "the job has ended, and may have been ours: fail without a retry"
    FORGOTTEN = "an earlier try, of which nothing is known, may have claimed it: fail without a retry"
    ABANDONED = "the job continues the work of a run that has ended: end it, and fail without a retry"
    CUT_OFF = "the job is ours, and Airflow has ended this task: end the job, and fail without a retry"
    NO_ANSWER = "CodePipeline refused, or did not answer: raise the error"
    NO_ANSWER_FORGOTTEN = "an answer was lost, and no retry would know it: fail without a retry"


#: The steps that claim an action's first job. They end with the claim, and how it ended.
Steps = Generator[Any, Any, tuple[Reason, Claim]]
#: The steps that claim a next job. They end with the claim, or None if the job was left without a call.
NextSteps = Generator[Any, Any, Claim | None]


def claiming(
    job: OfferedJob,
    run: TaskInstanceRef,
    unknown_claim: str,
    *,
    outlives_a_retry: bool = True,
    ends_with_claim: bool = True,
) -> Steps:
    """
    Claim an action's first job, or go on with the claim of an earlier try.

    :param job: The offered job.
    :param run: The running task.
    :param unknown_claim: What an unknown claim counts as.
    :param outlives_a_retry: Whether a retry will know what this try did.
    :param ends_with_claim: Whether the task does nothing more after the claim.
    """
    earlier: Earlier = yield Recall()
    record, later = earlier.record, earlier.later
    if later is not None and earlier.was_run_cleared:
        # The run had ended, and so had the action's newest job. If not, the finishing task ends it.
        return Reason.HAS_ENDED, Claim(later.state, later.job)
    is_certain = record is not None and record.state is ClaimState.CLAIMED
    # However sure the claim is: if CodePipeline took a result of this run, the job was ours.
    may_go_on = record is not None and record.state in MAY_BE_ACKNOWLEDGED
    was_lost = record is not None and record.state is ClaimState.LOST and later is None
    goes_on = False
    if earlier.continued is not None and not earlier.was_run_cleared and not was_lost:
        # First the result: without it, the job would seem to be in progress.
        yield RestoreResult(earlier.continued)
        # If it is done, the job has ended, and the action waits for its next one. If not, it is repeated.
        goes_on = earlier.continued.state == "done"
    if later is not None:
        # If its claim is unknown, the task that goes on with the action asks.
        yield Restore(later)
        return Reason.OURS, Claim(later.state, later.job)
    if goes_on:
        if record is not None and may_go_on:
            ours = Claim(record.state, record.job)
        else:
            # What the record said is gone. The result proves that the job was ours.
            asked = yield AskDetails()
            details = asked.job if isinstance(asked, Asked) else ClaimedJob(job)
            ours = Claim(ClaimState.UNKNOWN, replace(details, certain=False))
        yield Write(ours.state, ours.job)
        return Reason.OURS, ours
    is_since_cleared = earlier.was_cleared or earlier.is_of_ended_run
    if record is not None and is_certain and not is_since_cleared:
        # After a user has cleared the task, only CodePipeline knows whether the job is still in progress.
        yield Write(record.state, record.job)
        claim = Claim(record.state, record.job)
    else:
        claim, is_awaited = yield from _asking(job, record, is_forgotten=earlier.is_forgotten)
        if is_awaited:
            return Reason.AWAITED, claim
    if claim.error is not None:
        # A retry could not know that the job may be acknowledged, and would leave it.
        is_lost = claim.state is ClaimState.UNKNOWN and not outlives_a_retry
        return Reason.NO_ANSWER_FORGOTTEN if is_lost else Reason.NO_ANSWER, claim
    if not claim.counts_as_ours(unknown_claim):
        if claim.has_ended and (claim.state is not ClaimState.LOST or earlier.was_run_cleared):
            # Most likely it was this run's job. Skipping its work now would make the run green.
            return Reason.HAS_ENDED, claim
        return Reason.FORGOTTEN if earlier.is_forgotten else Reason.NOT_WON, claim
    is_forgotten = earlier.is_forgotten and earlier.was_run_cleared and claim.state is not ClaimState.CLAIMED
    if is_forgotten or (earlier.is_of_ended_run and claim.status is None):
        # Most likely the job has ended, as the run had. CodePipeline does not say so for each ended job.
        return Reason.HAS_ENDED, claim
    waiting = TaskInstanceRef.from_token(claim.job.continuation_token)
    if waiting is not None and not waiting.is_of_run(run.dag_id, run.run_id):
        return Reason.ABANDONED, claim
    # Before a retry has written the record anew, a task that finishes the job finds none, either.
    if (yield IsCutOff()):
        return Reason.CUT_OFF, claim
    if ends_with_claim:
        yield NoteEnd(claim)
    return Reason.OURS, claim


def _asking(
    job: OfferedJob, record: ClaimRecord | None, *, is_forgotten: bool
) -> Generator[Any, Any, tuple[Claim, bool]]:
    """
    Ask for a job; return its claim, and whether the job is left to another task that waits for it.

    :param job: The offered job.
    :param record: What an earlier try recorded of its claim, or None.
    :param is_forgotten: Whether there were earlier tries, and what they recorded may be gone.
    """
    may_be_ours = record is not None and record.state in MAY_BE_ACKNOWLEDGED
    if record is not None and record.state is ClaimState.CLAIMED:
        so_far = Claim(record.state, record.job)
    else:
        # Nothing is claimed until the acknowledgement is about to be sent, however this task ends.
        state = ClaimState.UNKNOWN if may_be_ours else ClaimState.REFUSED
        so_far = Claim(state, ClaimedJob(job, certain=not may_be_ours))
    yield Write(so_far.state, so_far.job)
    asked = yield AskDetails()
    is_awaited = False
    if not isinstance(asked, Asked):
        claim = replace(so_far, error=asked)
    else:
        # Even if an earlier try may have acknowledged it: the run that waits is the one to end it.
        is_awaited = yield IsAwaited(asked.job)
        if is_awaited:
            claim = Claim(ClaimState.LOST, asked.job)
        else:
            if so_far.state is not ClaimState.CLAIMED:
                yield Write(ClaimState.INTENT, asked.job)
            claim = yield from acknowledging(asked.job, asked.nonce, in_doubt=may_be_ours)
            if so_far.state is ClaimState.CLAIMED and claim.state is ClaimState.UNKNOWN:
                # It was certainly ours, and nothing says that this has changed.
                claim = replace(claim, state=so_far.state, job=asked.job)
    is_first = not is_awaited and _is_first(claim, record)
    # Of a job that is lost on a retry without a memory, an earlier try may be the winner.
    is_known = claim.state is ClaimState.CLAIMED or not is_forgotten
    yield Write(claim.state, claim.job, is_first=is_first and is_known)
    return claim, is_awaited


def _is_first(claim: Claim, record: ClaimRecord | None) -> bool:
    """Return whether an earlier try, which left this record, has not known what the claim has come to."""
    if claim.state is ClaimState.REFUSED:
        # Each refusal is one. Without an answer, there is none.
        return not isinstance(claim.error, ServiceUnavailable)
    return record is None or record.state is not claim.state


def claiming_next(job: OfferedJob, record: ClaimRecord, tokens: Collection[str | None]) -> NextSteps:
    """
    Claim an action's next job.

    No other run claims it, but another task of this run may, at the same moment.

    :param job: The offered job.
    :param record: The record of the claim of the job before it; or of its own, from an earlier try.
    :param tokens: The tokens of which the job carries one, if it is the action's next job.
    """
    may_be_ours = record.job.job_id == job.job_id and record.state.is_unknown
    asked = yield AskDetails()
    if not isinstance(asked, Asked):
        found: ClaimRecord = yield ReadClaim()
        if job.job_id in found.former_job_ids or (found.is_certain and found.job.job_id == job.job_id):
            # Another task of this run has claimed the job meanwhile, and perhaps ended it.
            return None
        return Claim(ClaimState.REFUSED, ClaimedJob(job), error=asked)
    if asked.job.continuation_token not in tokens:
        # The trigger was given another job's token, so this job is not ours.
        return None
    newest: ClaimRecord = yield ReadClaim()
    if newest.is_certain and newest.job.job_id == job.job_id:
        return None
    yield Write(ClaimState.INTENT, asked.job)
    claim = yield from acknowledging(asked.job, asked.nonce, in_doubt=may_be_ours)
    if may_be_ours and claim.state is ClaimState.LOST and claim.status is None:
        # The job was offered once more, so nobody had claimed it. But another task may have claimed it since,
        # and its answer may have been lost: the new nonce shows that.
        asked = yield AskDetails()
        if isinstance(asked, Asked):
            claim = yield from acknowledging(asked.job, asked.nonce, in_doubt=True)
    yield Write(claim.state, claim.job, is_first=_is_first(claim, record if may_be_ours else None))
    return claim


def claiming_anew(job: OfferedJob, record: ClaimRecord) -> NextSteps:
    """
    Claim a job again whose claim was unknown: it is offered, so it seems that nobody had claimed it.

    The offer may be an old one. Only an answered acknowledgement proves that the job was unclaimed. Then its
    result, which was taken as put, was not put.

    :param job: The offered job.
    :param record: The record of its claim.
    """
    asked = yield AskDetails()
    if not isinstance(asked, Asked):
        return Claim(ClaimState.REFUSED, ClaimedJob(job), error=asked)
    if asked.job.continuation_token != record.job.continuation_token:
        return None
    known = yield ReadResults()
    known = yield DoubtResults(known)
    claim = yield from acknowledging(asked.job, asked.nonce)
    if claim.state is ClaimState.CLAIMED:
        yield WithdrawResults(known)
        yield Write(claim.state, claim.job, is_first=True)
    return claim
