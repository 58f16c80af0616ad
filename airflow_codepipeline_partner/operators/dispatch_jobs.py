# SPDX-License-Identifier: Apache-2.0
"""The operator of ``assets.dispatch_jobs``: it starts a run for each job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_codepipeline_partner._compat import is_paused, start_run
from airflow_codepipeline_partner._job_log import job_fields, name_of
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._templates import TextTemplates

__all__: list[str] = []


class DispatchJobsOperator(TextTemplates, BaseOperator):
    """
    Start one run of another DAG for each job; see :func:`~airflow_codepipeline_partner.assets.dispatch_jobs`.

    It is one task for all jobs: Airflow's own operator starts one run, in a task of its own.
    """

    template_fields = ("jobs", "trigger_dag_id", "conf")
    template_fields_renderers: ClassVar[dict[str, str]] = {"jobs": "json", "conf": "json"}
    ui_color = "#d7e9f7"

    def __init__(
        self, *, jobs: Any, trigger_dag_id: str, conf: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # A task before this one that returns None has no jobs for it.
        self._takes_those_of_its_run = jobs is None
        self.jobs = jobs
        self.trigger_dag_id = trigger_dag_id
        self.conf = conf

    def execute(self, context: Any) -> list[dict[str, str]]:
        """
        Start the runs, and return their ids with the jobs' ids.

        :raises InvalidJobReference: There is no job at all in what was given.
        """
        from airflow_codepipeline_partner._worker import offered_jobs

        if self._takes_those_of_its_run:
            offered = offered_jobs.jobs_of_run(context)
        else:
            offered = offered_jobs.readable_jobs(self.jobs)
        if is_paused(context["ti"], self.trigger_dag_id):
            self.log.warning(
                "DAG %s is paused, so no run is started. Its jobs are offered again.", self.trigger_dag_id
            )
            return []
        found: list[dict[str, str]] = []
        faults: list[Exception] = []
        for job in offered:
            try:
                run_id = self._start_run(context["ti"], job)
            except Exception as error:
                # Of whatever kind: it must not hold up the other jobs. This one is offered again.
                with job_fields(job):
                    self.log.warning("No run now for %s: %s.", name_of(job), type(error).__name__)
                faults.append(error)
                continue
            dag_and_job = (self.trigger_dag_id, name_of(job))
            with job_fields(job):
                if run_id is None:
                    self.log.info("DAG %s has a run for %s already.", *dag_and_job)
                    continue
                self.log.info("Started run %s of DAG %s for %s.", run_id, *dag_and_job)
            found.append({"run_id": run_id, "job_id": job.job_id})
        if faults and len(faults) == len(offered):
            raise faults[-1]
        return found

    def _start_run(self, ti: Any, job: OfferedJob) -> str | None:
        """Start a job's run, and return its id; None if there is one that may claim the job, or has."""
        from airflow_codepipeline_partner._worker import job_runs

        run_id = job_runs.free_run_id(ti, self.trigger_dag_id, job.job_id)
        if run_id is None:
            return None
        # What is missing would not fit the type of a param of the same name.
        known = {name: value for name, value in job.to_xcom().items() if value is not None}
        # Another dispatcher may have come to the same id.
        is_new = start_run(self.trigger_dag_id, run_id, {**(self.conf or {}), **known})
        return run_id if is_new else None
