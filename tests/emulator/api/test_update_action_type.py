# SPDX-License-Identifier: Apache-2.0
"""UpdateActionType: a partner changes what its action type is."""

from __future__ import annotations

import pytest
from declaring import ACTION_TYPE, action, code, message, stage

NONE = {"minimumCount": 0, "maximumCount": 0}
UPDATED = {
    "description": "Deploys",
    "executor": {
        "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": ["123456789012"]}},
        "type": "JobWorker",
        "jobTimeout": 120,
    },
    "id": ACTION_TYPE,
    "inputArtifactDetails": NONE,
    "outputArtifactDetails": NONE,
    "permissions": {"allowedAccounts": ["*"]},
    "properties": [
        {"name": "Project", "optional": False, "key": True, "noEcho": False, "queryable": False},
        {"name": "Password", "optional": True, "key": False, "noEcho": True, "description": "Hidden"},
    ],
    "urls": {
        "configurationUrl": "https://partner.example/configure",
        "executionUrlTemplate": "https://partner.example/{Config:Project}/{ExternalExecutionId}",
    },
}


@pytest.fixture
def partner(made):
    m = made()
    m.w.emu.add_action_type(ACTION_TYPE)
    m.customer = m.w.emu.add_customer()
    return m


def update(m, **change):
    m.client.update_action_type(actionType=UPDATED | change)


def create(m, **configuration):
    deploy = action("Do", ACTION_TYPE, configuration=configuration)
    m.create(m.source, stage("Build", deploy))


def test_what_was_updated_is_shown(partner):
    update(partner)
    got = partner.client.get_action_type(**ACTION_TYPE)["actionType"]
    assert got == UPDATED
    [listed] = partner.client.list_action_types(actionOwnerFilter="ThirdParty")["actionTypes"]
    usual = {"required": True, "key": True, "secret": False, "queryable": False}
    assert listed["actionConfigurationProperties"] == [
        {"name": "Project"} | usual,
        {"name": "Password", "required": False, "key": False, "secret": True, "description": "Hidden"},
    ]
    assert listed["settings"] == {
        "thirdPartyConfigurationUrl": UPDATED["urls"]["configurationUrl"],
        "executionUrlTemplate": UPDATED["urls"]["executionUrlTemplate"],
    }
    assert listed["inputArtifactDetails"] == NONE


def test_new_pipelines_follow_the_update(partner):
    update(partner)
    with pytest.raises(
        partner.client.exceptions.InvalidActionDeclarationException, match="Project is required"
    ):
        create(partner, Password="hush")
    create(partner, Project="p1", Password="hush")
    declared = partner.client.get_pipeline(name="made")["pipeline"]["stages"][1]["actions"][0]
    assert declared["configuration"] == {"Project": "p1", "Password": "****"}
    partner.start()
    [job] = partner.client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE)["jobs"]
    known = {"jobId": job["jobId"], "clientToken": partner.customer.client_token}
    nonce = partner.client.get_third_party_job_details(**known)["jobDetails"]["nonce"]
    partner.client.acknowledge_third_party_job(**known, nonce=nonce)
    partner.w.emu.advance(119)
    assert partner.actions()["Do"] == "InProgress"
    partner.w.emu.advance(1)
    assert partner.actions()["Do"] == "Failed"


def test_pipelines_of_the_controls_follow_it_too(partner):
    update(partner)
    asked = {"client_id": partner.customer.client_id, "action_type": ACTION_TYPE, "input_artifacts": ()}
    made = partner.w.emu.add_pipeline("own", configuration={"Project": "p"}, **asked)
    [_, deploy] = made.actions()
    assert deploy.job_timeout == 120
    made = partner.w.emu.add_pipeline("other", configuration={"Project": "p"}, job_timeout=5, **asked)
    [_, deploy] = made.actions()
    assert deploy.job_timeout == 5


def test_an_update_replaces_the_one_before(partner):
    update(partner)
    update(partner, properties=[], urls={})
    create(partner)
    assert partner.client.get_action_type(**ACTION_TYPE)["actionType"]["properties"] == []


def test_secret_properties_of_the_control_stay_secret(partner):
    partner.w.emu.add_action_type(ACTION_TYPE, secret_configuration_keys=["Project"])
    update(partner, urls={})
    create(partner, Project="hush")
    declared = partner.client.get_pipeline(name="made")["pipeline"]["stages"][1]["actions"][0]
    assert declared["configuration"] == {"Project": "****"}


LAMBDA = {"lambdaFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f"}
PROPERTY = UPDATED["properties"][0]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"id": ACTION_TYPE | {"provider": "None"}}, "ActionTypeNotFoundException", "not available"),
        ({"id": ACTION_TYPE | {"owner": "Custom"}}, "ValidationException", "pattern"),
        ({"inputArtifactDetails": {"minimumCount": 2, "maximumCount": 1}}, "ValidationException", "above"),
        ({"inputArtifactDetails": {"minimumCount": 0, "maximumCount": 11}}, "ValidationException", "10"),
        ({"properties": [PROPERTY, PROPERTY]}, "ValidationException", "a name of its own"),
        (
            {"properties": [PROPERTY | {"queryable": True, "optional": True}]},
            "ValidationException",
            "queryable",
        ),
        ({"properties": []}, "ValidationException", "{Config:Project}"),
        (
            {"executor": {"type": "JobWorker", "configuration": {"lambdaExecutorConfiguration": LAMBDA}}},
            "ValidationException",
            "jobWorkerExecutorConfiguration",
        ),
        (
            {"executor": {"type": "Lambda", "configuration": {"lambdaExecutorConfiguration": LAMBDA}}},
            "NotImplementedException",
            "Lambda",
        ),
    ],
)
def test_an_update_that_is_not_right_is_refused(partner, signed_call, change, error, said):
    answer = signed_call(partner.w.emu, "UpdateActionType", {"actionType": UPDATED | change})[1]
    assert answer["__type"] == error
    assert said in answer["message"]
    assert "description" not in partner.client.get_action_type(**ACTION_TYPE)["actionType"]


def test_an_action_type_of_aws_is_not_known(partner):
    asked = UPDATED | {"id": ACTION_TYPE | {"owner": "AWS"}}
    assert code(partner.client.update_action_type, actionType=asked) == "ActionTypeNotFoundException"
    assert "Example" in message(partner.client.update_action_type, actionType=asked)
