# SPDX-License-Identifier: Apache-2.0
"""
Where the records of a claim and its result are stored: in the XCom of one task instance.

:class:`RecordStore` reads and writes them. :func:`adjacent_task` and :func:`undisturbed_tasks` say which XCom
a retry of a task does not clear. :mod:`~airflow_codepipeline_partner._worker.record_search` finds records.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

from airflow_codepipeline_partner._compat import OUTDATED_TRIES_WRITE, XCom, count_instances
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._worker.dag import (
    has_many_instances,
    is_marked,
    matching_instance,
    reporting_tasks,
)
from airflow_codepipeline_partner._worker.job_life import Results, newest_claim
from airflow_codepipeline_partner._worker.records import (
    CERTAIN_CLAIM_KEY,
    CLAIM_KEY,
    CONTINUED_KEY,
    NEXT_CLAIM_KEY,
    NO_RESULT,
    RESULT_KEY,
    ClaimRecord,
    ResultRecord,
)
from airflow_codepipeline_partner.exceptions import InvalidInput

log = logging.getLogger(__name__)

#: XCom key of what a task returned.
RETURN_KEY = "return_value"

#: The limit of Airflow's table of XComs.
MAX_KEY_CHARS = 512
#: What Airflow raises for a value that it cannot deserialize, and not if its server does not answer.
_UNREADABLE = (ImportError, TypeError, ValueError, KeyError, AttributeError)
#: Most keys of one mapped task whose instances all work for one claim. Each look at the records reads them
#: all, so more instances share these.
MAX_KEYS = 16


def values_of(key: str, *, dag_id: str, run_id: str, task_id: str) -> list[Any]:
    """
    Return what the instances of a task have under an XCom key, in the order of their map indexes.

    A value that Airflow cannot deserialize is left out: it must not keep the others' jobs from their end.

    :param key: The key.
    :param dag_id: The DAG.
    :param run_id: The run.
    :param task_id: The task.
    """
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    try:
        return list(XCom.get_all(key=key, **names) or ())
    except _UNREADABLE as error:
        log.error("An XCom value %s of %s cannot be read: %s.", key, task_id, type(error).__name__)
    found = []
    for map_index in range(-1, count_instances(**names)):
        try:
            found.append(XCom.get_one(key=key, map_index=map_index, **names))
        except _UNREADABLE as error:
            log.error("It is that of instance %d: %s.", map_index, type(error).__name__)
    return [value for value in found if value is not None]


@dataclass(frozen=True)
class RecordStore:
    """
    The XCom of one task instance, which holds the records of one claim.

    Each task that may write there has keys of its own, so that no two tasks write the same record. The task
    that made the claim, or the only task that reports, has the plain keys. If there are several, the plain
    keys also show the latest state, for people and for tasks that the DAG no longer has.

    :param ref: The task instance.
    :param shared: Whether it holds the results of several jobs, each under its own key, since the task
        claimed none of them.
    :param writer: The name of the running task in its keys; empty if it has the plain keys.
    :param writers: The names of all tasks that may have keys there.
    :param goes_on: Whether some of them may claim the action's next jobs.
    :param own: The running task, if it has keys of its own. A copy of its claim lies in its XCom: if a user
        clears the claiming task, all records there are gone.
    """

    ref: TaskInstanceRef
    shared: bool = False
    writer: str = ""
    writers: tuple[str, ...] = ()
    goes_on: bool = False
    own: TaskInstanceRef | None = None

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Return the store that is a task instance's own XCom."""
        return cls(TaskInstanceRef.of(ti))

    @classmethod
    def of_claim(cls, ref: TaskInstanceRef, claiming: Any, dag: Any, me: TaskInstanceRef | None) -> Self:
        """
        Return the store of a claim's records.

        :param ref: The task instance that claimed.
        :param claiming: Its task.
        :param dag: The DAG.
        :param me: The running task instance; None if it only reads.
        """
        names = writers_of(dag, claiming, ref)
        own = "" if me is None or me == ref else _writer_name(dag.get_task(me.task_id), me, claiming)
        goes_on = any(is_marked(task, "claims_next_job") for task in reporting_tasks(dag, claiming))
        writer = own if own in names else ""
        return cls(ref, writer=writer, writers=names, goes_on=goes_on, own=me if writer else None)

    @classmethod
    def of_claiming_task(cls, context: Mapping[str, Any]) -> Self:
        """Return the store of the claim that the running task makes."""
        ref = TaskInstanceRef.of(context["ti"])
        return cls.of_claim(ref, context["dag"].get_task(ref.task_id), context["dag"], ref)

    def read_claim(self) -> ClaimRecord | None:
        """
        Return what all records say of the claim, or None.

        If there is a record, but none that can be read, the claim is unknown: of what the claiming task
        returned.

        :raises InvalidInput: That cannot be read either.
        """
        known: list[ClaimRecord | None] = []
        fault: InvalidInput | None = None
        keys = [key_of(CLAIM_KEY, name) for name in ("", *self.claim_writers)]
        for key in (*keys, *((CERTAIN_CLAIM_KEY,) if OUTDATED_TRIES_WRITE else ())):
            try:
                known.append(self._claim(key))
            except InvalidInput as error:
                log.error("A record of the claim of %s is left out. %s", self.ref, error)
                fault = error
        newest = newest_claim(known)
        if newest is None and fault is not None:
            with suppress(InvalidInput):
                return ClaimRecord(ClaimState.UNKNOWN, ClaimedJob.from_value(self.read(RETURN_KEY)))
            raise fault
        return newest

    def read_own_claim(self) -> ClaimRecord | None:
        """Return the running task's record of the claim, or None."""
        return self._claim(key_of(CLAIM_KEY, self.writer))

    @property
    def claim_writers(self) -> tuple[str, ...]:
        """The names of the tasks that may have a record of a claim there."""
        return self.writers if self.goes_on else ()

    def _claim(self, key: str) -> ClaimRecord | None:
        value = self.read(key)
        return None if value is None or value == NO_RESULT else ClaimRecord.from_xcom(value)

    def write_claim(self, record: ClaimRecord) -> None:
        """Write the running task's record of the claim."""
        # First where a clear of the claiming task leaves it.
        self.keep_copy(record)
        if OUTDATED_TRIES_WRITE and record.is_certain and not self.writer:
            self.write(CERTAIN_CLAIM_KEY, record.to_xcom())
        self.write(key_of(CLAIM_KEY, self.writer), record.to_xcom())
        if self.writer and record.state is not ClaimState.INTENT:
            # A user may have cleared the claiming task just now, and with it what was written here.
            newest = newest_claim((self.read_claim(), record)) or record
            self.write(CLAIM_KEY, newest.to_xcom())

    def withdraw_certain_claim(self) -> None:
        """Forget that the claim was certain: this try knows that the job is not ours any more."""
        if OUTDATED_TRIES_WRITE:
            XCom.delete(key=CERTAIN_CLAIM_KEY, **self._names())

    def read_results(self, job_id: str) -> Results:
        """Return all records of this job's result."""
        if self.shared:
            return Results.of(ResultRecord.of_job(job_id, self.read(self._result_key(job_id))))
        found = {name: self._result(name, job_id) for name in ("", *self.writers)}
        own = found.pop(self.writer)
        return Results.of(own, found.values())

    def _result(self, writer: str, job_id: str) -> ResultRecord | None:
        return ResultRecord.of_job(job_id, self.read(key_of(RESULT_KEY, writer)))

    def read_result(self, job_id: str) -> ResultRecord | None:
        """Return the record that says most of this job's result, or None."""
        return self.read_results(job_id).best

    def expect_result(self) -> None:
        """
        Record that there is no result yet. Otherwise Airflow logs an error each time the record is read.

        Only for a mapped task: for any other, :meth:`read` has a way without the error.
        """
        if self.ref.map_index >= 0:
            self.write(RESULT_KEY, NO_RESULT)
            if OUTDATED_TRIES_WRITE:
                self.write(CERTAIN_CLAIM_KEY, NO_RESULT)
            for writer in self.claim_writers:
                self.write(key_of(CLAIM_KEY, writer), NO_RESULT)
            for writer in self.writers:
                self.write(key_of(RESULT_KEY, writer), NO_RESULT)

    def write_result(self, record: ResultRecord) -> None:
        """Write the running task's record of a result."""
        self.keep_copy_of_result(record)
        self.write(self._result_key(record.job_id), record.to_xcom())
        if self.writer and record.state == "done":
            self.write(RESULT_KEY, record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget the running task's intended result, which was certainly not put."""
        if self.own is not None:
            XCom.delete(key=CONTINUED_KEY, **asdict(self.own))
        XCom.delete(key=self._result_key(job_id), **self._names())

    def keep_copy(self, record: ClaimRecord) -> None:
        """Keep a copy of a next job's claim in the running task's own XCom."""
        if self.own is not None:
            XCom.set(key=NEXT_CLAIM_KEY, value=record.to_xcom(), **asdict(self.own))

    def keep_copy_of_result(self, record: ResultRecord) -> None:
        """Keep a copy of a result with the running task's continuation token in the task's own XCom."""
        if self.own is not None and record.names == self.own:
            # A user may clear the claiming task. Then this shows that the action's next job is this run's; or
            # that it is not, if the job did not take the result.
            XCom.set(key=CONTINUED_KEY, value=record.to_xcom(), **asdict(self.own))

    def read_each_result(self, job_id: str) -> dict[str, ResultRecord]:
        """Return the record of each task that has one of this job's result, by the task's name in its key."""
        found = {name: self._result(name, job_id) for name in ("", *self.writers)}
        return {name: record for name, record in found.items() if record is not None}

    def doubt_results(self, known: Mapping[str, ResultRecord]) -> dict[str, ResultRecord]:
        """Have results that are done count as intended; return all of them as they are then."""
        doubted = dict(known)
        for name, record in known.items():
            if record.state == "done":
                doubted[name] = record.with_state("intended")
                self.write(key_of(RESULT_KEY, name), doubted[name].to_xcom())
        return doubted

    def withdraw_results(self, known: Mapping[str, ResultRecord]) -> None:
        """Forget these results, which were certainly not put, but none that has been written since."""
        for name, record in known.items():
            found = self._result(name, record.job_id)
            if found == record and found.at == record.at:
                XCom.delete(key=key_of(RESULT_KEY, name), **self._names())

    def _result_key(self, job_id: str) -> str:
        return f"{RESULT_KEY}_{job_id}"[:MAX_KEY_CHARS] if self.shared else key_of(RESULT_KEY, self.writer)

    def read(self, key: str) -> Any:
        """Return the value of an XCom key, or None."""
        if self.ref.map_index >= 0:
            return XCom.get_one(key=key, **self._names())
        # If there is no value, Airflow's get_one writes an error into the scheduler's log.
        return self.read_first(key)

    def read_if_any(self, key: str) -> Any:
        """Return the value of an XCom key, or None, and have no error logged if no instance has one."""
        return None if self.read_first(key) is None else self.read(key)

    def read_first(self, key: str) -> Any:
        """Return the first value that any instance of the task has under an XCom key, or None."""
        names = self._names()
        del names["map_index"]
        # If it cannot be read, that is no absence.
        return next(iter(XCom.get_all(key=key, **names) or ()), None)

    def write(self, key: str, value: Any) -> None:
        """Write a JSON value under an XCom key."""
        XCom.set(key=key, value=value, **self._names())

    def _names(self) -> dict[str, Any]:
        return asdict(self.ref)


def key_of(key: str, writer: str) -> str:
    """Return the XCom key of a task's own record."""
    return f"{key}_{writer}"[:MAX_KEY_CHARS] if writer else key


def writers_of(dag: Any, claiming: Any, ref: TaskInstanceRef) -> tuple[str, ...]:
    """
    Return the names of the tasks that have keys of their own beside the plain ones; none if one reports.

    :param dag: The DAG.
    :param claiming: The claiming task.
    :param ref: Its task instance.
    """
    reporting = reporting_tasks(dag, claiming)
    if len(reporting) + is_marked(claiming, "puts_result") < 2:
        return ()
    names: list[str] = []
    for task in reporting:
        if has_many_instances(task, claiming):
            count = count_instances(ref.dag_id, ref.run_id, task.task_id)
            names.extend(f"{task.task_id}_{number}" for number in range(min(count, MAX_KEYS)))
        else:
            names.append(task.task_id)
    return tuple(names)


def _writer_name(task: Any, me: TaskInstanceRef, claiming: Any) -> str:
    many = has_many_instances(task, claiming)
    return f"{me.task_id}_{me.map_index % MAX_KEYS}" if many else me.task_id


def adjacent_task(dag: Any, own: TaskInstanceRef) -> RecordStore | None:
    """
    Return the store of an adjacent task, whose XCom a retry of a task does not clear.

    It is a task just before the task; if there is none, a task just after it. Airflow clears the XCom of a
    task after it when that task starts, and by then the task itself has ended.

    :param dag: The DAG.
    :param own: The task's instance.
    """
    task = dag.get_task(own.task_id)
    for task_id in sorted(task.upstream_task_ids):
        before = dag.get_task(task_id)
        found = matching_instance(task, own, before)
        if found is not None:
            users = [dag.get_task(other) for other in before.downstream_task_ids]
            several = sum(is_marked(user, "puts_result") for user in users) > 1
            others = several or found.map_index != own.map_index or is_marked(before, "claims_job")
            return RecordStore(found, shared=others)
    for task_id in sorted(task.downstream_task_ids):
        found = matching_instance(task, own, dag.get_task(task_id))
        if found is not None:
            return RecordStore(found, shared=True)
    return None


#: Trigger rules of a task that does not start after a task before it has failed.
_WAITING_RULES = frozenset(
    {"all_success", "none_failed", "none_failed_min_one_success", "all_done_setup_success"}
)


def undisturbed_tasks(dag: Any, own: TaskInstanceRef) -> list[RecordStore]:
    """
    Return the stores of up to two tasks beside a task whose XCom stays even if that task fails for good.

    Tasks before it have ended. A task after it clears its own XCom when it starts, so only such tasks after
    it count as do not start then.

    :param dag: The DAG.
    :param own: The task's instance.
    """
    task = dag.get_task(own.task_id)
    after = (
        each
        for each in map(dag.get_task, sorted(task.downstream_task_ids))
        if getattr(each.trigger_rule, "value", each.trigger_rule) in _WAITING_RULES and not each.is_teardown
    )
    before = map(dag.get_task, sorted(task.upstream_task_ids))
    found = (matching_instance(task, own, each) for each in (*before, *after))
    return [RecordStore(ref, shared=True) for ref in found if ref is not None][:2]
