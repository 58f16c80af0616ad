# SPDX-License-Identifier: Apache-2.0
"""The names that users depend on, frozen: what lies in the rows of deferred tasks."""

from __future__ import annotations

import pytest
from public_surface import AWS, AWS_TYPE, OFFERED, OFFERED_XCOM

from airflow_codepipeline_partner import (
    triggers,
)


def test_a_trigger_is_stored_as_it_was():
    trigger = triggers.CodePipelineJobTrigger(AWS_TYPE)
    assert trigger.serialize() == (
        "airflow_codepipeline_partner.triggers.CodePipelineJobTrigger",
        {
            "action_type": AWS_TYPE,
            "max_batch_size": 10,
            "poll_interval": 30,
            "timeout_deadline": None,
            "retry_deadline": 300,
            "query_param": None,
            **AWS,
        },
    )
    path, kwargs = trigger.serialize()
    assert triggers.CodePipelineJobTrigger(**kwargs).serialize() == (path, kwargs)


def test_the_trigger_for_a_next_job_is_stored_as_it_was():
    named = {"client_id": "c", "continuation_token": "t", "timeout_deadline": 4e9}
    path, kwargs = triggers.CodePipelineContinuationTrigger(action_type=AWS_TYPE, **named).serialize()
    assert path == "airflow_codepipeline_partner.triggers.CodePipelineContinuationTrigger"
    assert kwargs == {
        "action_type": AWS_TYPE,
        "max_batch_size": 10,
        "poll_interval": 30,
        "retry_deadline": 300,
        "query_param": None,
        "doubtful_job_id": None,
        **named,
        **AWS,
    }
    assert triggers.CodePipelineContinuationTrigger(**kwargs).serialize() == (path, kwargs)
    several = triggers.CodePipelineContinuationTrigger(**kwargs, other_tokens=("u",))
    assert several.serialize() == (path, {**kwargs, "other_tokens": ["u"]})


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        (triggers.event("offered", [OFFERED]), {"status": "offered", "jobs": [OFFERED_XCOM], "error": None}),
        (triggers.event("timeout"), {"status": "timeout", "jobs": [], "error": None}),
        (triggers.event("error", error="Why."), {"status": "error", "jobs": [], "error": "Why."}),
    ],
    ids=["offered", "timeout", "error"],
)
def test_a_triggers_event_has_the_keys_that_it_had(event, payload):
    assert event.payload == payload
