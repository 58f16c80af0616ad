# SPDX-License-Identifier: Apache-2.0
"""
What a task records beside itself, so that its own retry does not clear it.

Airflow clears a task's own XCom when a retry starts. From Airflow 3.3 on, the task state store outlives a
retry. Before 3.3, the XCom of a task just before or after it does. If there is no such task either, the task
knows nothing of its earlier tries. No other task can read its state store; so it copies its claim to the XCom
of adjacent tasks on each version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow_codepipeline_partner._compat import TaskStateStore, count_instances, task_state_store
from airflow_codepipeline_partner._protocol.choices import UnknownClaim
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.dag import (
    claiming_tasks,
    is_marked,
    mapped_group_of,
    reporting_tasks,
    task_states,
)
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.job_life import Results, newest_claim
from airflow_codepipeline_partner._worker.record_search import ClaimInRun, claims_of_next_jobs, records_of_run
from airflow_codepipeline_partner._worker.record_store import (
    MAX_KEY_CHARS,
    RecordStore,
    adjacent_task,
    undisturbed_tasks,
    writers_of,
)
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, ClaimRecord, readable

log = logging.getLogger(__name__)


class AdjacentStore:
    """
    Store a task's values in the XCom of an adjacent task.

    :param adjacent: The store of the adjacent task.
    :param own: The task itself. Its id and map index are part of each key, so that keys do not clash.
    """

    def __init__(self, adjacent: RecordStore, own: TaskInstanceRef) -> None:
        self._adjacent = adjacent
        self._is_there = adjacent.ref.map_index < 0
        self._suffix = f"_{own.task_id}_{own.map_index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AdjacentStore) and self._adjacent.ref == other._adjacent.ref

    def is_there(self, ti: Any) -> bool:
        """
        Return whether the adjacent task has this instance: Airflow may not have expanded a mapped one yet.

        :param ti: The running task instance.
        """
        ref = self._adjacent.ref
        self._is_there = self._is_there or bool(task_states(ti, [ref.task_id], map_index=ref.map_index))
        return self._is_there

    def get(self, key: str) -> Any:
        """Return what was stored under the key, or None."""
        return self._adjacent.read((key + self._suffix)[:MAX_KEY_CHARS])

    def set(self, key: str, value: Any) -> None:
        """Store a JSON value under the key."""
        self._adjacent.write((key + self._suffix)[:MAX_KEY_CHARS], value)


def lasting_store(context: Mapping[str, Any]) -> TaskStateStore | None:
    """Return the store that outlives a retry of the running task, or None."""
    store = task_state_store(context)
    if store is not None:
        return store
    own = TaskInstanceRef.of(context["ti"])
    adjacent = adjacent_task(context["dag"], own)
    return None if adjacent is None else AdjacentStore(adjacent, own)


def claim_in_run(
    context: Mapping[str, Any], claim_task_id: str, unknown_claim: UnknownClaim
) -> ClaimInRun | None:
    """
    Return what all records say now of the claim whose job the running task ends; None without a record.

    :param context: The running task's context.
    :param claim_task_id: The claiming task.
    :param unknown_claim: What an unknown claim counts as, unless its record says so.
    """
    own, dag = TaskInstanceRef.of(context["ti"]), context["dag"]
    claiming = dag.get_task(claim_task_id)
    map_index = -1 if mapped_group_of(claiming) is None else own.map_index
    ref = replace(own, task_id=claim_task_id, map_index=map_index)
    store = RecordStore.of_claim(ref, claiming, dag, own)
    run = context["dag_run"]
    # If a user has cleared tasks of the run after its end, it had ended what was recorded before.
    since = run.start_date if run.clear_number else None
    with fail_without_retry_if_permanent():
        record = claim_of_all_tries(dag, ref, store.read_claim(), since)
    return None if record is None else ClaimInRun(store, record, record.unknown_claim or unknown_claim)


def claim_of_all_tries(
    dag: Any, claiming: TaskInstanceRef, record: ClaimRecord | None, since: datetime | None = None
) -> ClaimRecord | None:
    """
    Return what all tries of all claiming tasks recorded of a claim: in its own place, and in copies.

    The last try of the claiming task may have ended before it could write anything, when the XCom of the
    tries before it was cleared already. It may have died between its two writes: the copy beside it is
    written first, and may be certain already. A try that Airflow holds for dead may have written last. And a
    user may have cleared it when the action was at its next job.

    :param dag: The DAG.
    :param claiming: The claiming task's instance.
    :param record: The record in the task's own XCom, or None.
    :param since: If nothing but copies of next jobs is left, those before this time do not count.
    """
    copies: list[ClaimRecord] = []
    if record is None or not record.is_certain:
        stored = (AdjacentStore(each, claiming).get(CLAIM_KEY) for each in undisturbed_tasks(dag, claiming))
        found = (readable(ClaimRecord.from_xcom, value, claiming.task_id) for value in stored if value)
        # After a clear, the task may have claimed another job.
        copies = [copy for copy in found if copy and (record is None or copy.is_of_same_job(record))]
    known = newest_claim((record, *copies))
    if known is None and (claiming.map_index >= 0 or len(list(claiming_tasks(dag))) > 1):
        # A copy of a next job may be of another claim, and of another customer's job.
        return None
    # If a user has just cleared the claiming task, only the copies of its next jobs may be left.
    later = (
        each
        for each in claims_of_next_jobs(dag, claiming)
        if (each.is_about(known.job.job_id) if known else since is None or each.at >= since)
    )
    return newest_claim((known, *later))


def records_in_copies(dag: Any, claiming: Any, ref: TaskInstanceRef) -> Iterator[tuple[ClaimRecord, Results]]:
    """
    Yield the claims of a task in a run of which copies may know more than its own records.

    Also what a task has written since its own records were read: a try may just have begun, with no records.

    :param dag: The DAG.
    :param claiming: The claiming task.
    :param ref: Its instance, or that of any map index.
    """
    names = {"dag_id": ref.dag_id, "run_id": ref.run_id, "task_id": ref.task_id}
    found = list(records_of_run(**names, writers=writers_of(dag, claiming, ref)))
    is_mapped = claiming.is_mapped or mapped_group_of(claiming) is not None
    indexes = range(count_instances(**names)) if is_mapped else (-1,)
    goes_on = any(is_marked(task, "claims_next_job") for task in reporting_tasks(dag, claiming))
    if len(found) >= len(indexes) and not goes_on and not any(claim.state.is_unknown for claim, _ in found):
        yield from found
        return
    for index in indexes:
        store = RecordStore.of_claim(replace(ref, map_index=index), claiming, dag, None)
        try:
            claim = claim_of_all_tries(dag, store.ref, store.read_claim())
            if claim is not None:
                yield claim, store.read_results(claim.job.job_id)
        except Exception as error:
            # Of whatever kind: it must not keep other jobs from their end.
            log.error("A record of the task %s cannot be read: %s.", ref.task_id, type(error).__name__)
