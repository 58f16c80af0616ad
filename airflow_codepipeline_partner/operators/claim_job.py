# SPDX-License-Identifier: Apache-2.0
"""The operator that claims a job."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_job_to_claim,
    to_templatable,
)
from airflow_codepipeline_partner._protocol import claims
from airflow_codepipeline_partner._protocol.claims import UnknownClaim
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._worker.claim import claim_job
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.record_store import RecordStore


class CodePipelineClaimJobOperator(CodePipelineBaseOperator):
    """
    Claim an offered job, so that no other worker takes it. If another worker has it, skip the task.

    Returns the claimed job: the offered job with its continuation token, the names of pipeline, stage and
    action, and its artifacts. It holds no credentials and no configuration values; a task that needs them
    asks the hook for the job's details. Every claimed job must get a result: see :func:`finish_job`.

    :param job: A job that the sensor returned; or a mapping with ``job_id`` and ``client_id``, for a custom
        job with ``job_id``, ``action_type`` and ``nonce``. (templated)
    :param unknown_claim: What an unknown claim counts as: the response to our acknowledgement was lost, and
        the job is now acknowledged. ``assume_ours`` is right if only one Airflow polls the action type.
        ``leave`` is right if other workers poll it too. If the job was ours after all, it ends by its
        timeout.

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, GetJobDetails, AcknowledgeJob, CodePipeline
    API 2015-07-09.
    """

    template_fields = ("job", *CodePipelineBaseOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}
    #: Marks the tasks that record claims, for the finishing task and the callback.
    claims_job: ClassVar[bool] = True

    def __init__(self, *, job: Any, unknown_claim: UnknownClaim = "assume_ours", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_job_to_claim(job)
        claims.check_unknown_claim(unknown_claim)
        self.job = to_templatable(job)
        self.unknown_claim = unknown_claim

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Claim the job and return it.

        :raises AirflowSkipException: Another worker has the job.
        """
        RecordStore.of(context["ti"]).expect_result()
        with fail_without_retry_if_permanent():
            offered = OfferedJob.from_value(self.job)
            # Before anything is recorded.
            offered.check_claimable()
        job = claim_job(self.hook, context, offered, self.unknown_claim)
        self.show_link(job.pipeline_name)
        return job.to_xcom()
