# SPDX-License-Identifier: Apache-2.0
"""The names that users depend on, frozen: signatures and templated fields."""

from __future__ import annotations

import inspect
import time
from typing import Any

import pytest
from public_surface import AWS, NEEDED, TEMPLATE, parameters_of

from airflow_codepipeline_partner import (
    artifacts,
    assets,
    decorators,
    exceptions,
    hooks,
    jobs,
    notifications,
    operators,
    sensors,
    triggers,
)
from airflow_codepipeline_partner.decorators import codepipeline_job

JOB = {"job": None, "job_id": None, "client_id": None}
#: Callable → its parameters with their defaults, in order where they may be positional.
SIGNATURES: dict[Any, dict[str, Any]] = {
    jobs.ActionType: {"category": NEEDED, "provider": NEEDED, "version": "1", "owner": "ThirdParty"},
    jobs.OfferedJob: {
        "job_id": NEEDED,
        "client_id": None,
        "action_type": None,
        "nonce": None,
        "query_param": None,
        "_is_token_known": False,
        "continuation_token": None,
    },
    jobs.CurrentRevision: {
        "revision": NEEDED,
        "change_identifier": NEEDED,
        "created": None,
        "revision_summary": None,
    },
    jobs.ExecutionDetails: {"summary": None, "external_execution_id": None, "percent_complete": None},
    jobs.FailureDetails: {"message": NEEDED, "type": "JobFailed", "external_execution_id": None},
    jobs.Artifact: {"name": NEEDED, "revision": None, "bucket": None, "key": None},
    hooks.CodePipelineHook: {
        "aws_conn_id": "aws_default",
        "region_name": None,
        "verify": None,
        "config": None,
        "client_conn_id_template": TEMPLATE,
        "retry_deadline": 300,
        "clock": time.monotonic,
        "sleep": time.sleep,
    },
    hooks.CodePipelineHook.poll: {"action_type": NEEDED, "max_batch_size": 10, "query_param": None},
    hooks.CodePipelineHook.claim: {"job": NEEDED, "unknown_claim": "assume_ours"},
    hooks.CodePipelineHook.details: {"job": NEEDED},
    hooks.CodePipelineHook.succeed: {
        "job": NEEDED,
        "current_revision": None,
        "continuation_token": None,
        "execution_details": None,
        "output_variables": None,
    },
    hooks.CodePipelineHook.fail: {
        "job": NEEDED,
        "message": NEEDED,
        "failure_type": "JobFailed",
        "external_execution_id": None,
    },
    hooks.CodePipelineHook.client_token: {"client_id": NEEDED},
    operators.PutThirdPartyJobSuccessResultOperator: {
        "current_revision": None,
        "continuation_token": None,
        "execution_details": None,
        "missing_outputs": "warn",
        **JOB,
        **AWS,
    },
    operators.PutThirdPartyJobFailureResultOperator: {
        "message": NEEDED,
        "failure_type": "JobFailed",
        "external_execution_id": None,
        **JOB,
        **AWS,
    },
    operators.PutJobSuccessResultOperator: {
        "current_revision": None,
        "continuation_token": None,
        "execution_details": None,
        "output_variables": None,
        "missing_outputs": "warn",
        "job": None,
        "job_id": None,
        **AWS,
    },
    operators.PutJobFailureResultOperator: {
        "message": NEEDED,
        "failure_type": "JobFailed",
        "external_execution_id": None,
        "job": None,
        "job_id": None,
        **AWS,
    },
    operators.CodePipelineClaimJobOperator: {
        "job": NEEDED,
        "unknown_claim": "assume_ours",
        "finished_elsewhere": False,
        **AWS,
    },
    operators.CodePipelineFinishJobOperator: {
        "claim_task_id": NEEDED,
        "job": None,
        "unknown_claim": "assume_ours",
        "current_revision": None,
        "execution_details": None,
        "output_variables": None,
        "failure_message": None,
        "failure_type": "JobFailed",
        "fail_run": True,
        "missing_outputs": "warn",
        "allow_untied_tasks": False,
        **AWS,
    },
    operators.CodePipelineContinueJobOperator: {
        "job": NEEDED,
        "execution_details": None,
        "current_revision": None,
        "poll_interval": 30,
        "timeout": 3600.0,
        **AWS,
    },
    operators.CodePipelineDownloadArtifactsOperator: {
        "job": NEEDED,
        "destination": NEEDED,
        "artifacts": None,
        "storage_conn_id": None,
        "extract": False,
        "archive_format": None,
        "limits": None,
        **AWS,
    },
    operators.CodePipelineUploadArtifactsOperator: {
        "job": NEEDED,
        "artifacts": NEEDED,
        "storage_conn_id": None,
        "archive_format": "zip",
        **AWS,
    },
    artifacts.ArchiveLimits: {
        "max_members": 200_000,
        "max_bytes": 16 * 1024**3,
        "max_ratio": 200,
        "max_seconds": 3600,
    },
    artifacts.Workspace: {
        "job": NEEDED,
        "hook": None,
        "limits": None,
        "parent": None,
        "failed_uploads": None,
    },
    artifacts.Workspace.download: {"name": None},
    artifacts.Workspace.extract: {"name": None, "into": None, "archive_format": None, "replace": False},
    artifacts.Workspace.pack: {"folder": NEEDED, "name": None, "archive_format": "zip"},
    artifacts.Workspace.upload: {"name": NEEDED, "source": NEEDED, "archive_format": "zip"},
    decorators.JobInProgress.workspace: {"limits": None, "parent": None},
    operators.finish_job: {
        "claim": NEEDED,
        "task_id": "finish_job",
        "current_revision": None,
        "execution_details": None,
        "output_variables": None,
        "failure_message": None,
        "failure_type": "JobFailed",
        "fail_run": True,
        "missing_outputs": "warn",
    },
    exceptions.JobFailure: {"message": NEEDED, "failure_type": "JobFailed", "job_id": None},
    decorators.codepipeline_job_task: {"python_callable": None},
    codepipeline_job._CodePipelineJobDecoratedOperator: {
        "python_callable": NEEDED,
        "op_args": None,
        "op_kwargs": None,
        "unknown_claim": "assume_ours",
        "missing_outputs": "warn",
        **AWS,
    },
    decorators.Completion: {"execution_details": None, "output_variables": None},
    decorators.Continuation: {"token": NEEDED, "execution_details": None},
    decorators.JobInProgress.progress: {"percent": None, "summary": None},
    decorators.JobInProgress.details: {},
    assets.codepipeline_jobs: {
        "name": NEEDED,
        "action_type": NEEDED,
        "max_batch_size": 10,
        "poll_interval": 30,
        "query_param": None,
        "wake_queue": None,
        **AWS,
    },
    assets.offered_jobs: {"context": None},
    assets.dispatch_jobs: {
        "jobs": NEEDED,
        "trigger_dag_id": NEEDED,
        "task_id": "dispatch_jobs",
        "conf": None,
    },
    sensors.CodePipelineJobSensor: {
        "action_type": NEEDED,
        "max_batch_size": 10,
        "query_param": None,
        "wake_queue": None,
        "poke_interval": 30,
        "deferrable": None,
        **AWS,
    },
    sensors.CodePipelineJobProgressSensor: {
        "job": NEEDED,
        "progress": NEEDED,
        "op_kwargs": None,
        "job_timeout": 3600,
        "progress_interval": None,
        "poke_interval": 60,
        "poll_interval": 30,
        "continuation_timeout": 3600.0,
        **AWS,
    },
    triggers.CodePipelineContinuationTrigger: {
        "client_id": NEEDED,
        "continuation_token": NEEDED,
        "timeout_deadline": NEEDED,
        "doubtful_job_id": None,
        "other_tokens": (),
        "action_type": NEEDED,
        "max_batch_size": 10,
        "poll_interval": 30,
        "retry_deadline": 300,
        "query_param": None,
        "wake_queue": None,
        **AWS,
    },
    triggers.CodePipelineJobTrigger: {
        "action_type": NEEDED,
        "max_batch_size": 10,
        "poll_interval": 30,
        "timeout_deadline": None,
        "retry_deadline": 300,
        "query_param": None,
        "wake_queue": None,
        **AWS,
    },
    notifications.CodePipelineJobFailureNotifier: {"message": None, "failure_type": "JobFailed", **AWS},
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_a_signature_is_as_it_was(function):
    assert parameters_of(function) == SIGNATURES[function]


@pytest.mark.parametrize(
    "function", [each for each in SIGNATURES if each.__module__.endswith((".jobs", ".results", ".hooks"))]
)
def test_what_may_be_given_by_position_keeps_its_place(function):
    assert list(parameters_of(function)) == list(SIGNATURES[function])


@pytest.mark.parametrize("function", [hooks.CodePipelineHook.succeed, hooks.CodePipelineHook.fail])
def test_what_a_result_reports_is_given_by_name(function):
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    assert kinds[2:] == [inspect.Parameter.KEYWORD_ONLY] * len(kinds[2:])


@pytest.mark.parametrize(
    "operator",
    [
        operators.PutThirdPartyJobSuccessResultOperator,
        operators.PutThirdPartyJobFailureResultOperator,
        operators.PutJobSuccessResultOperator,
        operators.PutJobFailureResultOperator,
        operators.CodePipelineClaimJobOperator,
        operators.CodePipelineFinishJobOperator,
        operators.CodePipelineContinueJobOperator,
        operators.CodePipelineDownloadArtifactsOperator,
        operators.CodePipelineUploadArtifactsOperator,
        sensors.CodePipelineJobProgressSensor,
        codepipeline_job._CodePipelineJobDecoratedOperator,
        sensors.CodePipelineJobSensor,
    ],
)
def test_no_operator_takes_a_client_token_or_a_nonce(operator):
    # A literal argument lies in clear in the serialized DAG.
    assert {"client_token", "nonce", "token"}.isdisjoint(parameters_of(operator))


TEMPLATED = {
    operators.PutThirdPartyJobSuccessResultOperator: {
        "job",
        "job_id",
        "client_id",
        "current_revision",
        "continuation_token",
        "execution_details",
    },
    operators.PutThirdPartyJobFailureResultOperator: {
        "job",
        "job_id",
        "client_id",
        "message",
        "failure_type",
        "external_execution_id",
    },
    operators.PutJobSuccessResultOperator: {
        "job",
        "job_id",
        "current_revision",
        "continuation_token",
        "execution_details",
        "output_variables",
    },
    operators.PutJobFailureResultOperator: {
        "job",
        "job_id",
        "message",
        "failure_type",
        "external_execution_id",
    },
    operators.CodePipelineClaimJobOperator: {"job"},
    operators.CodePipelineContinueJobOperator: {"job", "execution_details", "current_revision"},
    operators.CodePipelineDownloadArtifactsOperator: {"job", "destination", "artifacts", "storage_conn_id"},
    operators.CodePipelineUploadArtifactsOperator: {"job", "artifacts", "storage_conn_id"},
    sensors.CodePipelineJobProgressSensor: {"job", "op_kwargs", "job_timeout", "progress_interval"},
    operators.CodePipelineFinishJobOperator: {
        "current_revision",
        "execution_details",
        "output_variables",
        "failure_message",
        "failure_type",
    },
    codepipeline_job._CodePipelineJobDecoratedOperator: {"op_args", "op_kwargs"},
    sensors.CodePipelineJobSensor: {"action_type", "max_batch_size", "query_param", "wake_queue"},
    notifications.CodePipelineJobFailureNotifier: {"message", "failure_type"},
}


@pytest.mark.parametrize("cls", TEMPLATED, ids=lambda cls: cls.__name__)
def test_what_is_templated_stays_templated(cls):
    assert set(cls.template_fields) == TEMPLATED[cls] | (set(AWS) - {"botocore_config"})
