# SPDX-License-Identifier: Apache-2.0
"""Declarations of pipelines: which are refused, and which secrets they keep."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError
from declaring import ACTION_TYPE, CODE_DEPLOY, CUSTOM_TYPE, S3, action, code, message, stage

SECRET = {"name": "Password", "secret": True}
PROJECT = {"name": "Project", "required": True, "queryable": True}


def partner_pipeline(m):
    return m.declared(m.source, stage("Deploy", action("Partner", ACTION_TYPE, inputs=["App"])))


def test_secrets_are_masked_and_stay_when_they_come_back_masked(made, http):
    m = made({"name": "Host"}, SECRET)
    configuration = {"Host": "h", "Password": "hush"}
    stages = (m.source, stage("Build", action("Do", configuration=configuration)))
    answers = [m.create(*stages), m.update(*stages), m.client.get_pipeline(name="made")]
    read = m.client.get_pipeline(name="made")["pipeline"]
    shown = read["stages"][1]["actions"][0]["configuration"]
    assert shown == {"Host": "h", "Password": "****"}
    shown["Host"] = "other"
    answers.append(m.client.update_pipeline(pipeline=read))
    m.start()
    job = m.claim()
    assert job["data"]["actionConfiguration"]["configuration"] == {"Host": "other", "Password": "hush"}
    answers += [
        m.client.get_pipeline_state(name="made"),
        m.runs(),
        [entry.as_dict() for entry in m.w.emu.ledger],
        m.w.emu.state.pipelines,
        m.w.emu.state.executions,
        http(f"{m.w.emu.url}/moto-api/data.json")[1],
    ]
    assert [answer for answer in answers if "hush" in str(answer)] == []
    configuration["Password"] = "changed"
    m.update(*stages)
    m.w.worker.succeed(job["id"])
    m.start()
    assert m.claim()["data"]["actionConfiguration"]["configuration"]["Password"] == "changed"


def test_a_secret_that_is_too_long_is_not_shown(made):
    m = made(SECRET)
    long = {"Password": "hush" * 300}
    with pytest.raises(ClientError) as error:
        m.create(m.source, stage("Build", action("Do", configuration=long)))
    said = str(error.value)
    assert "length less than or equal to 1000" in said
    assert "hush" not in said
    assert "hush" not in str([entry.as_dict() for entry in m.w.emu.ledger])


def test_a_mask_stands_for_the_former_secret(made):
    """Only in the action that had it."""
    m = made({"name": "Host"}, SECRET)
    m.w.create({"name": "Password"}, provider="Plain")
    plain = CUSTOM_TYPE | {"provider": "Plain"}
    masked = {"configuration": {"Password": "****"}}
    assert "no value before" in message(
        m.client.create_pipeline, pipeline=m.declared(m.source, stage("Build", action("Do", **masked)))
    )
    m.create(m.source, stage("Build", action("Do", configuration={"Password": "hush"})))
    renamed = m.declared(m.source, stage("Build", action("Other", **masked)))
    assert "no value before" in message(m.client.update_pipeline, pipeline=renamed)
    m.w.create(SECRET, provider="Else")
    other = m.declared(m.source, stage("Build", action("Do", CUSTOM_TYPE | {"provider": "Else"}, **masked)))
    assert "no value before" in message(m.client.update_pipeline, pipeline=other)
    # Of another type the property of that name is no secret, and its stars are stars.
    m.update(m.source, stage("Build", action("Do", plain, **masked)))
    m.start()
    assert (
        m.claim(provider="Plain")["data"]["actionConfiguration"]["configuration"] == masked["configuration"]
    )
    assert "hush" not in str([m.runs(), m.client.get_pipeline(name="made")])


def test_a_partners_action_type_may_have_secrets(made):
    m = made()
    m.w.emu.add_action_type(ACTION_TYPE, secret_configuration_keys=["ApiKey"])
    m.w.emu.add_customer()
    configuration = {"ApiKey": "hush", "Target": "t"}
    deploy = action("Partner", ACTION_TYPE, configuration=configuration)
    m.create(m.source, stage("Deploy", deploy))
    m.start()
    shown = m.client.get_pipeline(name="made")["pipeline"]["stages"][1]["actions"][0]["configuration"]
    assert shown == m.runs()[1]["input"]["configuration"] == {"ApiKey": "****", "Target": "t"}


@pytest.mark.parametrize(
    ("stages", "error", "said"),
    [
        (
            [stage("Build", action("Do", CUSTOM_TYPE | {"provider": "Typo"}))],
            "InvalidAction",
            "is not available",
        ),
        (
            [stage("Build", action("Do", configuration={"Typo": "x"}))],
            "InvalidAction",
            "no configuration property",
        ),
        ([stage("Build", action("Do", configuration={}))], "InvalidAction", "Project is required"),
        ([stage("Build", action("Do", inputs="ABCDEF"))], "InvalidAction", "0 to 5 input artifacts"),
        ([stage("Build", action("Do", inputs=["None"]))], "InvalidStructure", "makes its input None"),
        ([stage("Build", action("Do"), action("Do"))], "InvalidStage", "more than one action Do"),
        ([stage("Build", action("Do")), stage("Empty")], "InvalidStage", "Empty has no action"),
        ([stage("Source", action("Do"))], "InvalidStructure", "name of its own"),
        ([stage("Build", action("Do", outputs=["App"]))], "InvalidStructure", "makes the artifact App"),
        (
            [stage("Build", action("Do", outputs=["Out"]), action("Too", inputs=["Out"]))],
            "InvalidStructure",
            "makes its input Out",
        ),
        ([stage("Build", action("Do"), action("Get", S3))], "InvalidStructure", "source actions only"),
    ],
)
def test_a_declaration_that_aws_would_refuse_is_refused(made, stages, error, said):
    """And nothing is created."""
    m = made(PROJECT)
    for each in stages:
        for declared in each["actions"]:
            if declared["actionTypeId"] != S3:
                declared.setdefault("configuration", {"Project": "shop"})
    declared = m.declared(m.source, *stages)
    with pytest.raises(ClientError, match=said) as refused:
        m.client.create_pipeline(pipeline=declared)
    assert refused.value.response["Error"]["Code"].startswith(error)
    assert code(m.client.get_pipeline, name="made") == "PipelineNotFoundException"
    assert m.client.list_pipelines()["pipelines"] == []


@pytest.mark.parametrize(
    "namespaces", [("Same", "Same"), ("codepipeline", "x"), ("x", "variables"), ("Src", "x")]
)
def test_namespaces_are_each_one_actions(made, namespaces):
    m = made()
    first, second = namespaces
    declared = m.declared(
        m.source, stage("Build", action("A", namespace=first), action("B", namespace=second))
    )
    assert code(m.client.create_pipeline, pipeline=declared) == "InvalidActionDeclarationException"


@pytest.mark.parametrize(
    "change",
    [
        {"pipelineType": "V1", "executionMode": "QUEUED"},
        {"pipelineType": "V1", "variables": [{"name": "a"}]},
        {"artifactStores": {"us-east-1": {"type": "S3", "location": "artifacts"}}},
        {"artifactStore": None, "artifactStores": {"eu-west-1": {"type": "S3", "location": "artifacts"}}},
        {"artifactStore": None},
    ],
)
def test_what_does_not_go_together_is_refused(made, signed_call, change):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do"))) | change
    assert signed_call(m.w.emu, "CreatePipeline", {"pipeline": declared})[1]["__type"] == (
        "InvalidStructureException"
    )


def test_github_s_token_is_masked_where_the_emulator_shows_it(made):
    m = made()
    github = {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"}
    configuration = {"Owner": "o", "OAuthToken": "hush"}
    m.create(
        stage("Source", action("Clone", github, configuration=configuration)), stage("Build", action("Do"))
    )
    m.start()
    seen = m.runs()[0]["input"]
    assert seen["configuration"] == seen["resolvedConfiguration"] == {"Owner": "o", "OAuthToken": "****"}


def test_a_partners_action_makes_a_job_of_the_customer(made):
    m = made()
    m.w.emu.add_action_type(ACTION_TYPE)
    assert "0 customers" in message(m.client.create_pipeline, pipeline=partner_pipeline(m))
    customer = m.w.emu.add_customer()
    m.client.create_pipeline(pipeline=partner_pipeline(m))
    m.start()
    [job] = m.client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE)["jobs"]
    assert job["clientId"] == customer.client_id
    asked = {"jobId": job["jobId"], "clientToken": customer.client_token}
    details = m.client.get_third_party_job_details(**asked)["jobDetails"]
    assert "pipelineExecutionId" not in details["data"]["pipelineContext"]
    m.client.acknowledge_third_party_job(**asked, nonce=details["nonce"])
    m.client.put_third_party_job_success_result(**asked)
    assert m.actions() == {"Fetch": "Succeeded", "Partner": "Succeeded"}


def test_of_several_customers_a_setting_chooses_one_who_stays(made):
    m = made()
    m.w.emu.add_action_type(ACTION_TYPE)
    first, second = m.w.emu.add_customer(), m.w.emu.add_customer()
    assert "2 customers" in message(m.client.create_pipeline, pipeline=partner_pipeline(m))
    m.w.emu.configure(connected_client_id=str(uuid.uuid4()))
    assert "2 customers" in message(m.client.create_pipeline, pipeline=partner_pipeline(m))
    m.w.emu.configure(connected_client_id=second.client_id)
    m.client.create_pipeline(pipeline=partner_pipeline(m))
    m.w.emu.configure(connected_client_id=first.client_id)
    m.client.update_pipeline(pipeline=partner_pipeline(m))
    m.start()
    [job] = m.w.emu.jobs()
    assert job.client_id == second.client_id


@pytest.mark.parametrize("name", ["entityUrlTemplate", "revisionUrlTemplate", "executionUrlTemplate"])
def test_a_link_with_a_later_secret_is_refused_cleanly(made, name):
    m = made()
    url = {name: "https://own.example/{Config:Host}"}
    m.w.create({"name": "Host", "required": True}, provider="Linked", settings=url)
    linked = CUSTOM_TYPE | {"provider": "Linked"}
    m.w.emu.add_action_type(linked, secret_configuration_keys=["Host"])
    declared = m.declared(m.source, stage("Build", action("Do", linked, configuration={"Host": "hush"})))
    with pytest.raises(ClientError, match="no secret: Host") as refused:
        m.client.create_pipeline(pipeline=declared)
    assert refused.value.response["Error"]["Code"] == "InvalidActionDeclarationException"
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_workers_action_type_with_the_owner_aws_is_refused(made, version):
    m = made()
    typo = {**CUSTOM_TYPE, "owner": "AWS", "version": version}
    refused = m.declared(m.source, stage("Build", action("Do", typo, ["App"])))
    seen = message(m.client.create_pipeline, pipeline=refused)
    assert f"Provider: 'Own', Version: '{version}') in action 'Do' is not available" in seen
    assert "there is one of the owner Custom" in seen
    assert code(m.client.create_pipeline, pipeline=refused) == "InvalidActionDeclarationException"


@pytest.mark.parametrize("owner", ["Custom", "ThirdParty"])
def test_a_workers_action_type_may_have_a_name_that_aws_has_too(made, owner):
    m = made()
    m.w.emu.add_action_type({**CODE_DEPLOY, "owner": owner})
    assert m.create(m.source, stage("Deploy", action("Roll", CODE_DEPLOY, ["App"])))["version"] == 1
