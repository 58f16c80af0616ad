# SPDX-License-Identifier: Apache-2.0
"""Variables of pipelines and actions."""

from __future__ import annotations

import pytest
from declaring import CODE_DEPLOY, action, code, message, stage

from airflow_codepipeline_partner.emulator import ControlError

SECRET = {"name": "Password", "secret": True}
PROJECT = {"name": "Project", "required": True, "queryable": True}


def test_variables_reach_the_configuration_of_later_actions(made):
    m = made({"name": "Image"}, {"name": "Run"}, {"name": "Stage"}, SECRET)
    configuration = {
        "Image": "#{Built.name}:#{Built.tag}",
        "Run": "#{codepipeline.PipelineExecutionId}",
        "Stage": "#{variables.Stage} of #{Src.VersionId}",
        "Password": "#{Built.secret}",
    }
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built")),
        stage("Deploy", action("Ship", configuration=configuration)),
        pipelineType="V2",
        variables=[{"name": "Stage", "defaultValue": "test"}],
    )
    execution_id = m.start(variables=[{"name": "Stage", "value": "live"}])
    m.w.worker.succeed(m.claim()["id"], outputVariables={"name": "app", "tag": "1", "secret": "hush"})
    version = m.runs()[0]["output"]["outputVariables"]["VersionId"]
    resolved = {
        "Image": "app:1",
        "Run": execution_id,
        "Stage": f"live of {version}",
        "Password": "hush",
    }
    assert m.claim()["data"]["actionConfiguration"]["configuration"] == resolved
    seen = m.runs()[2]["input"]
    assert seen["configuration"] == configuration | {"Password": "****"}
    assert seen["resolvedConfiguration"] == resolved | {"Password": "****"}
    assert m.runs()[1]["input"]["namespace"] == "Built"
    shown = m.client.get_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    assert shown["pipelineExecution"]["variables"] == [{"name": "Stage", "resolvedValue": "live"}]


@pytest.mark.parametrize("reference", ["#{Built.other}", "#{Shipped.name}", "#{variables.none}"])
def test_an_action_with_a_variable_that_is_not_there_fails(made, reference):
    m = made({"name": "Image"})
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built")),
        stage("Deploy", action("Ship", configuration={"Image": reference}, namespace="Shipped")),
    )
    execution_id = m.start()
    m.w.worker.succeed(m.claim()["id"], outputVariables={"name": "app"})
    assert m.status(execution_id) == "Failed"
    assert m.actions()["Ship"] == "Failed"
    error = m.runs()[2]["output"]["executionResult"]["errorDetails"]
    named = reference.strip("#{}")
    assert error["message"] == (
        f"The configuration property Image refers to the variable {named} that is not there, or not yet."
    )
    assert m.w.worker.poll() == []


def test_a_pipelines_variable_needs_a_value_and_a_known_name(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), variables=[{"name": "Stage"}], pipelineType="V2")
    start = m.client.start_pipeline_execution
    assert "Stage has no value" in message(start, name="made")
    other = [{"name": "Stage", "value": "x"}, {"name": "Other", "value": "x"}]
    assert "no variable Other" in message(start, name="made", variables=other)
    assert m.w.emu.jobs() == []


def test_a_queryable_value_may_come_from_a_variable(made):
    """And must be a queryable value then."""
    m = made(PROJECT)
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built", configuration={"Project": "first"})),
        stage("Deploy", action("Ship", configuration={"Project": "#{Built.next}"})),
    )
    m.start()
    m.w.worker.succeed(m.claim(query={"Project": "first"})["id"], outputVariables={"next": "second"})
    assert m.w.worker.poll(query={"Project": "first"}) == []
    ship = m.claim(query={"Project": "second"})
    assert m.named(ship) == "Ship"
    m.w.worker.succeed(ship["id"])
    m.start()
    m.w.worker.succeed(m.claim(query={"Project": "first"})["id"], outputVariables={"next": "not one"})
    assert m.actions()["Ship"] == "Failed"
    assert "queryable" in m.runs()[-1]["output"]["executionResult"]["errorDetails"]["message"]


def test_variables_without_a_namespace_reach_nobody(made):
    m = made({"name": "Image"}, SECRET)
    ship = {"Image": "v#{Do.a}"}
    stages = m.source, stage("Build", action("Do")), stage("Deploy", action("Ship", configuration=ship))
    create = m.client.create_pipeline
    assert code(create, pipeline=m.declared(*stages)) == "InvalidActionDeclarationException"
    seen = message(create, pipeline=m.declared(*stages))
    assert "Image of Ship in the stage Deploy has a reference #{Do.a} to a namespace that no" in seen
    del ship["Image"]
    ship["Password"] = "#{my.secretpart}"
    seen = message(create, pipeline=m.declared(*stages))
    assert "Password of Ship in the stage Deploy has a reference to a namespace" in seen
    assert m.client.list_pipelines()["pipelines"] == []


def test_a_variable_that_a_secret_needs_is_not_named(made):
    m = made(SECRET)
    configuration = {"Password": "pre#{Src.secretpart}post"}
    m.create(m.source, stage("Build", action("Do", configuration=configuration)))
    assert m.status(m.start()) == "Failed"
    seen = str([m.runs(), m.w.emu.ledger, m.client.get_pipeline_state(name="made")])
    assert "The configuration property Password refers to a variable that is not there" in seen
    assert "secretpart" not in seen


def test_given_artifacts_have_the_variables_of_an_s3_source(made):
    m = made({"name": "Image"})
    configuration = {"Image": "#{Src.ObjectKey} #{Src.VersionId}"}
    m.create(m.source, stage("Build", action("Do", configuration=configuration)))
    m.w.emu.start_execution("made", artifacts={"App": b"given"})
    assert m.claim()["data"]["actionConfiguration"]["configuration"] == {"Image": "app.zip null"}


def test_variables_of_actions_not_emulated_stay_references(made):
    m = made({"name": "Image"})
    commit = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}
    configuration = {"Image": "#{SourceVariables.CommitId}"}
    m.create(
        stage("Source", action("Fetch", commit, outputs=["App"], namespace="SourceVariables")),
        stage("Build", action("Do", configuration=configuration)),
        stage("Deploy", action("Roll", CODE_DEPLOY, configuration={"Any": "#{variables.none}"})),
    )
    execution_id = m.start()
    job = m.claim()
    assert job["data"]["actionConfiguration"]["configuration"] == configuration
    m.w.worker.succeed(job["id"])
    assert m.status(execution_id) == "Succeeded"


def test_start_execution_takes_variables(made):
    """A variable without a default needs one."""
    m = made({"name": "Image"})
    m.create(
        m.source,
        stage("Build", action("Do", configuration={"Image": "#{variables.Stage}"})),
        variables=[{"name": "Stage"}],
        pipelineType="V2",
    )
    for values, said in (({}, "Stage has no value"), ({"Stage": "x", "No": "y"}, "no variable No")):
        with pytest.raises(ControlError, match=said):
            m.w.emu.start_execution("made", variables=values)
    with pytest.raises(ControlError, match="are texts"):
        m.w.emu.start_execution("made", variables={"Stage": 1})
    m.w.emu.start_execution("made", variables={"Stage": "live"})
    assert m.claim()["data"]["actionConfiguration"]["configuration"] == {"Image": "live"}
