# SPDX-License-Identifier: Apache-2.0
"""The sensor: three ways to wait, one result."""

from __future__ import annotations

import asyncio
import time

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG, task
from support import ACTION_TYPE

from airflow_codepipeline_partner import _compat
from airflow_codepipeline_partner._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    CodePipelineError,
    InvalidInput,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor, CodePipelineJobSensor

WAYS = ["poke", "reschedule", "deferrable"]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_wait_returns_the_same(emulator, customer, run_dag, way):
    emulator.start_execution("pipe")
    run = run_dag(f"sensor_{way}", action_type=ACTION_TYPE)
    [job] = emulator.jobs()
    assert run.xcoms["wait", "return_value"] == [
        {"job_id": job.job_id, "client_id": customer.client_id, "action_type": ACTION_TYPE}
    ]
    assert job.status == "Dispatched"


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_wait_gives_up_in_time(customer, run_dag, way, capfd):
    run = run_dag(f"sensor_{way}", action_type=ACTION_TYPE)
    assert run.states == {"wait": "failed"}
    assert "AirflowSensorTimeout" in "".join(capfd.readouterr())


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_wait_names_what_codepipeline_does_not_know(customer, run_dag, way, capfd):
    run = run_dag(f"sensor_{way}", action_type={**ACTION_TYPE, "provider": "Unheard"})
    assert run.states == {"wait": "failed"}
    shown = "".join(capfd.readouterr())
    for part in ("ActionTypeNotFound", "Deploy/ThirdParty/Unheard/1", "region us-east-1"):
        assert part in shown


@pytest.mark.parametrize("way", WAYS)
def test_the_batch_is_no_larger_than_asked_for(emulator, customer, run_dag, way):
    for _ in range(3):
        emulator.start_execution("pipe")
    run = run_dag(f"sensor_{way}", action_type=ACTION_TYPE, max_batch_size=2)
    assert len(run.xcoms["wait", "return_value"]) == 2


def deferral(**parameters):
    sensor = CodePipelineJobSensor(
        task_id="wait", action_type=ACTION_TYPE, deferrable=True, timeout=100, **parameters
    )
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    return sensor, deferred.value


def test_all_parameters_reach_the_trigger():
    given = {
        "aws_conn_id": "mine",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 5},
        "client_conn_id_template": "c_{client_id}",
    }
    _, deferred = deferral(poke_interval=7, max_batch_size="3", **given)
    _, kwargs = deferred.trigger.serialize()
    assert {name: kwargs[name] for name in given} == given
    assert (kwargs["poll_interval"], kwargs["max_batch_size"]) == (7, 3)


def test_the_deadline_is_a_moment_and_not_a_duration():
    before = time.time()
    _, deferred = deferral()
    assert before + 100 <= deferred.trigger.timeout_deadline <= time.time() + 100
    # Airflow's own limit is only for a triggerer that is gone.
    assert deferred.timeout.total_seconds() > 100


@pytest.mark.parametrize(("timeout", "seconds"), [(7, 7), (7200, 300)])
def test_a_poke_is_not_retried_beyond_the_whole_wait(emulator, customer, timeout, seconds):
    sensor = CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE, timeout=timeout)
    sensor.poke({})
    assert sensor.hook.retry_deadline == seconds


def test_it_defers_without_a_poke_first(emulator, customer):
    deferral()
    assert [entry for entry in emulator.ledger if entry.kind == "call"] == []


def test_events_become_the_result_or_an_error():
    sensor, _ = deferral()
    jobs = [{"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}]
    assert sensor.execute_complete({}, {"status": "offered", "jobs": jobs, "error": None}) == jobs
    with pytest.raises(AirflowSensorTimeout, match="100 s"):
        sensor.execute_complete({}, {"status": "timeout", "jobs": [], "error": None})
    with pytest.raises(CodePipelineError, match="no such thing"):
        sensor.execute_complete({}, {"status": "error", "jobs": [], "error": "no such thing"})


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        ({"status": "timeout", "error": None}, AirflowSensorTimeout),
        ({"status": "error", "error": "ServiceUnavailable: none"}, ServiceUnavailable),
    ],
)
def test_a_deferred_sensor_that_never_fails_is_skipped(event, cause):
    sensor, _ = deferral(never_fail=True)
    with pytest.raises(AirflowSkipException) as skipped:
        sensor.execute_complete({}, {"jobs": [], **event})
    assert type(skipped.value.__cause__) is cause


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_wait_fails_with_the_same_type(customer, way):
    sensor = CodePipelineJobSensor(
        task_id="wait",
        action_type={**ACTION_TYPE, "provider": "Unheard"},
        deferrable=way == "deferrable",
        mode="poke" if way == "deferrable" else way,
    )

    def wait():
        if way == "deferrable":
            return sensor.execute_complete({}, asyncio.run(_first_event(sensor)))
        return sensor.poke({})

    with pytest.raises(ActionTypeNotFound, match="Deploy/ThirdParty/Unheard/1"):
        wait()


async def _first_event(sensor):
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    async for event in deferred.value.trigger.run():
        return event.payload


def test_airflows_default_says_whether_it_defers(monkeypatch):
    assert CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE).deferrable is False
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE).deferrable is True


def test_airflows_default_is_looked_up_only_in_the_task(monkeypatch):
    """A look-up takes a tenth of the time in which the sensor is made."""
    monkeypatch.setattr(_compat.conf, "getboolean", lambda *names, **more: pytest.fail("It was looked up."))
    for deferrable in (None, False, True):
        CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE, deferrable=deferrable)


def test_the_interval_is_varied_by_a_tenth():
    sensor = CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE, poke_interval=100)
    intervals = {sensor._get_next_poke_interval(0.0, lambda: 0.0, 1) for _ in range(50)}
    assert len(intervals) > 10
    assert 90 <= min(intervals) <= max(intervals) <= 110


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"action_type": {"category": "Deploy"}}, "needs provider"),
        ({"action_type": {**ACTION_TYPE, "category": "Sing"}}, "actionTypeId.category"),
        ({"action_type": {**ACTION_TYPE, "colour": "red"}}, "has no field"),
        ({"action_type": ACTION_TYPE, "max_batch_size": 0}, "maxBatchSize is 0"),
        ({"action_type": ACTION_TYPE, "poke_interval": 0}, "poke_interval must be more than 0"),
        ({"action_type": None}, "must be a mapping"),
        ({"action_type": "nonsense"}, "must be a mapping"),
        ({"action_type": ActionType("Deploy", "Example", owner="AWS")}, "owner AWS are not served"),
    ],
)
def test_a_wrong_literal_is_refused_at_construction(wrong, named):
    with pytest.raises(InvalidInput, match=named):
        CodePipelineJobSensor(task_id="wait", **wrong)


def test_an_owner_that_is_not_served_is_named(customer, run_dag, capfd):
    run_dag("sensor_poke", action_type={**ACTION_TYPE, "owner": "AWS"})
    assert "owner AWS" in "".join(capfd.readouterr())


def test_objects_and_values_known_later_are_taken():
    CodePipelineJobSensor(task_id="wait", action_type=ActionType("Deploy", "Example"))
    with DAG("d", schedule=None):

        @task
        def kind():
            """Return an action type."""

        sensor = CodePipelineJobSensor(task_id="wait", action_type=kind(), max_batch_size="{{ n }}")
    assert sensor.upstream_task_ids == {"kind"}


@pytest.mark.parametrize(
    ("kind", "quiet"),
    [
        (CodePipelineJobSensor, "soft_fail"),
        (CodePipelineJobSensor, "never_fail"),
        (CodePipelineJobSensor, None),
        (CodePipelineJobProgressSensor, None),
    ],
)
def test_a_wait_that_no_triggerer_looked_at_fails(kind, quiet):
    """It says nothing about jobs, so soft_fail does not make it a skip."""
    about = (
        {"action_type": ACTION_TYPE}
        if kind is CodePipelineJobSensor
        else {"job": {"job_id": "j", "client_id": "c"}, "progress": len}
    )
    sensor = kind(task_id="wait", **about, **({quiet: True} if quiet else {}))
    with pytest.raises(AirflowSensorTimeout) as failure:
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})
    assert "No triggerer looked at this wait" in str(failure.value)


@pytest.mark.parametrize("quiet", ["soft_fail", "never_fail", None])
def test_a_wait_that_the_triggerer_could_not_do_fails(quiet):
    """As if it cannot import this package. Else each run would look as if there were no jobs."""
    sensor = CodePipelineJobSensor(
        task_id="wait", action_type=ACTION_TYPE, **({quiet: True} if quiet else {})
    )
    with pytest.raises(RuntimeError, match="this package is installed there"):
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})
