# SPDX-License-Identifier: Apache-2.0
"""Event-driven scheduling: an asset for waiting jobs, the jobs of its events, and a run for each job."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE
from airflow_codepipeline_partner._compat import conf as airflow_conf
from airflow_codepipeline_partner._compat import is_paused
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import check_number
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

__all__ = ["codepipeline_jobs", "dispatch_jobs", "offered_jobs"]

log = logging.getLogger(__name__)

#: A job's id that may be part of a run's id as it is. CodePipeline's are UUIDs, but its API allows any text.
#: At its end, what looks like the number of an attempt would be another job's.
_PLAIN_ID = re.compile(r"(?!.*__\d+$)[A-Za-z0-9_.~:+-]{1,100}")

#: Most runs of one job; each of them but the last ended without a claim. A custom action may take 24 hours,
#: and a sensor may be offered its job once a minute.
MAX_ATTEMPTS = 1500


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

    One event has all jobs of one poll; :func:`offered_jobs` returns them in the DAG. The jobs are offered,
    not claimed. If a job stays unclaimed and is offered again, there is another event after 30 s. The pause
    doubles each time, up to 5 minutes. Nothing polls while all DAGs on this schedule are paused.

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

    known = get_current_context() if context is None else context
    jobs = {job.job_id: job.to_xcom() for job in _jobs_of_events(known)}
    if not jobs:
        jobs = {job.job_id: job.to_xcom() for job in _jobs_of_conf(known)}
    return list(jobs.values())


def _jobs_of_events(context: Mapping[str, Any]) -> Iterator[OfferedJob]:
    strange: InvalidInput | None = None
    found = False
    for asset, events in (context.get("triggering_asset_events") or {}).items():
        for event in events:
            try:
                offered = _offered_in(asset, event)
            except InvalidJobReference as error:
                # An event from elsewhere must not hold up the jobs.
                log.warning("%s", error)
                strange = error
                continue
            for value in offered:
                try:
                    job = OfferedJob.from_value(value)
                except InvalidInput as error:
                    # Nor may one job hold up the others of its event.
                    log.warning(
                        "An event of the asset %r holds something that is no job: %s", asset.name, error
                    )
                    strange = error
                else:
                    found = True
                    yield job
    if strange is not None and not found and not context["dag_run"].conf:
        raise strange


def _offered_in(asset: Any, event: Any) -> list[Any]:
    payload = (event.extra or {}).get("payload")
    jobs = payload.get("jobs") if isinstance(payload, Mapping) else None
    if not isinstance(jobs, list):
        raise InvalidJobReference(
            f"An event of the asset {asset.name!r} holds no jobs; only those of the watcher that "
            "codepipeline_jobs makes do. To start a run by hand, give the jobs in its conf."
        )
    return jobs


def _readable_jobs(values: Any) -> list[OfferedJob]:
    """
    Return the jobs that values name. What names none is logged: it must not hold up the other jobs.

    :raises InvalidJobReference: None of them names a job.
    """
    if not isinstance(values, list | tuple):
        raise InvalidJobReference(f"The jobs must be a list, not a {type(values).__name__}.")
    found: list[OfferedJob] = []
    strange: InvalidInput | None = None
    for value in values:
        try:
            found.append(OfferedJob.from_value(value))
        except InvalidInput as error:
            log.warning("One of the jobs is left out: %s", error)
            strange = error
    if strange is not None and not found:
        raise strange
    return found


def _jobs_of_conf(context: Mapping[str, Any]) -> Iterator[OfferedJob]:
    conf = context["dag_run"].conf or {}
    if not conf:
        raise InvalidJobReference(
            "This run was started by no event of jobs and has no conf. To start one by hand, give it as its "
            'conf {"jobs": [{"job_id": …, "client_id": …}]}, or the jobs that a sensor returned.'
        )
    jobs = conf.get("jobs", [conf])
    if not isinstance(jobs, list):
        raise InvalidJobReference(f"jobs in the run's conf must be a list, not a {type(jobs).__name__}.")
    yield from _readable_jobs(jobs)


def dispatch_jobs(
    jobs: Any,
    trigger_dag_id: str,
    *,
    task_id: str = "dispatch_jobs",
    conf: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Any:
    """
    Start one run of another DAG for each job. Call this function in a DAG.

    The run's id is made from the job's id, so that a job that is offered twice makes one run. The run's conf
    is the job. If the run ended without a claim (for instance because the client token was missing), the job
    gets another run when it is offered again, up to :data:`MAX_ATTEMPTS`. If the DAG is paused, no run is
    started, and the jobs are offered again. Before Airflow 3.2 that is not known here: the runs are started,
    and wait until the DAG is unpaused.

    :param jobs: The jobs that the sensor or :func:`offered_jobs` returned, usually an XComArg.
    :param trigger_dag_id: The DAG that claims, works on and finishes one job. (templated)
    :param task_id: The id of the task that starts the runs. The task before it is called ``{task_id}_runs``.
    :param conf: Extra values for the conf of the new runs. (templated)
    :param parameters: Other parameters of Airflow's TriggerDagRunOperator.
    :return: The task that starts the runs.
    """
    # Airflow's decorators, and the operator below with Airflow's models, take longer to import than all else
    # that a DAG file imports. Only a DAG that dispatches needs them.
    from airflow.sdk import task

    from airflow_codepipeline_partner.operators.start_run import StartRunOperator

    @task(task_id=f"{task_id}_runs")
    def runs(jobs: Any, dag_id: str, more: dict[str, Any], ti: Any = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if is_paused(ti, dag_id):
            log.warning("DAG %s is paused, so no run is started. Its jobs are offered again.", dag_id)
            return found
        most = airflow_conf.getint("core", "max_map_length", fallback=1024)
        offered = _readable_jobs(jobs)
        faults: list[Exception] = []
        for job in offered:
            if len(found) == most:
                log.warning("Airflow maps a task over at most %d jobs. The others are offered again.", most)
                break
            try:
                run_id = _free_run_id(ti, dag_id, job.job_id)
            except Exception as error:
                # Of whatever kind: it must not hold up the other jobs. This one is offered again.
                log.warning("Job %s gets no run now: %s.", job.job_id, type(error).__name__)
                faults.append(error)
                continue
            if run_id is not None:
                # What is missing would not fit the type of a param of the same name.
                known = {name: value for name, value in job.to_xcom().items() if value is not None}
                found.append({"trigger_run_id": run_id, "conf": {**more, **known}})
        if faults and len(faults) == len(offered):
            raise faults[-1]
        return found

    return StartRunOperator.partial(
        task_id=task_id,
        trigger_dag_id=trigger_dag_id,
        logical_date=None,
        # Two dispatchers may have come to the same id.
        skip_when_already_exists=True,
        **parameters,
    ).expand_kwargs(runs(jobs, trigger_dag_id, dict(conf or {})))


def _free_run_id(ti: Any, dag_id: str, job_id: str) -> str | None:
    """Return the id of a job's next run; None if a run of it has claimed the job, or still may."""
    from airflow_codepipeline_partner._worker import dag, record_search

    first = _first_run_id(job_id)
    ids = [first, *(f"{first}__{number}" for number in range(2, MAX_ATTEMPTS + 1))]
    last: str | None = None
    for some in dag.in_parts(ids):
        attempts: int = ti.get_dr_count(dag_id=dag_id, run_ids=some)
        if attempts == 0:
            break
        if ti.get_dr_count(dag_id=dag_id, run_ids=some, states=list(record_search.LIVING)):
            return None
        # If a user has deleted some, the last one comes later than their count says.
        number, middle, behind = attempts - 1, attempts, len(some)
        while number + 1 < behind:
            if ti.get_dr_count(dag_id=dag_id, run_ids=some[middle:behind]):
                number = middle
            else:
                behind = middle
            middle = (number + behind) // 2
        last = some[number]
        if last != some[-1]:
            break
    if last is None:
        return first
    if record_search.has_claimed(ti, dag_id, last, job_id):
        return None
    later = ids[ids.index(last) + 1 :]
    if not later:
        log.error("Job %s has had %d runs, none of which claimed it; there is no other.", job_id, len(ids))
        return None
    return later[0]


def _first_run_id(job_id: str) -> str:
    """Return the id of a job's first run: with the job's id, or its hash if it would not do in a run's id."""
    name = job_id if _PLAIN_ID.fullmatch(job_id) else hashlib.sha256(job_id.encode()).hexdigest()[:40]
    return f"codepipeline__{name}"
