# SPDX-License-Identifier: Apache-2.0
"""The operators: claim a job, continue its action, move its artifacts, report its result; start pipelines."""

from __future__ import annotations

from airflow_codepipeline_partner.operators.approval import CodePipelinePutApprovalResultOperator
from airflow_codepipeline_partner.operators.artifacts import (
    CodePipelineDownloadArtifactsOperator,
    CodePipelineUploadArtifactsOperator,
)
from airflow_codepipeline_partner.operators.claim_job import CodePipelineClaimJobOperator
from airflow_codepipeline_partner.operators.continue_job import CodePipelineContinueJobOperator
from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator
from airflow_codepipeline_partner.operators.finish_wiring import finish_job
from airflow_codepipeline_partner.operators.put_result import (
    PutJobFailureResultOperator,
    PutJobSuccessResultOperator,
    PutThirdPartyJobFailureResultOperator,
    PutThirdPartyJobSuccessResultOperator,
)
from airflow_codepipeline_partner.operators.retry_stage import CodePipelineRetryStageOperator
from airflow_codepipeline_partner.operators.rollback_stage import CodePipelineRollbackStageOperator
from airflow_codepipeline_partner.operators.source_revision import CodePipelinePutActionRevisionOperator
from airflow_codepipeline_partner.operators.stage_condition import CodePipelineOverrideStageConditionOperator
from airflow_codepipeline_partner.operators.stage_transition import CodePipelineStageTransitionOperator
from airflow_codepipeline_partner.operators.start_pipeline import CodePipelineStartPipelineOperator
from airflow_codepipeline_partner.operators.stop_pipeline import CodePipelineStopPipelineOperator

__all__ = [
    "CodePipelineClaimJobOperator",
    "CodePipelineContinueJobOperator",
    "CodePipelineDownloadArtifactsOperator",
    "CodePipelineFinishJobOperator",
    "CodePipelineOverrideStageConditionOperator",
    "CodePipelinePutActionRevisionOperator",
    "CodePipelinePutApprovalResultOperator",
    "CodePipelineRetryStageOperator",
    "CodePipelineRollbackStageOperator",
    "CodePipelineStageTransitionOperator",
    "CodePipelineStartPipelineOperator",
    "CodePipelineStopPipelineOperator",
    "CodePipelineUploadArtifactsOperator",
    "PutJobFailureResultOperator",
    "PutJobSuccessResultOperator",
    "PutThirdPartyJobFailureResultOperator",
    "PutThirdPartyJobSuccessResultOperator",
    "finish_job",
]
