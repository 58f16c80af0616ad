# SPDX-License-Identifier: Apache-2.0
"""The sensor that keeps an action alive while another system is at work."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support import action_state, results_of

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._protocol import choices
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner._watching import Watching
from airflow_codepipeline_partner._worker import progress
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.jobs import ExecutionDetails
from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor

JOB = {"job_id": "j", "client_id": "c"}
#: What makes the function of the DAG raise something.
RAISED = ("fail", "skip", "reschedule", "job failure")


@pytest.fixture
def watch(emulator, customer, quick_clients, monkeypatch, tmp_path, offer, run_dag):
    """Run a DAG whose work answers so, one after the other, and return the run."""
    emulator.configure(continuation_delay=0, lease_seconds=0.2)
    monkeypatch.setattr(choices, "CONTINUATION_TIMEOUT", 5.0)
    monkeypatch.setattr(CodePipelineFinishJobOperator, "POLL_INTERVAL", 0.1)
    path = tmp_path / "work"

    def run(*answers, dag_id="watched_work", **conf):
        path.write_text("\n".join(a if a in RAISED else json.dumps(a) for a in answers))
        found = run_dag(dag_id, job=offer(), path=str(path), **conf)
        found.seen = (tmp_path / "work.jobs").read_text().split()
        found.left = path.read_text()
        return found

    return run


def results(emulator):
    return [results_of(emulator, {"job_id": job.job_id}) for job in emulator.jobs()]


def test_work_that_is_done_at_once_needs_no_other_job(emulator, watch):
    run = watch(True)
    assert run.state == "success"
    assert results(emulator) == [["success"]]


def test_the_job_is_renewed_and_the_progress_shown(emulator, watch):
    run = watch(*[{"percentComplete": 10, "summary": "Begun."}] * 3, True)
    assert run.state == "success"
    jobs = [job.job_id for job in emulator.jobs()]
    assert len(jobs) > 1
    assert results(emulator) == [*[["continue"]] * (len(jobs) - 1), ["success"]]
    # The function always gets the newest job, and so does what follows.
    assert run.seen[-1] == jobs[-1] == run.xcoms["work", "return_value"]
    assert list(dict.fromkeys(run.seen)) == jobs


def test_it_is_renewed_when_half_of_the_jobs_timeout_has_passed(emulator, watch):
    watch(None, None, None, True, dag_id="watched_work_by_job_timeout")
    assert len(emulator.jobs()) > 1
    sensor = CodePipelineJobProgressSensor(task_id="watch", job=JOB, progress=len, job_timeout=3000)
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    claim = SimpleNamespace(record=SimpleNamespace(at=begun))
    assert Watching(sensor, {}).renew_at(claim) == (begun + timedelta(seconds=1500)).timestamp()


def test_it_is_not_renewed_before(emulator, watch):
    watch(None, {"percentComplete": 10}, False, True, dag_id="watched_work_in_patience")
    assert results(emulator) == [["success"]]


def test_a_failing_function_is_retried_then_ends_the_newest_job(emulator, watch):
    run = watch(None, None, "fail", None, None, "fail")
    assert run.state == "failed"
    jobs = emulator.jobs()
    assert len(jobs) > 1
    assert results(emulator)[-1] == ["failure"]
    assert action_state(emulator)["status"] == "Failed"
    assert run.left == ""


def test_a_retry_goes_on_with_the_same_action(emulator, watch):
    run = watch(None, None, "fail", None, True)
    assert run.state == "success"
    assert results(emulator)[-1] == ["success"]


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_retry_puts_the_renewal_that_killed_the_earlier_try(emulator, watch, monkeypatch, carried_out):
    send = Transport.send
    deaths = []

    def dying(self, call, *args, **kwargs):
        if call.operation != "PutThirdPartyJobSuccessResult" or deaths:
            return send(self, call, *args, **kwargs)
        deaths.append(call)
        if carried_out:
            send(self, call, *args, **kwargs)
        raise SystemExit(9)

    monkeypatch.setattr(Transport, "send", dying)
    run = watch(None, None, True)
    assert deaths
    assert run.state == "success"
    taken = [[result for result in put if not result.endswith("Exception")] for put in results(emulator)]
    assert taken[0] == ["continue"]
    assert taken[-1] == ["success"]


def test_work_that_takes_too_long_fails(emulator, watch):
    run = watch(None, dag_id="watched_work_out_of_time")
    assert run.states["watch"] == "failed"
    assert results(emulator)[-1] == ["failure"]


@pytest.mark.parametrize("quiet", ["soft_fail", "never_fail"])
def test_a_failure_of_the_work_cannot_be_a_skip(quiet):
    """Airflow makes any error after a wait a skip then, and beside other work that is optional."""
    with pytest.raises(InvalidInput, match="takes neither soft_fail nor never_fail"):
        CodePipelineJobProgressSensor(
            task_id="watch", job={"job_id": "j", "client_id": "c"}, progress=len, **{quiet: True}
        )


def test_its_deadline_is_an_absolute_time_in_each_wait(watch, monkeypatch):
    kwargs = []
    defer = CodePipelineJobProgressSensor.defer

    def note(self, **given):
        kwargs.append((given["method_name"], given["kwargs"]))
        defer(self, **given)

    monkeypatch.setattr(CodePipelineJobProgressSensor, "defer", note)
    before = time.time()
    watch(None, True, dag_id="watched_work_in_patience")
    # However slow the machine is, at the second look the job is to be renewed.
    watch(None, None, True)
    assert {name for name, _ in kwargs} == {"execute_again", "execute_complete"}
    for _, given in kwargs:
        # 600 s is the DAGs' timeout.
        assert before + 600 <= given["deadline"] <= time.time() + 600


@pytest.mark.parametrize("said", ["done", 50, {"percentComplete": 101}, {"percent": 5}])
def test_what_the_function_may_not_return_fails_at_once(emulator, watch, said):
    run = watch(said, True)
    assert run.states["watch"] == "failed"
    assert results(emulator) == [["failure"]]
    assert run.left == "true"


def test_a_subclass_that_overrides_poke_is_refused():
    class Poking(CodePipelineJobProgressSensor):
        def poke(self, context):
            return True

    with pytest.raises(InvalidInput, match="overrides poke, which is never called"):
        Poking(task_id="watch", job=JOB, progress=len)


@pytest.mark.parametrize("how", ["skip", "reschedule"])
def test_the_function_cannot_end_the_task_in_another_way(emulator, watch, how):
    """The customer would read success, or the time for the work would begin anew."""
    run = watch(how, True)
    assert run.states["watch"] == "failed"
    assert results(emulator) == [["failure"]]
    assert run.left == "true"


def test_with_silent_fail_only_a_job_failure_ends_the_work(emulator, watch):
    assert watch("fail", "fail", True, dag_id="watched_work_silently").state == "success"
    assert results(emulator)[-1] == ["success"]
    run = watch("fail", "job failure", "job failure", dag_id="watched_work_silently")
    assert run.states["watch"] == "failed"
    assert results(emulator)[-1] == ["failure"]


def test_the_job_is_renewed_before_a_retry_that_may_be_late(emulator, watch):
    run = watch("fail", True, dag_id="watched_work_in_an_outage")
    assert run.state == "success"
    assert results(emulator) == [["continue"], ["success"]]


def test_before_a_retry_in_time_and_without_one_it_is_not(emulator, watch):
    watch("fail", True, dag_id="watched_work_that_stumbles")
    assert results(emulator) == [["success"]]
    watch("fail", "fail", dag_id="watched_work_in_an_outage")
    # Before its retry, and not before the end.
    assert results(emulator)[1:] == [["continue"], ["failure"]]


def test_no_wait_outlives_the_deadline_without_a_triggerer(watch, monkeypatch):
    timeouts = []
    defer = CodePipelineJobProgressSensor.defer

    def note(self, **given):
        timeouts.append(given["timeout"])
        defer(self, **given)

    monkeypatch.setattr(CodePipelineJobProgressSensor, "defer", note)
    watch(None, True, dag_id="watched_work_in_patience")
    assert [timeout.total_seconds() for timeout in timeouts] == [pytest.approx(600 + 60, abs=60)]


@pytest.mark.parametrize("silent_fail", [False, True])
def test_details_made_in_the_function_fail_at_once_too(silent_fail):
    def too_far(job):
        return ExecutionDetails(percent_complete=101)

    with pytest.raises(AirflowFailException, match="percentComplete is 101"):
        progress.ask(too_far, None, {}, task_id="t", silent_fail=silent_fail)


@pytest.mark.parametrize(
    ("kind", "said"), [("numpy", True), ("numpy", False), ("elsewhere", True), ("elsewhere", False)]
)
def test_a_boolean_of_numpy_is_one(kind, said):
    boolean = type("bool", (), {"__module__": kind, "item": lambda self: said})()
    boolean.ndim = 0
    if kind == "numpy":
        assert progress.ask(lambda job: boolean, None, {}, task_id="t", silent_fail=False) is (said or None)
    else:
        with pytest.raises(AirflowFailException, match="returned a bool"):
            progress.ask(lambda job: boolean, None, {}, task_id="t", silent_fail=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"progress": "how_far"},
        {"job": "no job"},
        {"job_timeout": 0},
        {"job_timeout": None},
        {"job_timeout": 43_201},
        {"job_timeout": float("inf")},
        {"timeout": 1e11},
        {"poll_interval": float("inf")},
        {"continuation_timeout": float("inf")},
        {"job_timeout": "soon"},
        {"progress_interval": -1},
        {"poll_interval": 0},
        {"poke_interval": 0},
        {"continuation_timeout": 0},
    ],
)
def test_what_does_not_fit_is_refused_when_the_dag_is_parsed(wrong):
    given = {"job": JOB, "progress": len, **wrong}
    with pytest.raises(InvalidInput, match=next(iter(wrong)) if "job" not in wrong else "job"):
        CodePipelineJobProgressSensor(task_id="watch", **given)


def test_three_hours_of_work_outlive_many_jobs_of_one_hour(emulator, watch, monkeypatch):
    """The emulator's clock goes on by 20 minutes with each look; the sensor renews at about every second."""
    emulator.configure(job_timeout=3600, action_timeout=6 * 3600, retention=24 * 3600)
    read = progress._read

    def twenty_minutes_later(said, task_id):
        emulator.advance(1200)
        return read(said, task_id)

    monkeypatch.setattr(progress, "_read", twenty_minutes_later)
    began = emulator.now()
    run = watch(*[{"percentComplete": 10 * n} for n in range(9)], True)
    assert run.state == "success"
    assert (emulator.now() - began).total_seconds() >= 3 * 3600
    statuses = [job.status for job in emulator.jobs()]
    assert len(statuses) > 3
    assert set(statuses) == {"Succeeded"}
    assert results(emulator)[-1] == ["success"]


def test_without_a_renewal_the_job_would_have_timed_out(emulator, watch, monkeypatch):
    emulator.configure(job_timeout=3600, action_timeout=6 * 3600, retention=24 * 3600)
    monkeypatch.setattr(progress, "_read", lambda said, task_id: emulator.advance(4000) and None)
    run = watch(None, None, True)
    assert run.state == "failed"
    assert [job.status for job in emulator.jobs()] == ["TimedOut"]
