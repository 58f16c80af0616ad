# SPDX-License-Identifier: Apache-2.0
"""The notifier that ends the jobs of a run that can no longer end them itself."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._compat import get_task_states
from airflow_codepipeline_partner._job_log import job_fields, name_of
from airflow_codepipeline_partner._protocol.choices import DEFAULT_FAILURE_TYPE
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import FailureDetails
from airflow_codepipeline_partner._templates import TextTemplates, text_environment
from airflow_codepipeline_partner._worker import result_defaults
from airflow_codepipeline_partner._worker.copies import records_in_copies
from airflow_codepipeline_partner._worker.dag import claiming_tasks, unknown_claim_of
from airflow_codepipeline_partner._worker.former_tasks import claims_of_former_tasks
from airflow_codepipeline_partner._worker.job_life import Results, Step
from airflow_codepipeline_partner._worker.record_search import records_before, records_of_run
from airflow_codepipeline_partner._worker.record_store import writers_of
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner._worker.report import put_once
from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    CodePipelineProviderError,
    InvalidInput,
    JobNotFound,
    JobNotInProgress,
)
from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

__all__ = ["CodePipelineJobFailureNotifier"]

#: Airflow's reason of a callback → what the customer reads. Of any other run, the work may have succeeded,
#: and only its result could not be sent.
_REASONS = {
    "timed_out": "The work of this action in Airflow ran into its time limit",
    "success": "The work of this action in Airflow was ended by hand, without a result",
}
#: What stands for a field that cannot be rendered; the others are left as they are.
_DEFAULTS = {"message": None, "failure_type": DEFAULT_FAILURE_TYPE}
#: For how many seconds all jobs together are tried. The DAG processor runs all callbacks of a file in one
#: process, one after the other, and ends it after 50 s by default.
CALLBACK_SECONDS = 30
#: Seconds between two attempts at the same job.
ROUND_PAUSE = 2.0
#: How long one answer may take there, in seconds, unless ``botocore_config`` says otherwise.
CALLBACK_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 10}


#: What unknown claims of a task count as, and its claims with the records of their results.
_Claims = tuple[str, list[tuple[ClaimRecord, Results]]]


class CodePipelineJobFailureNotifier(TextTemplates, BaseNotifier):
    """
    Send the failure result for every job that a run claimed and did not end.

    Use it as the ``on_failure_callback`` of a DAG. Pass it to ``DAG(…)``: Airflow does not call a callback
    that is set later. It is the backstop for jobs that no task can end any more, because ``dagrun_timeout``
    skips even teardowns. It does nothing if :func:`~airflow_codepipeline_partner.operators.finish_job` has
    reported. As the ``on_success_callback``, it ends the jobs whose ``finish_job`` a user marked a success.
    Airflow may call it twice, and without a task instance. If a task intended a result before, even a
    success, the same result is sent. Transient errors are retried, 2 s apart. The callbacks that the DAG
    processor runs in one process (those of a file's runs) have 30 s together for that. Each job is tried at
    least once, if the process is not ended before: by default the DAG processor gives it 50 s.

    As a task's callback (also through ``default_args``), it ends only the job that this task, or a claim task
    before it, claimed. If a ``finish_job`` follows the claim, it does nothing.

    :param message: The message for the customer, cut to 5000 characters. If None, the message names the DAG
        and the reason. (templated)
    :param failure_type: JobFailed (the default) or one of ConfigurationError, PermissionError,
        RevisionOutOfSync, RevisionUnavailable, SystemUnavailable. (templated)
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used. (templated)
    :param region_name: The region of the jobs. If None, the connection's region is used. (templated)
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: The template of a client's connection id. (templated)

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
        self._ended: set[str] = set()
        #: What was tried: the jobs, and how their claims were known.
        self._tried: set[tuple[str, str]] = set()
        self._what = ""
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
        Render each field by itself, so that a field that cannot be rendered does not prevent the result.

        One notifier may serve several runs, one after the other. So each call renders the original values.
        """
        dag = context["dag"]
        # A callback may get dag, run id and reason alone.
        known: Any = {"params": dag.params.dump(), **context}
        jinja_env = text_environment(jinja_env or self.get_template_env(None if _is_of_test(dag) else dag))
        for name in self.template_fields:
            try:
                rendered = self.render_template(self._given[name], known, jinja_env)
            except Exception as error:
                self.log.error("%s could not be rendered: %s.", name, type(error).__name__)
                rendered = _DEFAULTS.get(name, self._given[name])
            setattr(self, name, rendered)

    def notify(self, context: Any) -> None:
        """
        End the jobs that the run left open. An error with one job is logged; the other jobs are still ended.

        :param context: A callback's context. Only ``dag`` and ``run_id`` or ``dag_run`` are needed. A context
            with ``ti`` and without ``reason`` comes from a task's callback.
        """
        dag, run_id = context["dag"], _run_id_of(context)
        if _is_of_test(dag):
            self.log.info("Nothing is looked for: dag.test() gives callbacks a DAG without its operators.")
            return
        self._run = {"dag_id": dag.dag_id, "run_id": run_id}
        self._ended, self._tried = set(), set()
        self._what = _REASONS.get(context.get("reason") or "", "Airflow could not complete this action")
        hook = AwsParameters.of(self).with_config_defaults(**CALLBACK_TIMEOUTS).hook(retry_deadline=0)
        deadline = _patience.deadline()
        self._end_all(hook, self._claims(context), deadline)
        if _is_of_run(context):
            self._end_all(hook, self._claims_of_former_tasks(dag), deadline)
            # Last, since it takes some requests for each claim; each is ended as it is found.
            for claims in self._claims_in_copies(dag):
                self._end_all(hook, [claims], deadline)

    def _end_all(self, hook: CodePipelineHook, claims: Iterable[_Claims], deadline: float) -> None:
        left = [
            (claim, results)
            for unknown_claim, records in claims
            for claim, results in records
            if claim.counts_as_ours(claim.unknown_claim or unknown_claim)
            and results.step is not Step.NOTHING
            and claim.job.job_id not in self._ended
            and (claim.job.job_id, claim.state) not in self._tried
        ]
        self._tried.update((claim.job.job_id, claim.state) for claim, _ in left)
        if left:
            # In case the DAG processor ends this callback before its time is over.
            self.log.info("To be ended: %s.", "; ".join(name_of(claim.job) for claim, _ in left))
        # Round by round, so that none waits for another's trouble to pass: a token may be stored a moment
        # after it was rotated. Each job is tried once, however slow all this is.
        while left:
            left = [job for job in left if self._end(hook, *job)]
            if left:
                time.sleep(min(ROUND_PAUSE, max(0.0, deadline - time.monotonic())))
            if time.monotonic() >= deadline:
                break
        for claim, _ in left:
            self._give_up(claim.job)

    def _give_up(self, job: ClaimedJob) -> None:
        with job_fields(job):
            self.log.error("Not ended: %s. CodePipeline ends it at its timeout.", name_of(job))

    def _claims(self, context: Any) -> Iterator[_Claims]:
        """Yield, of each task that may have claimed, what its unknown claims count as, and its records."""
        dag = context["dag"]
        for task in claiming_tasks(dag):
            try:
                if _is_of_run(context):
                    writers = writers_of(dag, task, self._ref(task))
                    records = records_of_run(**self._run, task_id=task.task_id, writers=writers)
                    yield unknown_claim_of(task), list(records)
                elif not _is_finished_by_a_task(task, dag):
                    yield unknown_claim_of(task), list(records_before(context, task))
            except Exception as error:
                # Of whatever kind: the jobs of the other tasks are still to be ended.
                self.log.error("The records of %s cannot be read: %s.", task.task_id, type(error).__name__)

    def _ref(self, task: Any) -> TaskInstanceRef:
        return TaskInstanceRef(self._run["dag_id"], self._run["run_id"], task.task_id)

    def _claims_in_copies(self, dag: Any) -> Iterator[_Claims]:
        """Yield the claims that tasks could not record themselves any more."""
        for task in claiming_tasks(dag):
            try:
                for record in records_in_copies(dag, task, self._ref(task)):
                    yield unknown_claim_of(task), [record]
            except Exception as error:
                self.log.error("The copies for %s cannot be read: %s.", task.task_id, type(error).__name__)

    def _claims_of_former_tasks(self, dag: Any) -> Iterator[_Claims]:
        """Yield the claims of the tasks that the run had and the DAG no longer has."""
        try:
            # Not knowing the parameter of such a task, its record says what is not the default.
            yield "assume_ours", list(claims_of_former_tasks(get_task_states, dag, self._run["run_id"]))
        except Exception as error:
            self.log.error("The tasks that the DAG no longer has cannot be read: %s.", type(error).__name__)

    def _end(self, hook: CodePipelineHook, claim: ClaimRecord, results: Results) -> bool:
        """End a job, and return whether to try again."""
        with job_fields(claim.job):
            return self._end_job(hook, claim, results)

    def _end_job(self, hook: CodePipelineHook, claim: ClaimRecord, results: Results) -> bool:
        job = claim.job.job
        try:
            # What was intended may have been put: the same again, never another.
            put_once(
                hook,
                _KnownResults(results),
                self._failure(job),
                certain=claim.is_certain,
                is_next=bool(claim.former_job_ids),
                claimed_at=claim.at,
                keeps_records=False,
            )
            self._ended.add(job.job_id)
        except (JobNotInProgress, JobNotFound):
            self._ended.add(job.job_id)
            self.log.info("Ended already: %s.", name_of(job))
        except Exception as error:
            # Of whatever kind: the other jobs are still to be ended. The text of others might hold anything.
            said = str(error) if isinstance(error, CodePipelineProviderError) else ""
            self.log.warning("Not ended yet: %s. %s: %s", name_of(job), type(error).__name__, said)
            if _may_pass(error):
                return True
            self._give_up(claim.job)
        return False

    def _failure(self, job: OfferedJob) -> Call:
        default = f"{self._what} (DAG {self._run['dag_id']})."
        try:
            return result_defaults.failure(
                job, self.message or default, self.failure_type or DEFAULT_FAILURE_TYPE, **self._run
            )
        except InvalidInput as error:
            self.log.error("%s The job is ended with the default message.", error)
            return result_defaults.failure(job, default, DEFAULT_FAILURE_TYPE, **self._run)


@dataclass
class _Patience:
    """
    Until when the callbacks of this process repeat what may pass.

    One run's trouble must not take the time of the runs after it.
    """

    _until: float = -math.inf

    def deadline(self) -> float:
        """Return that time, by the monotonic clock. In a process that lives on, it begins anew later."""
        now = time.monotonic()
        if now > self._until + CALLBACK_SECONDS:
            self._until = now + CALLBACK_SECONDS
        return self._until


_patience = _Patience()


def _is_of_test(dag: Any) -> bool:
    """
    Return whether a callback's DAG is the scheduler's copy, of which the tasks are no operators.

    Only ``dag.test()`` calls callbacks of a run in its own process. Otherwise the DAG processor does, with
    the DAG of the file.
    """
    return not hasattr(dag, "get_template_env")


def _is_of_run(context: Mapping[str, Any]) -> bool:
    """Return whether the callback is of a run, not of a task."""
    return "reason" in context or "ti" not in context


@dataclass(frozen=True)
class _KnownResults:
    """The records of a result, as they were read: a callback can write none."""

    results: Results

    def read_results(self, job_id: str) -> Results:
        """Return the records."""
        return self.results

    def write_result(self, record: ResultRecord) -> None:
        """Do nothing."""

    def withdraw_result(self, job_id: str) -> None:
        """Do nothing."""


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
