# SPDX-License-Identifier: Apache-2.0
"""Polls for custom jobs: owners, queues and queries."""

from __future__ import annotations

import sys

import pytest
from declaring import CUSTOM_TYPE

from airflow_codepipeline_partner.emulator.api.jobs import JobsApi

PROJECT = {"name": "Project", "required": True, "queryable": True}


@pytest.mark.parametrize("owner", ["AWS", "ThirdParty"])
def test_a_custom_poll_for_another_owner_is_refused(custom_world, owner):
    """In AWS's words."""
    w = custom_world()
    with pytest.raises(w.worker.error.ValidationException, match=f"owner '{owner}' is not supported"):
        w.worker.poll(owner=owner)


def test_a_custom_action_type_is_not_polled_for_as_a_partners(custom_world):
    w = custom_world()
    poll = w.worker.client.poll_for_third_party_jobs
    with pytest.raises(w.worker.error.ValidationException, match="owner 'Custom' is not supported"):
        poll(actionTypeId=CUSTOM_TYPE)


def test_a_custom_poll_keeps_to_its_capacity_and_the_order(custom_world):
    w = custom_world(max_batch_size=3)
    for _ in range(7):
        w.start()
    order = [job.job_id for job in w.emu.jobs()]
    first = w.worker.client.poll_for_jobs(actionTypeId=CUSTOM_TYPE)["jobs"]
    assert [job["id"] for job in first] == order[:1]
    assert w.worker.poll_ids(2) == order[1:3]
    assert w.worker.poll_ids(9) == order[3:6]
    assert w.worker.poll_ids(9) == order[6:]
    assert w.worker.poll_ids(9) == []


def test_a_custom_poll_costs_the_same_with_many_jobs(custom_world):
    def steps_of_a_poll(queued):
        w = custom_world()
        for _ in range(queued):
            w.start()
        calls = JobsApi(w.emu.state, w.emu.runner, w.emu.store)
        asked = {"actionTypeId": CUSTOM_TYPE, "maxBatchSize": 2}
        # Once before, so that the model of the calls is read.
        calls.answer("PollForJobs", asked)
        steps = []
        before = sys.getprofile()
        sys.setprofile(lambda frame, event, _: steps.append(event))
        try:
            answer = calls.answer("PollForJobs", asked)
        finally:
            sys.setprofile(before)
        assert len(answer["jobs"]) == 2
        return len(steps)

    assert steps_of_a_poll(10) == steps_of_a_poll(10_000)


def test_a_poll_for_an_unknown_custom_action_type_is_refused(custom_world):
    w = custom_world()
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll(provider="Other")
    w.emu.add_action_type(CUSTOM_TYPE | {"provider": "Other"})
    assert w.worker.poll(provider="Other") == []


def test_region_of_the_signature_matters_to_custom_polls_too(custom_world):
    w = custom_world(region="eu-west-1")
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll()
    w.emu.configure(region="us-east-1")
    w.start()
    [job] = w.worker.poll()
    assert job["data"]["pipelineContext"]["pipelineArn"].startswith("arn:aws:codepipeline:us-east-1:")


def test_jobs_of_a_deleted_action_type_wait_for_it(custom_world):
    """Until it is created again."""
    w = custom_world(pipeline=False)
    w.create()
    w.emu.add_pipeline("pipeline", action_type=CUSTOM_TYPE, input_artifacts=())
    w.start()
    w.start()
    taken = w.worker.claim()
    w.worker.client.delete_custom_action_type(category="Build", provider="Own", version="1")
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll()
    # What is worked at can be ended all the same.
    w.worker.succeed(taken)
    w.create()
    assert len(w.worker.poll()) == 1


@pytest.mark.parametrize("query", [None, {}, {"Other": "shop"}, {"project": "shop"}])
def test_a_queryable_property_needs_its_query(custom_world, query):
    w = custom_world(pipeline=False)
    w.create(PROJECT, {"name": "Other"})
    with pytest.raises(w.worker.error.ValidationException, match="queryParam must have the key Project"):
        w.worker.poll(query=query)


@pytest.mark.parametrize("properties", [(), ({"name": "Project", "required": True},)])
def test_a_query_is_refused_where_nothing_is_queryable(custom_world, properties):
    w = custom_world(pipeline=False)
    w.create(*properties)
    with pytest.raises(w.worker.error.ValidationException, match="queryParam must be empty"):
        w.worker.poll(query={"Project": "shop"})
    assert w.worker.poll(query={}) == w.worker.poll() == []


def test_a_query_returns_only_the_jobs_with_its_value(custom_world):
    """Each value has a queue."""
    w = custom_world(pipeline=False, continuation_delay=0)
    w.create(PROJECT)
    for project in ("shop", "mill"):
        configuration = {"Project": project}
        w.emu.add_pipeline(project, action_type=CUSTOM_TYPE, configuration=configuration, input_artifacts=())
    for project in ("shop", "shop", "mill", "shop"):
        w.start(project)
    by_project = {
        project: [job.job_id for job in w.emu.jobs() if job.pipeline_name == project]
        for project in ("shop", "mill")
    }
    assert w.worker.poll(query={"Project": "none"}) == []
    [mill] = w.worker.poll(query={"Project": "mill"})
    assert [mill["id"]] == by_project["mill"]
    assert mill["data"]["actionConfiguration"]["configuration"] == {"Project": "mill"}
    assert w.worker.poll(query={"Project": "mill"}) == []
    assert [job["id"] for job in w.worker.poll(query={"Project": "shop"})] == by_project["shop"]
    # A continuation, a redelivery and a duplicate come to the same queue.
    w.worker.acknowledge(mill["id"])
    w.worker.succeed(mill["id"], continuationToken="t")
    assert w.worker.poll(query={"Project": "shop"}) == []
    [second] = w.worker.poll(query={"Project": "mill"})
    w.emu.inject("duplicate", "PollForJobs")
    assert [job["id"] for job in w.worker.poll(query={"Project": "mill"})] == [second["id"]]
    w.emu.advance(60)
    assert [job["id"] for job in w.worker.poll(query={"Project": "mill"})] == [second["id"]]
    assert [job["id"] for job in w.worker.poll(query={"Project": "shop"})] == by_project["shop"]
