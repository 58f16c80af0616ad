# SPDX-License-Identifier: Apache-2.0
"""A function whose task is tried again: its job goes on, and gets one result."""

from __future__ import annotations

from importlib.metadata import version
from types import SimpleNamespace

import pytest
from packaging.version import Version
from record_memory import context_of_lone_task
from support import action_state, results_of

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ResultRecord
from airflow_codepipeline_partner._worker.result_checkpoint import ResultCheckpoint
from airflow_codepipeline_partner.decorators import (
    JobInProgress,
    codepipeline_job,
)
from airflow_codepipeline_partner.jobs import OfferedJob

#: From Airflow 3.3 on a task has a store that outlives its retries.
REMEMBERS = Version(version("apache-airflow-task-sdk")) >= Version("1.3")
FORGETS = "before Airflow 3.3 nothing outlives the retry of a task that stands alone"
ALONE = "function_alone_0_retries"
ALONE_WITH_RETRY = "function_alone_1_retries"
FINISHED = "function_and_finish_0_retries"
FINISHED_WITH_RETRY = "function_and_finish_1_retries"


@pytest.fixture
def calls(customer, dags):
    """How often each job was worked on."""
    return dags.by_id[ALONE].get_task("deploy").python_callable.__globals__["CALLS"]


@pytest.fixture
def die_after(monkeypatch):
    """Have a task end in the middle of things, once, just after an operation was carried out."""

    def arrange(operation):
        send, deaths = Transport.send, []

        def dying(self, call, *args, **kwargs):
            answer = send(self, call, *args, **kwargs)
            if call.operation == operation and not deaths:
                deaths.append(call)
                raise SystemExit(9)
            return answer

        monkeypatch.setattr(Transport, "send", dying)

    return arrange


@pytest.mark.parametrize(
    "dag_id",
    [
        pytest.param(ALONE_WITH_RETRY, marks=pytest.mark.skipif(not REMEMBERS, reason=FORGETS)),
        FINISHED_WITH_RETRY,
    ],
)
def test_a_task_that_died_after_its_claim_has_the_same_job(
    emulator, offer, run_dag, calls, die_after, dag_id
):
    job = offer()
    die_after("AcknowledgeThirdPartyJob")
    run = run_dag(dag_id, job=job)
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    assert calls[job["job_id"]] == 1


@pytest.mark.parametrize(
    "dag_id",
    [
        pytest.param(ALONE_WITH_RETRY, marks=pytest.mark.skipif(not REMEMBERS, reason=FORGETS)),
        FINISHED_WITH_RETRY,
    ],
)
@pytest.mark.parametrize("how", [None, "continue"])
def test_a_task_that_died_after_its_put_works_only_once(
    emulator, offer, run_dag, calls, die_after, dag_id, how
):
    job = offer()
    die_after("PutThirdPartyJobSuccessResult")
    run = run_dag(dag_id, job=job, how=how)
    assert run.state == "success"
    assert results_of(emulator, job)[0] == ("continue" if how else "success")
    terminal = [result.job_id for result in emulator.ledger.terminal_results()]
    assert terminal == ([] if how else [job["job_id"]])
    assert calls[job["job_id"]] == 1
    # What others read is there again, although the retry cleared it.
    assert run.xcoms["deploy", "codepipeline_claim"]["job_id"] == job["job_id"]
    assert run.xcoms["deploy", "codepipeline_result"]["state"] == "done"
    assert run.xcoms["deploy", "return_value"]["pipeline_name"] == "pipe"


@pytest.mark.parametrize("how", [None, "continue"])
def test_a_task_that_died_with_all_done_is_as_if_it_had_not(
    emulator, offer, run_dag, calls, monkeypatch, how
):
    write, deaths = ResultCheckpoint.write_result, []

    def dying(self, record):
        write(self, record)
        if record.state == "done" and not deaths:
            deaths.append(record)
            raise SystemExit(9)

    monkeypatch.setattr(ResultCheckpoint, "write_result", dying)
    job = offer()
    run = run_dag(FINISHED_WITH_RETRY, job=job, how=how)
    assert run.states == {"deploy": "success", "finish_job": "success"}
    assert results_of(emulator, job) == ["continue" if how else "success"]
    assert calls[job["job_id"]] == 1
    assert run.xcoms["deploy", "codepipeline_claim"]["job_id"] == job["job_id"]
    assert run.xcoms["deploy", "codepipeline_result"]["state"] == "done"


@pytest.fixture
def next_try(monkeypatch):
    """What a task knows of its results, and what it knows in its next try, when its XCom is cleared."""
    xcom, stored = {}, {}
    monkeypatch.setattr(RecordStore, "read", lambda self, key: xcom.get(key))
    monkeypatch.setattr(RecordStore, "write", lambda self, key, value: xcom.update({key: value}))
    monkeypatch.setattr(RecordStore, "withdraw_result", lambda self, job_id: xcom.clear())
    store = SimpleNamespace(get=stored.get, set=stored.__setitem__)

    def begin():
        xcom.clear()
        return ResultCheckpoint(context_of_lone_task(store))

    return begin


SUCCESS = requests.success(OfferedJob("j", "c"))
FAILURE = requests.failure(OfferedJob("j", "c"), message="m")


@pytest.mark.parametrize("state", ["intended", "done"])
@pytest.mark.parametrize("call", [SUCCESS, FAILURE], ids=["success", "failure"])
def test_the_next_try_knows_a_result_that_may_have_been_put(next_try, state, call):
    next_try().write_result(ResultRecord.of_call(state, call))
    later = next_try()
    assert later.result_of_earlier_try(call.job) == call
    assert later.read_results("j").own.state == state
    assert RecordStore(TaskInstanceRef("d", "r", "t")).read_result("j").state == state
    assert later.result_of_earlier_try(OfferedJob("another", "c")) is None


@pytest.mark.parametrize(("call", "known"), [(SUCCESS, SUCCESS), (FAILURE, None)], ids=["success", "failure"])
def test_the_next_try_knows_the_works_result_but_may_fail(next_try, call, known):
    keeper = next_try()
    keeper.write_result(ResultRecord.of_call("intended", call))
    keeper.withdraw_result("j")
    later = next_try()
    # It certainly was not put.
    assert later.read_results("j") == Results()
    assert later.result_of_earlier_try(call.job) == known


@pytest.mark.parametrize(("call", "known"), [(SUCCESS, SUCCESS), (FAILURE, None)], ids=["success", "failure"])
def test_the_next_try_knows_that_the_job_was_left(next_try, call, known):
    left = ResultRecord.of_call("left", call)
    next_try().write_result(left)
    later = next_try()
    assert later.read_results("j") == later.read_results("j") == Results(left=(left,))
    assert later.result_of_earlier_try(call.job) == known
    # The finishing task would put it, perhaps on a job that another run has claimed meanwhile.
    later.leave_to_others(call)
    assert later.read_results("j") == Results(left=(left,))


def test_a_result_that_may_have_been_put_is_not_exchanged(next_try):
    keeper = next_try()
    keeper.write_result(ResultRecord.of_call("intended", SUCCESS))
    keeper.leave_to_others(FAILURE)
    assert keeper.read_results("j").own.result == "success"


@pytest.mark.skipif(not REMEMBERS, reason=FORGETS)
def test_a_failure_that_an_earlier_try_put_stays_one(emulator, offer, run_dag, calls, monkeypatch):
    job = offer()
    # As if the task were killed just after it has put the failure, in a try that Airflow repeats.
    monkeypatch.setattr(codepipeline_job, "is_retried", lambda context, error: False)
    run = run_dag(ALONE_WITH_RETRY, job=job, how="raise in first try")
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == 1


@pytest.fixture
def no_patience(monkeypatch):
    """Have calls be tried once only."""
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    init = CodePipelineHook.__init__
    monkeypatch.setattr(
        CodePipelineHook,
        "__init__",
        lambda self, *args, **kwargs: init(self, *args, **{**kwargs, "retry_deadline": 0}),
    )


@pytest.mark.parametrize("fault", ["throttle", "drop_response"])
@pytest.mark.parametrize(
    "dag_id",
    [
        pytest.param(ALONE_WITH_RETRY, marks=pytest.mark.skipif(not REMEMBERS, reason=FORGETS)),
        FINISHED_WITH_RETRY,
    ],
)
def test_a_retry_puts_the_result_without_the_work(
    emulator, offer, run_dag, calls, no_patience, fault, dag_id
):
    job = offer()
    emulator.inject(fault, operation="PutThirdPartyJobSuccessResult", times=1)
    run = run_dag(dag_id, job=job)
    assert run.state == "success"
    assert results_of(emulator, job)[-1 if fault == "throttle" else 0] == "success"
    assert calls[job["job_id"]] == 1


@pytest.mark.parametrize("fault", ["throttle", "drop_response"])
def test_finish_job_puts_the_success_of_the_last_try(emulator, offer, run_dag, calls, no_patience, fault):
    job = offer()
    emulator.inject(fault, operation="PutThirdPartyJobSuccessResult", times=1)
    run = run_dag(FINISHED, job=job)
    assert run.states == {"deploy": "failed", "finish_job": "failed"}
    assert action_state(emulator)["status"] == "Succeeded"
    assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("fault", ["throttle", "drop_response"])
def test_finish_job_puts_the_failure_of_the_last_try(emulator, offer, run_dag, no_patience, capfd, fault):
    """The failed put does not hide the function's exception."""
    job = offer()
    emulator.inject(fault, operation="PutThirdPartyJobFailureResult", times=1)
    run = run_dag(FINISHED, job=job, how="refuse")
    assert run.states == {"deploy": "failed", "finish_job": "failed"}
    assert action_state(emulator)["errorDetails"] == {
        "code": "ConfigurationError",
        "message": "Name a Target.",
    }
    assert len(emulator.ledger.terminal_results()) == 1
    shown = "".join(capfd.readouterr())
    assert "The failure was not put: ServiceUnavailable" in shown
    assert "JobFailure: Name a Target." in shown


def test_a_job_that_has_ended_in_the_meantime_is_no_green_task(
    emulator, offer, run_dag, calls, make_hook, monkeypatch, capfd
):
    job = offer()

    def end_first(self, revision):
        make_hook().fail(job, message="Timed out.")

    monkeypatch.setattr(JobInProgress, "current_revision", property(lambda self: None, end_first))
    run = run_dag(ALONE_WITH_RETRY, job=job, how="revision")
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure", "InvalidJobStateException"]
    assert calls[job["job_id"]] == 1
    assert "retry it in CodePipeline" in "".join(capfd.readouterr())


def test_an_unknown_claim_of_the_last_try_is_ended(emulator, offer, run_dag, no_patience):
    job = offer()
    emulator.inject("drop_response", operation="AcknowledgeThirdPartyJob", times=1)
    run = run_dag(ALONE, job=job)
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert action_state(emulator)["errorDetails"]["code"] == "SystemUnavailable"
