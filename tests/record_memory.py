# SPDX-License-Identifier: Apache-2.0
"""What the tests of the worker share: records in memory, and the context of a task that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Self

from airflow.sdk import DAG, BaseOperator

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.job_life import Results, newest_claim
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord


class RecordMemory:
    """
    Keeps the records of an action as a RecordStore does, without Airflow: each task has records of its own.

    :param results: Records of results that the running task has written.
    :param claim: The claim so far: the running task's own if it is of a next job, else the claiming task's.
    """

    ref = TaskInstanceRef("dag", "run", "claim")

    def __init__(self, *results: ResultRecord, claim: ClaimRecord | None = None) -> None:
        self.writer = "own"
        #: Writer → its record of the claim.
        self.claims: dict[str, ClaimRecord] = {}
        if claim is not None:
            self.claims["own" if claim.former_job_ids else "claiming"] = claim
        #: Writer → job → its record of the result.
        self.of_all = {self.writer: {result.job_id: result for result in results}}
        #: What the running task has written, in order: states of the claim, and states of results.
        self.claim_states: list[str] = []
        self.history: list[str] = []

    def beside(self, writer: str, *results: ResultRecord) -> Self:
        """Return the same memory as another task sees it, with results that this one has written."""
        other = type(self)()
        other.writer, other.claims, other.of_all = writer, self.claims, self.of_all
        other.of_all.setdefault(writer, {}).update({result.job_id: result for result in results})
        return other

    @property
    def results(self) -> dict[str, ResultRecord]:
        """Job → the running task's record of the result."""
        return self.of_all[self.writer]

    def read_claim(self) -> ClaimRecord | None:
        return newest_claim(self.claims.values())

    def write_claim(self, record: ClaimRecord) -> None:
        self.claim_states.append(record.state)
        self.claims[self.writer] = record

    def keep_copy(self, record: ClaimRecord) -> None:
        self.copy = record

    def keep_copy_of_result(self, record: ResultRecord) -> None:
        self.copy_of_result = record

    def read_results(self, job_id: str) -> Results:
        of_others = [results for writer, results in self.of_all.items() if writer != self.writer]
        return Results.of(self.results.get(job_id), [results.get(job_id) for results in of_others])

    def read_result(self, job_id: str) -> ResultRecord | None:
        return self.read_results(job_id).best

    def write_result(self, record: ResultRecord) -> None:
        self.history.append(record.state)
        self.results[record.job_id] = record

    def withdraw_result(self, job_id: str) -> None:
        self.history.append("withdrawn")
        self.results.pop(job_id, None)

    def read_each_result(self, job_id: str) -> dict[str, ResultRecord]:
        return {writer: results[job_id] for writer, results in self.of_all.items() if job_id in results}

    def doubt_results(self, known: Mapping[str, ResultRecord]) -> dict[str, ResultRecord]:
        doubted = dict(known)
        for writer, record in known.items():
            if record.state == "done":
                doubted[writer] = record.with_state("intended")
                self.of_all[writer][record.job_id] = doubted[writer]
        return doubted

    def withdraw_results(self, known: Mapping[str, ResultRecord]) -> None:
        for writer, record in known.items():
            if self.of_all[writer].get(record.job_id) == record:
                del self.of_all[writer][record.job_id]


def context_of_lone_task(
    task_state_store: Any = None, *, task_id: str = "t", try_number: int = 1, max_tries: int = 1
) -> Mapping[str, Any]:
    """Return the context of the only task of a DAG."""
    with DAG("d", schedule=None) as dag:
        task = BaseOperator(task_id=task_id)
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id=task_id, map_index=-1, try_number=try_number, max_tries=max_tries
    )
    return {"ti": ti, "task": task, "dag": dag, "task_state_store": task_state_store}
