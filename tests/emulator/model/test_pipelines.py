# SPDX-License-Identifier: Apache-2.0
"""Keys of artifacts, and links of actions."""

from __future__ import annotations

import pytest
from declaring import CUSTOM_TYPE

from airflow_codepipeline_partner.emulator import ControlError


def test_keys_are_cut_as_codepipeline_cuts_them(world):
    name = "a-pipeline-with-a-long-name"
    w = world()
    w.emu.add_pipeline(
        name, client_id=w.customer.client_id, input_artifacts=["SourceArtifact"], output_artifacts=[]
    )
    w.emu.start_execution(name)
    data = w.worker.details(w.worker.poll_ids()[0])["data"]
    pipeline, artifact, suffix = data["inputArtifacts"][0]["location"]["s3Location"]["objectKey"].split("/")
    assert (pipeline, artifact, len(suffix)) == (name[:20], "SourceArti", 7)


URL = "https://own.example/{Config:Project}/{ExternalExecutionId}"


@pytest.fixture
def w(custom_world):
    """An emulator without action types and pipelines."""
    return custom_world(pipeline=False)


def add(w, name="pipeline", **options):
    return w.emu.add_pipeline(name, **({"action_type": CUSTOM_TYPE, "input_artifacts": ()} | options))


def test_the_link_to_an_execution_is_the_action_types(w):
    """Unless the pipeline has its own."""
    w.create({"name": "Project", "required": True}, settings={"executionUrlTemplate": URL})
    configured = {"configuration": {"Project": "shop"}}
    add(w, **configured)
    add(w, "own", execution_url_template="https://other.example/{ExternalExecutionId}", **configured)
    details = {"externalExecutionId": "run-1"}
    for name in ("pipeline", "own"):
        w.start(name)
        assert "externalExecutionUrl" not in w.action(name)
        w.worker.succeed(w.worker.claim(), continuationToken="t", executionDetails=details)
    assert w.action()["externalExecutionUrl"] == "https://own.example/shop/run-1"
    assert w.action("own")["externalExecutionUrl"] == "https://other.example/run-1"
    with pytest.raises(ControlError, match="1 to 2048"):
        add(w, "empty", execution_url_template="", **configured)


def test_entity_and_revision_links_are_shown_before_a_run(w):
    settings = {
        "entityUrlTemplate": "https://own.example/{Config:Project}",
        "revisionUrlTemplate": "https://own.example/{Config:Project}/edit",
    }
    w.create({"name": "Project", "required": True}, settings=settings)
    add(w, configuration={"Project": "shop"})

    def links():
        [state] = w.worker.client.get_pipeline_state(name="pipeline")["stageStates"][1]["actionStates"]
        return state["entityUrl"], state["revisionUrl"]

    assert links() == ("https://own.example/shop", "https://own.example/shop/edit")
    w.start("pipeline")
    assert links() == ("https://own.example/shop", "https://own.example/shop/edit")


@pytest.mark.parametrize("name", ["entityUrlTemplate", "revisionUrlTemplate", "executionUrlTemplate"])
def test_no_link_shows_what_is_secret_in_one_pipeline(w, name):
    w.create({"name": "Host", "required": True}, settings={name: "https://own.example/{Config:Host}"})
    with pytest.raises(ControlError, match="needs a configuration key that is no secret: Host"):
        add(w, configuration={"Host": "hush"}, secret_configuration_keys=["Host"])


def test_what_a_worker_names_is_no_placeholder(w):
    secret = {"name": "Password", "secret": True}
    w.create(secret, settings={"executionUrlTemplate": "https://own.example/{ExternalExecutionId}"})
    add(w, configuration={"Password": "hush"})
    w.start("pipeline")
    w.worker.succeed(w.worker.claim(), executionDetails={"externalExecutionId": "run-{Config:Password}"})
    assert w.action()["externalExecutionUrl"] == "https://own.example/run-{Config:Password}"
