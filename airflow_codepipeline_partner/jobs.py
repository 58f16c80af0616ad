# SPDX-License-Identifier: Apache-2.0
"""The values: jobs, their artifacts, and the details of a result."""

from __future__ import annotations

from airflow_codepipeline_partner._protocol.dialects import CUSTOM, THIRD_PARTY
from airflow_codepipeline_partner._protocol.job_details import Artifact, JobDetails
from airflow_codepipeline_partner._protocol.jobs import ActionType, ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.results import CurrentRevision, ExecutionDetails, FailureDetails

__all__ = [
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
]
