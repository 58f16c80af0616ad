# SPDX-License-Identifier: Apache-2.0
"""The trigger that watches a pipeline and its asset, against the emulator."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import logging
import time
import uuid
from contextlib import aclosing

import boto3
import pytest
from declaring import CODE_DEPLOY, action, stage

from airflow_codepipeline_partner.assets import codepipeline_events
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.pipelines import pipeline_wake_queue_template
from airflow_codepipeline_partner.triggers import CodePipelineEventTrigger

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/changed"


class Store:
    """Stands for Airflow 3.3's store of an asset."""

    def __init__(self):
        self.held = {}

    async def aget(self, key):
        return self.held.get(key)

    async def aset(self, key, value):
        self.held[key] = json.loads(json.dumps(value))


def trigger_for(states=("Succeeded", "Failed"), **more):
    return CodePipelineEventTrigger("pipe", states, **{"poll_interval": 0.05, **more})


@pytest.fixture
def looks(monkeypatch):
    """Count the looks at pipelines that have got their answer."""
    pages, answered = CodePipelineHook.pages_of_executions, []

    def noting(self, pipeline_name):
        yield from pages(self, pipeline_name)
        answered.append(pipeline_name)

    monkeypatch.setattr(CodePipelineHook, "pages_of_executions", noting)
    return answered


@pytest.fixture
def payloads_of(looks):
    """Return a function that returns a trigger's events, one for each step between two looks."""
    return functools.partial(_payloads_of, looks)


async def one_more(looks):
    """Wait for a look."""
    before = len(looks)
    while len(looks) == before:  # noqa: ASYNC110 - they are counted in threads
        await asyncio.sleep(0.01)


async def _payloads_of(looks, trigger, *steps):
    found = []
    async with aclosing(trigger.run()) as events:
        for step in steps:
            waiting = asyncio.ensure_future(anext(events))
            if not found:
                await one_more(looks)
            assert not waiting.done()
            await asyncio.to_thread(step)
            found.append((await asyncio.wait_for(waiting, 30)).payload)
    return found


@pytest.fixture
def begin(customer, emulator):
    """Return a function that starts the pipeline ``pipe``: the execution's id."""
    return lambda: emulator.start_execution("pipe")


@pytest.fixture
def end(make_hook, emulator):
    """Return a function that ends the jobs that wait."""
    from support import ACTION_TYPE

    def end_them(how="succeed"):
        hook = make_hook()
        for offered in hook.poll(ACTION_TYPE):
            job = hook.claim(offered)
            hook.succeed(job) if how == "succeed" else hook.fail(job, message="No such host.")

    return end_them


def said(execution_id, status):
    return {
        "pipeline_name": "pipe",
        "pipeline_execution_id": execution_id,
        "status": status,
        "status_summary": None,
    }


def test_each_end_of_a_pipeline_is_an_event(begin, end, emulator, payloads_of):
    ids = []

    def whole(how):
        ids.append(begin())
        end(how)

    events = asyncio.run(payloads_of(trigger_for(), lambda: whole("succeed"), lambda: whole("fail")))
    assert events == [
        {"status": "reached", "executions": [said(ids[0], "Succeeded")]},
        {"status": "reached", "executions": [said(ids[1], "Failed")]},
    ]
    assert json.loads(json.dumps(events)) == events


def test_what_had_ended_before_it_is_no_event(begin, end, emulator, payloads_of):
    trigger = trigger_for(look_back=0)
    begin()
    end()
    second = []

    def go_on():
        second.append(begin())
        end()

    [event] = asyncio.run(payloads_of(trigger, go_on))
    assert event["executions"] == [said(second[0], "Succeeded")]


def test_without_a_store_it_looks_back_a_little(begin, end, emulator):
    """As before Airflow 3.3: it may have been restarted."""
    first = begin()
    end()

    async def run(trigger):
        async with aclosing(trigger.run()) as events:
            return (await asyncio.wait_for(anext(events), 30)).payload

    for _ in range(2):
        trigger = trigger_for()
        trigger.asset_state_store = None
        assert asyncio.run(run(trigger))["executions"] == [said(first, "Succeeded")]


def test_after_a_restart_it_takes_up_where_it_was(begin, end, emulator, monkeypatch):
    from airflow_codepipeline_partner._polling import watch_memory

    monkeypatch.setattr(watch_memory, "STORED_AFTER", 0.0)
    store, ids = Store(), [begin()]
    end()

    def watcher():
        trigger = trigger_for()
        trigger.asset_state_store = store
        return trigger

    def go_on():
        ids.append(begin())
        end()

    async def until_it_is_stored(trigger):
        async with aclosing(trigger.run()) as events:
            waiting = asyncio.ensure_future(anext(events))
            before = json.dumps(store.held)
            while json.dumps(store.held) == before:
                assert not waiting.done(), "It said something twice."
                await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    # The first one says nothing of what was before.
    asyncio.run(until_it_is_stored(watcher()))
    ids.append(begin())
    # While nobody looks.
    end("fail")

    async def first_event(trigger):
        async with aclosing(trigger.run()) as events:
            return (await asyncio.wait_for(anext(events), 30)).payload

    event = asyncio.run(first_event(watcher()))
    assert event["executions"] == [said(ids[1], "Failed")]
    # It died before Airflow had the event, for all it knows.
    assert asyncio.run(first_event(watcher())) == event


def test_a_start_is_an_event_if_it_counts(begin, emulator, payloads_of):
    ids = []
    [event] = asyncio.run(payloads_of(trigger_for(["InProgress"]), lambda: ids.append(begin())))
    assert event["executions"] == [said(ids[0], "InProgress")]


def test_a_retried_stage_makes_another_event(begin, end, emulator, client, payloads_of):
    ids = []

    def fail():
        ids.append(begin())
        end("fail")

    def retry():
        client.retry_stage_execution(
            pipelineName="pipe",
            stageName="Partner",
            pipelineExecutionId=ids[0],
            retryMode="FAILED_ACTIONS",
        )
        end()

    events = asyncio.run(payloads_of(trigger_for(), fail, retry))
    assert [each["executions"][0]["status"] for each in events] == ["Failed", "Succeeded"]
    assert {each["executions"][0]["pipeline_execution_id"] for each in events} == set(ids)


def test_of_a_hundred_and_more_none_is_lost(declare, client, aws_connection, looks):
    """More than one page of them, between two looks."""
    declare("quick", stage("Ship", action("Out", CODE_DEPLOY, inputs=["SourceOutput"])))
    trigger, ids = CodePipelineEventTrigger("quick", poll_interval=0.05, look_back=0), []

    def start_many():
        # Between two looks: it looks again when this has ended, and not before.
        ids.extend(client.start_pipeline_execution(name="quick")["pipelineExecutionId"] for _ in range(120))

    async def run():
        async with aclosing(trigger.run()) as events:
            waiting = asyncio.ensure_future(anext(events))
            await one_more(looks)
            await asyncio.to_thread(start_many)
            heard = {}
            while len(heard) < 120:
                for each in (await asyncio.wait_for(waiting, 30)).payload["executions"]:
                    heard[each["pipeline_execution_id"]] = each["status"]
                waiting = asyncio.ensure_future(anext(events))
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return heard

    heard = asyncio.run(run())
    assert set(heard) == set(ids)
    assert set(heard.values()) == {"Succeeded"}


# The queue that says when to look.


@pytest.fixture
def wake_queue(emulator):
    """The queue that the template makes, with its rule; return its URL."""
    session = boto3.Session("AKIAEXAMPLE", "example-secret", region_name="us-east-1")
    cloudformation = session.client("cloudformation", endpoint_url=emulator.url)
    # moto has the stacks of former tests, too.
    name = f"ends-{uuid.uuid4()}"
    template = json.dumps(pipeline_wake_queue_template("pipe"))
    cloudformation.create_stack(StackName=name, TemplateBody=template)
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "QueueUrl")


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
@pytest.mark.parametrize("fault", [None, "double_event"], ids=["once", "twice"])
def test_the_templates_queue_wakes_the_watcher(begin, end, emulator, wake_queue, fault, payloads_of):
    """Long before the interval, over EventBridge, its rule and SQS; each end makes one event."""
    ids = []

    def go_on():
        if fault:
            emulator.inject(fault)
        ids.append(begin())
        end()

    trigger = trigger_for(poll_interval=3600, wake_queue=wake_queue)
    [event] = asyncio.run(payloads_of(trigger, go_on))
    assert event["executions"] == [said(ids[0], "Succeeded")]


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
@pytest.mark.parametrize(
    "fault", [("lose_event", {}), ("delay_event", {"seconds": 3600})], ids=["lost", "late"]
)
def test_a_lost_or_late_event_changes_only_when(begin, end, emulator, wake_queue, fault, payloads_of):
    ids = []

    def go_on():
        emulator.inject(fault[0], times=None, **fault[1])
        ids.append(begin())
        end()

    trigger = trigger_for(poll_interval=0.3, wake_queue=wake_queue)
    [event] = asyncio.run(payloads_of(trigger, go_on))
    assert event["executions"] == [said(ids[0], "Succeeded")]


@pytest.mark.parametrize("rubbish", ["", "{}", '{"source": "aws.codepipeline", "detail": {}}'])
def test_rubbish_in_the_queue_changes_nothing(begin, end, emulator, sqs, rubbish, payloads_of):
    url, ids = sqs.create_queue(QueueName=f"rubbish-{uuid.uuid4()}")["QueueUrl"], []
    if rubbish:
        sqs.send_message(QueueUrl=url, MessageBody=rubbish)

    def go_on():
        ids.append(begin())
        end()

    [event] = asyncio.run(payloads_of(trigger_for(wake_queue=url, poll_interval=0.3), go_on))
    assert event["executions"] == [said(ids[0], "Succeeded")]


def test_without_its_queue_it_looks_as_ever(begin, end, emulator, caplog, payloads_of):
    trigger, ids = trigger_for(wake_queue=f"{emulator.url}/123456789012/missing", poll_interval=0.2), []

    def go_on():
        while "cannot be read" not in caplog.text:
            time.sleep(0.01)
        ids.append(begin())
        end()

    [event] = asyncio.run(payloads_of(trigger, go_on))
    assert event["executions"] == [said(ids[0], "Succeeded")]
    assert "missing cannot be read: There is no such queue." in caplog.text


# What it is made of.


def test_it_is_the_same_after_its_way_through_the_database():
    given = {
        "pipeline_name": "shop",
        "states": ["Succeeded", "Failed"],
        "poll_interval": 7,
        "look_back": 60,
        "wake_queue": URL,
        "aws_conn_id": "mine",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 5},
        "client_conn_id_template": "c_{client_id}",
    }
    path, kwargs = CodePipelineEventTrigger(**given).serialize()
    assert kwargs == given
    assert path == "airflow_codepipeline_partner.triggers.CodePipelineEventTrigger"
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (path, kwargs)


def test_the_asset_has_one_watcher_with_all_that_was_given():
    given = {
        "states": ["Stopped"],
        "poll_interval": 7,
        "look_back": 60,
        "wake_queue": URL,
        "aws_conn_id": "mine",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 5},
        "client_conn_id_template": "c_{client_id}",
    }
    asset = codepipeline_events("ends", "shop", **given)
    assert asset.name == "ends"
    [watcher] = asset.watchers
    assert isinstance(watcher.trigger, CodePipelineEventTrigger)
    assert watcher.trigger.serialize()[1] == {"pipeline_name": "shop", **given}


def test_airflow_stores_equal_watchers_once():
    from airflow.triggers.base import BaseEventTrigger

    one, other = (CodePipelineEventTrigger("shop", states) for states in (["Failed"], ("Failed", "Failed")))
    assert BaseEventTrigger.hash(*one.serialize()) == BaseEventTrigger.hash(*other.serialize())


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pipeline_name": "a shop"}, "pipelineName"),
        ({"pipeline_name": None}, "pipelineName"),
        ({"states": ()}, "states is empty"),
        ({"states": ("Done",)}, "states"),
        ({"poll_interval": 0}, "poll_interval must be more than 0"),
        ({"poll_interval": float("nan")}, "poll_interval must be more than 0"),
        ({"look_back": -1}, "look_back must be 0 seconds or more"),
        ({"look_back": float("inf")}, "look_back must be 0 seconds or more"),
        ({"wake_queue": "changed"}, "wake_queue must be the URL of an SQS queue"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_dag(wrong, named):
    with pytest.raises(InvalidInput, match=named):
        codepipeline_events("ends", **{"pipeline_name": "shop", **wrong})


def test_no_secret_is_logged(begin, end, emulator, caplog, payloads_of):
    with caplog.at_level(logging.DEBUG, logger="airflow_codepipeline_partner"):

        def go_on():
            begin()
            end()

        asyncio.run(payloads_of(trigger_for(), go_on))
    assert "example-secret" not in caplog.text
