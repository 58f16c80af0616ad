# SPDX-License-Identifier: Apache-2.0
"""
What AWS's sample job worker promises, by its own tests, and so do we: capacity, acknowledgement, reports.

Each is tried with a partner's and with a custom action.
"""

from __future__ import annotations

import pytest
from support import ACTION_TYPE, CUSTOM_TYPE, action_state, admin_client, results_of

REVISION = {"revision": "r-1", "changeIdentifier": "c-1"}
PUTS = [f"Put{kind}Job{end}Result" for kind in ("ThirdParty", "") for end in ("Success", "Failure")]
DETAILS = {"summary": "Half of it.", "externalExecutionId": "run-1", "percentComplete": 50}


@pytest.fixture(params=[ACTION_TYPE, CUSTOM_TYPE], ids=["partner", "custom"])
def action_type(request, emulator, customer):
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE)
    return request.param


@pytest.fixture
def pipeline(action_type):
    return "own" if action_type == CUSTOM_TYPE else "pipe"


@pytest.fixture
def hook(make_hook):
    return make_hook()


@pytest.fixture
def offered(emulator, hook, action_type, pipeline):
    """Return a function that has so many jobs offered, as they lie in XCom."""

    def offer(number):
        for _ in range(number):
            emulator.start_execution(pipeline)
        jobs = hook.poll(action_type, max_batch_size=number)
        assert len(jobs) == number
        return [job.to_xcom() for job in jobs]

    return offer


def statuses(emulator):
    return [job.status for job in emulator.jobs()]


def test_no_more_jobs_are_taken_than_there_is_capacity_for(emulator, hook, action_type, pipeline):
    for _ in range(5):
        emulator.start_execution(pipeline)
    assert len(hook.poll(action_type, max_batch_size=3)) == 3
    assert [entry.details["maxBatchSize"] for entry in emulator.ledger.polls()] == [3]
    assert statuses(emulator) == ["Dispatched"] * 3 + ["Queued"] * 2
    assert len(hook.poll(action_type, max_batch_size=10)) == 2


def test_each_job_of_a_batch_is_acknowledged_and_worked_on(emulator, offered, run_dag, capfd, caplog):
    jobs = offered(3)
    run = run_dag("many_jobs", jobs=jobs, work_of={job["job_id"]: "succeed" for job in jobs})
    assert run.state == "success"
    # Airflow's error, in its scheduler's log, where a mapped task asks for what is not there.
    assert "XCom not found" not in "".join(capfd.readouterr()) + caplog.text
    assert [results_of(emulator, job) for job in jobs] == [["success"]] * 3
    acknowledged = [entry for entry in emulator.ledger if entry.operation.startswith("Acknowledge")]
    assert sorted(entry.job_id for entry in acknowledged) == sorted(job["job_id"] for job in jobs)


def test_functions_leave_no_error_of_airflows_either(emulator, offered, run_dag, capfd, caplog):
    jobs = offered(2)
    run = run_dag("function_in_mapped_group", jobs=jobs, how_of={job["job_id"]: None for job in jobs})
    assert run.state == "success"
    assert "XCom not found" not in "".join(capfd.readouterr()) + caplog.text


def test_a_job_acknowledged_with_another_status_is_left(emulator, offered, run_dag):
    jobs = offered(2)
    ended = jobs[0]["job_id"]
    [found] = [job for job in emulator.jobs() if job.job_id == ended]
    admin_client(emulator, "codepipeline").stop_pipeline_execution(
        pipelineName=found.pipeline_name, pipelineExecutionId=found.pipeline_execution_id, abandon=True
    )
    run = run_dag("many_jobs", jobs=jobs, work_of={job["job_id"]: "succeed" for job in jobs})
    acknowledged = emulator.ledger.where(kind="call", job_id=ended, outcome="ok")
    assert [entry.status_after for entry in acknowledged if "Acknowledge" in entry.operation] == ["Withdrawn"]
    assert (run.states["handle.claim[0]"], run.states["handle.work[0]"]) == ("skipped", "skipped")
    assert [results_of(emulator, job) for job in jobs] == [[], ["success"]]


def test_a_failed_acknowledgement_holds_up_no_other_job(emulator, offered, run_dag):
    jobs = offered(3)
    emulator.inject("error", job_id=jobs[1]["job_id"], code="ValidationException", message="no", times=None)
    run = run_dag("many_jobs", jobs=jobs, work_of={job["job_id"]: "succeed" for job in jobs})
    assert run.states["handle.claim[1]"] == "failed"
    assert [results_of(emulator, job) for job in jobs] == [["success"], [], ["success"]]


def test_a_success_is_reported_with_all_that_the_work_told(emulator, hook, offered, pipeline):
    [job] = offered(1)
    claimed = hook.claim(job)
    hook.succeed(claimed, execution_details=DETAILS, current_revision=REVISION, continuation_token="step-2")
    [put] = emulator.ledger.puts(job["job_id"])
    assert put.result == "continue"
    assert dict(put.details) == {
        "currentRevision": REVISION,
        "continuationToken": "step-2",
        "executionDetails": DETAILS,
    }
    shown = action_state(emulator, pipeline)
    assert {name: shown[name] for name in DETAILS} == DETAILS


def test_a_failure_is_reported_with_its_type_and_message(emulator, hook, offered, pipeline):
    [job] = offered(1)
    hook.fail(hook.claim(job), message="failure message", failure_type="JobFailed")
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator, pipeline)["errorDetails"]
    assert error == {"code": "JobFailed", "message": "failure message"}


def test_work_that_raises_is_reported_as_a_failure(emulator, offered, run_dag):
    jobs = offered(2)
    run_dag("many_jobs", jobs=jobs, work_of={jobs[0]["job_id"]: "fail", jobs[1]["job_id"]: "succeed"})
    assert [results_of(emulator, job) for job in jobs] == [["failure"], ["success"]]


# A pipeline that is stopped, and its action abandoned, while the work goes on: no worker hears of it.


def stop_of(emulator, job):
    [found] = [each for each in emulator.jobs() if each.job_id == job["job_id"]]
    return {"stop": found.pipeline_name, "execution": found.pipeline_execution_id}


@pytest.mark.parametrize(
    ("dag_id", "red"),
    [
        ("function_alone_0_retries", ["deploy"]),
        ("function_and_finish_0_retries", ["deploy", "finish_job"]),
        ("function_and_finish_1_retries", ["deploy", "finish_job"]),
    ],
)
def test_no_other_result_is_tried_if_one_is_not_taken(emulator, offered, run_dag, dag_id, red):
    [job] = offered(1)
    run = run_dag(dag_id, job=job, how=stop_of(emulator, job))
    assert run.state == "failed"
    assert sorted(task for task, state in run.states.items() if state == "failed") == red
    puts = emulator.ledger.puts(job["job_id"])
    # Each who reports asks, and with the same result.
    assert [put.outcome for put in puts] == ["InvalidJobStateException"] * len(red)
    assert len({put.operation for put in puts}) == 1
    assert "Success" in puts[0].operation
    assert run.xcoms["deploy", "codepipeline_result"]["state"] == "refused"


def test_a_result_refused_for_a_moment_is_put_by_the_next_task(emulator, offered, run_dag):
    [job] = offered(1)
    for put in PUTS:
        emulator.inject("error", put, job_id=job["job_id"], code="InvalidJobStateException")
    run = run_dag("function_and_finish_0_retries", job=job)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["InvalidJobStateException", "success"]


@pytest.mark.parametrize("work", ["succeed", "fail"])
def test_finish_job_says_what_may_have_been(emulator, offered, run_dag, capfd, caplog, work):
    [job] = offered(1)
    for put in PUTS:
        emulator.inject("error", put, job_id=job["job_id"], code="InvalidJobStateException", times=None)
    run = run_dag("one_job_assume_ours_0_retries", job=job, work=work)
    assert run.state == "failed"
    assert len(emulator.ledger.puts(job["job_id"])) == 1
    assert run.xcoms["claim", "codepipeline_result"]["state"] == "refused"
    said = caplog.text + "".join(capfd.readouterr())
    assert "the pipeline was stopped and its action abandoned" in said
