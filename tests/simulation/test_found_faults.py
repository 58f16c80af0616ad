# SPDX-License-Identifier: Apache-2.0
"""Orders of events that the simulation found to end wrongly, one by one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_codepipeline_partner._worker.awaited_job import REOFFER_TIMEOUT
from simulation.history import START
from simulation.struck import FAILURE, Struck, hung_while, instance, is_deferred, waits_for_retry_after
from simulation.verdict import REMEMBERS, judge

#: Their steps are those of an Airflow that has a task state store.
pytestmark = pytest.mark.skipif(not REMEMBERS, reason="these steps are there since Airflow 3.3")


def test_a_claim_ended_before_its_record_is_not_green():
    strikes = {
        ("run1 function.1", "writes codepipeline_claim claimed"): "fail after",
        ("run1 function.2", "GetTaskStateStore"): "die after",
    }
    history = Struck("function_and_finish", strikes, user="mark failed")
    history.cue = waits_for_retry_after(2)
    assert history.ends() == ([], ["failed"])


def test_a_last_try_that_fails_early_restores_the_claim():
    """Airflow has cleared the record where the finishing task looks."""
    history = Struck("function_and_finish", {("run1 function.3", ""): "fail after"}, work="fail")
    assert history.ends() == ([FAILURE], ["failed"])


def test_a_next_claim_whose_task_died_is_found_after_a_clear():
    """The record of the next job lies only in the XCom of the task that claimed it, which is cleared, too."""
    strikes = {("run1 go_on.1.2", "AcknowledgeThirdPartyJob"): "die after"}
    history = Struck("go_on", strikes, user="clear claim")
    history.cue = waits_for_retry_after(1)
    puts, states = history.ends()
    assert puts[-1] == "PutThirdPartyJobSuccessResult"
    assert states[0] == "success"


def test_a_claim_that_died_between_its_two_writes_is_certain():
    strikes = {("run1 claim.1", "stores codepipeline_claim claimed"): "die after"}
    history = Struck("leave", strikes, user="mark failed")
    history.cue = waits_for_retry_after(1)
    assert history.ends() == ([FAILURE], ["failed"])


def test_a_claim_cleared_after_a_retry_awaits_the_next_job():
    strikes = {("run1 go_on.1", "writes codepipeline_result done"): "fail after"}
    history = Struck("go_on", strikes, user="clear claim", failures=1)
    history.cue = lambda it: any(
        each.name == "go_on" and each.state == "deferred" and each.try_number == 2
        for run in it.server.runs.values()
        for each in run.instances.values()
    )
    assert history.ends()[1] == ["success"]


@pytest.mark.parametrize("looks", [3, 6])
def test_a_next_job_that_nobody_claimed_is_claimed_later(looks):
    """The request is lost, and takes so long that the offer is over: then its nonce is refused."""
    history = Struck("custom_watch", {("run1 watch.1.4", "AcknowledgeJob"): "lose with 500"}, losses=1)
    history.is_slow, history.plan.looks = True, looks
    puts, states = history.ends()
    assert states[0] == "success"
    # In between, it took no result: with three looks the last one, with six another continuation.
    assert set(puts) == {"PutJobSuccessResult"}
    assert [call.outcome for call in history.calls if "Put" in call.operation].count(
        "InvalidJobStateException"
    )


def unclaimed_next_job(way, **plan):
    """Return a history in which the run takes the action's next job for its own, and nobody has it."""
    history = Struck(way, {("run1 go_on.1.2", "AcknowledgeJob"): "lose with 500"}, **plan)
    history.is_slow = True
    return history


def test_a_next_job_that_is_forgotten_is_not_waited_for():
    """The answers to its acknowledgement and to its result were lost; no offer of it can come."""
    strikes = {
        ("run1 go_on.1.2", "AcknowledgeThirdPartyJob"): "lose answer",
        ("run1 finish_job.1", FAILURE): "lose answer",
    }
    history = Struck("go_on", strikes, work="fail", retention=20.0)
    # Taken, without an answer; refused; and refused as unknown, at the first look at the records.
    assert history.ends() == (["PutThirdPartyJobSuccessResult", *[FAILURE] * 3], ["failed"])
    assert history.now - START < REOFFER_TIMEOUT / 3


def test_an_operator_that_puts_a_result_waits_for_an_offer():
    history = unclaimed_next_job("custom_go_on_put", losses=1)
    puts, states = history.ends()
    # The progress, the result that the unclaimed job did not take, and the same after its claim.
    assert puts == ["PutJobSuccessResult"] * 3
    assert states[0] == "success"
    assert instance(history, "put").state == "success"


@pytest.mark.parametrize(
    ("process", "step", "strike"),
    [
        ("run1 put.1.2", "GetJobDetails", "die before"),
        ("run1 put.1", "PutJobSuccessResult", "lose with 500"),
    ],
)
def test_the_wait_for_an_offer_outlives(process, step, strike, monkeypatch):
    """A death in the wait, with Airflow's default delay of a retry; and a lost answer before it."""
    history = unclaimed_next_job("custom_go_on_put", losses=2, deaths=1)
    monkeypatch.setattr(history.way.dag.get_task("put"), "retry_delay", timedelta(minutes=5))
    history.strikes[process, step] = strike
    _, states = history.ends()
    assert states[0] == "success"
    assert instance(history, "put").state == "success"


@pytest.mark.parametrize("strike", ["die after", "lose answer"])
def test_a_refused_success_is_not_put_after_the_work_has_failed(strike):
    """A user clears the work while finish_job waits for the job's offer; then it claims the job, and dies."""
    history = unclaimed_next_job("custom_go_on", losses=2, deaths=1, user="clear")
    history.cue = lambda it: is_deferred(it, "finish_job") and clear_work_that_fails(it)

    def clear_work_that_fails(history):
        history.plan.work = "fail"
        history.outsiders.does("clear work", lambda: history.server.clear(instance(history, "work")))
        history.is_slow = False
        # Whichever of its processes claims the job.
        for number in range(2, 5):
            history.strikes[f"run1 finish_job.2.{number}", "AcknowledgeJob"] = strike

    history.run()
    assert judge(history) == []
    assert any(said.startswith(strike) for said in history.misfortunes)
    assert "PutJobFailureResult" in [call.operation for call in history.calls]
    assert next(iter(history.server.runs.values())).state == "failed"


def test_a_rescheduled_finish_job_keeps_the_copy_of_its_claim():
    """It alone has claimed the next job, and waits for a task that was cleared; then the claim is cleared."""
    history = Struck("custom_go_on", {}, user="clear")
    reschedules = []

    def act(it):
        go_on, finish = instance(it, "go_on"), instance(it, "finish_job")
        if is_deferred(it, "go_on") and not reschedules:
            go_on.state = "failed"
        elif is_deferred(it, "finish_job") and go_on.state == "failed":
            go_on.begin_next_try()
            go_on.state, go_on.retry_at = "up_for_retry", it.now + 10_000
        elif finish is not None and finish.state == "up_for_reschedule":
            reschedules.append(finish.reschedules)
            if finish.reschedules == 2:
                it.server.clear(instance(it, "claim"))
                it.outsiders.to_do.clear()

    history.cue = act
    puts, states = history.ends()
    assert {1, 2} == set(reschedules)
    assert puts[-1] == "PutJobSuccessResult"
    assert states[0] == "success"


def test_a_sensor_stops_to_look_at_an_action_that_was_abandoned():
    """The next job that it renews has another task's token."""
    history = unclaimed_next_job("custom_go_on_watch", losses=1, user="abandon")
    history.plan.looks = 60
    history.cue = lambda it: is_deferred(it, "watch")
    history.run()
    assert judge(history) == []
    looks = [work for work in history.work if work.task == "watch" and work.what == "begin"]
    assert len(looks) < 10


def test_of_two_sensors_nobody_knows_which_is_the_newest(monkeypatch):
    history = Struck("two_watch_put", {})
    history.plan.looks = 12
    assert history.ends()[1][0] == "success"


def test_a_continuation_that_claimed_without_an_answer_goes_on():
    """Nobody had the job. Then the task claimed it, and the answer was lost: only a result shows that."""
    history = unclaimed_next_job("custom_two_go_on", losses=2)
    for number in range(2, 9):
        history.strikes[f"run1 go_on_again.1.{number}", "AcknowledgeJob"] = "lose answer"

    def only_first(history):
        history.is_slow = not history.misfortunes
        if any(said.startswith("lose answer") for said in history.misfortunes):
            history.strikes.clear()
        return False

    history.cue = only_first
    history.outsiders.to_do = ["nothing"]
    assert history.ends()[1][0] == "success"


def test_a_next_job_claimed_just_after_a_mark_is_ended():
    """Its process lives some seconds more, and claims the job while finish_job reads the records."""
    history = Struck("watch", {}, user="mark success")
    history.plan.looks = 3
    claimed, looks = "run1 watch.1.4", []
    marked = history._fate

    def fate(what, kinds):
        process = history.current
        name = process.name if process else "-"
        if (name, what) == (claimed, "writes codepipeline_next_claim intent"):
            history.outsiders.does("marks", lambda: setattr(instance(history, "watch"), "state", "success"))
            # Airflow ends it a little later.
            history.ends_of_dead[:] = [(history.now + 30, process)]
            history.hang(process)
            process.pause()
        elif name == "run1 finish_job.1" and what == "GetXComSequenceSlice":
            looks.append(what)
            if len(looks) == 8:
                # It has read the claim, and is to read the results.
                history._hangs_until.pop(claimed, None)
                history.hang(process)
                process.pause()
        return marked(what, kinds)

    history._fate = fate
    history.run()
    assert judge(history) == []
    assert all(job.status.ended for job in history.codepipeline.state.jobs.values())


def test_a_clear_forgets_no_job_that_finish_job_claimed():
    """The user has marked the task that waited for the job as a success, and clears the claim then."""
    history = Struck("custom_go_on", {}, user="mark success")
    history.cue = lambda it: is_deferred(it, "go_on")
    marked, cleared = history._fate, []

    def fate(what, kinds):
        process = history.current
        is_claimed = what == "writes codepipeline_claim claimed" and "finish_job" in process.name
        if is_claimed and not cleared:
            cleared.append(process.name)
            history.outsiders.to_do.append("clear claim")
            claim = instance(history, "claim")
            history.outsiders.does("clears claim", lambda: history.server.clear(claim))
        return marked(what, kinds)

    history._fate = fate
    history.run()
    assert cleared
    assert judge(history) == []
    assert all(job.status.ended for job in history.codepipeline.state.jobs.values())


def test_a_sensor_waits_for_the_job_of_one_that_was_marked():
    """The user marks the sensor that waits for the action's next job as a success: the other claims it."""
    history = Struck("two_watch_put", {}, user="mark success")
    history.plan.looks = 12

    def waits_for_job(it):
        waiting = instance(it, "watch")
        is_waiting = waiting is not None and waiting.state == "deferred" and waiting.trigger is not None
        return is_waiting and "Continuation" in waiting.trigger[0]

    history.cue = waits_for_job
    history.run()
    assert "marks watch as a success" in " ".join(history.misfortunes)
    assert judge(history) == []
    claims = {call.by.split(".")[0] for call in history.calls if call.operation.startswith("Acknowledge")}
    assert claims == {"run1 claim", "run1 beside"}


@pytest.mark.parametrize("what", ["run failed", "function success"])
@pytest.mark.parametrize(
    "strikes", [{("run1 function.2", "stores codepipeline_claim claimed"): "die before"}, {}]
)
def test_a_mark_just_as_a_retry_begins_loses_no_job(what, strikes):
    """Airflow has cleared the function's records. Its process writes them anew, and may be ended then."""
    history = Struck("function_and_finish", strikes, work="fail", user="mark failed")
    drawn, marked = history._fate, []

    def mark():
        [run] = history.server.runs.values()
        if what == "run failed":
            history.server.mark_failed(run)
        else:
            instance(history, "function").state = "success"

    def fate(step, kinds):
        process = history.current
        name = process.name if process else "-"
        if name == "run1 function.2" and step == "writes codepipeline_claim claimed" and not marked:
            marked.append(step)
            history.outsiders.does(
                "marks function as a success" if "success" in what else "mark failed", mark
            )
            # Airflow ends it a little later.
            history.ends_of_dead[:] = [(history.now + 30, process)]
            history.hang(process)
            process.pause()
        return drawn(step, kinds)

    def sleep(seconds):
        """Let the function go on first while finish_job waits."""
        history._hangs_until.pop("run1 function.2", None)
        history.hang(history.current)
        slept(seconds)

    slept, history.sleep = history.sleep, sleep
    history._fate = fate
    history.cue = lambda it: False
    history.run()
    assert marked
    assert judge(history) == []
    assert all(job.status.ended for job in history.codepipeline.state.jobs.values())


def test_a_gate_that_waits_for_its_retry_is_cut_off():
    """Airflow skips it, and with it the work. Nothing of the work has failed."""
    history = Struck("gated", {}, user="mark failed")
    history.cue = waits_for_retry_after(0)
    assert history.ends() == ([FAILURE], ["failed"])


def test_the_callback_finds_a_claim_that_is_written_meanwhile():
    """The run's time is over just as a retry of the claim begins, whose records Airflow has cleared."""
    history = Struck("timed_go_on", {("run1 claim.1", "returns"): "die after"}, user="time out")
    drawn, retry, looks = history._fate, "run1 claim.2", []

    def fate(what, kinds):
        process = history.current
        name = process.name if process else "-"
        if name == retry and what.startswith("writes codepipeline_claim_") and history.outsiders.to_do:
            [run] = history.server.runs.values()
            history.outsiders.does("time out", lambda: history.outsiders._time_out(run))
            history.hang(process)
            process.pause()
        elif name == "run1 callback" and what == "GetXComSequenceSlice":
            looks.append(what)
            if len(looks) == 3:
                # It has found no record.
                history._hangs_until.pop(retry, None)
                history.hang(process)
                process.pause()
        return drawn(what, kinds)

    history._fate = fate
    history.run()
    assert len(looks) > 3
    assert judge(history) == []
    assert all(job.status.ended for job in history.codepipeline.state.jobs.values())


def test_a_claim_that_is_marked_before_it_claims_is_not_green():
    """A user marks the run as a success when the claim, of a cleared task, has written nothing yet."""
    history = Struck("custom", {}, user="mark run success")

    def act(it):
        claim = instance(it, "claim")
        if claim is not None and claim.state == "running":
            it.server.mark_success(claim.run)
            it.outsiders.to_do.clear()
            for process in it.processes:
                process.kill()

    history.cue = act
    history.run()
    assert judge(history) == []
    assert next(iter(history.server.runs.values())).state == "failed"


def test_a_perhaps_refused_success_is_none_after_a_clear():
    """finish_job had put a failure. Its record is cleared, and CodePipeline has forgotten the job."""
    function = "run1 function.1"
    history = Struck("function_and_finish", {}, user="mark failed", then="clear claim", retention=20.0)

    def mark(process):
        history.strikes[function, "AcknowledgeThirdPartyJob"] = "die before"
        next(act for _, act in history.outsiders.of_user(next(iter(history.server.runs.values()))))()

    marked = hung_while(history, function, "writes codepipeline_result", mark)
    history.cue = lambda it: it.now > START + 100 and "mark failed" in it.users_actions
    puts, states = history.ends()
    assert marked
    assert puts[:2] == [FAILURE, "PutThirdPartyJobSuccessResult"]
    assert len(puts) > 2
    assert states == ["failed"]


def test_a_job_claimed_anew_is_known_if_its_task_dies_then():
    """The first claim died before it asked. The continuation, whose answer was lost, was taken as put."""
    strikes = {
        ("run1 claim.1", "writes codepipeline_claim intent"): "die before",
        ("run1 go_on.1", "PutJobSuccessResult"): "lose with 500",
        ("run1 go_on.1.2", "AcknowledgeJob"): "die after",
    }
    history = Struck("custom_go_on", strikes)
    puts, states = history.ends()
    assert states == ["success"]
    # The lost one, the refused one, the one after the death, and that of the next job.
    assert puts == ["PutJobSuccessResult"] * 4
