# SPDX-License-Identifier: Apache-2.0
"""The check of the action type, against the emulator."""

from __future__ import annotations

import pytest
import yaml
from action_type_server import DECLARATION
from botocore.exceptions import ClientError
from support import admin_client

from airflow_codepipeline_partner.action_types import CustomActionType
from airflow_codepipeline_partner.doctor.action_type_checks import check_action_type
from airflow_codepipeline_partner.doctor.aws_access import Answer, AwsAccess
from airflow_codepipeline_partner.doctor.findings import Outcome
from airflow_codepipeline_partner.jobs import ActionType

PASS, FAIL, UNKNOWN = Outcome
PARTNER = ActionType("Deploy", "Example", "1", "ThirdParty")


@pytest.fixture
def existing(emulator):
    declared = CustomActionType.from_declaration(yaml.safe_load(DECLARATION))
    admin_client(emulator, "codepipeline").create_custom_action_type(**declared.to_api())
    return declared


def test_one_that_exists_passes(aws, existing):
    found = check_action_type(aws, existing.action_type, None)
    assert (found.outcome, found.what) == (PASS, "Build/Airflow/1 exists.")


def test_one_as_declared_passes(aws, existing):
    found = check_action_type(aws, existing.action_type, existing)
    assert (found.outcome, "as it is declared" in found.what) == (PASS, True)


def test_another_setting_fails_and_is_named(aws, existing):
    text = DECLARATION.replace("maximumCount: 1", "maximumCount: 2").replace(
        "https://airflow", "https://other"
    )
    declared = CustomActionType.from_declaration(yaml.safe_load(text))
    found = check_action_type(aws, declared.action_type, declared)
    assert found.outcome is FAIL
    assert "inputArtifactDetails, settings.executionUrlTemplate" in found.what


@pytest.mark.parametrize("version", ["2", "1-"])
def test_another_version_fails_and_names_what_is_there(aws, existing, version):
    found = check_action_type(aws, ActionType("Build", "Airflow", version, "Custom"), None)
    assert (found.outcome, "'Build/Airflow/1'" in found.what) == (FAIL, True)


def test_none_at_all_fails(emulator, aws):
    found = check_action_type(aws, ActionType("Test", "Other", "1", "Custom"), None)
    assert found.outcome is FAIL
    assert found.what == "There is no custom action type Test/Other/1 in us-east-1."


def test_a_queryable_one_says_what_a_poll_needs(emulator, aws):
    text = DECLARATION.replace("    key: true\n", "    key: true\n    queryable: true\n")
    declared = CustomActionType.from_declaration(yaml.safe_load(text))
    admin_client(emulator, "codepipeline").create_custom_action_type(**declared.to_api())
    assert "query_param with 'Target'" in check_action_type(aws, declared.action_type, declared).what


@pytest.mark.parametrize(
    ("code", "advice"), [("AccessDeniedException", "allow codepipeline:"), ("NoSuchThing", "checks of AWS")]
)
@pytest.mark.parametrize("kind", [ActionType("Build", "Airflow", "1", "Custom"), PARTNER])
def test_a_look_that_is_refused_is_unknown(aws, monkeypatch, kind, code, advice):
    # The emulator has no faults for these two calls.
    def refused(self, operation, arguments):
        raise ClientError({"Error": {"Code": code, "Message": "planted"}}, operation)

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refused)
    found = check_action_type(aws, kind, None)
    assert (found.outcome, code in found.what, advice in found.to_do) == (UNKNOWN, True, True)
    assert "planted" not in found.what + found.to_do


def test_a_partners_type_passes_if_it_exists(emulator, connect):
    aws = connect(emulator.url, is_partner=True)
    assert check_action_type(aws, PARTNER, None).outcome is FAIL
    emulator.add_action_type("Deploy/ThirdParty/Example/1")
    found = check_action_type(aws, PARTNER, None)
    assert (found.outcome, found.what) == (PASS, "Deploy/ThirdParty/Example/1 exists.")


def test_a_type_without_a_worker_is_named(aws, monkeypatch):
    answer = Answer(None, "GetActionType", value={"actionType": {"executor": {"type": "Lambda"}}})
    monkeypatch.setattr(AwsAccess, "check_answers", lambda _: None)
    monkeypatch.setattr(AwsAccess, "ask", lambda *_, **__: answer)
    assert "Its executor is Lambda" in check_action_type(aws, PARTNER, None).what
