# SPDX-License-Identifier: Apache-2.0
"""The tasks of a step: start the run that the action asks for, look at it, and read its outputs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator

from airflow_codepipeline_partner._base_operator import CodePipelineBaseOperator
from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    get_run_state,
    get_task_states,
    is_paused,
    refusal_of,
    start_run,
    tags_of_dag,
)
from airflow_codepipeline_partner._job_log import job_fields, place_of
from airflow_codepipeline_partner._protocol.claims import ENDED_STATUSES
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import without_none
from airflow_codepipeline_partner._protocol.step_configuration import StepConfiguration, text_of_value
from airflow_codepipeline_partner._secrets import in_closed_frames
from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.links import execution_url

__all__: list[str] = []

#: A tag of the worker's own DAGs: no pipeline may run them for their tags.
WORKER_TAG = "codepipeline-worker"
#: Why Airflow's server does not start a run → the same for the customer.
_REFUSALS = {
    (404, "not_found"): "does not exist in this Airflow",
    (400, "import_errors"): "cannot be loaded, since its file has an error",
    (400, "value_error"): "does not take this Conf",
    (400, "denied_run_type"): "does not allow runs that another DAG starts",
}
_ENDED_TASKS = ("success", "skipped", "failed", "upstream_failed", "removed")


class StartRunOfStepOperator(CodePipelineBaseOperator):
    """
    Start the run of the DAG that an action's configuration names, once for each job.

    :param job: The claimed job. (templated)
    :param allowed_dags: The DAGs that may be run.
    :param allowed_tag: A tag of other DAGs that may be run, or None.
    """

    template_fields: Sequence[str] = ("job", *CodePipelineBaseOperator.template_fields)

    def __init__(
        self, *, job: Any, allowed_dags: Sequence[str], allowed_tag: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.allowed_dags = list(allowed_dags)
        self.allowed_tag = allowed_tag

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Start the run, and return where it is and what is to be read from it.

        :raises AirflowFailException: It cannot be run; the customer reads why.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
        from airflow_codepipeline_partner._worker.result_defaults import external_execution_id

        with fail_without_retry_if_permanent():
            claimed = ClaimedJob.from_value(self.job)
            details = self.hook.ask_details(OfferedJob.from_value(self.job))
        run_id = f"codepipeline__{_first_job_id(context, claimed)}"
        try:
            step = in_closed_frames(lambda: StepConfiguration.of(details.configuration))
            is_started = get_run_state(step.dag_id, run_id) is not None
            if is_started and context["ti"].try_number == 1:
                # Somebody who may start runs of any DAG could have a pipeline take it for the step's.
                raise JobFailure(f"DAG {step.dag_id} has run {run_id} already, which is not the step's.")
            # What an earlier try has started goes on, even if the DAG was paused since.
            if not is_started:
                self._check(step, context["ti"])
                self._refuse_ended()
                about = {**_about(claimed), **self._link(claimed), **_claimed_by(context, claimed)}
                self._start(step, run_id, about)
        except JobFailure as failure:
            _fail(failure)
        self.show_job(context, claimed)
        with job_fields(claimed):
            self.log.info("Started run %s of DAG %s for %s.", run_id, step.dag_id, place_of(claimed))
        return {
            "dag_id": step.dag_id,
            "run_id": run_id,
            "outputs": [[each.name, each.task_id, each.key] for each in step.outputs],
            "deadline": None if step.timeout is None else _began(context) + step.timeout,
            "execution_details": without_none(
                summary=f"DAG {step.dag_id} succeeded.",
                external_execution_id=external_execution_id(step.dag_id, run_id),
                percent_complete=100,
            ),
        }

    def _check(self, step: StepConfiguration, ti: Any) -> None:
        if not self._allows(step.dag_id, ti):
            raise JobFailure(f"DAG {step.dag_id} may not be run by pipelines.", "PermissionError")
        if is_paused(ti, step.dag_id):
            raise JobFailure(f"DAG {step.dag_id} is paused in Airflow.", "ConfigurationError")

    def _allows(self, dag_id: str, ti: Any) -> bool:
        if dag_id in self.allowed_dags or self.allowed_tag is None:
            return dag_id in self.allowed_dags
        tags = tags_of_dag(ti, dag_id)
        return self.allowed_tag in tags and WORKER_TAG not in tags

    def _refuse_ended(self) -> None:
        """Start nothing for a job that has timed out, or that had its result before this task was cleared."""
        status = self.hook.status_of_ended(OfferedJob.from_value(self.job))
        if status in ENDED_STATUSES:
            raise AirflowFailException(
                f"The job has ended ({status}), so nothing is started. Retry the action in CodePipeline."
            )

    def _link(self, job: ClaimedJob) -> dict[str, str]:
        """Return the address of the pipeline's execution in the AWS console, if it is known."""
        if job.pipeline_name is None or job.pipeline_execution_id is None:
            return {}
        url = execution_url(*self.hook.location, job.pipeline_name, job.pipeline_execution_id)
        return {"pipeline_execution_url": url} if url else {}

    def _start(self, step: StepConfiguration, run_id: str, about: Mapping[str, Any]) -> None:
        dag_id = step.dag_id
        try:
            # What the customer has configured is in no variable that an error would show.
            in_closed_frames(
                lambda: start_run(dag_id, run_id, {**step.conf, "codepipeline": about}, note=_note(about))
            )
        except Exception as error:
            status, reason = refusal_of(error)
            why = _REFUSALS.get((status or 0, reason or ""), "cannot be run" if status == 400 else None)
            if why is None:
                raise
            raise JobFailure(f"DAG {dag_id} {why}.", "ConfigurationError") from None


def _first_job_id(context: Any, job: ClaimedJob) -> str:
    """
    Return the job for which the worker's run was started.

    The action may have gone on in another one, which a cleared claim returns then. It is the same step.
    """
    return str((context["dag_run"].conf or {}).get("job_id") or job.job_id)


def _began(context: Any) -> float:
    """Return when the worker's run began, in seconds since the epoch: the same for each try."""
    began = context["dag_run"].start_date
    return float(began.timestamp()) if began else time.time()


def _about(job: ClaimedJob) -> dict[str, Any]:
    """Return what a run may know of the job that it runs for: no secret, and no configuration."""
    known = job.to_xcom()
    names = (
        "job_id",
        "action_type",
        "account_id",
        "pipeline_name",
        "pipeline_arn",
        "pipeline_execution_id",
        "stage_name",
        "action_name",
        "action_execution_id",
        "input_artifacts",
        "output_artifacts",
    )
    return {name: known[name] for name in names if known.get(name) is not None}


def _note(about: Mapping[str, Any]) -> str:
    """Return what the page of the run shows: which action of which pipeline it is a step of."""
    names = ("pipeline_name", "stage_name", "action_name")
    place = " / ".join(str(about[name]) for name in names if about.get(name))
    execution, url = about.get("pipeline_execution_id"), about.get("pipeline_execution_url")
    said = f"A step of a pipeline: {place}" + (f", execution {execution}" if execution else "")
    return f"{said}. {url}" if url else f"{said}."


def _claimed_by(context: Any, job: ClaimedJob) -> dict[str, Any]:
    """
    Return where the records of a job lie, under ``claimed_by``.

    A long run needs them: the action goes on in another job then, whose credentials open the artifacts.
    """
    from airflow_codepipeline_partner._worker.record_search import find_claim

    claim = find_claim(context, job.job_id)
    return {} if claim is None else {"claimed_by": asdict(claim.store.ref)}


def look_at_run(job: ClaimedJob, run: Mapping[str, Any]) -> Any:
    """
    Return True if a run has succeeded, else how far it is.

    :param job: The claimed job.
    :param run: What :class:`StartRunOfStepOperator` returned.
    :raises JobFailure: It has failed, or takes too long.
    """
    dag_id, run_id = run["dag_id"], run["run_id"]
    state = get_run_state(dag_id, run_id)
    if state == "success":
        return True
    if state is None:
        _fail(JobFailure(f"The run of DAG {dag_id} was deleted in Airflow."))
    tasks = (get_task_states(dag_id, [run_id]) or {}).get(run_id) or {}
    if state == "failed":
        failed = sorted(name for name, of_task in tasks.items() if of_task == "failed")
        what = f": {', '.join(failed)}" if failed else "."
        _fail(JobFailure(f"DAG {dag_id} failed{what}"))
    if run["deadline"] is not None and time.time() > run["deadline"]:
        _fail(JobFailure(f"DAG {dag_id} has not ended within the action's Timeout. Its run goes on."))
    done = sum(of_task in _ENDED_TASKS for of_task in tasks.values())
    percent = {"percent_complete": 100 * done // len(tasks)} if tasks else {}
    return {
        "summary": f"{done} of {len(tasks)} tasks of DAG {dag_id} are done.",
        # The action's link leads to the run from now on.
        "external_execution_id": run["execution_details"].get("external_execution_id"),
        **percent,
    }


class StepOutputsOperator(BaseOperator):
    """
    Read the outputs of a run from its XCom, and which output artifacts it has uploaded.

    :param run: What :class:`StartRunOfStepOperator` returned. (templated)
    :param job: The claimed job. (templated)
    :param missing_outputs: What the worker does if one is missing, which says how far it is to look.
    """

    #: It records what the run's tasks have uploaded as its own, so that the task that reports finds it.
    uploads_artifacts: ClassVar[bool] = True

    template_fields: Sequence[str] = ("run", "job")

    def __init__(self, *, run: Any, job: Any, missing_outputs: str = "warn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.missing_outputs = missing_outputs
        self.run = run
        self.job = job

    def execute(self, context: Any) -> dict[str, str]:
        """
        Return the output variables.

        :raises AirflowFailException: One is missing; the customer reads which.
        """
        found = {}
        for name, task_id, key in self.run["outputs"]:
            value = value_from_run(context["ti"], self.run["dag_id"], self.run["run_id"], task_id, key)
            if value is None:
                _fail(JobFailure(f"There is no output {name}: task {task_id} has left nothing as {key}."))
            try:
                found[name] = text_of_value(value)
            except ValueError:
                _fail(JobFailure(f"The output {name} of task {task_id} cannot be written as JSON."))
        self._take_over_uploads(context)
        return found

    def _take_over_uploads(self, context: Any) -> None:
        from airflow_codepipeline_partner._worker.dag import task_ids_of_run
        from airflow_codepipeline_partner._worker.output_artifacts import (
            MAX_LOOKS,
            record_uploads,
            uploaded_in_run,
        )

        job, (dag_id, run_id) = ClaimedJob.from_value(self.job), (self.run["dag_id"], self.run["run_id"])
        expected = {artifact.name for artifact in job.output_artifacts}
        if not expected or self.missing_outputs == "ignore":
            return
        try:
            # The run has ended, and named the job under which it was started, whatever job came after that.
            task_ids = task_ids_of_run(get_task_states, dag_id, run_id)
            job_ids = {job.job_id, _first_job_id(context, job)}
            looked_at = task_ids if self.missing_outputs == "fail" else task_ids[:MAX_LOOKS]
            if found := uploaded_in_run(dag_id, run_id, looked_at, job_ids, expected):
                record_uploads(job.job_id, found)
        except Exception as error:
            # A warning must not keep the result from the customer.
            if self.missing_outputs == "fail":
                raise
            self.log.warning(
                "Which output artifacts the run has made is not known: %s.", type(error).__name__
            )


def value_from_run(ti: Any, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
    """Return what a task of another run has left in XCom; None if it is nothing."""
    return ti.xcom_pull(task_ids=task_id, key=key, dag_id=dag_id, run_id=run_id)


def _fail(failure: JobFailure) -> NoReturn:
    """Fail the task without a retry; the customer reads the failure."""
    from airflow_codepipeline_partner._worker.failures import record_failure

    record_failure(failure)
    raise AirflowFailException(failure.message) from failure
