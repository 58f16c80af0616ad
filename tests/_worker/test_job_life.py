# SPDX-License-Identifier: Apache-2.0
"""What the records of a job say together, which step follows, and what a refusal of its result means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import permutations, product

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._worker.job_life import (
    MAY_BE_ACKNOWLEDGED,
    NEXT_STEP,
    Known,
    Refusal,
    Results,
    Step,
    meaning_of_refusal,
    newest_claim,
)
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, CurrentRevision, OfferedJob

INTENT, CLAIMED, UNKNOWN, LOST, REFUSED = ClaimState


def claim(state: ClaimState, *jobs: str, at: int = 1) -> ClaimRecord:
    """Return a claim of the last of an action's jobs."""
    *former, newest = jobs
    noon = datetime(2026, 1, at, 12, tzinfo=UTC)
    return ClaimRecord(state, ClaimedJob(OfferedJob(newest, "client")), tuple(former), noon)


# The claim.


@pytest.mark.parametrize(
    ("records", "newest"),
    [
        # The newest job wins, however little is known of its claim.
        ([claim(CLAIMED, "one"), claim(REFUSED, "one", "two")], claim(REFUSED, "one", "two")),
        ([claim(CLAIMED, "one"), claim(INTENT, "one", "two")], claim(INTENT, "one", "two")),
        (
            [claim(CLAIMED, "one"), claim(CLAIMED, "one", "two"), claim(LOST, "one", "two", "three")],
            claim(LOST, "one", "two", "three"),
        ),
        # Of one job, the strongest state wins.
        ([claim(REFUSED, "one"), claim(LOST, "one")], claim(LOST, "one")),
        ([claim(LOST, "one"), claim(INTENT, "one")], claim(INTENT, "one")),
        ([claim(INTENT, "one"), claim(UNKNOWN, "one")], claim(UNKNOWN, "one")),
        ([claim(UNKNOWN, "one"), claim(CLAIMED, "one")], claim(CLAIMED, "one")),
        (
            [claim(CLAIMED, "one"), claim(INTENT, "one", "two"), claim(UNKNOWN, "one", "two")],
            claim(UNKNOWN, "one", "two"),
        ),
        # A task without a record says nothing.
        ([None, claim(LOST, "one"), None], claim(LOST, "one")),
        ([claim(REFUSED, "one")], claim(REFUSED, "one")),
        ([None, None], None),
        ([], None),
    ],
)
def test_the_newest_job_and_its_strongest_state_count(records, newest):
    """In whatever order the records are read."""
    for order in permutations(records):
        assert newest_claim(order) == newest


@pytest.mark.parametrize("former", [(), ("zero",)], ids=["first-job", "next-job"])
def test_a_claim_that_was_won_is_never_lost(former):
    """Neither to what others know of the same job, nor to what they wrote later."""
    won = claim(CLAIMED, *former, "one")
    others = [claim(state, *former, "one", at=2) for state in (UNKNOWN, LOST, INTENT, REFUSED)]
    for order in permutations([won, *others]):
        assert newest_claim(order) is won


def test_only_these_states_show_an_acknowledgement():
    assert {INTENT, UNKNOWN, CLAIMED} == MAY_BE_ACKNOWLEDGED


# The result.

JOB = OfferedJob("job-1", "client-1")
SUCCESS = requests.success(JOB)
CONTINUE = requests.success(JOB, continuation_token="step-2")
FAILURE = requests.failure(JOB, message="Broken.")


def result(state, call=SUCCESS) -> ResultRecord:
    return ResultRecord.of_call(state, call)


def test_the_table_of_steps_is_complete():
    assert set(NEXT_STEP) == set(product(Known, Known))
    assert len(NEXT_STEP) == 16


@pytest.mark.parametrize(
    ("own", "others", "step"),
    [
        # Nobody has tried: the task's own result is put.
        (None, None, "put the wanted call"),
        # Another task may have put its call, so no other may follow.
        (None, "intended", "send another task's intended call again, unchanged"),
        (None, "done", "nothing: the job has its result"),
        # Most likely the job has ended, and if not, the same result is still the right one.
        (None, "refused", "try once more the call that the job refused"),
        # The task may have put its own call. It repeats that one, whatever others have intended.
        ("intended", None, "send the own intended call again, unchanged"),
        ("intended", "intended", "send the own intended call again, unchanged"),
        ("intended", "done", "nothing: the job has its result"),
        ("intended", "refused", "send the own intended call again, unchanged"),
        # CodePipeline has taken the task's own call.
        ("done", None, "nothing: the job has its result"),
        ("done", "intended", "nothing: the job has its result"),
        ("done", "done", "nothing: the job has its result"),
        ("done", "refused", "nothing: the job has its result"),
        # The task's own call was certainly not taken, but another one may have been.
        ("refused", None, "try once more the call that the job refused"),
        ("refused", "intended", "send another task's intended call again, unchanged"),
        ("refused", "done", "nothing: the job has its result"),
        ("refused", "refused", "try once more the call that the job refused"),
    ],
)
def test_the_next_step_follows_from_the_records(own, others, step):
    results = Results(
        None if own is None else result(own, SUCCESS), [] if others is None else [result(others, FAILURE)]
    )
    assert results.step == step


@pytest.mark.parametrize(
    ("others", "step"),
    [
        (["refused", "intended"], Step.REPEAT_OTHERS),
        (["refused", "done"], Step.NOTHING),
        (["intended", "done"], Step.NOTHING),
        (["refused", "intended", "done"], Step.NOTHING),
    ],
)
def test_of_several_others_the_one_that_knows_most_counts(others, step):
    for order in permutations(others):
        assert Results(None, [result(state) for state in order]).step is step


@pytest.mark.parametrize(
    ("own", "others", "best", "likely"),
    [
        (None, [], None, []),
        ("intended", [], SUCCESS, [SUCCESS]),
        ("intended", ["intended"], SUCCESS, [SUCCESS, FAILURE]),
        ("intended", ["done"], FAILURE, [FAILURE]),
        ("refused", ["intended"], SUCCESS, [FAILURE]),
        ("refused", [], SUCCESS, []),
        ("refused", ["done"], FAILURE, [FAILURE]),
        ("done", ["intended"], SUCCESS, [SUCCESS]),
        (None, ["refused", "intended"], FAILURE, [FAILURE]),
        (None, ["refused"], FAILURE, []),
    ],
)
def test_a_result_that_is_done_says_most_then_the_own(own, others, best, likely):
    results = Results(None if own is None else result(own), [result(state, FAILURE) for state in others])
    found = results.best
    assert (found and found.call(JOB)) == best
    assert [record.call(JOB) for record in results.likely] == likely


def test_a_done_result_of_others_goes_before_an_intended_one():
    same, intended, done = result("intended"), result("intended", CONTINUE), result("done", FAILURE)
    for order in permutations([same, intended, done]):
        assert Results(None, order).taken_of_others(result("intended"), None) is done
    for order in permutations([same, intended, result("refused", FAILURE)]):
        assert Results(None, order).taken_of_others(result("intended"), None) is intended


# What it means that the job takes no result.


@dataclass(frozen=True)
class Case:
    """All that is known as a job takes no result, and what follows from it, in plain words."""

    sent: requests.Call
    others: requests.Call | None
    state: str | None
    may_be_taken: bool
    certain: bool
    status: str | None

    @property
    def is_same(self) -> bool:
        """The other task has recorded the very call that was refused now."""
        return self.others == self.sent

    @property
    def other_is_done(self) -> bool:
        """CodePipeline answered the other task that it took its call."""
        return self.state == "done"

    @property
    def other_was_sent(self) -> bool:
        """The other task was about to send its call, and got no answer."""
        return self.state == "intended"

    def ended_with(self, call: requests.Call) -> bool:
        """As far as the job's status shows, the job may have ended with this call."""
        if self.status is None:
            return True
        return self.status == ("Failed" if call is FAILURE else "Succeeded")

    @property
    def ours_may_be_it(self) -> bool:
        """This call was sent before, by this task or another one, and the status does not deny it."""
        was_sent = self.may_be_taken or (self.is_same and self.other_was_sent)
        # An older try of this task, which still lived, has sent it: nothing else explains the status.
        is_told = self.status is not None and not self.theirs_may_be_it
        return (was_sent or is_told) and self.ended_with(self.sent)

    @property
    def theirs_may_be_it(self) -> bool:
        """The other task sent a different call, and the status does not deny it."""
        return self.other_was_sent and not self.is_same and self.ended_with(self.others)


#: Sentence → whether it speaks of a case. The first one that does decides.
SENTENCES: dict[str, tuple[Callable[[Case], bool], Refusal]] = {
    "If CodePipeline said another task that it took a different call, it was that one.": (
        lambda case: case.other_is_done and not case.is_same,
        Refusal.ANOTHERS_WAS_TAKEN,
    ),
    "If CodePipeline said another task that it took this very call, it was ours.": (
        lambda case: case.other_is_done and case.is_same,
        Refusal.OURS_WAS_TAKEN,
    ),
    "Else, if the job may never have been ours, nothing more is known.": (
        lambda case: not case.certain,
        Refusal.PERHAPS_NEVER_OURS,
    ),
    "If ours and a different one may both be it, nobody can know which.": (
        lambda case: case.ours_may_be_it and case.theirs_may_be_it,
        Refusal.ONE_OF_TWO_WAS_TAKEN,
    ),
    "If only ours may be it, it was ours.": (
        lambda case: case.ours_may_be_it and not case.theirs_may_be_it,
        Refusal.OURS_WAS_TAKEN,
    ),
    "If only another task's may be it, it was that one.": (
        lambda case: case.theirs_may_be_it and not case.ours_may_be_it,
        Refusal.ANOTHERS_WAS_TAKEN,
    ),
    "If nobody's may be it, the job has ended without us.": (
        lambda case: not case.ours_may_be_it and not case.theirs_may_be_it,
        Refusal.ENDED_WITHOUT_US,
    ),
}
CALLS = (SUCCESS, CONTINUE, FAILURE)
CASES = [
    Case(sent, others, state, may_be_taken, certain, status)
    for sent, (others, state), may_be_taken, certain, status in product(
        CALLS,
        [(None, None), *product(CALLS, ["intended", "done", "refused"])],
        [False, True],
        [False, True],
        [None, "Succeeded", "Failed", "TimedOut"],
    )
]


def deciding(case: Case) -> str:
    return next(sentence for sentence, (speaks_of, _) in SENTENCES.items() if speaks_of(case))


def meaning(case: Case) -> Refusal:
    others = [] if case.others is None else [result(case.state, case.others)]
    return meaning_of_refusal(
        result("intended", case.sent),
        others,
        may_be_taken=case.may_be_taken,
        certain=case.certain,
        status=case.status,
    )


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_refusal_means_what_the_sentences_say(sentence):
    spoken_of = [case for case in CASES if deciding(case) == sentence]
    assert spoken_of
    meant = SENTENCES[sentence][1]
    assert [case for case in spoken_of if meaning(case) is not meant] == []


@pytest.mark.parametrize(
    ("case", "meant"),
    [
        # The answer of our call was lost.
        (Case(SUCCESS, None, None, True, True, None), Refusal.OURS_WAS_TAKEN),
        # The same, but then the customer stopped the pipeline.
        (Case(SUCCESS, None, None, True, True, "Failed"), Refusal.ENDED_WITHOUT_US),
        # The job's time was over.
        (Case(SUCCESS, None, None, False, True, None), Refusal.ENDED_WITHOUT_US),
        (Case(SUCCESS, None, None, True, True, "TimedOut"), Refusal.ENDED_WITHOUT_US),
        # Another task was faster: it has its answer, or it died before that.
        (Case(SUCCESS, FAILURE, "done", False, True, None), Refusal.ANOTHERS_WAS_TAKEN),
        (Case(SUCCESS, FAILURE, "intended", False, True, None), Refusal.ANOTHERS_WAS_TAKEN),
        # Both answers were lost. Only a status that is another for each of them shows which was taken.
        (Case(SUCCESS, FAILURE, "intended", True, True, None), Refusal.ONE_OF_TWO_WAS_TAKEN),
        (Case(SUCCESS, FAILURE, "intended", True, True, "Succeeded"), Refusal.OURS_WAS_TAKEN),
        (Case(SUCCESS, FAILURE, "intended", True, True, "Failed"), Refusal.ANOTHERS_WAS_TAKEN),
        (Case(SUCCESS, CONTINUE, "intended", True, True, "Succeeded"), Refusal.ONE_OF_TWO_WAS_TAKEN),
        # Not as the other task intended, but as this one did: an older try of it, which still lived.
        (Case(SUCCESS, FAILURE, "intended", False, True, "Succeeded"), Refusal.OURS_WAS_TAKEN),
        # We have repeated another task's call, or it has repeated ours.
        (Case(FAILURE, FAILURE, "intended", False, True, None), Refusal.OURS_WAS_TAKEN),
        (Case(FAILURE, FAILURE, "done", False, True, None), Refusal.OURS_WAS_TAKEN),
        # What the job refused of another task explains nothing.
        (Case(SUCCESS, FAILURE, "refused", False, True, None), Refusal.ENDED_WITHOUT_US),
        # Nobody may have acknowledged the job, unless it has a result.
        (Case(SUCCESS, FAILURE, "intended", True, False, "Failed"), Refusal.PERHAPS_NEVER_OURS),
        (Case(SUCCESS, FAILURE, "done", True, False, "Failed"), Refusal.ANOTHERS_WAS_TAKEN),
    ],
)
def test_a_refusal_means_what_happened(case, meant):
    assert meaning(case) is meant


@pytest.mark.parametrize(
    ("others", "may_be_taken", "status", "meant"),
    [
        # That CodePipeline took a call goes before all that may have been.
        ([("done", FAILURE), ("intended", SUCCESS)], True, None, Refusal.ANOTHERS_WAS_TAKEN),
        ([("done", SUCCESS), ("refused", FAILURE)], False, None, Refusal.OURS_WAS_TAKEN),
        # Ours was repeated by one task, and another has sent a different call.
        ([("intended", SUCCESS), ("intended", FAILURE)], False, None, Refusal.ONE_OF_TWO_WAS_TAKEN),
        ([("intended", SUCCESS), ("intended", FAILURE)], False, "Succeeded", Refusal.OURS_WAS_TAKEN),
        ([("intended", SUCCESS), ("intended", FAILURE)], False, "Failed", Refusal.ANOTHERS_WAS_TAKEN),
        ([("intended", SUCCESS), ("intended", FAILURE)], True, "TimedOut", Refusal.ENDED_WITHOUT_US),
        ([("intended", CONTINUE), ("intended", FAILURE)], False, "Failed", Refusal.ANOTHERS_WAS_TAKEN),
        ([("refused", SUCCESS), ("refused", FAILURE)], False, None, Refusal.ENDED_WITHOUT_US),
    ],
)
def test_several_others_are_weighed_in_any_order(others, may_be_taken, status, meant):
    for order in permutations(result(state, call) for state, call in others):
        found = meaning_of_refusal(
            result("intended"), order, may_be_taken=may_be_taken, certain=True, status=status
        )
        assert found is meant


def test_the_same_call_is_known_by_its_arguments_not_its_time():
    earlier = replace(result("done"), at=datetime(2026, 1, 1, tzinfo=UTC))
    found = meaning_of_refusal(result("intended"), [earlier], may_be_taken=False, certain=True)
    assert found is Refusal.OURS_WAS_TAKEN
    longer = result("done", requests.success(JOB, current_revision=CurrentRevision("r1", "c1")))
    found = meaning_of_refusal(result("intended"), [longer], may_be_taken=False, certain=True)
    assert found is Refusal.ANOTHERS_WAS_TAKEN
