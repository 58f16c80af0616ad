# SPDX-License-Identifier: Apache-2.0
"""Work that is one function: claimed, run and reported by one task."""

from __future__ import annotations

from importlib.metadata import version
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, task
from packaging.version import Version
from support import ACTION_TYPE, action_state, results_of
from test_secrets import all_that_airflow_keeps, found, planted

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner._worker.checkpoints import ResultCheckpoint
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner.decorators import (
    Continuation,
    JobInProgress,
    codepipeline_job,
    codepipeline_job_task,
)
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference, LimitExceeded
from airflow_codepipeline_partner.jobs import ClaimedJob, ExecutionDetails, OfferedJob
from airflow_codepipeline_partner.operators import finish_job

__all__ = ["planted"]

#: From Airflow 3.3 on a task has a store that outlives its retries.
REMEMBERS = Version(version("apache-airflow-task-sdk")) >= Version("1.3")
FORGETS = "before Airflow 3.3 nothing outlives the retry of a task that stands alone"
ALONE = "function_alone_0_retries"
ALONE_WITH_RETRY = "function_alone_1_retries"
FINISHED = "function_and_finish_0_retries"
FINISHED_WITH_RETRY = "function_and_finish_1_retries"
SECRET_TEXT = "no customer may read"
JOB = {"job_id": "j", "client_id": "c"}


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


# What a function returns.


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        (None, {"summary": f"The Airflow DAG {ALONE} completed this action."}),
        ({}, {"summary": f"The Airflow DAG {ALONE} completed this action."}),
        ("dataclass", {"summary": "Done.", "percentComplete": 100}),
        ({"summary": "Done.", "percentComplete": "100"}, {"summary": "Done.", "percentComplete": 100}),
        ({"percent_complete": 70}, {"percentComplete": 70}),
        ("progress", {"summary": "Half way.", "percentComplete": 40}),
        ("configuration", {"summary": "Configured with []."}),
    ],
)
def test_a_function_that_returns_ends_its_job_with_success(emulator, offer, run_dag, calls, how, shown):
    job = offer()
    run = run_dag(ALONE, job=job, how=how)
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    state = action_state(emulator)
    assert state["status"] == "Succeeded"
    assert {name: state[name] for name in shown} == shown
    assert ("percentComplete" in state) is ("percentComplete" in shown)
    assert state["externalExecutionId"].startswith(f"{ALONE}/runs/manual__")
    assert calls[job["job_id"]] == 1


def test_the_task_returns_the_claimed_job_and_keeps_the_records(emulator, offer, run_dag):
    job = offer()
    run = run_dag(ALONE, job=job, how="revision")
    returned = run.xcoms["deploy", "return_value"]
    assert returned == ClaimedJob.from_value(returned).to_xcom()
    assert returned["pipeline_name"] == "pipe"
    assert run.xcoms["deploy", "codepipeline_claim"]["state"] == "claimed"
    result = run.xcoms["deploy", "codepipeline_result"]
    assert (result["job_id"], result["state"], result["result"]) == (job["job_id"], "done", "success")
    assert result["call"]["currentRevision"] == {"revision": "r1", "changeIdentifier": "c1"}


@pytest.mark.parametrize(
    ("how", "percent"), [("continue", 40), ("continue with details", 50)], ids=["progress", "details"]
)
def test_a_continuation_has_the_action_go_on_in_a_new_job(emulator, offer, run_dag, make_hook, how, percent):
    first = offer()
    run = run_dag(FINISHED, job=first, how=how)
    assert run.state == "success"
    assert results_of(emulator, first) == ["continue"]
    assert action_state(emulator)["status"] == "InProgress"
    assert action_state(emulator)["percentComplete"] == percent
    emulator.advance(40)
    [second] = make_hook().poll(ACTION_TYPE)
    again = run_dag(FINISHED, job=second.to_xcom())
    assert again.state == "success"
    assert again.xcoms["deploy", "return_value"]["continuation_token"] == "step-2"
    assert action_state(emulator)["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("give a set", "deploy returned a value of type set. Have it return nothing, execution details"),
        ("a text", "deploy returned a value of type str."),
        ([], "deploy returned a value of type list."),
        (False, "deploy returned a value of type bool."),
        ("give itself", "deploy returned a value of type JobInProgress."),
        ({"nonsense": 1}, "executionDetails has no field of the name given"),
        ({"percentComplete": 101}, "executionDetails.percentComplete is 101; it must be"),
        ("continue with too much", "continuationToken has 2049 characters; CodePipeline takes 1 to 2048"),
        ("progress of 101", "executionDetails.percentComplete is 101"),
        ("progress of nothing", "progress needs percent (0 to 100), summary, or both"),
        ("half a revision", "currentRevision needs changeIdentifier"),
        ("unheard failure type", "failureDetails.type must be one of JobFailed"),
    ],
)
def test_what_cannot_be_sent_ends_the_job_with_failure_at_once(
    emulator, offer, run_dag, calls, capfd, how, named
):
    dag_id = FINISHED_WITH_RETRY if how == "a text" else ALONE_WITH_RETRY
    job = offer()
    run = run_dag(dag_id, job=job, how=how)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator)["errorDetails"]
    assert error["code"] == "JobFailed"
    assert f"task deploy of DAG {dag_id} gave a result that cannot be sent: " in error["message"]
    assert named in error["message"]
    assert named in "".join(capfd.readouterr())
    # A retry would give the same again.
    assert calls[job["job_id"]] == 1


def test_a_result_that_codepipeline_does_not_take_ends_the_job_with_failure(emulator, offer, run_dag, calls):
    job = offer()
    emulator.inject(
        "error",
        operation="PutThirdPartyJobSuccessResult",
        times=1,
        code="ValidationException",
        message="1 validation error detected",
    )
    run = run_dag(ALONE_WITH_RETRY, job=job)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["ValidationException", "failure"]
    assert "CodePipeline does not take it" in action_state(emulator)["errorDetails"]["message"]
    assert calls[job["job_id"]] == 1


# What a function raises.


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("raise", "JobFailed", "task deploy of DAG {dag_id} raised ValueError."),
        ("refuse", "ConfigurationError", "Name a Target."),
        ("refuse for good", "ConfigurationError", "Name a Target."),
        ("fail for good", "JobFailed", "task deploy of DAG {dag_id} raised AirflowFailException."),
        ("exit", "JobFailed", "task deploy of DAG {dag_id} raised SystemExit."),
        ("interrupt", "JobFailed", "task deploy of DAG {dag_id} raised KeyboardInterrupt."),
        ("missing variable", "ConfigurationError", "task deploy of DAG {dag_id} raised AirflowRuntimeError."),
        ("skip", "JobFailed", "was skipped in Airflow: task deploy of DAG {dag_id}."),
        ("AirflowRescheduleException", "JobFailed", "was left unfinished (AirflowRescheduleException)"),
        ("DownstreamTasksSkipped", "JobFailed", "was left unfinished (DownstreamTasksSkipped)"),
        ("TaskDeferred", "JobFailed", "was left unfinished (TaskDeferred)"),
    ],
)
def test_what_a_function_raises_ends_its_job_with_the_failure_that_fits(
    emulator, offer, run_dag, how, code, message
):
    dag_id = FINISHED if how in ("raise", "skip") else ALONE
    job = offer()
    run = run_dag(dag_id, job=job, how=how)
    assert run.states["deploy"] == "failed"
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator)["errorDetails"]
    assert error["code"] == code
    assert message.format(dag_id=dag_id) in error["message"]
    assert SECRET_TEXT not in error["message"]


def test_a_time_limit_ends_the_job_with_failure(emulator, offer, run_dag):
    job = offer()
    run = run_dag("function_in_time", job=job)
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert "ran into its time limit" in action_state(emulator)["errorDetails"]["message"]


@pytest.mark.parametrize("dag_id", [ALONE_WITH_RETRY, FINISHED_WITH_RETRY])
def test_an_exception_is_retried_with_the_same_job(emulator, offer, run_dag, calls, dag_id):
    job = offer()
    run = run_dag(dag_id, job=job, how="raise in first try")
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    assert calls[job["job_id"]] == 2
    if REMEMBERS or dag_id == FINISHED_WITH_RETRY:
        assert run.xcoms["deploy", "codepipeline_claim"]["state"] == "claimed"


@pytest.mark.parametrize(
    ("dag_id", "how"),
    [(ALONE_WITH_RETRY, "raise"), (FINISHED_WITH_RETRY, "raise"), (ALONE_WITH_RETRY, "exit")],
)
def test_an_exception_is_reported_when_no_retry_is_left(emulator, offer, run_dag, calls, dag_id, how):
    job = offer()
    run = run_dag(dag_id, job=job, how=how)
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == 2


@pytest.mark.parametrize("how", ["refuse for good", "fail for good", "skip"])
def test_what_airflow_does_not_retry_is_reported_at_once(emulator, offer, run_dag, calls, how):
    job = offer()
    run_dag(ALONE_WITH_RETRY, job=job, how=how)
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == 1


@pytest.mark.skipif(not REMEMBERS, reason="Airflow has retry policies from 3.3 on")
def test_what_a_retry_policy_fails_is_reported_at_once(emulator, offer, run_dag, calls):
    job = offer()
    run = run_dag("function_with_retry_policy", job=job, how="raise")
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == 1


def test_where_a_retry_would_leave_the_job_in_doubt_the_failure_is_reported_at_once(
    emulator, offer, run_dag, calls
):
    job = offer()
    run = run_dag("function_leaves_doubt_1_retries", job=job, how="raise")
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == (2 if REMEMBERS else 1)


# Races, retries and troubles.


@pytest.mark.parametrize("dag_id", [ALONE, FINISHED])
def test_a_lost_race_is_skipped_and_the_function_does_not_run(
    emulator, offer, run_dag, make_hook, calls, dag_id
):
    job = offer()
    make_hook().claim(job)
    run = run_dag(dag_id, job=job)
    assert set(run.states.values()) == {"skipped"}
    assert results_of(emulator, job) == []
    assert job["job_id"] not in calls


def test_a_client_without_a_connection_leaves_its_job_unclaimed(
    emulator, offer, run_dag, calls, monkeypatch, capfd
):
    job = offer()
    monkeypatch.delenv(f"AIRFLOW_CONN_CODEPIPELINE_CLIENT_{job['client_id'].replace('-', '_').upper()}")
    run = run_dag(ALONE_WITH_RETRY, job=job)
    assert run.state == "failed"
    assert results_of(emulator, job) == []
    assert job["job_id"] not in calls
    assert [offered.status for offered in emulator.jobs()] == ["Dispatched"]
    assert "ClientConnectionError" in "".join(capfd.readouterr())


@pytest.mark.parametrize("dag_id", [ALONE_WITH_RETRY, FINISHED_WITH_RETRY])
def test_a_task_that_died_after_its_claim_goes_on_with_the_same_job(
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
def test_a_task_that_died_after_its_put_does_not_do_the_work_again(
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

    def dying(self, state, call):
        write(self, state, call)
        if state == "done" and not deaths:
            deaths.append(call)
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
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    store = SimpleNamespace(get=stored.get, set=stored.__setitem__)

    def begin():
        xcom.clear()
        return ResultCheckpoint({"ti": ti, "task_state_store": store})

    return begin


SUCCESS = requests.success(OfferedJob("j", "c"))
FAILURE = requests.failure(OfferedJob("j", "c"), message="m")


@pytest.mark.parametrize("state", ["intended", "done"])
@pytest.mark.parametrize("call", [SUCCESS, FAILURE], ids=["success", "failure"])
def test_the_next_try_knows_a_result_that_may_have_been_put(next_try, state, call):
    next_try().write_result(state, call)
    later = next_try()
    assert later.result_of_earlier_try(call.job) == call
    assert later.read_result("j").state == state
    assert RecordStore(TaskInstanceRef("d", "r", "t")).read_result("j").state == state
    assert later.result_of_earlier_try(OfferedJob("another", "c")) is None


@pytest.mark.parametrize(("call", "known"), [(SUCCESS, SUCCESS), (FAILURE, None)], ids=["success", "failure"])
def test_the_next_try_knows_what_the_work_came_to_but_may_fail_otherwise(next_try, call, known):
    keeper = next_try()
    keeper.write_result("intended", call)
    keeper.withdraw_result("j")
    later = next_try()
    # It certainly was not put.
    assert later.read_result("j") is None
    assert later.result_of_earlier_try(call.job) == known


def test_what_may_have_been_put_is_not_exchanged_for_what_is_left_to_others(next_try):
    keeper = next_try()
    keeper.write_result("intended", SUCCESS)
    keeper.leave_to_others(FAILURE)
    assert keeper.read_result("j").result == "success"


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
def test_a_result_that_could_not_be_put_is_put_by_the_retry_without_doing_the_work_again(
    emulator, offer, run_dag, calls, no_patience, fault, dag_id
):
    job = offer()
    emulator.inject(fault, operation="PutThirdPartyJobSuccessResult", times=1)
    run = run_dag(dag_id, job=job)
    assert run.state == "success"
    assert results_of(emulator, job)[-1 if fault == "throttle" else 0] == "success"
    assert calls[job["job_id"]] == 1


@pytest.mark.parametrize("fault", ["throttle", "drop_response"])
def test_a_success_that_the_last_try_could_not_put_is_put_by_finish_job(
    emulator, offer, run_dag, calls, no_patience, fault
):
    job = offer()
    emulator.inject(fault, operation="PutThirdPartyJobSuccessResult", times=1)
    run = run_dag(FINISHED, job=job)
    assert run.states == {"deploy": "failed", "finish_job": "failed"}
    assert action_state(emulator)["status"] == "Succeeded"
    assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("fault", ["throttle", "drop_response"])
def test_a_failure_that_could_not_be_put_hides_no_exception_and_is_put_by_finish_job(
    emulator, offer, run_dag, no_patience, capfd, fault
):
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


def test_an_acknowledgement_whose_answer_is_lost_in_the_last_try_leaves_no_job_hanging(
    emulator, offer, run_dag, no_patience
):
    job = offer()
    emulator.inject("drop_response", operation="AcknowledgeThirdPartyJob", times=1)
    run = run_dag(ALONE, job=job)
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert action_state(emulator)["errorDetails"]["code"] == "SystemUnavailable"


# Mapping, groups, other tasks.


def test_a_mapped_function_reports_each_of_its_jobs(emulator, offer, run_dag, calls):
    jobs = [offer() for _ in range(3)]
    how_of = dict(zip([job["job_id"] for job in jobs], [None, "raise", "raise in first try"], strict=True))
    run = run_dag("function_mapped", jobs=jobs, how_of=how_of)
    assert [run.states[f"deploy[{index}]"] for index in range(3)] == ["success", "failed", "success"]
    assert [results_of(emulator, job) for job in jobs] == [["success"], ["failure"], ["success"]]
    assert [calls[job["job_id"]] for job in jobs] == [1, 2, 2]
    assert [run.xcoms[f"deploy[{index}]", "codepipeline_result"]["job_id"] for index in range(3)] == [
        job["job_id"] for job in jobs
    ]


def test_in_a_mapped_group_each_job_is_worked_on_and_finished_by_itself(emulator, offer, run_dag, make_hook):
    jobs = [offer() for _ in range(3)]
    make_hook().claim(jobs[2])
    run = run_dag(
        "function_in_mapped_group", jobs=jobs, how_of={jobs[0]["job_id"]: None, jobs[1]["job_id"]: "raise"}
    )
    assert [run.states[f"handle.deploy[{index}]"] for index in range(3)] == ["success", "failed", "skipped"]
    assert [run.states[f"handle.finish_job[{index}]"] for index in range(3)] == [
        "success",
        "failed",
        "skipped",
    ]
    assert [results_of(emulator, job) for job in jobs] == [["success"], ["failure"], []]


def test_other_tasks_go_on_with_the_claimed_job(emulator, offer, run_dag):
    job = offer()
    run = run_dag("function_after_sensor", jobs=[job])
    assert run.state == "success"
    assert run.xcoms["report", "return_value"] == job["job_id"]
    assert results_of(emulator, job) == ["success"]


def test_the_job_may_be_given_by_name(emulator, offer, run_dag):
    job = offer()
    assert run_dag("function_by_name", job=job).states == {"by_name": "success"}
    assert results_of(emulator, job) == ["success"]


def test_alone_the_callback_of_the_dag_finds_nothing_left_to_do(emulator, offer, run_dag):
    job = offer()
    run_dag("function_with_callback", job=job, how="raise")
    assert results_of(emulator, job) == ["failure"]


# As the DAG is parsed.


def test_the_decorator_is_there_under_its_name():
    assert task.codepipeline_job is codepipeline_job_task or task.codepipeline_job.__name__ == (
        "codepipeline_job_task"
    )


def without_parameter():
    """Take no job."""


def with_context_first(ti, job):
    """Have no place for the job."""


def with_only_context(**context):
    """Have no place for the job."""


async def a_coroutine(job):
    """Have not worked when it returns."""


def a_generator(job):
    """Have not worked when it returns."""
    yield


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (without_parameter, "without_parameter needs a first parameter, which gets the job"),
        (with_only_context, "with_only_context needs a first parameter"),
        (
            with_context_first,
            "cannot be ti, which is of Airflow's context: def with_context_first(job, ti=None)",
        ),
        (a_coroutine, "a_coroutine must be a plain function"),
        (a_generator, "a_generator must be a plain function"),
    ],
)
@pytest.mark.parametrize("with_parameters", [False, True])
def test_a_function_that_cannot_work_on_a_job_is_refused_as_the_dag_is_parsed(
    function, named, with_parameters
):
    with pytest.raises(InvalidInput, match=r"@task\.codepipeline_job") as refused:
        task.codepipeline_job(retries=1)(function) if with_parameters else task.codepipeline_job(function)
    assert named in str(refused.value)


def work(job, how=None):
    """Take a job."""


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda made: made(), InvalidInput, 'Call it with the offered job, as in work("{{ dag_run.conf'),
        (lambda made: made(how="x"), InvalidInput, "work.expand(job=wait.output)"),
        (lambda made: made(None), InvalidJobReference, "A job must be a mapping"),
        (lambda made: made("no job"), InvalidJobReference, "A job must be a mapping"),
        (lambda made: made(job={"job_id": "j"}), InvalidJobReference, "needs client_id"),
        (lambda made: made.override(unknown_claim="perhaps")(JOB), InvalidInput, "unknown_claim must be one"),
    ],
)
def test_a_call_without_a_job_is_refused_as_the_dag_is_parsed(call, error, named):
    made = task.codepipeline_job(work)
    with DAG("parsed", schedule=None), pytest.raises(error) as refused:
        call(made)
    assert named in str(refused.value)


def test_several_outputs_are_refused():
    with pytest.raises(InvalidInput, match="multiple_outputs"):
        task.codepipeline_job(multiple_outputs=True)


def test_a_return_annotation_of_a_mapping_makes_no_several_outputs():
    def annotated(job) -> dict:
        return {}

    with DAG("parsed", schedule=None):
        assert task.codepipeline_job(annotated)(JOB).operator.multiple_outputs is False


def test_finish_job_takes_over_what_the_function_was_given():
    with DAG("parsed", schedule=None):
        made = task.codepipeline_job(
            aws_conn_id="other", unknown_claim="leave", client_conn_id_template="x_{client_id}"
        )(work)(OfferedJob("j", "c"))
        finish = finish_job(made)
    assert finish.claim_task_id == "work"
    assert finish.job == {**JOB, "action_type": None}
    assert (finish.aws_conn_id, finish.unknown_claim) == ("other", "leave")
    assert finish.client_conn_id_template == "x_{client_id}"


def test_a_mapped_function_is_finished_in_a_group_only():
    with DAG("parsed", schedule=None), pytest.raises(InvalidInput, match="expand a task group"):
        finish_job(task.codepipeline_job(work).expand(job=[JOB]))


def test_default_args_reach_the_function(offer):
    with DAG("parsed", schedule=None, default_args={"aws_conn_id": "other", "retries": 4}):
        made = task.codepipeline_job(work)(JOB).operator
    assert (made.aws_conn_id, made.retries) == ("other", 4)


# The values.


@pytest.mark.parametrize("token", ["", "t" * 2049, "None", None, b"t"])
def test_a_continuation_checks_its_token(token):
    with pytest.raises(LimitExceeded, match="continuationToken"):
        Continuation(token)


def test_a_continuation_checks_and_reads_its_details():
    assert Continuation("t", {"percentComplete": "5"}).execution_details == ExecutionDetails(None, None, 5)
    assert Continuation("t").execution_details is None
    with pytest.raises(InvalidInput):
        Continuation("t", {"nonsense": 1})


@pytest.fixture
def working(offer, make_hook):
    hook = make_hook()
    return JobInProgress(hook.claim(offer()), hook)


def test_details_are_fresh_and_the_configuration_is_asked_for_once(emulator, working):
    def asked():
        return sum(entry.operation == "GetThirdPartyJobDetails" for entry in emulator.ledger)

    before = asked()
    assert working.details().job_id == working.job_id
    assert working.details().pipeline_name == "pipe"
    assert working.configuration is working.configuration
    assert asked() == before + 3


def test_what_a_result_was_keyed_by_is_not_told(emulator, offer, run_dag):
    job = offer()
    run_dag(ALONE, job=job, how={"jane.doe@customer.example": "ok", "planted": "ok"})
    told = action_state(emulator)["errorDetails"]["message"]
    assert "executionDetails has no field of the name given" in told
    assert "jane" not in told
    assert "planted" not in told


def test_progress_is_checked_at_once_logged_and_remembered(working, caplog):
    caplog.set_level("INFO")
    working.progress(40, "Begun.")
    working.progress("50")
    assert working._progress == ExecutionDetails("Begun.", None, 50)
    assert f"Job {working.job_id}: 40% Begun." in caplog.text
    assert f"Job {working.job_id}: 50%" in caplog.text
    for percent in (-1, 101, 1.5, "many"):
        with pytest.raises(LimitExceeded, match="percentComplete"):
            working.progress(percent)
    with pytest.raises(InvalidInput, match="progress needs"):
        working.progress()
    assert working._progress == ExecutionDetails("Begun.", None, 50)


def test_a_revision_is_checked_at_once(working):
    working.current_revision = {"revision": "r", "changeIdentifier": "c"}
    with pytest.raises(InvalidInput, match="changeIdentifier"):
        working.current_revision = {"revision": "r"}
    assert working.current_revision.revision == "r"


def test_a_job_in_progress_cannot_be_stored(working):
    try:
        from airflow.sdk.serde import serialize
    except ImportError:
        # Its place until Airflow 3.1.
        from airflow.serialization.serde import serialize

    with pytest.raises(InvalidInput, match="cannot be stored in XCom"):
        serialize(working)
    assert repr(working) == f"JobInProgress({working.job_id})"


# Secrets.


@pytest.mark.parametrize("how", ["configuration", "continue", "raise", "give itself"])
def test_planted_secrets_are_nowhere(emulator, planted, make_hook, run_dag, capfd, caplog, how):
    caplog.set_level("INFO")
    emulator.start_execution("pipe")
    [job] = [offered.to_xcom() for offered in make_hook().poll(ACTION_TYPE)]
    run_dag(FINISHED_WITH_RETRY, job=job, how=how)
    assert len(planted) > 4
    shown = "".join(capfd.readouterr()).encode() + caplog.text.encode()
    assert found(planted, shown) == set()
    assert found(planted, all_that_airflow_keeps()) == set()
    assert len(results_of(emulator, job)) == 1


def test_an_exception_that_quotes_secrets_does_not_take_them_to_the_customer(
    emulator, planted, make_hook, run_dag
):
    emulator.start_execution("pipe")
    [job] = [offered.to_xcom() for offered in make_hook().poll(ACTION_TYPE)]
    run = run_dag(FINISHED, job=job, how="leak")
    assert results_of(emulator, job) == ["failure"]
    assert found(planted, str(action_state(emulator)).encode()) == set()
    assert found(planted, str(run.xcoms).encode()) == set()
