# SPDX-License-Identifier: Apache-2.0
"""The worker that runs a DAG as a step of a pipeline, as two DAGs: one polls, one works on a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from airflow.sdk import DAG

from airflow_codepipeline_partner._compat import READS_OTHER_DAGS
from airflow_codepipeline_partner._protocol.choices import MissingOutputs, check_missing_outputs
from airflow_codepipeline_partner._protocol.dialects import CUSTOM
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.step_configuration import MAX_TIMEOUT
from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs
from airflow_codepipeline_partner.dags.step_tasks import (
    WORKER_TAG,
    StartRunOfStepOperator,
    StepOutputsOperator,
    look_at_run,
)
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor

#: Parameters of the worker's DAGs that are no one else's.
_ITS_OWN = {"schedule", "on_failure_callback", "on_success_callback", "max_consecutive_failed_dag_runs"}


def run_dag_step(
    action_type: ActionType | Mapping[str, str] | str,
    *,
    allowed_dags: Iterable[str] = (),
    allowed_tag: str | None = None,
    dag_id: str = "codepipeline_step",
    poll_interval: float = 30,
    wake_queue: str | None = None,
    query_param: Mapping[str, str] | None = None,
    job_timeout: float = 3600,
    progress_interval: float | None = 300,
    poke_interval: float = 30,
    max_active_runs: int = 64,
    missing_outputs: MissingOutputs = "warn",
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
    **parameters: Any,
) -> tuple[DAG, DAG]:
    """
    Make the DAGs of a worker that runs a DAG for each job of a custom action type. Call it in a DAG file.

    The action's configuration says what to run: ``Dag`` (a DAG's id), ``Conf`` (a JSON object, the run's
    conf), ``Outputs`` (such as ``Accuracy=evaluate, Model=train:uri``: output variables of the action, each
    with the task and, after a colon, the XCom key that has its value) and ``Timeout`` (seconds). The run's
    conf also has ``codepipeline``: the pipeline, its execution, the stage, the action, and where the input
    and output artifacts are. The action succeeds when the run does. While the run goes on, the console shows
    how many of its tasks are done, and nothing holds a worker slot. If the run fails, the action fails with
    the ids of the failed tasks.

    The same job never makes two runs. A retry of the action makes a new one. If the action is stopped, the
    run goes on.

    :param action_type: The action type, with the owner ``Custom``.
    :param allowed_dags: The ids of the DAGs that pipelines may run. Everybody who may change a pipeline
        may run these, with any conf.
    :param allowed_tag: A tag: pipelines may run all DAGs that have it, too, except workers such as this one.
        From Airflow 3.2 on. At least one of ``allowed_dags`` and ``allowed_tag`` is needed.
    :param dag_id: The id of the DAG that polls. The one that works on a job has ``_job`` behind it.
    :param poll_interval: Seconds between two polls.
    :param wake_queue: The URL of an SQS queue with CodePipeline's events, or None; see
        :func:`~airflow_codepipeline_partner.assets.codepipeline_jobs`.
    :param query_param: Only some of the jobs: ``{property name: value}``, where several Airflows share an
        account.
    :param job_timeout: The job timeout of the action type, in seconds.
    :param progress_interval: Show the progress after this many seconds at the latest, the first time, too.
        Each time the action goes on in another job. If None, when half of ``job_timeout`` has passed.
    :param poke_interval: Seconds between two looks at a run.
    :param max_active_runs: How many jobs are worked on at once.
    :param missing_outputs: What to do if the run has succeeded, but none of its tasks has uploaded one of the
        action's output artifacts: ``warn`` in the log (the default), ``fail`` the action, or ``ignore`` it.
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The region of the jobs. If None, the connection's region is used.
    :param parameters: Other parameters of both DAGs, such as ``tags``, but not those that make them work:
        ``schedule``, ``on_failure_callback``, ``on_success_callback``, ``max_consecutive_failed_dag_runs``.
    :return: The DAG that polls, and the one that works on a job.
    :raises InvalidInput: A value does not fit.
    """
    kind = ActionType.from_value(action_type)
    if kind.owner != CUSTOM:
        raise InvalidInput(f"A step needs a custom action type, not one of the owner {kind.owner}.")
    allowed = _read_allowed(allowed_dags, allowed_tag)
    check_missing_outputs(missing_outputs)
    if given := sorted(_ITS_OWN & set(parameters)):
        raise InvalidInput(f"run_dag_step takes no {', '.join(given)}: the worker has its own.")
    aws: dict[str, Any] = {"aws_conn_id": aws_conn_id, "region_name": region_name}
    # A worker may be lost at any moment, and Airflow's server be away for a while.
    again: dict[str, Any] = {
        "retries": 5,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
    }
    tags = {*parameters.pop("tags", ["codepipeline"]), WORKER_TAG}
    shared: dict[str, Any] = {**parameters, "tags": tags}
    works = f"{dag_id}_job"
    if {dag_id, works} & set(allowed):
        raise InvalidInput("A step cannot run the DAGs of its own worker.")
    waiting = codepipeline_jobs(
        dag_id, kind, poll_interval=poll_interval, wake_queue=wake_queue, query_param=query_param, **aws
    )
    with DAG(dag_id, schedule=[waiting], **shared) as polling:
        dispatch_jobs(None, works, **again)
    with DAG(
        works,
        schedule=None,
        max_active_runs=max_active_runs,
        # Somebody may mark the task that reports as success, too.
        on_failure_callback=CodePipelineJobFailureNotifier(**aws),
        on_success_callback=CodePipelineJobFailureNotifier(**aws),
        # The runs of customers that fail must not pause it, nor strand the others' jobs.
        max_consecutive_failed_dag_runs=0,
        **shared,
    ) as working:
        claim = CodePipelineClaimJobOperator(
            task_id="claim", job="{{ dag_run.conf | tojson }}", **again, **aws
        )
        start = StartRunOfStepOperator(
            task_id="start",
            job=claim.output,
            allowed_dags=allowed,
            allowed_tag=allowed_tag,
            **again,
            **aws,
        )
        wait = CodePipelineJobProgressSensor(
            task_id="wait",
            job=claim.output,
            progress=look_at_run,
            op_kwargs={"run": start.output},
            job_timeout=job_timeout,
            progress_interval=progress_interval,
            poke_interval=poke_interval,
            poll_interval=min(poll_interval, 30),
            # The action's own timeout and the run's count.
            timeout=MAX_TIMEOUT + 3600,
            # All its troubles count together, in what may be weeks.
            **{**again, "retries": 50},
            **aws,
        )
        outputs = StepOutputsOperator(
            task_id="outputs",
            run=start.output,
            job=claim.output,
            missing_outputs=missing_outputs,
            **again,
        )
        start >> wait >> outputs
        finish_job(
            claim,
            execution_details="{{ ti.xcom_pull(task_ids='start')['execution_details'] | tojson }}",
            output_variables="{{ ti.xcom_pull(task_ids='outputs') | tojson }}",
            missing_outputs=missing_outputs,
            **aws,
        )
    return polling, working


def _read_allowed(allowed_dags: Iterable[str], allowed_tag: str | None) -> list[str]:
    names = [allowed_dags] if isinstance(allowed_dags, str) else list(allowed_dags)
    if not all(isinstance(name, str) and name for name in names) or not (names or allowed_tag):
        raise InvalidInput(
            "allowed_dags must name the DAGs that pipelines may run, or allowed_tag a tag of them."
        )
    if allowed_tag is None:
        return names
    if not isinstance(allowed_tag, str) or allowed_tag in ("", WORKER_TAG):
        raise InvalidInput(f"allowed_tag must be a tag, and not {WORKER_TAG}, which workers have.")
    if not READS_OTHER_DAGS:
        raise InvalidInput(
            f"allowed_tag needs Airflow 3.2, and this is {version('apache-airflow-core')}, in which a task "
            "cannot read another DAG's tags. Name the DAGs in allowed_dags."
        )
    return names
