# SPDX-License-Identifier: Apache-2.0
"""The notifier that ends the jobs of a run that can no longer end them itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import FailureDetails
from airflow_codepipeline_partner._worker import result_defaults
from airflow_codepipeline_partner._worker.dag import claiming_tasks, unknown_claim_of
from airflow_codepipeline_partner._worker.record_store import records_before, records_of_run
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner._worker.result_defaults import DEFAULT_FAILURE_TYPE
from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    CodePipelineProviderError,
    InvalidInput,
    JobNotInProgress,
)
from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

__all__ = ["CodePipelineJobFailureNotifier"]

#: Airflow's reason of a callback → what the customer reads.
_REASONS = {"timed_out": "ran into its time limit"}
#: What stands for a field that cannot be rendered; the others are left as they are.
_DEFAULTS = {"message": None, "failure_type": DEFAULT_FAILURE_TYPE}
#: For how many seconds all jobs together are tried: a callback runs in the DAG processor, which ends a file's
#: work after 50 s by default.
CALLBACK_SECONDS = 30
#: Seconds between two attempts at the same job.
ROUND_PAUSE = 2.0
#: How long one answer may take there, in seconds, unless ``botocore_config`` says otherwise.
CALLBACK_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 10}


class CodePipelineJobFailureNotifier(BaseNotifier):
    """
    Give the failure result to every job that a run claimed and did not end.

    For the ``on_failure_callback`` of a DAG; pass it to ``DAG(…)``, since Airflow does not call what is set
    later. It is the backstop for jobs that no task can end any more: ``dagrun_timeout`` skips even teardowns.
    It does nothing if :func:`~airflow_codepipeline_partner.operators.finish_job` has reported. Airflow may
    call it twice, and without a task instance. If a result was intended before, even a success, the same
    result is put. Transient errors are retried, 2 s apart, for 30 s in all: the DAG processor, which runs it,
    ends it after 50 s.

    As the callback of a task (also through ``default_args``) it ends only what that task claimed, or what was
    claimed for it before, and leaves to ``finish_job`` what that is to finish.

    :param message: What the customer reads, cut to 5000 characters; None names DAG and reason. (templated)
    :param failure_type: JobFailed (the default) or one of ConfigurationError, PermissionError,
        RevisionOutOfSync, RevisionUnavailable, SystemUnavailable. (templated)
    :param aws_conn_id: The ``aws`` connection, ``aws_default`` unless said; None for boto3's default
        credentials. (templated)
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
        check_literal(FailureDetails, message)
        check_literal(lambda kind: FailureDetails("x", kind), failure_type)
        self._run: dict[str, str] = {}
        self._reason = "failed"
        self.message = message
        self.failure_type = failure_type
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.client_conn_id_template = client_conn_id_template
        self._given = {name: getattr(self, name) for name in self.template_fields}

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """
        Render each field by itself: one that cannot be rendered must not keep the jobs from their result.

        Always what was given, since one notifier may serve several runs, one after the other.
        """
        dag = context["dag"]
        # A callback may get dag, run id and reason alone.
        known: Any = {"params": dag.params.dump(), **context}
        jinja_env = jinja_env or self.get_template_env(dag=dag)
        for name in self.template_fields:
            try:
                rendered = self.render_template(self._given[name], known, jinja_env)
            except Exception as error:
                self.log.error("%s could not be rendered: %s.", name, type(error).__name__)
                rendered = _DEFAULTS.get(name, self._given[name])
            setattr(self, name, rendered)

    def notify(self, context: Any) -> None:
        """
        End what the run left open; one job's trouble is logged and does not keep the others waiting.

        :param context: A callback's context; only ``dag`` and ``run_id`` or ``dag_run`` are needed. One with
            ``ti`` and without ``reason`` is a task's.
        """
        dag, run_id = context["dag"], _run_id_of(context)
        self._run = {"dag_id": dag.dag_id, "run_id": run_id}
        self._reason = _REASONS.get(context.get("reason") or "", "failed")
        left = [
            (claim, result)
            for task in claiming_tasks(dag)
            for claim, result in self._records_of(task, context)
            if claim.counts_as_ours(unknown_claim_of(task)) and (result is None or result.state != "done")
        ]
        hook = AwsParameters.of(self).with_config_defaults(**CALLBACK_TIMEOUTS).hook(retry_deadline=0)
        deadline = time.monotonic() + CALLBACK_SECONDS
        # Round by round, so that none waits for another's trouble to pass: a token may be stored a moment
        # after it was rotated.
        while left:
            again = []
            for job in left:
                is_in_time = time.monotonic() < deadline
                if is_in_time and self._end(hook, *job):
                    again.append(job)
                elif not is_in_time:
                    self._give_up(job[0].job.job_id)
            left = again
            if left:
                time.sleep(min(ROUND_PAUSE, max(0.0, deadline - time.monotonic())))

    def _give_up(self, job_id: str) -> None:
        self.log.error("Job %s could not be ended; CodePipeline ends it when its time is over.", job_id)

    def _records_of(self, task: Any, context: Any) -> list[tuple[ClaimRecord, ResultRecord | None]]:
        try:
            if "reason" in context or "ti" not in context:
                return list(records_of_run(**self._run, task_id=task.task_id))
            if _is_finished_by_a_task(task, context["dag"]):
                return []
            return list(records_before(context, task))
        except Exception:
            self.log.exception("The records of %s could not be read.", task.task_id)
            return []

    def _end(self, hook: CodePipelineHook, claim: ClaimRecord, result: ResultRecord | None) -> bool:
        """End a job, and return whether to try again."""
        job = claim.job.job
        try:
            # What was intended may have been put: the same again, never another.
            call = result.call(job) if result is not None else self._failure(job)
            intended_before = result is not None and result.state == "intended"
            hook.put(call, intended_before=intended_before, certain=claim.is_certain)
        except JobNotInProgress:
            self.log.info("Job %s has ended already.", job.job_id)
        except Exception as error:
            # Of whatever kind: the other jobs are still to be ended. The text of others might hold anything.
            said = str(error) if isinstance(error, CodePipelineProviderError) else ""
            self.log.warning("Job %s is not ended: %s: %s", job.job_id, type(error).__name__, said)
            if _may_pass(error):
                return True
            self._give_up(job.job_id)
        return False

    def _failure(self, job: OfferedJob) -> Call:
        default = f"The work of this action in Airflow {self._reason} (DAG {self._run['dag_id']})."
        try:
            return result_defaults.failure(
                job, self.message or default, self.failure_type or DEFAULT_FAILURE_TYPE, **self._run
            )
        except InvalidInput as error:
            self.log.error("%s The job is ended with the default message.", error)
            return result_defaults.failure(job, default, DEFAULT_FAILURE_TYPE, **self._run)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, ClientConnectionError):
        # The connection may be stored a moment later.
        return True
    return isinstance(error, CodePipelineProviderError) and (error.retryable or error.in_doubt)


def _is_finished_by_a_task(claiming: Any, dag: Any) -> bool:
    return any(
        isinstance(task, CodePipelineFinishJobOperator) and task.claim_task_id == claiming.task_id
        for task in dag.tasks
    )


def _run_id_of(context: Mapping[str, Any]) -> str:
    """Return the run's id from a callback's context, which may hold no task instance."""
    run_id = context.get("run_id") or context["dag_run"].run_id
    return str(run_id)
