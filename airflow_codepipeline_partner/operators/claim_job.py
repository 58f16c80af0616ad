# SPDX-License-Identifier: Apache-2.0
"""The operators: to claim a job, move its artifacts, go on in a new job, finish, and one for each result."""

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
    Claim an offered job, so that no other worker takes it; skip where another has it.

    Returns the claimed job: the offered job with its continuation token, the names of pipeline, stage and
    action, and its artifacts; neither credentials nor configuration values, for which the task that needs
    them asks the hook for the details. Every claimed job has to get a result: see :func:`finish_job`.

    :param job: A job that the sensor returned, or a mapping with ``job_id`` and ``client_id`` or, of a custom
        job, with ``action_type`` and ``nonce``. (templated)
    :param unknown_claim: What to do where the answer to our acknowledgement was lost and the job shows as
        acknowledged: ``assume_ours`` (right where one Airflow polls the action type) or ``leave`` (right
        where rivals poll it too; if it was ours after all, it ends by its timeout).

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, GetJobDetails, AcknowledgeJob, CodePipeline
    API 2015-07-09.
    """

    template_fields = ("job", *CodePipelineBaseOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}
    #: By this the finishing piece and the callbacks know which tasks keep claim records.
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

        :raises AirflowSkipException: Another worker has it.
        """
        RecordStore.of(context["ti"]).expect_result()
        with fail_without_retry_if_permanent():
            offered = OfferedJob.from_value(self.job)
            # Before anything is recorded of it.
            offered.check_claimable()
        job = claim_job(self.hook, context, offered, self.unknown_claim)
        self.show_link(job.pipeline_name)
        return job.to_xcom()
