# SPDX-License-Identifier: Apache-2.0
"""
The names that users depend on, frozen.

They lie in users' DAGs and, which no release can change, in their databases: a trigger's class and kwargs in
the rows of deferred tasks, its event's keys in what the triggerer stores, XCom keys and the shapes under them
in the XCom of running DAGs, the connection type in their connections, template fields in serialized DAGs. So
a change here is a change of the major version, or comes with a way to read what the former version wrote.
"""

from __future__ import annotations

import dataclasses
import inspect
from datetime import timedelta
from typing import Any

import pytest
from public_surface import AWS_TYPE, TEMPLATE

import airflow_codepipeline_partner
from airflow_codepipeline_partner import (
    artifacts,
    client_tokens,
    decorators,
    emulator,
    exceptions,
    jobs,
    links,
    operators,
    pipelines,
    provider_info,
    sensors,
)
from airflow_codepipeline_partner._protocol import choices


def test_the_package_has_a_version_and_no_more():
    public = {name for name in vars(airflow_codepipeline_partner) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(airflow_codepipeline_partner, name))}
    assert public == modules
    assert airflow_codepipeline_partner.__version__


PUBLIC = {
    decorators: {"Completion", "Continuation", "JobInProgress", "codepipeline_job_task"},
    jobs: {
        "CUSTOM",
        "THIRD_PARTY",
        "ActionType",
        "Artifact",
        "ClaimedJob",
        "CurrentRevision",
        "ExecutionDetails",
        "FailureDetails",
        "JobDetails",
        "OfferedJob",
    },
    operators: {
        "CodePipelineClaimJobOperator",
        "CodePipelineFinishJobOperator",
        "CodePipelineContinueJobOperator",
        "CodePipelineDownloadArtifactsOperator",
        "PutJobFailureResultOperator",
        "PutJobSuccessResultOperator",
        "PutThirdPartyJobFailureResultOperator",
        "PutThirdPartyJobSuccessResultOperator",
        "CodePipelineOverrideStageConditionOperator",
        "CodePipelinePutActionRevisionOperator",
        "CodePipelinePutApprovalResultOperator",
        "CodePipelineRetryStageOperator",
        "CodePipelineRollbackStageOperator",
        "CodePipelineStageTransitionOperator",
        "CodePipelineStartPipelineOperator",
        "CodePipelineStopPipelineOperator",
        "CodePipelineUploadArtifactsOperator",
        "finish_job",
    },
    artifacts: {"ArchiveFormat", "ArchiveLimits", "Workspace"},
    pipelines: {"PURPOSES", "pipeline_policy", "pipeline_wake_queue_template"},
    emulator: {
        "Clock",
        "ControlError",
        "Customer",
        "Emulator",
        "JobSnapshot",
        "Ledger",
        "LedgerEntry",
        "Settings",
    },
}


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_module_exports_what_it_did(module):
    assert set(module.__all__) == PUBLIC[module]
    assert all(hasattr(module, name) for name in module.__all__)


def test_the_names_of_the_errors_are_as_they_were():
    # Exceptions are pickled on their way between processes, and are named in trigger events.
    assert {name for name, value in vars(exceptions).items() if inspect.isclass(value)} - {"Any"} == {
        "ActionTypeNotFound",
        "ArtifactError",
        "ClientConnectionError",
        "CodePipelineError",
        "CodePipelineProviderError",
        "ExecutionNotSucceeded",
        "InvalidClientToken",
        "InvalidInput",
        "InvalidJobReference",
        "InvalidNonce",
        "JobFailure",
        "JobNotFound",
        "JobNotInProgress",
        "NextJobNotOffered",
        "LimitExceeded",
        "PipelineNotFound",
        "RequestRefused",
        "ServiceUnavailable",
        "UnsafeArchive",
    }


def test_a_job_in_progress_has_the_members_that_it_had():
    assert {name for name in vars(decorators.JobInProgress) if not name.startswith("_")} == {
        "configuration",
        "continuation_token",
        "current_revision",
        "details",
        "hook",
        "job",
        "job_id",
        "progress",
        "serialize",
        "workspace",
    }


def test_the_task_decorator_has_the_name_that_it_had():
    [registered] = provider_info.get_provider_info()["task-decorators"]
    assert registered["name"] == "codepipeline_job"


def test_the_values_have_the_members_that_they_had():
    def members(cls: Any) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]

    reference = [
        "continuation_token",
        "pipeline_name",
        "stage_name",
        "action_name",
        "action_execution_id",
        "account_id",
        "pipeline_arn",
        "pipeline_execution_id",
        "input_artifacts",
        "output_artifacts",
    ]
    assert members(jobs.ClaimedJob) == ["job", "certain", *reference]
    assert set(members(jobs.JobDetails)) == {
        "job_id",
        "nonce",
        "configuration",
        "artifact_credentials",
        "encryption_key",
        *reference,
    }


def test_the_type_and_ids_of_connections_are_as_they_were():
    [registered] = provider_info.get_provider_info()["connection-types"]
    assert registered["connection-type"] == "codepipeline_partner_client"
    assert client_tokens.ClientTokenHook.conn_type == "codepipeline_partner_client"
    assert client_tokens.DEFAULT_TEMPLATE == TEMPLATE
    assert client_tokens.ClientTokenHook.for_client("a-b").client_conn_id == "codepipeline_client_a_b"


def test_the_links_name_is_as_it_was():
    """And the choices for an unknown claim."""
    assert links.CodePipelineLink.name == "CodePipeline"
    assert choices.UNKNOWN_CLAIM_CHOICES == ("assume_ours", "leave")


def test_the_interval_of_a_sensor_may_be_a_duration():
    sensor = sensors.CodePipelineJobSensor(
        task_id="wait", action_type=AWS_TYPE, poke_interval=timedelta(seconds=5)
    )
    assert sensor.poke_interval == 5
