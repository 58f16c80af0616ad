# SPDX-License-Identifier: Apache-2.0
"""Pages neither repeat nor leave out what was there all the time, whatever comes and goes between them."""

from __future__ import annotations

import pytest
from declaring import CUSTOM_TYPE, action, code, stage

BUILD = stage("Build", action("Do", CUSTOM_TYPE, inputs=["App"]))
TAGS = [{"key": key, "value": "v"} for key in "abcde"]


def shown(client, operation, key, name_of, between, size=2, **asked):
    """Return the names of what is shown in all pages; the first page is followed by a change."""
    size = {} if size is None else {"PageSize": size}
    names = []
    for page in client.get_paginator(operation).paginate(**asked, PaginationConfig=size):
        found = [name_of(each) for each in page[key]]
        if not names:
            between(found)
        names += found
    return names


@pytest.mark.parametrize(
    ("operation", "key", "name"),
    [
        ("list_pipeline_executions", "pipelineExecutionSummaries", "pipelineExecutionId"),
        ("list_action_executions", "actionExecutionDetails", "actionExecutionId"),
    ],
)
def test_an_execution_that_starts_meanwhile_moves_nothing(world, operation, key, name):
    w = world()
    for _ in range(5):
        w.start()
    client, asked = w.worker.client, {"pipelineName": "pipeline"}
    before = [each[name] for each in getattr(client, operation)(**asked)[key]]
    found = shown(client, operation, key, lambda each: each[name], lambda _: w.start(), **asked)
    assert found == before
    token = getattr(client, operation)(**asked, maxResults=2)["nextToken"]
    for wrong in (f"{token}x", "2", "after "):
        assert code(getattr(client, operation), **asked, nextToken=wrong) == "InvalidNextTokenException"


def test_pipelines_that_are_deleted_meanwhile_hide_no_other(made):
    m = made()
    for name in "fbdeac":
        m.create(m.source, BUILD, name=name)
    m.w.emu.add_pipeline("cc", action_type=CUSTOM_TYPE)

    def change(found):
        for name in found:
            m.client.delete_pipeline(name=name)
        m.create(m.source, BUILD, name="aa")

    found = shown(m.client, "list_pipelines", "pipelines", lambda each: each["name"], change)
    assert found == ["a", "b", "c", "cc", "d", "e", "f"]


def test_action_types_that_are_deleted_meanwhile_hide_no_other(custom_world):
    w = custom_world(pipeline=False)
    for number in range(45):
        w.create(version=f"{number:02}")

    def change(found):
        for version in found:
            w.worker.client.delete_custom_action_type(category="Build", provider="Own", version=version)

    found = shown(
        w.worker.client,
        "list_action_types",
        "actionTypes",
        lambda each: each["id"]["version"],
        change,
        size=None,
    )
    assert found == [f"{number:02}" for number in range(45)]


@pytest.mark.parametrize("kind", ["action type", "pipeline"])
def test_tags_that_are_taken_meanwhile_hide_no_other(made, kind):
    m = made()
    m.create(m.source, BUILD)
    arn = m.client.get_pipeline(name="made")["metadata"]["pipelineArn"]
    if kind == "action type":
        arn = arn.replace(":made", ":actiontype:Custom/Build/Own/1")
    m.client.tag_resource(resourceArn=arn, tags=TAGS)

    def change(found):
        m.client.untag_resource(resourceArn=arn, tagKeys=found)

    asked = {"resourceArn": arn}
    found = shown(m.client, "list_tags_for_resource", "tags", lambda each: each["key"], change, **asked)
    assert found == list("abcde")
    assert code(m.client.list_tags_for_resource, **asked, nextToken="no") == "InvalidNextTokenException"


def test_a_pipeline_of_the_control_has_no_tags(custom_world):
    client = custom_world().worker.client
    arn = client.get_pipeline(name="pipeline")["metadata"]["pipelineArn"]
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == []
    assert code(client.tag_resource, resourceArn=arn, tags=TAGS) == "NotImplementedException"
    assert code(client.untag_resource, resourceArn=arn, tagKeys=["a"]) == "NotImplementedException"
