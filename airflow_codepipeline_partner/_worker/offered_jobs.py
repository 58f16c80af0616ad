# SPDX-License-Identifier: Apache-2.0
"""The jobs for which a run was started: from an asset's events, or from the run's conf."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference

log = logging.getLogger(__name__)


def jobs_of_run(context: Mapping[str, Any]) -> list[OfferedJob]:
    """
    Return the jobs for which a run was started, each job once.

    :param context: The context of one of its tasks.
    :raises InvalidJobReference: There are no jobs, or the values are not jobs.
    """
    jobs = {job.job_id: job for job in _jobs_of_events(context)}
    if not jobs:
        jobs = {job.job_id: job for job in _jobs_of_conf(context)}
    return list(jobs.values())


def readable_jobs(values: Any) -> list[OfferedJob]:
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
    yield from readable_jobs(jobs)
