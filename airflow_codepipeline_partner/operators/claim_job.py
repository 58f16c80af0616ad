# SPDX-License-Identifier: Apache-2.0
"""The operator that claims a job."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_codepipeline_partner._base_operator import check_job_to_claim, to_templatable
from airflow_codepipeline_partner._claiming_operator import ClaimingOperator
from airflow_codepipeline_partner._protocol.choices import UnknownClaim
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._worker.wiring import check_is_finished


class CodePipelineClaimJobOperator(ClaimingOperator):
    """
    Claim an offered job, so that no other worker takes it. If another worker has the job, skip the task.

    The task returns the claimed job: the offered job with its continuation token, the names of pipeline,
    stage and action, and its artifacts. The claimed job holds no credentials, and no configuration value
    except the one in ``query_param``. A task that needs them asks the hook for the job's details. Every
    claimed job must get a result; see :func:`finish_job`.

    :param job: A job that the sensor returned, or a mapping with ``job_id`` and ``client_id``. For a custom
        job, the mapping has ``job_id``, ``action_type`` and ``nonce``. (templated)
    :param unknown_claim: What to do if the claim is unknown. A claim is unknown if the answer to the
        acknowledgement was lost and CodePipeline does not say which worker has the job. ``assume_ours`` works
        on the job; this is right if only one Airflow polls the action type. ``leave`` skips the job; this is
        right if other workers poll it too. If this worker does own a job that it leaves, the job ends at its
        timeout.

    :param finished_elsewhere: Whether code of your own ends the job, outside of the tasks after this one.
        Otherwise a DAG in which no task ends it is refused when it is parsed.

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, GetJobDetails, AcknowledgeJob, CodePipeline
    API 2015-07-09.
    """

    template_fields = ("job", *ClaimingOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}

    def __init__(
        self,
        *,
        job: Any,
        unknown_claim: UnknownClaim = "assume_ours",
        finished_elsewhere: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(unknown_claim=unknown_claim, **kwargs)
        check_job_to_claim(job)
        self.job = to_templatable(job)
        self.finished_elsewhere = finished_elsewhere

    def prepare_template(self) -> None:
        """
        Check, when the DAG is parsed, that a task ends the job.

        :raises InvalidInput: No task does.
        """
        dag = self.get_dag()
        if dag is not None and not self.finished_elsewhere:
            check_is_finished(self, dag)

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Claim the job and return it.

        :raises AirflowSkipException: Another worker has the job.
        """
        # Not needed by a DAG file, which Airflow parses again and again: the jobs, their records, the calls.
        from airflow_codepipeline_partner._worker.claim import claim_job
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
        from airflow_codepipeline_partner._worker.record_store import RecordStore

        claiming = context["dag"].get_task(self.task_id)
        if claiming.is_mapped and not self.finished_elsewhere:
            # A mapped task is not checked when the DAG is parsed. Nothing is claimed yet.
            with fail_without_retry_if_permanent():
                check_is_finished(claiming, context["dag"])
        RecordStore.of_claiming_task(context).expect_result()
        with fail_without_retry_if_permanent():
            offered = OfferedJob.from_value(self.job)
            # Before anything is recorded.
            offered.check_claimable()
        job = claim_job(self.hook, context, offered, self.unknown_claim)
        self.show_job(context, job)
        return job.to_xcom()
