# SPDX-License-Identifier: Apache-2.0
"""Which lines a run writes, and which job they name, in their text and in their fields."""

from __future__ import annotations

import asyncio

import pytest
from log_lines import kept_lines
from pipelines.conftest import partner  # noqa: F401 - a fixture
from steps.test_jobs_of_steps import airflow, run_step  # noqa: F401 - fixtures
from support import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner.sensors import CodePipelineJobSensor
from airflow_codepipeline_partner.triggers import CodePipelineExecutionTrigger

PLACE = "own / Partner / Partner"
ONE_JOB = "one_job_assume_ours_0_retries"
#: What the customer reads by default.
DONE = "The Airflow DAG %s completed this action."
SECRET = "planted-secret-of-a-configuration"


@pytest.fixture
def lines(airflow_database):
    with kept_lines() as kept:
        yield kept


@pytest.fixture
def own(emulator, aws_connection, make_hook):
    """Return a function that offers a job of a custom action."""
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE, configuration={"ApiKey": SECRET})

    def offer_one():
        emulator.start_execution("own")
        [job] = make_hook().poll(CUSTOM_TYPE)
        return job.to_xcom()

    return offer_one


def execution_of(emulator, pipeline="own"):
    [execution_id] = {job.pipeline_execution_id for job in emulator.jobs()}
    return execution_id


def texts(lines):
    return [line.text for line in lines]


def fields_of_own(emulator, job):
    names = dict(zip(("pipeline", "stage", "action"), PLACE.split(" / "), strict=True))
    return {"job_id": job["job_id"], **names, "execution": execution_of(emulator)}


def test_a_job_that_succeeds(emulator, own, run_dag, lines):
    job = own()
    run_dag(ONE_JOB, job=job)
    claimed, reported = lines
    execution = execution_of(emulator)
    assert claimed.text == f"Claimed {PLACE}, execution {execution[:8]}, job {job['job_id']}."
    assert reported.text == f"Reported {PLACE} to CodePipeline: Succeeded, {DONE % ONE_JOB}"
    assert claimed.fields == reported.fields == fields_of_own(emulator, job)
    assert SECRET not in str(lines)
    assert job["nonce"] not in [value for line in lines for value in line.fields.values()]


def test_a_job_that_fails_says_why_at_the_start(own, run_dag, lines, capfd):
    run_dag(ONE_JOB, job=own(), work="fail")
    reported = lines[-1]
    assert reported.level == "warning"
    assert reported.text.startswith(f"Reported {PLACE} to CodePipeline: Failed, JobFailed: The work of this ")
    shown = "".join(capfd.readouterr())
    assert 'AirflowFailException: Reported as failed, JobFailed: "The work of this action fail' in shown


def test_a_partners_job_names_its_customer(customer, offer, run_dag, lines):
    job = offer()
    run_dag(ONE_JOB, job=job)
    assert lines[0].text == (
        f"Claimed pipe / Partner / Partner, customer {customer.client_id}, job {job['job_id']}."
    )
    assert {line.fields["client_id"] for line in lines} == {customer.client_id}
    assert customer.client_token not in str(lines)


def test_a_lost_claim(own, run_dag, make_hook, lines, capfd):
    job = own()
    assert make_hook().claim(job)
    assert run_dag(ONE_JOB, job=job).states["claim"] == "skipped"
    [lost] = lines
    assert lost.text.startswith(f"Not claimed (lost): {PLACE}, execution ")
    assert lost.fields["job_id"] == job["job_id"]
    assert "Another worker has the job, or this offer of it was stale" in "".join(capfd.readouterr())


def test_an_action_that_goes_on(emulator, customer, offer, run_dag, lines):
    emulator.configure(continuation_delay=0, lease_seconds=0.2)
    run_dag("continued", job=offer())
    place = "pipe / Partner / Partner"
    named = [text.partition(", customer")[0] for text in texts(lines)]
    assert named == [
        f"Claimed {place}",
        f"Reported {place} to CodePipeline: InProgress, in a next job, 10 %, Begun.",
        f"Claimed the next job of {place}",
        f"Reported {place} to CodePipeline: InProgress, in a next job, 60 %, "
        "The Airflow DAG continued is at work on this action.",
        f"Claimed the next job of {place}",
        f"Reported {place} to CodePipeline: Succeeded, 100 %, {DONE % 'continued'}",
    ]
    jobs = [job.job_id for job in emulator.jobs()]
    assert [line.fields["job_id"] for line in lines] == [job_id for job_id in jobs for _ in range(2)]


def test_a_function(own, run_dag, lines):
    run_dag("function_and_finish_0_retries", job=own(), how="progress")
    assert texts(lines)[1:] == [
        f"Working on {PLACE}: 40 %, Begun.",
        f"Working on {PLACE}: 40 %, Half way.",
        f"Reported {PLACE} to CodePipeline: Succeeded, 40 %, Half way.",
        f"{PLACE} has its result already: Succeeded.",
    ]
    assert len({tuple(line.fields.items()) for line in lines}) == 1


def test_a_step(airflow, run_step, lines):  # noqa: F811 - the fixtures
    _, job, _ = run_step(Dag="train_model")
    started = f"Started run codepipeline__{job.job_id} of DAG train_model for {PLACE}."
    assert started in texts(lines)
    # All but the callback's, which is about no job.
    assert [line.text for line in lines if line.fields.get("job_id") != job.job_id] == [texts(lines)[-1]]


def test_jobs_that_are_offered(emulator, customer, lines, aws_connection):
    emulator.start_execution("pipe")
    sensor = CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE)
    jobs = sensor.poke({}).xcom_value
    sensor.execute_complete({}, {"status": "offered", "jobs": jobs})
    [job] = jobs
    fields = {"job_id": job["job_id"], "client_id": customer.client_id}
    assert [line.fields for line in lines] == [fields] * 2
    assert texts(lines) == [f"Offered: job {job['job_id']}, customer {customer.client_id}."] * 2


def test_jobs_that_get_a_run(own, run_dag, serialized_dags, lines):
    job = own()
    run_dag("own_dispatcher", jobs=[job])
    # An asset offers each job several times.
    run_dag("own_dispatcher", jobs=[job])
    named = f"job {job['job_id']}"
    assert texts(lines) == [
        f"Started run codepipeline__{job['job_id']} of DAG claim_only for {named}.",
        f"DAG claim_only has a run for {named} already.",
    ]
    assert [line.fields for line in lines] == [{"job_id": job["job_id"]}] * 2


def test_a_pipeline_that_a_dag_starts(partner, run_dag, lines):  # noqa: F811 - the fixture
    partner(lambda hook, job: hook.succeed(job))
    execution_id = run_dag("start_pipeline_on_the_worker", pipeline="pipe").xcoms["start", "return_value"]
    shown = [line for line in lines if "job_id" not in line.fields]
    assert shown[0].text == f"Started pipe, execution {execution_id}."
    assert shown[-1].text == f"pipe, execution {execution_id}: Succeeded."
    assert [line.fields for line in shown] == [{"pipeline": "pipe", "execution": execution_id}] * len(shown)


def test_an_execution_that_the_triggerer_watches(emulator, customer, make_hook, lines):
    execution_id = emulator.start_execution("pipe")
    [job] = make_hook().poll(ACTION_TYPE)
    make_hook().claim(job)
    make_hook().fail(job, message="No such host.")
    trigger = CodePipelineExecutionTrigger("pipe", execution_id, poll_interval=0.05)

    async def first():
        return [event async for event in trigger.run()]

    asyncio.run(first())
    shown = [line for line in lines if line.text.startswith("Partner / Partner: ")]
    assert shown
    assert [line.fields for line in shown] == [{"pipeline": "pipe", "execution": execution_id}] * len(shown)


def labels_of(run):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(TaskInstance).filter_by(dag_id=run.dag_id, run_id=run.run_id))
        return {(each.task_id, each.map_index): each.rendered_map_index for each in found}


def test_instances_of_mapped_tasks_are_named_after_their_jobs(emulator, own, run_dag):
    emulator.add_pipeline("2nd", action_type=CUSTOM_TYPE)
    jobs = [own()]
    labels = labels_of(run_dag("many_jobs", jobs=jobs, work_of={jobs[0]["job_id"]: "succeed"}))
    assert labels["handle.claim", 0] == labels["handle.finish_job", 0] == PLACE
    assert labels["handle.work", 0] == "0"
    assert labels["before", -1] is None


def test_an_instance_without_a_job_keeps_its_number(own, run_dag, make_hook):
    job = own()
    make_hook().claim(job)
    labels = labels_of(run_dag("many_jobs", jobs=[job], work_of={job["job_id"]: "succeed"}))
    assert labels["handle.claim", 0] == "0"


def test_a_custom_job_leads_to_its_pipeline(own, run_dag):
    run = run_dag(ONE_JOB, job=own())
    link = (
        "https://us-east-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/own/view?region=us-east-1"
    )
    assert run.xcoms["claim", "_link_CodePipelineLink"] == link
    assert run.xcoms["finish_job", "_link_CodePipelineLink"] == link


def test_a_sensor_has_no_link_that_would_be_empty():
    assert list(CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE).operator_extra_links) == []
