# SPDX-License-Identifier: Apache-2.0
"""
The steps of a task that reports a job's result: pure, so that every order of them can be explored.

:func:`reporting` is a generator. It yields what is to be done next, and is sent what came of it.
:mod:`~airflow_codepipeline_partner._worker.report` carries the steps out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_codepipeline_partner._worker.job_life import Refusal, Results, Step, meaning_of_refusal
from airflow_codepipeline_partner._worker.records import ResultRecord


@dataclass(frozen=True)
class Read:
    """Read all records of the job's result; the answer is a :class:`Results`."""


@dataclass(frozen=True)
class Write:
    """
    Write the running task's own record.

    :param is_first: Whether certainly no task knew this end of the job before, so that it is to be counted.
    """

    record: ResultRecord
    is_first: bool = False


@dataclass(frozen=True)
class Withdraw:
    """Forget the running task's own record: its call was certainly not carried out."""


@dataclass(frozen=True)
class Send:
    """
    Send the call of a record to CodePipeline; the answer is an :class:`Answer`.

    :param record: The record of the call.
    :param is_repeated: Whether the same call may have been carried out before.
    """

    record: ResultRecord
    is_repeated: bool


@dataclass(frozen=True)
class AskStatus:
    """
    Ask for the status of a job that takes no result; the answer is the status, or None if it is not known.

    If it is InProgress, the job was offered again, and the question has claimed it.
    """


Action = Read | Write | Withdraw | Send | AskStatus


class Reply(StrEnum):
    """How CodePipeline replied to a result."""

    TAKEN = "taken"
    #: The job takes no result: it has ended, or nobody has acknowledged it.
    NO_RESULT_TAKEN = "the job takes no result"
    #: CodePipeline does not know the job: it has ended some time ago.
    FORGOTTEN = "the job is not known"
    #: CodePipeline will never take this call.
    NEVER_TAKEN = "the call is not taken"
    #: No reply, or a refusal that may pass.
    NONE = "no reply"


@dataclass(frozen=True)
class Answer:
    """
    What came of a call.

    :param reply: How CodePipeline replied.
    :param in_doubt: Whether an attempt may have been carried out although its answer was lost.
    """

    reply: Reply
    in_doubt: bool = False


#: The steps of a task, from the first one on. They end with the job's result, or None if there is an error.
Steps = Generator[Action, Any, str | None]


def reporting(
    wanted: ResultRecord,
    *,
    certain: bool = True,
    was_claimed: bool = True,
    is_next: bool = False,
    lacks_records: bool = False,
) -> Steps:
    """
    Report a job's result, unless the records say that it has one.

    :param wanted: The wanted call. If another call was intended before and may have been carried out, that
        one is repeated instead: a result is never replaced by another.
    :param certain: Whether the job is certainly ours.
    :param was_claimed: Whether that is known from its claim. If not, the job may not be claimed yet.
    :param is_next: Whether it continues an action of this run, so that no other run claims it.
    :param lacks_records: Whether another task may have put a result, of which the record is cleared.
    """
    results: Results = yield Read()
    sender = _Sender(certain, was_claimed, is_next, lacks_records, results.first_refusal)
    step, known = results.step, results.best
    if step is Step.NOTHING and known is not None:
        return known.result
    if results.left and not certain:
        # It has ended, or, if it is an action's first job, another run may have it by now.
        return None
    if step is Step.PUT_WANTED or known is None:
        return (yield from sender.send(wanted))
    if step is Step.TRY_REFUSED:
        if is_next and not certain:
            # Nobody may have had the job, and the work may have come to another end since. The wait for the
            # job's offer goes on from the first refusal.
            refused, known = known, wanted.refused_at(known.at)
            if results.own is None or not known.is_same_call(refused):
                yield Write(known)
        # Most likely the job has ended. If it has not, the same result is still the right one. The record
        # stays as it is: if this task dies here, the next refusal does not mean that the result was put.
        return (yield from sender.send(known, is_recorded=True, was_refused=True))
    intended = results.own if step is Step.REPEAT_OWN else results.intended_by_others
    assert intended is not None  # noqa: S101 - the step says so
    result = yield from sender.send(intended, may_be_taken=True, is_recorded=step is Step.REPEAT_OWN)
    if sender.last == Answer(Reply.NEVER_TAKEN):
        # It was not put, since CodePipeline does not take it: another may be.
        return (yield from sender.send(wanted))
    return result


class _Sender:
    """Sends the results of one job, and records what comes of it."""

    def __init__(
        self,
        certain: bool,
        was_claimed: bool,
        is_next: bool,
        lacks_records: bool,
        first_refusal: datetime | None,
    ) -> None:
        self._certain = certain
        self._lacks_records = lacks_records
        self._first_refusal = first_refusal
        self._was_claimed = was_claimed
        self._is_next = is_next
        self.last = Answer(Reply.NONE)

    def send(
        self,
        record: ResultRecord,
        *,
        may_be_taken: bool = False,
        is_recorded: bool = False,
        was_refused: bool = False,
    ) -> Steps:
        """
        Send a call.

        :param record: The call.
        :param may_be_taken: Whether the same call may have been carried out before.
        :param is_recorded: Whether the running task's record is of this call already.
        :param was_refused: Whether the job certainly took no result before.
        """
        record = record.with_state("intended")
        if not is_recorded:
            yield Write(record)
        answer = self.last = yield Send(record, may_be_taken)
        if answer.reply is Reply.TAKEN:
            yield Write(record.with_state("done"), is_first=True)
            return record.result
        # A job that took no result before has most likely not taken one since, even if an answer was lost.
        may_be_taken = may_be_taken or (answer.in_doubt and not was_refused)
        if answer.reply in (Reply.NO_RESULT_TAKEN, Reply.FORGOTTEN):
            is_forgotten = answer.reply is Reply.FORGOTTEN
            return (yield from self._refused(record, may_be_taken=may_be_taken, is_forgotten=is_forgotten))
        if not may_be_taken and not is_recorded:
            # Nothing was put, so another result may be put: the failure, for instance.
            yield Withdraw()
        return None

    def _refused(self, sent: ResultRecord, *, may_be_taken: bool, is_forgotten: bool) -> Steps:
        """Find out which result the job has, although it took none now."""
        # After the refusal, so that the intent of the task whose call was taken is there.
        results: Results = yield Read()
        own = results.own
        if own is not None and own.state == "done":
            # By another try of this task.
            return own.result
        is_overwritten = own is not None and not own.is_same_call(sent)
        if own is not None and is_overwritten:
            # Another try of this task still lives, and has sent another call.
            results = Results(others=(own, *results.others))
        status: str | None = None
        # Asking is an acknowledgement: never for a job that perhaps nobody has claimed.
        if self._certain and self._was_claimed:
            status = yield AskStatus()
        if status == "InProgress":
            # Its time was over, and it was offered again under its id. Now it is ours once more.
            return (yield from self._send_again(sent))
        # Our own token needs no certainty: the task that puts it waits for the action's next job. That job
        # has the token, which proves that our call was carried out. If not, no such job comes in time.
        goes_on = sent.awaited_by is not None and may_be_taken
        # If even CodePipeline has forgotten the job, nobody knows which result it has.
        is_known = self._certain and (status is not None or not self._lacks_records)
        meaning = meaning_of_refusal(
            sent,
            results.others,
            may_be_taken=may_be_taken,
            certain=is_known or goes_on,
            status=status,
        )
        if meaning is Refusal.OURS_WAS_TAKEN:
            # If another task sends the same call, it may be the one that has had the answer.
            is_alone = not any(other.is_same_call(sent) for other in results.others)
            yield Write(sent.with_state("done"), is_first=may_be_taken and is_alone)
            return sent.result
        if meaning is Refusal.ONE_OF_ITS_KIND_WAS_TAKEN:
            # For instance, two tasks have renewed the job at once: it goes on, for one of them. Which one,
            # the next job's token says.
            return sent.result
        if meaning is Refusal.ANOTHERS_WAS_TAKEN:
            if not is_overwritten:
                yield Write(sent.with_state("refused"))
            return results.taken_of_others(sent, status).result
        # A next job that is forgotten has ended, so it is not offered again. If it was to go on, though, only
        # the job after it shows whether it did.
        is_over = is_forgotten and sent.awaited_by is None
        if meaning is Refusal.ENDED_WITHOUT_US and self._was_claimed:
            # We acknowledged the job, so it has ended: no other result is to be tried.
            yield Write(
                sent.with_state("refused"), is_first=self._first_refusal is None and not results.others
            )
        elif meaning is Refusal.PERHAPS_NEVER_OURS and (is_over or not self._is_next):
            # It has ended, perhaps with this result, or another run claims it. This run leaves it. If the own
            # intent is gone, a user has cleared the claim, and the next try may have claimed the job by now.
            if own is not None and not is_overwritten:
                yield Write(sent.with_state("left"))
        elif meaning is Refusal.PERHAPS_NEVER_OURS:
            # It has ended, perhaps with this result, or nobody has it. Then it is offered again; this run
            # waits for that, from the first refusal on.
            if own is None or own.state != "refused" or is_overwritten:
                since = self._first_refusal
                yield Write(sent.with_state("refused") if since is None else sent.refused_at(since))
        elif meaning is not Refusal.ONE_OF_TWO_WAS_TAKEN and not may_be_taken:
            yield Withdraw()
        return None

    def _send_again(self, record: ResultRecord) -> Steps:
        """Send a call again, to a job that was claimed once more."""
        yield Write(record.with_state("intended"))
        answer = self.last = yield Send(record, True)
        if answer.reply is Reply.TAKEN:
            yield Write(record.with_state("done"), is_first=True)
            return record.result
        # The record says that it may have been taken: the next try sends it again.
        return None
