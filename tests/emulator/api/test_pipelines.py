# SPDX-License-Identifier: Apache-2.0
"""Pipelines that CreatePipeline makes: what moto keeps, and what the emulator shows."""

from __future__ import annotations

from declaring import CODE_DEPLOY, CUSTOM_TYPE, action, code, stage


def test_an_update_counts_versions(made):
    """What runs continues as it was."""
    m = made()
    assert m.create(m.source, stage("Build", action("Old")))["version"] == 1
    m.start()
    changed = m.update(m.source, stage("Build", action("New")), stage("More", action("Then")))
    assert changed["version"] == 2
    old = m.claim()
    assert m.named(old) == "Old"
    m.w.worker.succeed(old["id"])
    assert m.w.worker.poll() == []
    m.start()
    assert m.named(m.claim()) == "New"
    assert m.runs()[-1]["pipelineVersion"] == 2


def test_a_pipeline_that_is_deleted_is_gone_with_its_jobs(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.start()
    m.start()
    job_id = m.claim()["id"]
    m.client.delete_pipeline(name="made")
    assert code(m.w.worker.succeed, job_id=job_id) == "InvalidJobStateException"
    assert code(m.client.get_pipeline, name="made") == "PipelineNotFoundException"
    assert code(m.client.start_pipeline_execution, name="made") == "PipelineNotFoundException"
    m.client.delete_pipeline(name="made")
    m.create(m.source, stage("Build", action("Do")))
    assert m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"] == []
    m.start()
    assert m.named(m.claim()) == "Do"
    m.w.emu.advance(90_000)


def test_what_moto_refuses_is_made_by_nobody(made):
    m = made()
    wrong = m.declared(m.source, stage("Build", action("Do"))) | {
        "roleArn": "arn:aws:iam::123456789012:role/no"
    }
    assert code(m.client.create_pipeline, pipeline=wrong) == "InvalidStructureException"
    assert code(m.client.start_pipeline_execution, name="made") == "PipelineNotFoundException"
    assert code(m.client.update_pipeline, pipeline=wrong) == "ResourceNotFoundException"
    m.create(m.source, stage("Build", action("Do")))
    before = m.client.get_pipeline(name="made")["pipeline"]
    again = m.declared(m.source, stage("Other", action("Do")))
    assert code(m.client.create_pipeline, pipeline=again) == "PipelineNameInUseException"
    assert m.client.get_pipeline(name="made")["pipeline"] == before
    assert list(m.stages()) == ["Source", "Build"]


def test_what_moto_takes_without_a_worker_is_taken(made):
    m = made()
    odd = [
        stage("Source"),
        stage("Same", action("A", CODE_DEPLOY, inputs=["Nobodys"])),
        stage("Same", action("B", CODE_DEPLOY)),
    ]
    assert m.create(*odd)["version"] == 1
    execution_id = m.start()
    assert m.status(execution_id) == "Failed"
    assert "has made the artifact Nobodys" in str(m.runs())


def test_a_pipeline_is_of_the_region_in_which_it_was_made(made, client):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do")))
    m.client.create_pipeline(pipeline=declared)
    other = client("codepipeline", m.w.emu, region_name="eu-west-1")
    other.delete_pipeline(name="made")
    assert code(other.update_pipeline, pipeline=declared) == "NotImplementedException"
    for call in (other.get_pipeline, other.get_pipeline_state, other.start_pipeline_execution):
        assert code(call, name="made") == "PipelineNotFoundException"
    m.start()
    job = m.claim()
    assert job["data"]["pipelineContext"]["pipelineArn"] == "arn:aws:codepipeline:us-east-1:123456789012:made"
    assert m.runs()[0]["input"]["region"] == "us-east-1"


def test_tags_and_the_list_are_motos(made):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do")))
    m.client.create_pipeline(pipeline=declared, tags=[{"key": "a", "value": "b"}])
    arn = m.client.get_pipeline(name="made")["metadata"]["pipelineArn"]
    assert m.client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    assert [each["name"] for each in m.client.list_pipelines()["pipelines"]] == ["made"]


def test_times_are_the_emulators_and_numbers(made, signed_call):
    """As AWS JSON has them."""
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do")))
    m.client.create_pipeline(pipeline=declared)
    m.w.emu.advance(1000)
    m.client.update_pipeline(pipeline=declared)
    created = m.w.emu.now().timestamp() - 1000
    times = {"created": created, "updated": created + 1000}
    _, shown, _ = signed_call(m.w.emu, "GetPipeline", {"name": "made"})
    _, listed, _ = signed_call(m.w.emu, "ListPipelines", {})
    _, state, _ = signed_call(m.w.emu, "GetPipelineState", {"name": "made"})
    for said in (shown["metadata"], *listed["pipelines"], state):
        assert {name: said[name] for name in times} == times


def test_nulls_are_as_if_they_were_not_there(made, signed_call):
    m = made()
    empty = {"configuration": None, "inputArtifacts": None, "outputArtifacts": None, "runOrder": None}
    source = {**m.source["actions"][0], "namespace": None}
    declared = m.declared(stage("Source", source), stage("Build", action("Do") | empty, action("Two")))
    declared["artifactStore"] |= {"encryptionKey": None}
    status, made_one, _ = signed_call(m.w.emu, "CreatePipeline", {"pipeline": declared, "tags": None})
    assert (status, made_one["pipeline"]["version"]) == (200, 1)
    m.start()
    assert len(m.w.worker.poll()) == 2


def test_a_pipeline_whose_tags_are_refused_is_not_there(made):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do")))
    tags = [{"key": "aws:x", "value": "y"}]
    assert code(m.client.create_pipeline, pipeline=declared, tags=tags) == "InvalidTagsException"
    assert m.client.list_pipelines()["pipelines"] == []
    [said] = m.w.emu.ledger.where(operation="CreatePipeline")
    assert said.outcome == "InvalidTagsException"
    m.client.create_pipeline(pipeline=declared)


def test_a_reset_forgets_declared_pipelines_here_and_in_moto(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.start()
    m.w.emu.reset()
    assert m.client.list_pipelines()["pipelines"] == []
    assert code(m.client.start_pipeline_execution, name="made") == "PipelineNotFoundException"


def test_a_pipeline_of_the_emulators_own_is_not_made_again(made):
    m = made()
    m.w.emu.add_pipeline("own", action_type=CUSTOM_TYPE, input_artifacts=())
    declared = m.declared(m.source, stage("Build", action("Do")), name="own")
    assert code(m.client.create_pipeline, pipeline=declared) == "PipelineNameInUseException"
    assert code(m.client.update_pipeline, pipeline=declared) == "NotImplementedException"
    assert code(m.client.delete_pipeline, name="own") == "NotImplementedException"


def test_the_ledger_has_pipelines_and_each_actions_end(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.update(m.source, stage("Build", action("Do")))
    m.start()
    m.w.worker.succeed(m.claim()["id"])
    m.client.delete_pipeline(name="made")
    ledger = m.w.emu.ledger.where(pipeline_name="made")
    calls = [each.operation for each in ledger.where(kind="call") if "Job" not in each.operation]
    assert calls == ["CreatePipeline", "UpdatePipeline", "DeletePipeline"]
    ends = [(each.operation, dict(each.details)) for each in ledger.where(kind="action")]
    assert ends == [
        ("Succeeded", {"stageName": "Source", "actionName": "Fetch"}),
        ("Succeeded", {"stageName": "Build", "actionName": "Do"}),
    ]
