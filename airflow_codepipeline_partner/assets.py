# SPDX-License-Identifier: Apache-2.0
"""
Event-driven scheduling: an asset for waiting jobs, the jobs of its events, and a run for each job.

And an asset for the ends of a pipeline's executions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.parsing import check_number
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators.dispatch_jobs import DispatchJobsOperator
from airflow_codepipeline_partner.triggers import CodePipelineEventTrigger, CodePipelineJobTrigger

__all__ = ["codepipeline_events", "codepipeline_jobs", "dispatch_jobs", "ended_executions", "offered_jobs"]


def codepipeline_jobs(
    name: str,
    action_type: ActionType | Mapping[str, str] | str,
    *,
    max_batch_size: int = 10,
    poll_interval: float = 30,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
    verify: bool | str | None = None,
    botocore_config: dict[str, Any] | None = None,
    client_conn_id_template: str = DEFAULT_TEMPLATE,
    query_param: Mapping[str, str] | None = None,
    wake_queue: str | None = None,
) -> Asset:
    """
    Return an asset for a DAG's ``schedule``. It gets an event when jobs of the action type are waiting.

    One event has all jobs of the polls that follow at once on each other; :func:`offered_jobs` returns them
    in the DAG. The jobs are offered, not claimed. If a job stays unclaimed and is offered again, there is
    another event after 30 s. The pause doubles each time, up to 5 minutes. Airflow may overlook an event
    within 30 s of another, so its jobs are said again after 5 s and 20 s. Nothing polls while all DAGs on
    this schedule are paused.

    :param name: The asset's name, unique in Airflow.
    :param action_type: What to poll for: an :class:`~airflow_codepipeline_partner.jobs.ActionType`, AWS's
        mapping, or ``category/owner/provider/version``.
    :param max_batch_size: The most jobs of one poll, at least 1.
    :param poll_interval: Seconds between two polls, varied by a tenth.
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The region of the jobs. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: The template of a client's connection id. A poll does not use it.
    :param query_param: A filter for custom jobs: ``{property name: value}``. CodePipeline returns only jobs
        whose queryable property has this value. Required if the action type has a queryable property.
    :param wake_queue: The URL of an SQS queue with CodePipeline's events of started actions, which an
        EventBridge rule puts there, or None. If it holds an event of this action type, CodePipeline is polled
        at once. Whatever is wrong with the queue, the polls at the interval go on.
    :raises InvalidInput: The action type, the query, the batch size, the interval or the queue does not fit.

    Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
    """
    kind = ActionType.from_value(action_type)
    kind.check_served()
    if poll_interval <= 0:
        raise InvalidInput(f"poll_interval must be more than 0 seconds; {poll_interval:g} was given.")
    trigger = CodePipelineJobTrigger(
        action_type=kind,
        max_batch_size=check_number("maxBatchSize", max_batch_size),
        poll_interval=poll_interval,
        aws_conn_id=aws_conn_id,
        region_name=region_name,
        verify=verify,
        botocore_config=botocore_config,
        client_conn_id_template=client_conn_id_template,
        query_param=query_param,
        wake_queue=wake_queue,
    )
    return Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])


def offered_jobs(context: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """
    Return the jobs for which a run was started, each job once.

    The jobs come from the events of the assets that started the run. If no event started the run (a run
    started by hand, ``dag.test()``), the jobs come from the run's conf: one job, or ``{"jobs": [job, …]}``.

    :param context: The running task's context. If None, Airflow's current context is used.
    :raises InvalidJobReference: There are no jobs, or the values are not jobs.
    """
    from airflow.sdk import get_current_context

    from airflow_codepipeline_partner._worker.offered_jobs import jobs_of_run

    known = get_current_context() if context is None else context
    return [job.to_xcom() for job in jobs_of_run(known)]


def dispatch_jobs(
    jobs: Any,
    trigger_dag_id: str,
    *,
    task_id: str = "dispatch_jobs",
    conf: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Any:
    """
    Start one run of another DAG for each job, in one task. Call this function in a DAG.

    The run's id is made from the job's id, so that a job that is offered twice makes one run. The run's conf
    is the job. If the run ended without a claim (for instance because the client token was missing), the job
    gets another run when it is offered again, up to 1,500. If the DAG is paused, no run is started, and the
    jobs are offered again. Before Airflow 3.2 that is not known here: the runs are started, and wait until
    the DAG is unpaused.

    :param jobs: The jobs that the sensor or :func:`offered_jobs` returned, usually an XComArg. None for the
        jobs for which the run itself was started, as :func:`offered_jobs` returns them. (templated)
    :param trigger_dag_id: The DAG that claims, works on and finishes one job. (templated)
    :param task_id: The id of the task that starts the runs. It returns the id of each run with its job's id.
    :param conf: Extra values for the conf of the new runs. (templated)
    :param parameters: Other parameters of a task, such as ``retries``.
    :return: The task that starts the runs.
    """
    return DispatchJobsOperator(
        task_id=task_id, jobs=jobs, trigger_dag_id=trigger_dag_id, conf=conf, **parameters
    )


def codepipeline_events(
    name: str,
    pipeline_name: str,
    states: Iterable[str] = ("Succeeded",),
    *,
    poll_interval: float = 30,
    look_back: float = 600,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
    verify: bool | str | None = None,
    botocore_config: dict[str, Any] | None = None,
    client_conn_id_template: str = DEFAULT_TEMPLATE,
    wake_queue: str | None = None,
) -> Asset:
    """
    Return an asset for a DAG's ``schedule``. It gets an event when executions of a pipeline reach a state.

    One event has all executions that have reached a state between two looks; :func:`ended_executions` returns
    them in the DAG. Airflow may overlook an event within 30 s of another, so its executions are said again
    after 5 s and 20 s: two runs may then have the same execution. Nothing looks while all DAGs on this
    schedule are paused.

    :param name: The asset's name, unique in Airflow.
    :param pipeline_name: The pipeline.
    :param states: The states that count: ``Succeeded``, ``Failed``, ``Stopped``, ``Superseded``,
        ``Cancelled``, ``InProgress``. If somebody retries a stage of an execution that has ended, it reaches
        ``InProgress`` and an end once more. With ``InProgress``, an execution that has begun and ended
        between two looks counts with its end, whichever that is.
    :param poll_interval: Seconds between two looks, varied by a tenth.
    :param look_back: What ended before the first look makes no event. After a restart of the triggerer, or a
        pause, the watcher takes up where it was, but goes back a day at most. Before Airflow 3.3.2 it cannot
        know a restart: each start makes an event for what ended at most this many seconds before.
    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The pipeline's region. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: Not used by pipelines.
    :param wake_queue: The URL of an SQS queue with CodePipeline's events of changed executions, which an
        EventBridge rule puts there, or None. If it holds an event of this pipeline, the watcher looks at
        once. Whatever is wrong with the queue, the looks at the interval go on.
    :raises InvalidInput: The pipeline's name, a state, the interval or the queue does not fit.

    Source: ListPipelineExecutions, GetPipelineExecution, CodePipeline API 2015-07-09.
    """
    trigger = CodePipelineEventTrigger(
        pipeline_name,
        states,
        poll_interval=poll_interval,
        look_back=look_back,
        wake_queue=wake_queue,
        aws_conn_id=aws_conn_id,
        region_name=region_name,
        verify=verify,
        botocore_config=botocore_config,
        client_conn_id_template=client_conn_id_template,
    )
    return Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])


def ended_executions(context: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """
    Return the executions for which a run was started, each once, with the last state that the events say.

    Each is a mapping with ``pipeline_name``, ``pipeline_execution_id``, ``status`` and ``status_summary``.
    They come from the events of the assets that started the run. If no event started the run (a run started
    by hand, ``dag.test()``), they come from the run's conf: one of them, or ``{"executions": [one, …]}``.

    :param context: The running task's context. If None, Airflow's current context is used.
    :raises InvalidInput: There are no executions, or the values are something else.
    """
    from airflow.sdk import get_current_context

    from airflow_codepipeline_partner._worker.ended_executions import EXECUTIONS

    known = get_current_context() if context is None else context
    return [each.to_event() for each in EXECUTIONS.of_run(known)]
