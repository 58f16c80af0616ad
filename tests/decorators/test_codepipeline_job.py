# SPDX-License-Identifier: Apache-2.0
"""A function that works on a job: what it returns or raises is the job's result."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version
from support import ACTION_TYPE, action_state, results_of

from airflow_codepipeline_partner.jobs import ClaimedJob

#: From Airflow 3.3 on a task has a store that outlives its retries.
REMEMBERS = Version(version("apache-airflow-task-sdk")) >= Version("1.3")
ALONE = "function_alone_0_retries"
ALONE_WITH_RETRY = "function_alone_1_retries"
FINISHED = "function_and_finish_0_retries"
FINISHED_WITH_RETRY = "function_and_finish_1_retries"
SECRET_TEXT = "no customer may read"


@pytest.fixture
def calls(customer, dags):
    """How often each job was worked on."""
    return dags.by_id[ALONE].get_task("deploy").python_callable.__globals__["CALLS"]


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


@pytest.mark.skipif(not REMEMBERS, reason="before, a record that Airflow does not answer could end the task")
def test_the_newest_progress_is_recorded_for_the_page(offer, run_dag):
    job = offer()
    held = dict(run_dag(ALONE, job=job, how="progress").xcoms["deploy", "codepipeline_progress"])
    del held["at"]
    assert held == {"job_id": job["job_id"], "percent": 40, "summary": "Half way."}


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


def test_a_result_that_is_not_taken_ends_the_job_with_failure(emulator, offer, run_dag, calls):
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
def test_what_a_function_raises_is_the_failure_that_fits(emulator, offer, run_dag, how, code, message):
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


#: A task that has a retry, and no task beside it that would keep what it did.
FORGETFUL = pytest.param(
    ALONE_WITH_RETRY, marks=pytest.mark.skipif(not REMEMBERS, reason="nothing outlives a retry there")
)


@pytest.mark.parametrize("dag_id", [FORGETFUL, FINISHED_WITH_RETRY])
def test_an_exception_is_retried_with_the_same_job(emulator, offer, run_dag, calls, dag_id):
    job = offer()
    run = run_dag(dag_id, job=job, how="raise in first try")
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    assert calls[job["job_id"]] == 2
    assert run.xcoms["deploy", "codepipeline_claim"]["state"] == "claimed"


@pytest.mark.parametrize("how", ["raise", "exit"])
@pytest.mark.parametrize("dag_id", [FORGETFUL, FINISHED_WITH_RETRY])
def test_an_exception_is_reported_when_no_retry_is_left(emulator, offer, run_dag, calls, dag_id, how):
    job = offer()
    run = run_dag(dag_id, job=job, how=how)
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == 2


@pytest.mark.skipif(REMEMBERS, reason="a retry knows what its task did before")
def test_a_task_that_forgets_reports_its_first_failure(emulator, offer, run_dag, calls):
    job = offer()
    run = run_dag(ALONE_WITH_RETRY, job=job, how="raise")
    assert run.states["deploy"] == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert calls[job["job_id"]] == 1


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


def test_a_failure_is_reported_if_a_retry_would_leave_the_job(emulator, offer, run_dag, calls):
    """At once, and not after the retries: the claim is unknown."""
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


def test_in_a_mapped_group_each_job_has_its_own_end(emulator, offer, run_dag, make_hook):
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
