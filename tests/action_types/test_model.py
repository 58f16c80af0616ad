# SPDX-License-Identifier: Apache-2.0
"""A custom action type: from the declaration to AWS's shape and back, and its worker's policy."""

from __future__ import annotations

import json
import subprocess
import sys

import botocore.session
import pytest
from action_type_declarations import DECLARED, MINIMAL, told_by_aws
from botocore.validate import ParamValidator

from airflow_codepipeline_partner.action_types import (
    ActionTypeSettings,
    ArtifactDetails,
    ConfigurationProperty,
    CustomActionType,
    InvalidDeclaration,
    action_type_from_path,
    partner_worker_policy,
    path_of,
    worker_policy,
)
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.jobs import ActionType


@pytest.mark.parametrize("declared", [DECLARED, MINIMAL])
def test_the_declaration_is_what_is_sent(declared):
    arguments = CustomActionType.from_declaration(declared).to_api()
    model = botocore.session.get_session().get_service_model("codepipeline")
    shape = model.operation_model("CreateCustomActionType").input_shape
    assert not ParamValidator().validate(arguments, shape).has_errors()


def test_it_is_sent_as_it_was_declared():
    arguments = CustomActionType.from_declaration(DECLARED).to_api()
    tags = [{"key": "Team", "value": "build"}, {"key": "Empty", "value": ""}]
    assert arguments == {**DECLARED, "tags": tags}


def test_what_is_not_declared_has_its_default():
    assert CustomActionType.from_declaration(MINIMAL) == CustomActionType("Test", "Airflow")
    assert CustomActionType("Test", "Airflow").to_api() == {
        **MINIMAL,
        "version": "1",
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    }


@pytest.mark.parametrize("declared", [DECLARED, MINIMAL])
def test_it_comes_back_as_a_declaration(declared):
    made = CustomActionType.from_declaration(declared)
    assert CustomActionType.from_declaration(made.to_declaration()) == made
    said = CustomActionType.from_api(told_by_aws(declared))
    assert CustomActionType.from_declaration(said.to_declaration()) == said
    assert said.tags == {}


def test_a_declaration_in_snake_case_is_the_same():
    snake = {
        "category": "Build",
        "provider": "Airflow",
        "version": 2,
        "owner": "Custom",
        "settings": {
            "third_party_configuration_url": "https://airflow.example.com/",
            "entity_url_template": "https://airflow.example.com/{Config:Target}",
            "execution_url_template": "https://airflow.example.com/{ExternalExecutionId}",
            "revision_url_template": "https://airflow.example.com/edit",
        },
        "configuration_properties": DECLARED["configurationProperties"],
        "input_artifact_details": {"minimum_count": 1, "maximum_count": 2},
        "output_artifact_details": {"minimum_count": 0, "maximum_count": 0},
        "tags": DECLARED["tags"],
    }
    assert CustomActionType.from_declaration(snake) == CustomActionType.from_declaration(DECLARED)


def test_a_wrong_declaration_is_refused():
    with pytest.raises(InvalidDeclaration, match="category: must be one of"):
        CustomActionType.from_declaration({**MINIMAL, "category": "Fly"})


def test_what_aws_tells_is_read_leniently():
    said = CustomActionType.from_api(
        {
            "id": {"category": "Build", "owner": "Custom", "provider": "P", "version": "1"},
            "settings": {"entityUrlTemplate": "", "unknown": "x"},
            "actionConfigurationProperties": [{"name": "A" * 60, "new": 1}],
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 9},
            "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        }
    )
    assert said.settings == ActionTypeSettings()
    assert said.configuration_properties == (ConfigurationProperty("A" * 60),)
    assert said.input_artifact_details == ArtifactDetails(0, 9)


def test_a_path_names_an_action_type():
    action_type = ActionType("Build", "Airflow", "2", "Custom")
    assert action_type_from_path("Build/Airflow/2") == action_type
    assert action_type_from_path("Build/Custom/Airflow/2") == action_type
    assert path_of(action_type) == "Build/Airflow/2"
    assert CustomActionType.from_declaration(DECLARED).action_type == action_type


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Build",
        "Build/Airflow",
        "Build/ThirdParty/Airflow/1",
        "Build/Custom/Airflow/1/2",
        "build/Airflow/1",
        "Build/Air flow/1",
        "./Build/A/1",
    ],
)
def test_what_is_no_path_names_none(text):
    assert action_type_from_path(text) is None


CUSTOM = ActionType("Build", "Airflow", "1", "Custom")


def calls_of(policy):
    return [action for statement in policy["Statement"] for action in statement["Action"]]


def test_a_worker_may_poll_for_its_action_type_only():
    action_type = ActionType("Build", "Airflow", "2", "Custom")
    policy = worker_policy(action_type, account_id="111122223333", region="eu-central-1", partition="aws")
    assert policy == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PollForJobs",
                "Effect": "Allow",
                "Action": ["codepipeline:PollForJobs"],
                "Resource": "arn:aws:codepipeline:eu-central-1:111122223333:"
                "actiontype:Custom/Build/Airflow/2",
            },
            {
                "Sid": "WorkOnJobs",
                "Effect": "Allow",
                "Action": [
                    "codepipeline:GetJobDetails",
                    "codepipeline:AcknowledgeJob",
                    "codepipeline:PutJobSuccessResult",
                    "codepipeline:PutJobFailureResult",
                ],
                "Resource": "*",
            },
        ],
    }


def test_a_worker_may_read_its_wake_queue_only():
    arn = "arn:aws:sqs:eu-central-1:111122223333:started"
    *others, reading = worker_policy(CUSTOM, wake_queue_arn=arn)["Statement"]
    assert others == worker_policy(CUSTOM)["Statement"]
    assert reading == {
        "Sid": "ReadWakeQueue",
        "Effect": "Allow",
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
        "Resource": arn,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "*",
        "planted",
        "https://sqs.eu-central-1.amazonaws.com/111122223333/planted",
        "arn:aws:sqs:*:*:planted",
    ],
)
def test_what_is_no_queues_arn_is_refused(wrong):
    with pytest.raises(InvalidInput, match="must be the ARN of an SQS queue") as refusal:
        worker_policy(CUSTOM, wake_queue_arn=wrong)
    assert "planted" not in str(refusal.value)


def test_what_is_not_known_of_the_place_stays_open():
    [poll, _] = worker_policy(ActionType("Test", "P", owner="Custom"))["Statement"]
    assert poll["Resource"] == "arn:*:codepipeline:*:*:actiontype:Custom/Test/P/1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"account_id": "1234"},
        {"account_id": "\N{ARABIC-INDIC DIGIT ONE}" * 12},
        {"region": "eu central"},
        {"region": ""},
        {"partition": "planted:arn"},
    ],
)
def test_what_is_no_part_of_an_arn_is_refused(wrong):
    [name] = wrong
    with pytest.raises(InvalidInput, match=f"^{name} ") as refusal:
        worker_policy(ActionType("Test", "P", owner="Custom"), **wrong)
    assert "planted" not in str(refusal.value)


def test_a_partners_worker_needs_the_five_calls_of_partners():
    [statement] = partner_worker_policy()["Statement"]
    assert statement["Resource"] == "*"
    assert sorted(statement["Action"]) == sorted(
        f"codepipeline:{name}"
        for name in (
            "AcknowledgeThirdPartyJob",
            "GetThirdPartyJobDetails",
            "PollForThirdPartyJobs",
            "PutThirdPartyJobFailureResult",
            "PutThirdPartyJobSuccessResult",
        )
    )


def test_policies_are_json_and_name_calls_that_there_are():
    model = botocore.session.get_session().get_service_model("codepipeline")
    for policy in (worker_policy(ActionType("Test", "P", owner="Custom")), partner_worker_policy()):
        assert json.loads(json.dumps(policy)) == policy
        assert {call.removeprefix("codepipeline:") for call in calls_of(policy)} <= set(model.operation_names)


def test_it_imports_neither_airflow_nor_a_sdk_nor_yaml():
    program = (
        "import airflow_codepipeline_partner.action_types, json, sys\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"airflow", "boto3", "botocore", "yaml"}.isdisjoint(json.loads(done.stdout))
