# SPDX-License-Identifier: Apache-2.0
"""The notifier that ends the jobs of a run that can no longer end them itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseNotifier

from airflow_codepipeline_partner import reporting
from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE
from airflow_codepipeline_partner.exceptions import CodePipelinePartnerError, JobNotInProgress
from airflow_codepipeline_partner.hook_parameters import make_hook
from airflow_codepipeline_partner.jobs import FailureDetails
from airflow_codepipeline_partner.records import ClaimRecord, ResultRecord, claiming_tasks, records_of_run

#: A callback runs in the DAG processor, which ends a file's work after 50 s by default: time for one job.
CALLBACK_RETRY_DEADLINE = 30


class CodePipelineJobFailureNotifier(BaseNotifier):
    """
    Give the failure result to every job that a run claimed and did not end.

    For ``on_failure_callback``; pass it to ``DAG(…)``, since Airflow does not call what is set later. It is
    the backstop for what no task can do any more (``dagrun_timeout`` skips teardowns, too) and does nothing
    where :func:`~airflow_codepipeline_partner.operators.finish_job` did its work. Airflow may call it twice,
    and without a task instance.

    :param message: What the customer reads, at most 5000 characters; None names DAG and reason. (templated)
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable. (templated)
    :param aws_conn_id: The ``aws`` connection, or None for boto3's default credentials. (templated)
    :param region_name: The region of the jobs; None takes the connection's. (templated)
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: How a client's connection id is made from its client id. (templated)

    Source: PutThirdPartyJobFailureResult, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "message",
        "failure_type",
        "aws_conn_id",
        "region_name",
        "verify",
        "client_conn_id_template",
    )

    def __init__(
        self,
        message: str | None = None,
        failure_type: str = "JobFailed",
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
    ) -> None:
        super().__init__()
        FailureDetails(message or "x", failure_type)
        self.message = message
        self.failure_type = failure_type
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.client_conn_id_template = client_conn_id_template

    def notify(self, context: Any) -> None:
        """
        End what the run left open; one job's trouble is logged and does not keep the others waiting.

        :param context: A callback's context; only ``dag`` and ``run_id`` or ``dag_run`` are needed.
        """
        dag, run_id = context["dag"], _run_id_of(context)
        for task in claiming_tasks(dag):
            unknown_claim = (task.partial_kwargs if task.is_mapped else vars(task)).get(
                "unknown_claim", "assume_ours"
            )
            for claim, result in records_of_run(dag.dag_id, run_id, task.task_id):
                if claim.may_be_ours(unknown_claim) and (result is None or result.state != "done"):
                    self._end(claim, result, dag.dag_id, run_id, context.get("reason"))

    def _end(
        self, claim: ClaimRecord, result: ResultRecord | None, dag_id: str, run_id: str, reason: str | None
    ) -> None:
        job = claim.job.job
        try:
            if result is not None:
                # It may have been put: the same again, never another.
                call = result.call(job)
            else:
                why = {"timed_out": "ran into its time limit"}.get(reason or "", "failed")
                message = self.message or f"The work of this action in Airflow {why} (DAG {dag_id})."
                call = reporting.failure(job, message, self.failure_type, dag_id=dag_id, run_id=run_id)
            make_hook(self, retry_deadline=CALLBACK_RETRY_DEADLINE).put(
                call, intended_before=result is not None
            )
        except JobNotInProgress:
            self.log.info("Job %s has ended already.", job.job_id)
        except CodePipelinePartnerError:
            self.log.exception(
                "Job %s could not be ended; CodePipeline ends it when its time is over.", job.job_id
            )


def _run_id_of(context: Mapping[str, Any]) -> str:
    """Return the run's id from a callback's context, which may hold no task instance."""
    run_id = context.get("run_id") or context["dag_run"].run_id
    return str(run_id)
