# SPDX-License-Identifier: Apache-2.0
"""
How a finishing task ends its job, once it runs.

The calls that report a result are composed in :mod:`~airflow_codepipeline_partner._worker.work_result`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    is_started_anew,
)
from airflow_codepipeline_partner._job_log import job_fields
from airflow_codepipeline_partner._protocol import choices
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._protocol.results import FailureDetails
from airflow_codepipeline_partner._worker import awaited_job, next_job, work_result
from airflow_codepipeline_partner._worker.copies import claim_in_run
from airflow_codepipeline_partner._worker.dag import states_before, unended_work
from airflow_codepipeline_partner._worker.former_tasks import end_jobs_of_former_tasks
from airflow_codepipeline_partner._worker.last_look import claim_to_end
from airflow_codepipeline_partner._worker.output_artifacts import check_outputs, may_have_uploaded
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.skips import tasks_cut_off
from airflow_codepipeline_partner._worker.work_failure import failure_of_work, hide_no_failure
from airflow_codepipeline_partner._worker.work_result import ResultValues, refuse_cleared_run
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    InvalidInput,
    JobNotFound,
    JobNotInProgress,
    NextJobNotOffered,
    RequestRefused,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator


class Finishing:
    """
    One try of a finishing task.

    :param task: The task.
    :param context: Its context.
    """

    def __init__(self, task: CodePipelineFinishJobOperator, context: Any) -> None:
        self.task = task
        self.context = context

    def execute(self) -> None:
        """Put the result of the work."""
        if is_started_anew(self.context) and (claim := self._claim_in_run()) is not None:
            next_job.keep_copies(claim)
        self.finish(None)

    def finish(self, at_least: float | None) -> None:
        """
        Put the result of the work, if all of it has ended.

        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        """
        states = self._states_before()
        failure = failure_of_work(self.context, self.task.claim_task_id, states, self.task.SKIP_RECORD_DELAY)
        claim = self._settled_claim(states)
        claimed = self._claimed_job(claim)
        if claim is None or claimed is None:
            self._end_without_a_job(states, claim, at_least)
        with job_fields(claimed):
            self._finish_job(claim, claimed, failure, states, at_least)

    def _finish_job(
        self,
        claim: ClaimInRun,
        claimed: ClaimedJob,
        failure: FailureDetails | None,
        states: Mapping[str, Collection[str | None]],
        at_least: float | None,
    ) -> None:
        """Put the result of the work for a job that this run has claimed."""
        refuse_cleared_run(self.context["dag_run"], claim)
        result, error = None, None
        try:
            result = self._put(states, claim, claimed, failure)
        except (JobNotFound, JobNotInProgress) as found:
            # Any other error may pass: the claim had a token and credentials, so lacking them is temporary.
            error = found
        if result in (None, "continue"):
            # The task that put the continuation may have claimed the next job since.
            newest = self._claim_in_run()
            if next_job.has_gone_on(claim, newest):
                return self.finish(at_least)
            # If perhaps nobody has claimed the action's next job, it is offered again.
            self._wait_for_next_job(newest, at_least)
        if result is None:
            # Without a chain of exceptions, so that the log is readable.
            raise AirflowFailException(f"{type(error).__name__}: {error}")
        self.task.show_job(self.context, claimed)
        is_good = failure is None and result != "failure"
        if self.context["ti"].map_index <= 0:
            # One instance of a mapped task is enough: it reads the states of the whole run.
            end_jobs_of_former_tasks(self.task.hook, self.context)
        if is_good:
            return
        said = work_result.description_of_end(claimed, result, claim)
        if self.task.fail_run:
            raise AirflowFailException(f"{said} This task fails so that the run does, too.")
        if result != "failure":
            self.task.log.warning("%s", said)

    def _states_before(self) -> dict[str, list[str | None]]:
        """Return how the tasks before this one ended; wait for those that have not ended."""
        states = states_before(self.context, self.task)
        if self.task.claim_task_id not in states:
            raise AirflowFailException(
                f"{self.task.task_id} must come after {self.task.claim_task_id}, whose job it finishes; "
                "finish_job wires it so."
            )
        if unended := unended_work(self.context["dag"], self.task, self.task.claim_task_id, states):
            self._wait_for_work(unended)
        return states

    def _put(
        self,
        states: Mapping[str, Collection[str | None]],
        claim: ClaimInRun,
        claimed: ClaimedJob,
        failure: FailureDetails | None,
    ) -> str:
        """Put the success, or the failure of the work; return the result that the job has now."""
        run = {"dag_id": self.context["ti"].dag_id, "run_id": self.context["ti"].run_id}
        values, message = self._values(), self.task.failure_message
        if failure is None:
            try:
                self._check_outputs(claim, states)
                return next_job.put_result(self.task.hook, claim, values.success(claimed.job, **run))
            except (ArtifactError, InvalidInput, RequestRefused) as error:
                # The author's failure_message is about failed work, which this is not.
                message = work_result.why_not_reportable(error)
                failure = FailureDetails(message)
        return next_job.put_result(
            self.task.hook, claim, values.failure(claimed.job, message, failure, **run)
        )

    def _wait_for_work(self, task_ids: Collection[str]) -> NoReturn:
        """
        Have Airflow start this task again a little later; each time, wait longer.

        Airflow starts this task when those just before it have ended. A user may clear one of them just then,
        and the trigger rule of one may not wait for all the work. A deferral would need a triggerer, and in
        ``dag.test()`` no other task would run before its end.
        """
        self.task.log.warning("Waiting for %s, which has not ended.", ", ".join(task_ids))
        looks = self.context.get("task_reschedule_count") or 0
        pause = min(self.task.LOOK_AGAIN_AFTER * 2 ** min(looks, 10), self.task.MAX_LOOK_PAUSE)
        raise AirflowRescheduleException(datetime.now(UTC) + pause)  # type: ignore[no-untyped-call]

    def _wait_for_next_job(self, claim: ClaimInRun | None, at_least: float | None) -> None:
        """Wait for the action's next job, if this run is to claim one and no task before this one did."""
        if claim is None or awaited_job.awaited_token(claim) is None:
            return
        self.task.log.warning(
            "No task before this one claimed the action's next job for certain. This task waits for its "
            "offer, to end it."
        )
        triggers.defer_for_next_job(
            self.task,
            claim,
            timeout=choices.CONTINUATION_TIMEOUT,
            poll_interval=self.task.POLL_INTERVAL,
            method_name="execute_next_job",
            at_least=at_least,
        )

    def execute_next_job(self, event: Mapping[str, Any], at_least: float | None) -> None:
        """
        Claim the action's next job, and end it.

        :param event: The trigger's event.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        :raises AirflowFailException: The job was not offered in time.
        """
        claim = self._claim_in_run()
        if claim is None:
            raise AirflowFailException(
                f"The claim record of {self.task.claim_task_id} is gone, so no job can be ended."
            )
        deadline = awaited_job.wait_deadline(claim, choices.CONTINUATION_TIMEOUT, at_least)
        next_job.raise_refusal(event, deadline=deadline)
        try:
            next_job.claim_offered(self.task.hook, claim, event, deadline=deadline)
        except NextJobNotOffered as error:
            raise AirflowFailException(str(error)) from error
        self.finish(at_least)

    def _settled_claim(self, states: Mapping[str, Collection[str | None]]) -> ClaimInRun | None:
        """Read the run's claim once it says all that can be known; None if nothing was claimed."""
        found = states[self.task.claim_task_id]
        claim = claim_to_end(
            self.context, self.task.claim_task_id, self.task.unknown_claim, found, self.task.LOOK_AGAIN_AFTER
        )
        return None if claim is None else next_job.claim_if_unknown(self.task.hook, claim)

    def _claim_in_run(self) -> ClaimInRun | None:
        return claim_in_run(self.context, self.task.claim_task_id, self.task.unknown_claim)

    def _end_without_a_job(
        self,
        states: Mapping[str, Collection[str | None]],
        claim: ClaimInRun | None,
        at_least: float | None,
    ) -> NoReturn:
        """Put nothing: fail if a task before this one failed, or a user ended the claim; skip otherwise."""
        self._wait_for_next_job(claim, at_least)
        if claim is not None and claim.record.former_job_ids:
            raise AirflowFailException(
                f"The action went on with job {claim.record.job.job_id}, whose claim is "
                f"{claim.record.state}. Another worker may have the job, so this task leaves it."
            )
        end_jobs_of_former_tasks(self.task.hook, self.context)
        claiming = self.task.claim_task_id
        why = f"{claiming} claimed no job, so there is none to end."
        if claim is not None and claim.record.state.is_unknown:
            why = (
                f"The claim of job {claim.record.job.job_id} is unknown (state {claim.record.state}), so "
                'unknown_claim="leave" leaves the job.'
            )
        hide_no_failure(why, states)
        # A claim that succeeds leaves a record of its job, and a lost one skips its task.
        is_marked = "success" in states[claiming]
        is_lost = claim is not None and claim.record.state is ClaimState.LOST
        if is_marked or (
            not is_lost and tasks_cut_off(self.context, states, [claiming], self.task.SKIP_RECORD_DELAY)
        ):
            raise AirflowFailException(
                f"{why} {claiming} was ended in Airflow before it was done, so this task fails."
            )
        raise AirflowSkipException(why)

    def _claimed_job(self, claim: ClaimInRun | None) -> ClaimedJob | None:
        """Return the job that this task is to end; None without a record: nothing was asked for then."""
        if claim is None or not claim.counts_as_ours:
            return None
        return replace(claim.record.job, certain=claim.record.is_certain)

    def _check_outputs(self, claim: ClaimInRun, states: Mapping[str, Collection[str | None]]) -> None:
        """Warn or fail if an output artifact is missing, unless an earlier try has found a result."""
        record = claim.record
        if record.job.output_artifacts and claim.results.best is None:
            check_outputs(
                self.context,
                record.job,
                may_have_uploaded(states),
                self.task.missing_outputs,
                former_job_ids=record.former_job_ids,
            )

    def _values(self) -> ResultValues:
        task = self.task
        return ResultValues(
            current_revision=task.current_revision,
            execution_details=task.execution_details,
            output_variables=task.output_variables,
            failure_type=task.failure_type,
            unrendered=task.unrendered,
        )
