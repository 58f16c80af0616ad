# SPDX-License-Identifier: Apache-2.0
"""What the hook learns of a job from its details, and what members may be missing."""

from __future__ import annotations

import pytest
from hook_calls import ACKNOWLEDGE, DETAILS, outcomes, status
from support import ACTION_TYPE

from airflow_codepipeline_partner.exceptions import (
    RequestRefused,
    ServiceUnavailable,
)

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


def test_the_details_hold_what_the_customer_configured(emulator, customer, hook):
    emulator.add_pipeline(
        "rich",
        client_id=customer.client_id,
        action_type=ACTION_TYPE,
        configuration={"Key": "value"},
        output_artifacts=("Out",),
        encryption_key="arn:aws:kms:us-east-1:123456789012:key/1",
        stage_name="Ship",
        action_name="Partner",
    )
    emulator.start_execution("rich")
    [job] = hook.poll(ACTION_TYPE)
    details = hook.details(job)
    assert details.configuration == {"Key": "value"}
    assert (details.pipeline_name, details.stage_name, details.action_name) == ("rich", "Ship", "Partner")
    assert details.action_execution_id == emulator.jobs()[0].action_execution_id
    assert [artifact.name for artifact in details.input_artifacts] == ["SourceOutput"]
    assert [artifact.name for artifact in details.output_artifacts] == ["Out"]
    assert details.artifact_credentials is not None
    assert set(details.artifact_credentials) == {"accessKeyId", "secretAccessKey", "sessionToken"}
    assert details.encryption_key == {"id": "arn:aws:kms:us-east-1:123456789012:key/1", "type": "KMS"}


def test_the_lost_answer_of_the_details_is_asked_for_again(emulator, hook, offered):
    emulator.inject("drop_response", DETAILS, times=2)
    assert hook.details(offered).nonce
    assert outcomes(emulator, DETAILS) == ["ok"] * 3


MEMBERS = (
    "id",
    "data",
    "data.actionTypeId",
    "data.actionConfiguration",
    "data.actionConfiguration.configuration",
    "data.pipelineContext",
    "data.pipelineContext.pipelineName",
    "data.pipelineContext.stage",
    "data.pipelineContext.stage.name",
    "data.pipelineContext.action",
    "data.pipelineContext.action.name",
    "data.pipelineContext.action.actionExecutionId",
    "data.inputArtifacts",
    "data.inputArtifacts.0.name",
    "data.inputArtifacts.0.revision",
    "data.inputArtifacts.0.location",
    "data.inputArtifacts.0.location.s3Location",
    "data.inputArtifacts.0.location.s3Location.objectKey",
    "data.outputArtifacts",
    "data.artifactCredentials",
    "data.artifactCredentials.sessionToken",
)


@pytest.mark.parametrize("members", [*([member] for member in MEMBERS), list(MEMBERS)], ids=str)
def test_a_job_is_done_whatever_members_its_details_lack(emulator, hook, offered, members):
    emulator.inject("omit", members=members)
    claimed = hook.claim(offered)
    assert claimed.job == offered
    hook.succeed(claimed)
    assert status(emulator) == "Succeeded"


def test_without_details_the_job_is_not_acknowledged(emulator, hook, offered):
    emulator.inject("omit", members=["jobDetails"], times=None)
    with pytest.raises(ServiceUnavailable, match="the answer is not CodePipeline's"):
        hook.claim(offered)
    assert outcomes(emulator, ACKNOWLEDGE) == []


def test_without_a_nonce_a_job_is_not_acknowledged(emulator, hook, offered):
    """The error says why."""
    emulator.inject("omit", members=["nonce"])
    with pytest.raises(RequestRefused, match="hold no nonce") as refusal:
        hook.claim(offered)
    assert refusal.value.job_id == offered.job_id
    assert outcomes(emulator, ACKNOWLEDGE) == []
    assert status(emulator) == "Dispatched"
