# SPDX-License-Identifier: Apache-2.0
"""A task that claims a job and one that finds none to end: at least one of them sees the other."""

from __future__ import annotations

import pytest

from simulation.history import START
from simulation.struck import FAILURE, Struck, hung_while, instance
from simulation.verdict import REMEMBERS, judge

#: Their steps are those of an Airflow that has a task state store.
pytestmark = pytest.mark.skipif(not REMEMBERS, reason="these steps are there since Airflow 3.3")

CLAIM, FINISH = "run1 claim.1", "run1 finish_job.1"


@pytest.mark.parametrize("before", ["GetThirdPartyJobDetails", "AcknowledgeThirdPartyJob"])
@pytest.mark.parametrize("what", ["is failed", "writes codepipeline_last_look"])
def test_a_claim_after_the_last_look_is_ended(before, what):
    """
    A user marks the run as a success. Its claim goes on for a moment, while finish_job looks for it.

    Before its acknowledgement, finish_job takes the job for the run's, but CodePipeline takes no result yet.
    """
    history = Struck("optional_step", {}, user="mark run success")

    def mark(process):
        run = next(iter(history.server.runs.values()))
        history.outsiders.does("marks the run as a success", lambda: history.server.mark_success(run))
        history.ends_of_dead[:] = [(history.now + 60, process)]

    def let_claim(process):
        history._hangs_until.pop(CLAIM, None)

    marked = hung_while(history, CLAIM, before, mark)
    ended = hung_while(history, FINISH, what, let_claim)
    history.run()
    assert marked
    assert ended
    assert judge(history) == []
    puts = [call.operation for call in history.calls if "Put" in call.operation and call.outcome == "ok"]
    assert puts == [FAILURE]
    assert all(job.status.ended for job in history.codepipeline.state.jobs.values())


def test_a_continuation_in_doubt_outlives_a_clear():
    """Its task dies after the call. Airflow clears its record there as the cleared claim starts."""
    strikes = {("run1 watch.1.3", "PutThirdPartyJobSuccessResult"): "die after"}
    history = Struck("watch", strikes, user="clear claim")
    history.plan.looks = 3
    history.cue = lambda it: any("die after" in said for said in it.misfortunes)
    history.run()
    assert history.users_actions == ["clear claim"]
    assert judge(history) == []
    puts = [call.by for call in history.calls if "Put" in call.operation and call.outcome == "ok"]
    # The run knows of the next job, and ends it.
    assert puts[-1] == "run1 finish_job.1.2"


@pytest.mark.parametrize("ended_job", ["status", "error"])
def test_a_refused_continuation_is_not_waited_for(ended_job):
    """The customer has abandoned the action, so the job took none. Then a user clears the claim."""
    history = Struck("watch", {}, user="abandon", then="clear claim", acknowledge_ended_job=ended_job)
    history.plan.looks = 3

    def clear(process):
        claim = instance(history, "claim")
        history.outsiders.does("clears claim", lambda: history.server.clear(claim))

    def abandon(process):
        [pipeline] = history.codepipeline.state.pipelines
        history.outsiders.does("abandon", lambda: history.outsiders._abandon(pipeline))

    abandoned = hung_while(history, "run1 watch.1.3", "PutThirdPartyJobSuccessResult", abandon)
    cleared = hung_while(history, FINISH, "", clear)
    history.run()
    assert abandoned
    assert cleared
    assert judge(history) == []
    # The finishing task waits an hour for a next job.
    assert history.now - START < 600
