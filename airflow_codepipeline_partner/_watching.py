# SPDX-License-Identifier: Apache-2.0
"""How a progress sensor watches the work of another system, once it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._base_operator import read_job_timeout, read_seconds
from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
    is_retried,
    retry_wait,
)
from airflow_codepipeline_partner._job_log import job_fields, place_of, progress_text
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.parsing import is_missing, read_mapping
from airflow_codepipeline_partner._worker import awaited_job, next_job
from airflow_codepipeline_partner._worker import progress as said_by
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.record_search import ClaimInRun

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.results import ExecutionDetails
    from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor

#: What part of a job's timeout may pass before it is renewed: workers may be busy, and answers be lost.
RENEW_AFTER = 0.5


class Watching:
    """
    One try of a progress sensor, or a part of it between two deferrals.

    :param task: The sensor.
    :param context: Its context.
    """

    def __init__(self, task: CodePipelineJobProgressSensor, context: Any) -> None:
        self.task = task
        self.context = context

    # Of what a deferral hands on, dag.test() keeps the event only: there the time begins anew.

    def look(self, deadline: float | None, at_least: float | None = None) -> dict[str, Any]:
        """
        Look at the work, and return the newest job if it is done; else wait.

        :param deadline: When the task gives up, in seconds since the epoch; None if it begins to wait.
        :param at_least: Until when this try waits for a next job in any case, in seconds since the epoch.
        """
        deadline = deadline or time.time() + self.task.timeout
        context = self.context
        with fail_without_retry_if_permanent():
            claim = next_job.newest_job(self.task.hook, context, OfferedJob.from_value(self.task.job))
            me = TaskInstanceRef.of(context["ti"])
            awaited = awaited_job.awaited_token(claim)
            if awaited == me.token or awaited_job.takes_no_result(claim):
                if claim.counts_as_ours:
                    # An earlier try may have died, or given up, over putting it. Or nobody has the job, and
                    # no other task waits for its offer.
                    claim = next_job.put_progress(self.task.hook, claim, me)
                self._wait_for_next_job(claim, deadline, at_least)
            if awaited is not None and next_job.is_forsaken(context["ti"], awaited):
                # The task that put it has ended, and the finishing task does not wait yet.
                self._wait_for_next_job(claim, deadline, at_least)
            if awaited is None and not claim.counts_as_ours:
                raise AirflowFailException(
                    f"The claim of job {claim.record.job.job_id}, with which the action was to go on, is "
                    f"{claim.record.state}: it may be another's, and is left."
                )
            self.task.show_job(context, claim.record.job)
            renew_at = self.renew_at(claim)
            arguments = read_mapping(self.task.op_kwargs or {}, "op_kwargs")
        try:
            said = said_by.ask(
                self.task.progress,
                claim.record.job,
                arguments,
                task_id=self.task.task_id,
                silent_fail=self.task.silent_fail,
            )
        except (Exception, AirflowTaskTimeout) as error:
            if awaited is None and is_retried(context, error):
                self._renew_before_retry(claim, me, context["ti"].try_number)
            raise
        with fail_without_retry_if_permanent():
            if said is True:
                return claim.record.job.to_xcom()
            if time.time() >= deadline:
                self._give_up()
            if awaited is not None:
                self._log_progress(claim, said, "another task of this run goes on with the action")
                self._look_again(min(time.time() + self.task.poke_interval, deadline), deadline)
            if time.time() >= renew_at:
                ended = next_job.put_progress(self.task.hook, claim, me, execution_details=said)
                self._wait_for_next_job(ended, deadline)
        self._log_progress(claim, said, f"the next job in {renew_at - time.time():.0f} s")
        self._look_again(min(time.time() + self.task.poke_interval, renew_at, deadline), deadline)

    def _log_progress(self, claim: ClaimInRun, said: ExecutionDetails | None, then: str) -> None:
        job = claim.record.job
        with job_fields(job):
            text = progress_text(said) or "not done yet"
            self.task.log.info("Working on %s: %s; %s.", place_of(job), text, then)

    def _renew_before_retry(self, claim: ClaimInRun, me: TaskInstanceRef, try_number: int) -> None:
        """
        Renew the job if a retry may come too late for that.

        The function has failed. Perhaps only its look at the work did, and the work goes on.
        """
        if time.time() + retry_wait(self.task, try_number) < self._half_time(claim):
            return
        self.task.log.warning(
            "progress of %s failed; the job is renewed before the retry.", self.task.task_id
        )
        try:
            next_job.put_progress(self.task.hook, claim, me)
        except Exception as error:
            # Of whatever kind: the failure of the work is raised, and a retry puts the renewal again.
            self.task.log.warning("The job is not renewed: %s.", type(error).__name__)

    def renew_at(self, claim: ClaimInRun) -> float:
        """Return when the job is renewed, in seconds since the epoch."""
        at = self._half_time(claim)
        if is_missing(self.task.progress_interval):
            return at
        interval = read_seconds("progress_interval", self.task.progress_interval)
        return min(at, claim.record.at.timestamp() + interval)

    def _half_time(self, claim: ClaimInRun) -> float:
        """Return when the job is renewed for the sake of its timeout."""
        return claim.record.at.timestamp() + read_job_timeout(self.task.job_timeout) * RENEW_AFTER

    def _wait_for_next_job(self, claim: ClaimInRun, deadline: float, at_least: float | None = None) -> None:
        """Defer until the action's next job is offered."""
        triggers.defer_for_next_job(
            self.task,
            claim,
            timeout=self.task.continuation_timeout,
            poll_interval=self.task.poll_interval,
            method_name="execute_complete",
            at_least=at_least,
            kwargs={"deadline": deadline},
        )

    def _look_again(self, moment: float, deadline: float) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        self.task.defer(
            trigger=DateTimeTrigger(datetime.fromtimestamp(moment, UTC)),
            method_name="execute_again",
            kwargs={"deadline": deadline},
            # If no triggerer runs.
            timeout=timedelta(seconds=max(deadline - time.time(), 0) + triggers.DEFERRAL_MARGIN),
        )

    def _give_up(self) -> NoReturn:
        raise AirflowSensorTimeout(
            f"The work of {self.task.task_id} was not done within {self.task.timeout:g} s."
        )

    def take_offer(
        self, event: Mapping[str, Any], deadline: float | None, at_least: float | None
    ) -> dict[str, Any]:
        """
        Claim the action's next job, if it was offered to the trigger, and continue.

        :param event: The trigger's event.
        :param deadline: See :meth:`look`.
        :param at_least: See :meth:`look`.
        """
        with fail_without_retry_if_permanent():
            job = OfferedJob.from_value(self.task.job)
        next_job.take_offer(
            self.task.hook,
            self.context,
            job,
            event,
            timeout=self.task.continuation_timeout,
            at_least=at_least,
        )
        return self.look(deadline, at_least)
