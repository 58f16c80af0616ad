# SPDX-License-Identifier: Apache-2.0
"""
One table for a job's life: what a run knows of its job, and the one next step.

This module decides, and nothing else does. It knows no Airflow, no hook, no clock and no store. A task reads
the records of its job, asks for the next step, carries it out, writes down what came of it, and asks again.

**The claim.** Each task that may claim a job keeps a record of its own: the claiming task for the action's
first job, a task that continues the action for each next job. :func:`newest_claim` makes one claim of them:
the newest job, and of that job the strongest state. So no task can spoil what another one knows.

**The result.** Each task that may report keeps a record of its own, too:

==========  ==============================================================================================
state       meaning
==========  ==============================================================================================
none        the task has not tried, or its try was certainly not carried out
intended    the call was about to be sent: it may have been carried out
done        CodePipeline has taken the call
refused     the job did not take it: it has ended, or it is a next job that perhaps nobody has claimed
left        a job whose claim is unknown did not take it. If it is an action's first job, it has ended, or
            another run may have it; if it is a next one, CodePipeline has forgotten it, so it has ended
==========  ==============================================================================================

A task writes its intent before it sends the call. CodePipeline takes one result for each job, so it is
CodePipeline that chooses between two tasks that report at once. The one that it refuses reads the others'
records *after* the refusal, and then knows why: the other's intent was written before the other's call.

A job that was left gets no more results by that claim. Only if the run claims it once more, and for certain,
does it begin anew: that it was left counts for nothing then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from airflow_codepipeline_partner._protocol.claims import ClaimState

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord

#: What a task knows of a claim, from nothing to certainty.
STRENGTH = (ClaimState.REFUSED, ClaimState.LOST, ClaimState.INTENT, ClaimState.UNKNOWN, ClaimState.CLAIMED)
#: States in which an acknowledgement of ours may have been carried out. Only these are evidence: that there
#: is no record proves nothing.
MAY_BE_ACKNOWLEDGED = frozenset({ClaimState.INTENT, ClaimState.UNKNOWN, ClaimState.CLAIMED})


def newest_claim(records: Iterable[ClaimRecord | None]) -> ClaimRecord | None:
    """
    Return what all records together say of the claim: the newest job, with its strongest state.

    :param records: The records of all tasks that may have claimed a job of the action; None where there is
        none.
    """
    known = [record for record in records if record is not None]
    return max(known, key=lambda it: (len(it.former_job_ids), STRENGTH.index(it.state)), default=None)


class Known(StrEnum):
    """What is known of a job's result from one task's record, or from those of all other tasks."""

    NONE = "none"
    INTENDED = "intended"
    DONE = "done"
    REFUSED = "refused"


class Step(StrEnum):
    """The next step of a task that is to report a job's result."""

    PUT_WANTED = "put the wanted call"
    REPEAT_OWN = "send the own intended call again, unchanged"
    REPEAT_OTHERS = "send another task's intended call again, unchanged"
    TRY_REFUSED = "try once more the call that the job refused"
    NOTHING = "nothing: the job has its result"


#: (own record, the others' records) → the next step.
NEXT_STEP: dict[tuple[Known, Known], Step] = {
    (Known.NONE, Known.NONE): Step.PUT_WANTED,
    (Known.NONE, Known.INTENDED): Step.REPEAT_OTHERS,
    (Known.NONE, Known.DONE): Step.NOTHING,
    (Known.NONE, Known.REFUSED): Step.TRY_REFUSED,
    # What this task has intended goes before what others have: only then does a retry never send two.
    (Known.INTENDED, Known.NONE): Step.REPEAT_OWN,
    (Known.INTENDED, Known.INTENDED): Step.REPEAT_OWN,
    (Known.INTENDED, Known.DONE): Step.NOTHING,
    (Known.INTENDED, Known.REFUSED): Step.REPEAT_OWN,
    (Known.DONE, Known.NONE): Step.NOTHING,
    (Known.DONE, Known.INTENDED): Step.NOTHING,
    (Known.DONE, Known.DONE): Step.NOTHING,
    (Known.DONE, Known.REFUSED): Step.NOTHING,
    (Known.REFUSED, Known.NONE): Step.TRY_REFUSED,
    (Known.REFUSED, Known.INTENDED): Step.REPEAT_OTHERS,
    (Known.REFUSED, Known.DONE): Step.NOTHING,
    (Known.REFUSED, Known.REFUSED): Step.TRY_REFUSED,
}


@dataclass(frozen=True)
class Results:
    """
    All records of one job's result.

    :param own: The record of the running task, or None.
    :param others: The records of the other tasks.
    :param left: The records that say that the job was left, of whichever task.
    """

    own: ResultRecord | None = None
    others: Sequence[ResultRecord] = ()
    left: Sequence[ResultRecord] = ()

    @classmethod
    def of(cls, own: ResultRecord | None, others: Iterable[ResultRecord | None] = ()) -> Self:
        """
        Return the records of one job's result.

        :param own: The record of the running task, or None.
        :param others: The records of the other tasks; None where there is none.
        """
        known = [record for record in others if record is not None]
        return cls(
            None if own is None or own.state == "left" else own,
            tuple(record for record in known if record.state != "left"),
            tuple(record for record in (own, *known) if record is not None and record.state == "left"),
        )

    @property
    def best(self) -> ResultRecord | None:
        """The record that says most of the job's result: one that is done, else the own, else another's."""
        return self._first("done") or self.own or self._first("intended") or self._first("refused")

    @property
    def likely(self) -> Sequence[ResultRecord]:
        """The calls of which CodePipeline has taken one, or may have; the most likely first."""
        records = [record for record in (self.own, *self.others) if record is not None]
        done = [record for record in records if record.state == "done"]
        return done or [record for record in records if record.state == "intended"]

    @property
    def refused(self) -> Sequence[ResultRecord]:
        """The calls that the job did not take."""
        records = (self.own, *self.others)
        return [record for record in records if record is not None and record.state == "refused"]

    @property
    def first_refusal(self) -> datetime | None:
        """When the job first took no result; None if it was not asked to take one, or took one."""
        return min((record.at for record in self.refused), default=None)

    @property
    def step(self) -> Step:
        """The next step of the running task."""
        own = Known.NONE if self.own is None else Known(self.own.state)
        states = {Known(other.state) for other in self.others}
        others = next(
            (state for state in (Known.DONE, Known.INTENDED, Known.REFUSED) if state in states), None
        )
        return NEXT_STEP[own, others or Known.NONE]

    @property
    def intended_by_others(self) -> ResultRecord | None:
        """A call that another task has intended, or None."""
        return next((other for other in self.others if other.state == "intended"), None)

    def taken_of_others(self, sent: ResultRecord, status: str | None) -> ResultRecord:
        """
        Return the other task's call that CodePipeline took, after it refused ours.

        :param sent: Our call; see :func:`meaning_of_refusal`.
        :param status: The job's status, if CodePipeline returns it.
        """
        different = [other for other in self.others if not other.is_same_call(sent)]
        done = [other for other in different if other.state == "done"]
        fits = [other for other in different if other.state == "intended" and other.may_have_led_to(status)]
        return (done or fits)[0]

    def _first(self, state: str) -> ResultRecord | None:
        records = [self.own, *self.others]
        return next((record for record in records if record is not None and record.state == state), None)


class Refusal(StrEnum):
    """What it means that the job takes no result."""

    OURS_WAS_TAKEN = "ours was taken before"
    ANOTHERS_WAS_TAKEN = "another task's was taken"
    ONE_OF_ITS_KIND_WAS_TAKEN = "ours or another task's of the same kind was taken"
    ONE_OF_TWO_WAS_TAKEN = "ours or another task's was taken, and nobody can know which"
    ENDED_WITHOUT_US = "the job has ended without a result of this run"
    PERHAPS_NEVER_OURS = "the job may never have been ours"


def meaning_of_refusal(
    sent: ResultRecord,
    others: Sequence[ResultRecord],
    *,
    may_be_taken: bool,
    certain: bool,
    status: str | None = None,
) -> Refusal:
    """
    Return what it means that the job takes no result.

    :param sent: The call that was refused.
    :param others: The other tasks' records, read after the refusal.
    :param may_be_taken: Whether the same call may have been carried out before: the answer of an attempt was
        lost, or the call was intended by an earlier try.
    :param certain: Whether the job is certainly ours. If not, perhaps nobody has acknowledged it.
    :param status: The job's status, if CodePipeline returns it: Succeeded, Failed or TimedOut.
    """
    done = [other for other in others if other.state == "done"]
    if done:
        # So the job was ours, however sure its claim is.
        return Refusal.OURS_WAS_TAKEN if done[0].is_same_call(sent) else Refusal.ANOTHERS_WAS_TAKEN
    if not certain:
        return Refusal.PERHAPS_NEVER_OURS
    live = [other for other in others if other.state == "intended"]
    if any(other.is_same_call(sent) for other in live):
        # Another task has repeated ours, or ours is the repetition of another's.
        may_be_taken = True
    if status is not None:
        # It is the truth, even if an older try of this task, which still lives, has ended the job. Or the
        # customer has stopped the pipeline, and its action was abandoned.
        live = [other for other in live if other.may_have_led_to(status)]
        may_be_taken = sent.may_have_led_to(status) and (may_be_taken or not live)
    different = [other for other in live if not other.is_same_call(sent)]
    if not may_be_taken:
        return Refusal.ANOTHERS_WAS_TAKEN if different else Refusal.ENDED_WITHOUT_US
    if not different:
        return Refusal.OURS_WAS_TAKEN
    is_alike = all(other.result == sent.result for other in different)
    return Refusal.ONE_OF_ITS_KIND_WAS_TAKEN if is_alike else Refusal.ONE_OF_TWO_WAS_TAKEN
