# SPDX-License-Identifier: Apache-2.0
"""The link to the pipeline in the AWS console."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from support import ACTION_TYPE

from airflow_codepipeline_partner.links import CONSOLE_DOMAINS, CodePipelineLink, pipeline_url
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

PATH = "/codesuite/codepipeline/pipelines"


@pytest.mark.parametrize(
    ("partition", "region_name", "address"),
    [
        (
            "aws",
            "eu-central-1",
            f"https://eu-central-1.console.aws.amazon.com{PATH}/pipe/view?region=eu-central-1",
        ),
        ("aws-cn", "cn-north-1", f"https://console.amazonaws.cn{PATH}/pipe/view?region=cn-north-1"),
        (
            "aws-us-gov",
            "us-gov-west-1",
            f"https://console.amazonaws-us-gov.com{PATH}/pipe/view?region=us-gov-west-1",
        ),
    ],
)
def test_each_partition_has_its_own_console(partition, region_name, address):
    assert pipeline_url(partition, region_name, "pipe") == address


@pytest.mark.parametrize("partition", ["aws-iso", "aws-iso-b", "", "unknown"])
def test_where_no_console_is_known_there_is_no_link(partition):
    assert pipeline_url(partition, "us-iso-east-1", "pipe") == ""


@pytest.mark.parametrize("partition", sorted(CONSOLE_DOMAINS))
def test_names_are_quoted(partition):
    address = pipeline_url(partition, "eu-central-1", "a/b c?d#é")
    assert f"{PATH}/a%2Fb%20c%3Fd%23%C3%A9/view?region=eu-central-1" in address


def test_the_link_is_what_the_task_found_or_empty():
    link = CodePipelineLink()
    assert link.name == "CodePipeline"
    found = SimpleNamespace(pipeline_url="https://example.com/pipe")
    assert link.get_link(found, ti_key=None) == "https://example.com/pipe"
    assert link.get_link(SimpleNamespace(pipeline_url=None), ti_key=None) == ""
    assert link.get_link(SimpleNamespace(), ti_key=None) == ""


def test_a_stored_dag_with_the_sensors_link_still_loads(airflow_database, monkeypatch):
    from airflow.serialization import serialized_objects

    # Until Airflow 3.1, one class is both the DAG and the way to it.
    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    serialization = getattr(serialized_objects, name)
    with monkeypatch.context() as former, DAG("stored", schedule=None) as dag:
        former.setattr(CodePipelineJobSensor, "operator_extra_links", (CodePipelineLink(),))
        CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE)
        stored = serialization.serialize_dag(dag)
    assert "_link_CodePipelineLink" in json.dumps(stored)
    loaded = serialization.deserialize_dag(stored)
    assert loaded.get_task("wait").task_id == "wait"
