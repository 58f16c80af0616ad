# SPDX-License-Identifier: Apache-2.0
"""The simulation of jobs at scale: it repeats itself, loses nothing, and uses no more than there is."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
from airflow.configuration import conf
from airflow.sdk import DAG, task
from airflow.task.priority_strategy import validate_and_load_priority_weight_strategy

from airflow_codepipeline_partner import _transport
from airflow_codepipeline_partner._polling import clock, poller, redelivery, schedule
from airflow_codepipeline_partner.emulator import Settings as EmulatorSettings
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job
from benchmarks.scale import polling, simulation
from benchmarks.scale.__main__ import _meanings, main
from benchmarks.scale.settings import SHAPES, Settings
from benchmarks.scale.simulation import simulate

#: Little of everything, so that each limit is met.
NARROW = Settings(
    jobs_per_hour=600,
    burst=60,
    max_active_runs=12,
    max_active_tasks=8,
    parallelism=6,
    schedulers=2,
    slots=9,
    cores=2,
    slow_share=0.2,
    slow_seconds=600,
    slow_pool=3,
    calls_per_second=2,
    call_burst=5,
)
CASES = {
    **{shape: replace(NARROW, shape=shape) for shape in SHAPES},
    "partner": replace(NARROW, owner="ThirdParty", claim_pool=2),
    "airflow's priorities": replace(NARROW, priorities="airflow"),
    "sensor": replace(NARROW, shape="group", intake="sensor", sensor_schedule=10),
    "triggerer away": replace(NARROW, away_from=600, away=300),
    "pods": replace(NARROW, pod_seconds=20),
    "short timeout": replace(NARROW, action_timeout=300),
    "few calls": replace(NARROW, calls_per_second=0.2),
}
POISSON = Settings(jobs_per_hour=2000, max_active_runs=500, slots=500, parallelism=500, cores=100)


@pytest.mark.parametrize("name", CASES)
def test_each_job_ends_once(name):
    found = simulate(CASES[name])
    assert found.jobs > 500
    assert len(found.done) + found.timed_out == found.jobs
    assert len(found.done) <= len(found.claimed) <= found.jobs


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_used_beyond_its_size(name):
    settings, found = CASES[name], simulate(CASES[name])
    assert found.most["runs"] <= settings.max_active_runs
    assert found.most["queued or running"] <= settings.parallelism * settings.schedulers
    assert found.most["slots"] <= settings.slots
    assert found.most["cores"] <= settings.cores
    assert found.most.get("slow", 0) <= settings.slow_pool
    assert found.most.get("claims", 0) <= settings.claim_pool
    taken = sum(found.calls.values()) - sum(found.refused.values())
    assert taken <= settings.calls_per_second * found.seconds + settings.call_burst


def test_the_limits_are_met():
    found = simulate(replace(NARROW, work_seconds=120, calls_per_second=1))
    assert found.most["slots"] == NARROW.slots
    assert found.most["cores"] == NARROW.cores
    assert found.most["slow"] == NARROW.slow_pool
    assert found.refused


@pytest.mark.parametrize("name", CASES)
def test_the_same_seed_gives_the_same(name):
    assert simulate(CASES[name]) == simulate(CASES[name])


def test_another_seed_gives_something_else():
    assert simulate(NARROW) != simulate(replace(NARROW, seed=2))


@pytest.mark.parametrize("interval", [5, 30, 300])
def test_a_job_waits_half_an_interval_for_its_poll(interval):
    found = simulate(replace(POISSON, poll_interval=interval))
    assert found.waits["poll"] / found.jobs == pytest.approx(interval / 2, rel=0.1)


def test_without_limits_a_job_takes_its_work_and_three_starts():
    free = replace(POISSON, task_cpu=0, scheduler_seconds=0, loop_seconds=0, call_seconds=0, poll_interval=1)
    done = simulate(replace(free, work_seconds=50, shape="function-alone")).done
    assert sum(done) / len(done) == pytest.approx(50.5, rel=0.05)


@pytest.mark.parametrize(("shape", "tasks"), [("run", 3), ("function", 2), ("function-alone", 1)])
def test_tasks_are_started_once_for_each_job(shape, tasks):
    found = simulate(replace(POISSON, shape=shape))
    # Except what follows the last result.
    left = tasks * found.jobs + found.tasks["dispatch"] - sum(found.tasks.values())
    assert 0 <= left <= 1


def test_a_claim_in_time_needs_three_calls():
    found = simulate(POISSON)
    assert found.late_claims == 0
    assert {name: found.calls[name] for name in ("details", "acknowledge", "result")} == dict.fromkeys(
        ("details", "acknowledge", "result"), found.jobs
    )


def test_one_slot_works_on_one_task_after_the_other():
    found = simulate(replace(POISSON, jobs_per_hour=0, burst=20, slots=1, owner="ThirdParty"))
    assert found.most["slots"] == 1
    assert found.slots == pytest.approx(1, abs=0.1)


def test_a_partners_claim_is_never_late():
    crowded = replace(NARROW, calls_per_second=0, action_timeout=86400)
    assert simulate(replace(crowded, owner="ThirdParty")).late_claims == 0
    assert simulate(replace(crowded, owner="Custom")).late_claims > 0


def test_results_go_first_by_our_priorities():
    crowd = replace(
        POISSON, jobs_per_hour=0, burst=200, owner="ThirdParty", slots=8, parallelism=8, work_seconds=10
    )
    ours, theirs = simulate(crowd), simulate(replace(crowd, priorities="airflow"))
    assert ours.done[100] < theirs.done[100]
    assert ours.claimed[100] > theirs.claimed[100]


def test_what_has_no_allowance_is_throttled():
    assert not simulate(POISSON).refused
    assert simulate(replace(POISSON, calls_per_second=1)).refused


def test_the_package_has_these_constants():
    assert polling.JITTER == clock.JITTER
    assert polling.MAX_BACKOFF == schedule.MAX_BACKOFF
    assert polling.LONGEST_SILENCE == poller.LONGEST_SILENCE
    assert polling.FIRST_REDELIVERY_WAIT == redelivery.FIRST_REDELIVERY_WAIT
    assert polling.MAX_REDELIVERY_WAIT == redelivery.MAX_REDELIVERY_WAIT
    assert simulation.MAX_CALL_BACKOFF == _transport.MAX_BACKOFF


def test_the_defaults_are_airflows_and_the_emulators():
    settings = Settings()
    assert settings.lease == EmulatorSettings().lease_seconds
    assert settings.action_timeout == EmulatorSettings().action_timeout
    defaults = {
        "max_active_runs": ("core", "max_active_runs_per_dag"),
        "max_active_tasks": ("core", "max_active_tasks_per_dag"),
        "parallelism": ("core", "parallelism"),
        "runs_per_loop": ("scheduler", "max_dagruns_per_loop_to_schedule"),
    }
    found = {name: int(conf.get_default_value(*option)) for name, option in defaults.items()}
    assert found == {name: getattr(settings, name) for name in defaults}


def test_the_priorities_are_those_of_the_package():
    with DAG("d", schedule=None):

        @task
        def work(job):
            pass

        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf }}")
        working = work(claim.output)
        finish = finish_job(claim)
    found = {}
    for name, each in {"claim": claim, "work": working.operator, "finish": finish}.items():
        rule = each.weight_rule
        # Airflow 3.1 keeps the rule, 3.3 its name.
        if isinstance(rule, str):
            rule = validate_and_load_priority_weight_strategy(rule)
        found[name] = rule.get_weight(SimpleNamespace(task=each))
    assert found == SHAPES["run"][1]


def test_each_setting_says_what_it_is():
    assert list(_meanings()) == [field.name for field in fields(Settings)]


@pytest.mark.parametrize(
    "wrong",
    [{"shape": "none"}, {"owner": "AWS"}, {"intake": "push"}, {"intake": "sensor"}, {"slots": 0}],
)
def test_what_cannot_be_simulated_is_refused(wrong):
    with pytest.raises(ValueError, match=r".+"):
        Settings(**wrong)


def test_the_command_refuses_it_too(capsys):
    with pytest.raises(SystemExit):
        main(["--intake", "sensor"])
    assert "A sensor is simulated in one run" in capsys.readouterr().err


def test_the_command_simulates_what_it_is_given(capsys):
    assert main(["--jobs-per-hour", "0", "--burst", "7"]) == 0
    assert "| → timed out | 0 of 7 |" in capsys.readouterr().out
