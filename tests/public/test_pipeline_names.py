# SPDX-License-Identifier: Apache-2.0
"""The names of what starts and watches pipelines, frozen: signatures, templated fields, what lies in XCom."""

from __future__ import annotations

from typing import Any

import pytest
from public_surface import AWS, NEEDED, parameters_of

from airflow_codepipeline_partner import assets, operators, pipelines, sensors, triggers
from airflow_codepipeline_partner._protocol.execution_changes import LastLook
from airflow_codepipeline_partner._protocol.executions import ActionExecution, PipelineExecution

OF_PIPELINE = {"pipeline_name": NEEDED, **AWS}
WAITING = {
    "wait_for_completion": True,
    "deferrable": None,
    "waiter_delay": 30,
    "waiter_max_attempts": 20_160,
    "stop_pipeline_on_kill": False,
    "fail_on_superseded": True,
    **OF_PIPELINE,
}
SIGNATURES: dict[Any, dict[str, Any]] = {
    operators.CodePipelineStartPipelineOperator: {
        "variables": None,
        "source_revisions": None,
        "client_request_token": None,
        **WAITING,
    },
    operators.CodePipelineStopPipelineOperator: {
        "execution_id": NEEDED,
        "abandon": False,
        "reason": None,
        "wait_for_completion": True,
        "waiter_delay": 30,
        "waiter_max_attempts": 120,
        **OF_PIPELINE,
    },
    operators.CodePipelineRetryStageOperator: {
        "stage_name": NEEDED,
        "execution_id": NEEDED,
        "retry_mode": "FAILED_ACTIONS",
        **WAITING,
    },
    operators.CodePipelineRollbackStageOperator: {
        "stage_name": NEEDED,
        "target_execution_id": NEEDED,
        **WAITING,
    },
    operators.CodePipelinePutApprovalResultOperator: {
        "stage_name": NEEDED,
        "action_name": NEEDED,
        "status": "Approved",
        "summary": "",
        "execution_id": None,
        "wait_for_approval": False,
        "waiter_delay": 30,
        "waiter_max_attempts": 120,
        **OF_PIPELINE,
    },
    operators.CodePipelineStageTransitionOperator: {
        "stage_name": NEEDED,
        "enabled": NEEDED,
        "transition_type": "Inbound",
        "reason": None,
        **OF_PIPELINE,
    },
    operators.CodePipelineOverrideStageConditionOperator: {
        "stage_name": NEEDED,
        "execution_id": NEEDED,
        "condition_type": NEEDED,
        **OF_PIPELINE,
    },
    operators.CodePipelinePutActionRevisionOperator: {
        "stage_name": NEEDED,
        "action_name": NEEDED,
        "revision_id": NEEDED,
        "revision_change_id": None,
        **OF_PIPELINE,
    },
    sensors.CodePipelineExecutionSensor: {
        "pipeline_name": NEEDED,
        "execution_id": NEEDED,
        "fail_on_superseded": True,
        "poke_interval": 30,
        "deferrable": None,
        **AWS,
    },
    triggers.CodePipelineExecutionTrigger: {
        "pipeline_name": NEEDED,
        "execution_id": NEEDED,
        "poll_interval": 30,
        "timeout_deadline": None,
        "retry_deadline": 300,
        "stop_on_kill": None,
        **AWS,
    },
    triggers.CodePipelineEventTrigger: {
        "pipeline_name": NEEDED,
        "states": ("Succeeded",),
        "poll_interval": 30,
        "look_back": 600,
        "wake_queue": None,
        **AWS,
    },
    assets.codepipeline_events: {
        "name": NEEDED,
        "pipeline_name": NEEDED,
        "states": ("Succeeded",),
        "poll_interval": 30,
        "look_back": 600,
        "wake_queue": None,
        **AWS,
    },
    assets.ended_executions: {"context": None},
    pipelines.pipeline_policy: {
        "pipeline_name": NEEDED,
        "purposes": ("start", "wait"),
        "stage_name": None,
        "action_name": None,
        "account_id": "*",
        "region": "*",
        "partition": "*",
        "wake_queue_arn": None,
    },
    pipelines.pipeline_wake_queue_template: {"pipeline_name": NEEDED},
}
#: What no template changes.
NOT_TEMPLATED = {
    "botocore_config",
    "abandon",
    "enabled",
    "transition_type",
    "condition_type",
    "retry_mode",
    "wait_for_completion",
    "wait_for_approval",
    "deferrable",
    "waiter_delay",
    "waiter_max_attempts",
    "stop_pipeline_on_kill",
    "fail_on_superseded",
    "poke_interval",
}


@pytest.mark.parametrize("kind", SIGNATURES, ids=lambda kind: kind.__name__)
def test_a_signature_is_as_it_was(kind):
    assert parameters_of(kind) == SIGNATURES[kind]


@pytest.mark.parametrize(
    "kind", [each for each in SIGNATURES if hasattr(each, "template_fields")], ids=lambda kind: kind.__name__
)
def test_all_that_names_something_is_templated(kind):
    assert set(kind.template_fields) == set(SIGNATURES[kind]) - NOT_TEMPLATED


def test_an_execution_in_xcom_is_as_it_was():
    failed = ActionExecution("Deploy", "Out", "Failed", error_code="JobFailed", error_message="No.")
    execution = PipelineExecution("shop", "7ce2", "Failed", None, (failed,))
    assert execution.to_xcom() == {
        "pipeline_name": "shop",
        "pipeline_execution_id": "7ce2",
        "status": "Failed",
        "status_summary": None,
        "failed_actions": [
            {
                "stage_name": "Deploy",
                "action_name": "Out",
                "status": "Failed",
                "error_code": "JobFailed",
                "error_message": "No.",
            }
        ],
    }
    assert PipelineExecution.from_xcom(execution.to_xcom()) == execution


def test_an_execution_in_an_event_is_as_it_was():
    execution = PipelineExecution("shop", "7ce2", "Failed", "Why.")
    assert execution.to_event() == {
        "pipeline_name": "shop",
        "pipeline_execution_id": "7ce2",
        "status": "Failed",
        "status_summary": "Why.",
    }
    assert PipelineExecution.from_event(execution.to_event()) == execution


def test_a_watcher_is_stored_as_it_was():
    trigger = triggers.CodePipelineEventTrigger("shop")
    path, kwargs = trigger.serialize()
    assert path == "airflow_codepipeline_partner.triggers.CodePipelineEventTrigger"
    assert kwargs == {
        "pipeline_name": "shop",
        "states": ["Succeeded"],
        "poll_interval": 30,
        "look_back": 600,
        "wake_queue": None,
        **AWS,
    }
    assert triggers.CodePipelineEventTrigger(**kwargs).serialize() == (path, kwargs)


def test_the_last_look_in_airflows_store_is_as_it_was():
    stored = {"until": "2026-01-31T12:00:00+00:00", "open": ["7ce2"]}
    assert LastLook.from_stored(stored).to_stored() == stored


def test_the_purposes_of_a_policy_are_as_they_were():
    assert list(pipelines.PURPOSES) == [
        *("start", "wait", "stop", "retry", "roll-back", "approve", "transition", "override-condition"),
        *("put-revision", "events"),
    ]
