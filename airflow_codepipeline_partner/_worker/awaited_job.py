# SPDX-License-Identifier: Apache-2.0
"""
What a run waits for: an action's next job, or one that nobody seems to have claimed and is offered again.

Read from the records alone. :mod:`~airflow_codepipeline_partner._worker.next_job` acts on it.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.records import ResultRecord
from airflow_codepipeline_partner.exceptions import InvalidJobReference

#: How long to wait until a job is offered again that nobody seems to have claimed, in seconds, from its first
#: refusal on. AWS does not document how long an offer that nobody acknowledges keeps a job from others. And a
#: task that fails or dies meanwhile begins anew only after Airflow's retry delay, or after its heartbeat's
#: timeout: 300 s each by default.
REOFFER_TIMEOUT = 900.0
#: How long a try of a task waits at least, in seconds, however long ago the job before was ended: until then
#: nobody may have waited, and another worker may hold the offer just now.
LEAST_WAIT = 300.0


def awaited_token(claim: ClaimInRun) -> str | None:
    """
    Return the token that the action's next job will carry, if this run is to claim that job; else None.

    :param claim: The newest job's claim.
    """
    return next(iter(awaited_tokens(claim)), None)


def awaited_tokens(claim: ClaimInRun) -> tuple[str, ...]:
    """
    Return the tokens of which the awaited job will carry one, if this run is to claim that job.

    It is the action's next job, or the newest one, if that is to be offered again.

    There are several if several tasks have put one at once and it is not known which was taken. The most
    likely one comes first.

    :param claim: The newest job's claim.
    """
    record, results = claim.record, claim.results
    token = record.job.continuation_token
    is_not_won = record.state in (ClaimState.LOST, ClaimState.REFUSED)
    if record.former_job_ids and (is_not_won or takes_no_result(claim)):
        # The job was offered and not won, or perhaps not. If only its nonce was stale, it is offered again.
        # Or it took a result after all that it had refused at first, and the answer was lost.
        own = () if token is None else (token,)
        return (*_tokens_of(claim, results.refused), *own)
    return _tokens_of(claim, results.likely)


def _tokens_of(claim: ClaimInRun, results: Iterable[ResultRecord]) -> tuple[str, ...]:
    """Return the tokens of these results that name tasks of the run."""
    ref = claim.store.ref
    waiting = (result.names for result in results)
    return tuple(
        each.token for each in waiting if each is not None and each.is_of_run(ref.dag_id, ref.run_id)
    )


def is_next_claim_unknown(claim: ClaimInRun) -> bool:
    """Return whether the claim of an action's next job, which only this run may claim, is unknown."""
    record = claim.record
    if not record.former_job_ids or not record.state.is_unknown:
        return False
    return claim.results.best is None and not claim.results.left


def takes_no_result(claim: ClaimInRun) -> bool:
    """
    Return whether the claim of an action's next job is unknown, and the job took no result of this run.

    Either it has ended, or nobody has it, and it is offered again.
    """
    if not claim.record.former_job_ids or not claim.record.state.is_unknown:
        return False
    result = claim.results.best
    return result is not None and result.state == "refused"


def wait_deadline(claim: ClaimInRun, timeout: float, at_least: float | None = None) -> float:
    """
    Return until when to wait for the next job, in seconds since the epoch.

    :param claim: The newest job's claim.
    :param timeout: How long to wait, in seconds, since the job's result was sent. For a job that
        :func:`takes_no_result`, at most :data:`REOFFER_TIMEOUT`, since its first refusal.
    :param at_least: Until when to wait in any case, or None.
    """
    if takes_no_result(claim):
        timeout = min(timeout, REOFFER_TIMEOUT)
    result = claim.results.best
    since = claim.record.at if result is None else result.at
    return max(since.timestamp() + timeout, at_least or 0.0)


def action_type_of(job: OfferedJob) -> ActionType:
    """
    Return a job's action type, by which its action's next job is polled for.

    :raises InvalidJobReference: The job has none.
    """
    if job.action_type is None:
        raise InvalidJobReference(
            f"Job {job.job_id} has no action type, so its action's next job cannot be polled for. Give the "
            'claim a job with "action_type", as the sensor and dispatch_jobs do.',
            job_id=job.job_id,
        )
    return job.action_type
