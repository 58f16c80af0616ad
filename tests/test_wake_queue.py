# SPDX-License-Identifier: Apache-2.0
"""A wake queue of a sensor, a trigger and an asset, over the wire."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime

import boto3
import pytest
from airflow.sdk import DAG

from airflow_codepipeline_partner._polling import schedule
from airflow_codepipeline_partner.action_types import wake_queue_template
from airflow_codepipeline_partner.assets import codepipeline_jobs
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

TYPE = {"category": "Build", "owner": "Custom", "provider": "Airflow", "version": "1"}
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/started"


@pytest.fixture
def pipeline(emulator, aws_connection):
    emulator.add_pipeline("own", action_type=TYPE)


def started():
    return json.dumps(
        {
            "source": "aws.codepipeline",
            "detail-type": "CodePipeline Action Execution State Change",
            "time": datetime.now(UTC).isoformat(),
            "detail": {"state": "STARTED", "type": TYPE},
        }
    )


async def first_event_of(trigger, meanwhile):
    """Return a trigger's first event; what happens meanwhile begins after its first poll."""
    waiting = asyncio.ensure_future(anext(trigger.run()))
    await asyncio.to_thread(meanwhile)
    return (await asyncio.wait_for(waiting, 30)).payload


def after_the_first_poll(emulator, do):
    def wait():
        while not emulator.ledger.polls():
            time.sleep(0.01)
        do()

    return wait


@pytest.mark.parametrize("deadline", [None, 4_000_000_000.0], ids=["asset", "sensor"])
def test_a_job_is_offered_long_before_the_interval(emulator, pipeline, sqs, deadline):
    url = sqs.create_queue(QueueName="started")["QueueUrl"]

    def start():
        emulator.start_execution("own")
        sqs.send_message(QueueUrl=url, MessageBody=started())

    trigger = CodePipelineJobTrigger(TYPE, poll_interval=3600, timeout_deadline=deadline, wake_queue=url)
    event = asyncio.run(first_event_of(trigger, after_the_first_poll(emulator, start)))
    assert [job["job_id"] for job in event["jobs"]] == [job.job_id for job in emulator.jobs()]
    assert len(emulator.ledger.polls()) == 2
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"


@pytest.fixture
def wake_queue(emulator, sqs):
    """The queue that the template makes, with its rule; return its URL."""
    session = boto3.Session("AKIAEXAMPLE", "example-secret", region_name="us-east-1")
    cloudformation = session.client("cloudformation", endpoint_url=emulator.url)
    template = json.dumps(wake_queue_template(ActionType.from_value(TYPE)))
    # moto has the stacks of former tests, too.
    name = f"jobs-{uuid.uuid4()}"
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "QueueUrl")


def start_of(emulator, fault=None):
    def start():
        if fault:
            emulator.inject(*fault[:1], **dict(fault[1:]))
        emulator.start_execution("own")

    return after_the_first_poll(emulator, start)


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
@pytest.mark.parametrize("fault", [None, ("double_event",)], ids=["once", "twice"])
def test_the_templates_queue_wakes_a_trigger(emulator, pipeline, wake_queue, fault):
    """From the action's start on, over EventBridge, its rule and SQS."""
    trigger = CodePipelineJobTrigger(
        TYPE, poll_interval=3600, timeout_deadline=4_000_000_000.0, wake_queue=wake_queue
    )
    event = asyncio.run(first_event_of(trigger, start_of(emulator, fault)))
    assert [job["job_id"] for job in event["jobs"]] == [job.job_id for job in emulator.jobs()]


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
def test_an_event_before_its_job_is_polled_for_again(emulator, pipeline, wake_queue, monkeypatch):
    monkeypatch.setattr(schedule, "AFTER_WAKING", (0.0, 0.3, 5.0))
    monkeypatch.setattr(schedule, "LEAST_PAUSE", 0.1)
    emulator.configure(job_delay=0.2)
    trigger = CodePipelineJobTrigger(
        TYPE, poll_interval=3600, timeout_deadline=4_000_000_000.0, wake_queue=wake_queue
    )
    event = asyncio.run(first_event_of(trigger, start_of(emulator)))
    assert len(event["jobs"]) == 1
    assert len(emulator.ledger.polls()) == 3


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
@pytest.mark.parametrize("fault", [("lose_event",), ("delay_event", ("seconds", 3600))], ids=["lost", "late"])
def test_a_lost_or_late_event_changes_only_when(emulator, pipeline, wake_queue, fault):
    trigger = CodePipelineJobTrigger(
        TYPE, poll_interval=0.5, timeout_deadline=4_000_000_000.0, wake_queue=wake_queue
    )
    event = asyncio.run(first_event_of(trigger, start_of(emulator, fault)))
    assert len(event["jobs"]) == 1


def test_without_its_queue_it_polls_as_ever(emulator, pipeline, sqs, caplog):
    trigger = CodePipelineJobTrigger(
        TYPE,
        poll_interval=0.2,
        timeout_deadline=4_000_000_000.0,
        wake_queue=f"{emulator.url}/123456789012/missing",
    )

    def start():
        while "cannot be read" not in caplog.text:
            time.sleep(0.01)
        emulator.start_execution("own")

    event = asyncio.run(first_event_of(trigger, start))
    assert event["status"] == "offered"
    assert "missing cannot be read: There is no such queue. Polls go on" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        "started",
        "arn:aws:sqs:eu-central-1:123456789012:started",
        "https://sqs.eu-central-1.amazonaws.com",
        "https://user:secret@sqs.eu-central-1.amazonaws.com/123456789012/started",
        f"{URL}?secret",
        7,
        ["https://sqs"],
    ],
)
def test_what_is_no_queues_url_is_refused_unquoted(wrong):
    for make in (
        lambda: CodePipelineJobTrigger(TYPE, wake_queue=wrong),
        lambda: codepipeline_jobs("jobs", TYPE, wake_queue=wrong),
        lambda: CodePipelineJobSensor(task_id="wait", action_type=TYPE, deferrable=True, wake_queue=wrong),
    ):
        with pytest.raises(InvalidInput, match="wake_queue must be the URL of an SQS queue") as refusal:
            make()
        assert "secret" not in str(refusal.value)


def test_only_the_triggerer_reads_the_queue():
    with pytest.raises(InvalidInput, match="wait has a wake_queue, which only the triggerer reads"):
        CodePipelineJobSensor(task_id="wait", action_type=TYPE, wake_queue=URL, deferrable=False)


@pytest.mark.parametrize(("given", "used"), [(URL, URL), (f" {URL}\n", URL), (None, None), ("", None)])
def test_a_deferred_sensor_hands_its_queue_on(given, used):
    from airflow.providers.common.compat.sdk import TaskDeferred

    with DAG("waits", schedule=None):
        sensor = CodePipelineJobSensor(
            task_id="wait", action_type=TYPE, wake_queue="{{ params.queue }}", deferrable=True
        )
    assert "wake_queue" in sensor.template_fields
    sensor.wake_queue = given
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    name, arguments = deferred.value.trigger.serialize()
    assert arguments.get("wake_queue") == used
    # A triggerer that is older gets none.
    assert ("wake_queue" in arguments) == (used is not None)
    assert CodePipelineJobTrigger(**arguments).serialize() == (name, arguments)


def test_an_assets_watcher_has_its_queue():
    [watcher] = codepipeline_jobs("jobs", TYPE, wake_queue=URL).watchers
    assert watcher.trigger.serialize()[1]["wake_queue"] == URL
