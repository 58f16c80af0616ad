# SPDX-License-Identifier: Apache-2.0
"""Some hundred histories; ``make test-simulation`` tries thousands."""

from __future__ import annotations

import re

import pytest

from simulation import mutations, simulate
from simulation.history import History
from simulation.plan import PLANS, all_ways
from simulation.verdict import REMEMBERS, judge


def drawn(**plan):
    """Return the decisions that lead to a plan."""
    return {name: PLANS[name].index(value) for name, value in plan.items()}


CALM = ("plain", "custom", "function_and_finish", "go_on", "two_watch", "put", "many")


@pytest.fixture(autouse=True)
def airflow_without_a_server(monkeypatch):
    """The connections that the hooks look for."""
    for name, value in simulate.connections().items():
        monkeypatch.setenv(name, value)


def calm(way):
    """Return the decisions of a history in which nothing goes wrong."""
    return {"way": sorted(all_ways()).index(way)}


@pytest.mark.parametrize("way", CALM)
def test_without_a_misfortune_all_is_green(way):
    history, findings = simulate.try_history(1, calm(way))
    assert findings == []
    assert [run.state for run in history.server.runs.values()] == ["success"]
    assert {"Success" in call.operation for call in history.calls if "Put" in call.operation} == {True}


@pytest.mark.parametrize("first", range(1, 121, 20))
def test_no_history_ends_wrongly(first):
    wrong = {
        seed: [str(finding) for finding in findings]
        for seed in range(first, first + 20)
        if (findings := simulate.try_history(seed)[1])
    }
    assert wrong == {}


def test_a_function_waiting_as_its_run_is_marked_failed_failed():
    decisions = {**calm("function_and_finish"), **drawn(work="fail", user="mark failed")}
    history = History(1, decisions)
    history.cue = lambda it: any(
        each.state == "up_for_retry" for run in it.server.runs.values() for each in run.instances.values()
    )
    history.run()
    assert judge(history) == []
    assert [call.operation for call in history.calls if "Put" in call.operation] == [
        "PutThirdPartyJobFailureResult"
    ]
    assert [run.state for run in history.server.runs.values()] == ["failed"]


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["plain", "leave", "function_and_finish", "go_on"])
def test_a_death_at_any_one_step_leads_to_no_wrong_end(way):
    decisions = {**calm(way), **drawn(deaths=1)}
    steps = simulate.try_history(1, decisions)[0].steps
    wrong = {}
    for name in [f"{process}#{step + 1}" for process, count in steps.items() for step in range(count)]:
        for before_or_after in (2, 3):
            history, findings = simulate.try_history(1, {**decisions, name: before_or_after})
            # After its work, a function does not die: there, the number is that of a hang.
            assert history.misfortunes or before_or_after == 3
            if findings:
                wrong[name] = [*history.misfortunes, *map(str, findings)]
    assert wrong == {}


def when(task_id, state):
    """Return the cue that an instance of a task is in a state."""
    return lambda history: any(
        each.task.task_id == task_id and each.state == state
        for run in history.server.runs.values()
        for each in run.instances.values()
    )


def has_quick_callback(history):
    """Have the callback of a run go before all other processes."""
    call_back = history.call_back

    def call_back_first(run):
        call_back(run)
        history.processes.insert(0, history.processes.pop())

    history.call_back = call_back_first


@pytest.mark.parametrize("step", range(1, 25))
def test_a_claim_that_airflow_ends_meanwhile_leaves_no_job(step):
    """It runs on for some seconds, until its supervisor hears of it. The callback is quicker."""
    decisions = {**calm("timed"), **drawn(user="time out"), f"run1 claim.1#{step}": 1}
    history = History(1, decisions)
    history.cue = when("claim", "running")
    has_quick_callback(history)
    history.run()
    assert history.misfortunes == ["user: time out"]
    assert judge(history) == []


@pytest.mark.parametrize(
    ("way", "task_id"), [("go_on", "go_on"), ("watch", "watch"), ("custom_watch", "watch")]
)
def test_a_claim_cleared_during_the_next_job_goes_on_with_it(way, task_id):
    history = History(1, {**calm(way), **drawn(user="clear claim", looks=2)})
    history.cue = when(task_id, "success")
    history.run()
    assert history.misfortunes == ["user: clears claim"]
    assert judge(history) == []


@pytest.mark.parametrize("ended", ["status", "error"])
@pytest.mark.parametrize(
    ("way", "task_id"), [("go_on", "go_on"), ("watch", "watch"), ("custom_watch", "watch")]
)
def test_a_claim_cleared_before_the_next_job_awaits_it(way, task_id, ended):
    plan = drawn(user="clear claim", looks=2, acknowledge_ended_job=ended)
    history = History(1, {**calm(way), **plan})
    history.cue = when(task_id, "deferred")
    history.run()
    assert history.misfortunes == ["user: clears claim"]
    assert judge(history) == []
    # Before Airflow 3.3, a claim knows nothing of its earlier tries, unless a continuation was taken.
    is_known = REMEMBERS or way == "go_on"
    assert next(iter(history.server.runs.values())).state == ("success" if is_known else "failed")


@pytest.mark.parametrize("step", range(1, 30))
def test_a_next_claim_that_airflow_ends_meanwhile_leaves_no_job(step):
    """The run's time is over just then, and the callback is quicker."""
    decisions = {**calm("timed_go_on"), **drawn(user="time out"), f"run1 go_on.1.2#{step}": 1}
    history = History(1, decisions)
    history.cue = lambda it: any(each.name == "run1 go_on.1.2" for each in it.processes)
    has_quick_callback(history)
    history.run()
    assert history.misfortunes == ["user: time out"]
    assert judge(history) == []


@pytest.mark.parametrize("ended", ["status", "error"])
@pytest.mark.parametrize("way", ["plain", "custom", "go_on", "custom_watch"])
def test_a_claim_cleared_after_its_run_does_no_work_again(way, ended):
    plan = drawn(user="clear claim", looks=2, acknowledge_ended_job=ended)
    history = History(1, {**calm(way), **plan})
    history.cue = lambda it: any(run.state == "success" for run in it.server.runs.values())
    history.run()
    assert history.misfortunes == ["user: clears claim"]
    assert judge(history) == []
    assert [run.state for run in history.server.runs.values()] == ["failed"]


def test_a_claim_marked_as_a_success_leaves_the_job_to_its_run():
    history = History(1, {**calm("plain"), **drawn(user="mark failed"), "run1 claim.1#9": 1})
    history.cue = when("claim", "running")
    history.server.mark_failed = lambda run: setattr(run.of_task("claim")[0], "state", "success")
    history.run()
    assert not [
        call for call in history.calls if call.by.startswith("run1 claim") and "Put" in call.operation
    ]


def test_a_history_is_replayed_from_seed_or_decisions():
    def story(history):
        # A line may be cut in the middle of an id.
        return [re.sub(r"\b[0-9a-f]{4,8}(-[0-9a-f-]*)?\b", "an id", line) for line in history.story]

    seed, first = next(
        (seed, history) for seed in range(1, 50) if (history := simulate.try_history(seed)[0]).misfortunes
    )
    assert story(first) == story(simulate.try_history(seed)[0])
    assert story(first) == story(simulate.try_history(seed, first.decisions.made)[0])


def test_each_rule_of_the_table_can_be_broken():
    for name in mutations.patches():
        with mutations.broken(name):
            pass


def test_a_broken_rule_is_found_and_its_story_has_few_lines():
    with mutations.broken("a lost answer is a refusal"):
        for seed in range(1, 200):
            history, findings = simulate.try_history(seed)
            if findings:
                break
        else:
            pytest.fail("it is not found")
        kinds = {finding.kind for finding in findings}
        fewest = simulate.shrunk(seed, history.decisions.made, kinds)
        assert len(fewest) < len(history.decisions.made)
        story = simulate.story_of(seed, fewest)
    assert len(story.splitlines()) <= simulate.MAX_LINES
    assert any(kind.upper() in story for kind in kinds)


class HeldForDead(History):
    """A history in which Airflow holds a process for dead, which goes on later, beside the next try."""

    def __init__(self, way, where, lines):
        super().__init__(1, calm(way))
        self.where, self.lines = where, lines
        self.outdated_try = None
        self.since = 0

    def _fate(self, what, kinds):
        fate = super()._fate(what, kinds)
        process = self.current
        if process and (process.name, what) == self.where:
            self.where = None
            self.now += 301
            self.misfortunes.append(f"held for dead: {process.name}")
            self.server.fail_try(process.instance)
            self.outdated_try, self.since = process.name, len(self.story)
            process.pause()
        return fate

    def _moves(self):
        """The older try goes on when the story has gone on for some lines."""
        is_early = len(self.story) - self.since < self.lines
        is_run_over = all(run.state != "running" for run in self.server.runs.values())
        for name, move in super()._moves():
            if not (name == self.outdated_try and is_early and not is_run_over):
                yield name, move


@pytest.mark.parametrize("lines", range(3, 24))
@pytest.mark.parametrize("step", ["AcknowledgeThirdPartyJob", "writes codepipeline_claim intent"])
def test_an_older_try_that_still_writes_spoils_no_claim(step, lines):
    history = HeldForDead("plain", ("run1 claim.1", step), lines)
    history.run()
    assert history.where is None
    assert all(job.status.ended for job in history.codepipeline.state.jobs.values())
    assert judge(history) == []
