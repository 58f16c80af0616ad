# SPDX-License-Identifier: Apache-2.0
"""
Broken rules, each of which the simulation has to find: ``make mutations SEEDS=10000``.

The first ones were real faults once. The table says after how many seeds each is found, and as what.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from simulation import simulate


def patches() -> dict[str, Callable[[], list[Any]]]:
    """Return, by what is broken, what to patch."""
    from airflow_codepipeline_partner import _transport, notifications
    from airflow_codepipeline_partner._protocol import claims
    from airflow_codepipeline_partner._protocol.claims import ClaimState
    from airflow_codepipeline_partner._worker import (
        awaited_job,
        claim,
        claim_checkpoint,
        claiming,
        copies,
        job_life,
        job_runs,
        last_look,
        next_job,
        record_search,
        report,
        reporting,
        result_checkpoint,
        work_failure,
    )
    from airflow_codepipeline_partner._worker.job_life import Known, Refusal, Step
    from airflow_codepipeline_partner._worker.record_store import RecordStore
    from airflow_codepipeline_partner._worker.records import ClaimRecord
    from airflow_codepipeline_partner.hooks import CodePipelineHook
    from airflow_codepipeline_partner.operators import finish, finishing

    patch = mock.patch.object

    def always(value: Any) -> Callable[..., Any]:
        return lambda *given, **named: value

    def not_restored(self: Any, job_id: str | None = None) -> Any:
        return claim_checkpoint._record_in(self._held(), job_id)

    cut_off = work_failure.tasks_cut_off

    def no_claims(context: Any, states: Any, work: Any, delay: float) -> Any:
        return cut_off(context, states, set(work) - {"claim", "function"}, delay)

    def of_work(context: Any, states: Any, task_ids: Any, delay: float) -> Any:
        return cut_off(context, states, set(task_ids) - {"gate", "aside"}, delay)

    recall = claim_checkpoint.ClaimCheckpoint.recall

    def absence_is_doubt(self: Any, job_id: str) -> Any:
        earlier = recall(self, job_id)
        if earlier.record is not None or not self._is_retry:
            return earlier
        from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob

        job = ClaimedJob(OfferedJob(job_id, simulate.CLIENT_ID), certain=False)
        return replace(earlier, record=ClaimRecord(ClaimState.UNKNOWN, job))

    of_claim = RecordStore.of_claim.__func__  # type: ignore[attr-defined]

    def one_key_for_all(cls: Any, *given: Any) -> Any:
        return replace(of_claim(cls, *given), writer="", writers=(), own=None)

    meaning = reporting.meaning_of_refusal

    def unsettled(*given: Any, **named: Any) -> Any:
        found = meaning(*given, **named)
        return Refusal.ENDED_WITHOUT_US if found is Refusal.OURS_WAS_TAKEN else found

    def settled(*given: Any, **named: Any) -> Any:
        found = meaning(*given, **named)
        return Refusal.OURS_WAS_TAKEN if found is Refusal.ENDED_WITHOUT_US else found

    continued = claim_checkpoint.ClaimCheckpoint._continued

    def done_only(self: Any, job_id: str) -> Any:
        found = continued(self, job_id)
        return found if found is not None and found.state == "done" else None

    failure_of_run = work_failure.failure_of_run

    def by_the_last(dag_id: str, states: Any, work: Any, cut_off: Any = ()) -> Any:
        skipped = [task_id for task_id in work if "skipped" in states.get(task_id, ())]
        return failure_of_run(dag_id, states, work, cut_off) or (f"{skipped} skipped" if skipped else None)

    write = RecordStore.write_claim

    def without(state: ClaimState) -> Callable[..., None]:
        def write_claim(self: Any, record: Any) -> None:
            if record.state is not state:
                write(self, record)

        return write_claim

    checkpoint_write = claim_checkpoint.ClaimCheckpoint.write

    def without_intent(self: Any, state: Any, job: Any) -> None:
        if state is not ClaimState.INTENT:
            checkpoint_write(self, state, job)

    write_result = RecordStore.write_result

    def without_result(state: str) -> Callable[..., None]:
        def write_one(self: Any, record: Any) -> None:
            if record.state != state:
                write_result(self, record)

        return write_one

    def weakest(records: Any) -> Any:
        known = [record for record in records if record is not None]
        order = job_life.STRENGTH
        return min(known, key=lambda it: (len(it.former_job_ids), order.index(it.state)), default=None)

    acknowledging = claims.acknowledging

    def never_in_doubt(job: Any, nonce: str, in_doubt: bool = False) -> Any:
        return acknowledging(job, nonce)

    send = _transport.Transport.send

    def without_doubt(self: Any, *given: Any, **named: Any) -> Any:
        try:
            return send(self, *given, **named)
        except Exception as error:
            if getattr(error, "in_doubt", False):
                error.in_doubt = False  # type: ignore[attr-defined]
            raise

    def ours(self: Any, unknown_claim: str) -> bool:
        return self in (ClaimState.CLAIMED, ClaimState.UNKNOWN, ClaimState.INTENT)

    def lost_too(self: Any, unknown_claim: str) -> bool:
        return self is not ClaimState.REFUSED

    def row(known: Any, step: Any) -> list[Any]:
        return [mock.patch.dict(job_life.NEXT_STEP, {known: step})]

    sender_send = reporting._Sender.send

    def as_if_never_refused(self: Any, record: Any, **known: Any) -> Any:
        return (yield from sender_send(self, record, **{**known, "was_refused": False}))

    of_task = finish.CodePipelineFinishJobOperator
    return {
        "a missing record of a claim is an unknown claim": lambda: [
            patch(claim_checkpoint.ClaimCheckpoint, "recall", absence_is_doubt)
        ],
        "a skip by a user's mark is the DAG's": lambda: [
            patch(module, "tasks_cut_off", always([])) for module in (finishing, work_failure)
        ],
        "only the work is asked why it was skipped": lambda: [patch(work_failure, "tasks_cut_off", of_work)],
        "a next claim that Airflow has ended goes on": lambda: [
            patch(next_job, "end_if_cut_off", always(None))
        ],
        "a first claim that Airflow has ended goes on": lambda: [patch(claim, "is_cut_off", always(False))],
        "nobody says that it looks a last time": lambda: [patch(last_look, "say_last_look", always(None))],
        "a continuation that may have been put is forgotten by a clear": lambda: [
            patch(claim_checkpoint.ClaimCheckpoint, "_continued", done_only)
        ],
        "a clear of a run that goes on is one of an ended run": lambda: [
            patch(
                claim_checkpoint.ClaimCheckpoint,
                "_was_run_cleared",
                lambda self, *records: self._cleared_at is not None,
            )
        ],
        "a retry keeps no copies anew": lambda: [patch(next_job, "is_started_anew", always(False))],
        "a next job that took no result is given up": lambda: [
            patch(awaited_job, "takes_no_result", always(False))
        ],
        "a refused result may have been taken": lambda: [
            patch(reporting._Sender, "send", as_if_never_refused)
        ],
        "a job that was left gets another result": lambda: [
            patch(job_life.Results, "left", property(always(()), always(None)), create=True)
        ],
        "a cleared claim awaits no next job": lambda: [
            patch(claim_checkpoint.ClaimCheckpoint, "_continued", always(None))
        ],
        "the job of an ended run is left to it": lambda: [patch(claim, "has_continued", always(False))],
        "the callback looks at no copies": lambda: [patch(notifications, "records_in_copies", always([]))],
        "a function's claim is not restored": lambda: [
            patch(
                claim_checkpoint.ClaimCheckpoint,
                "restore",
                lambda self, job_id=None: claim_checkpoint._record_in(self._held(), job_id),
            )
        ],
        "a claim that a user ended is a skip": lambda: [
            patch(module, "tasks_cut_off", no_claims) for module in (finishing, work_failure)
        ],
        "a skipped last step is a failure": lambda: [patch(work_failure, "failure_of_run", by_the_last)],
        "all tasks write one record": lambda: [patch(RecordStore, "of_claim", classmethod(one_key_for_all))],
        "a settled put is unsettled": lambda: [patch(reporting, "meaning_of_refusal", unsettled)],
        "an unsettled put is settled": lambda: [patch(reporting, "meaning_of_refusal", settled)],
        '"leave" is forgotten': lambda: [patch(ClaimState, "counts_as_ours", ours)],
        "a lost claim is ours": lambda: [patch(ClaimState, "counts_as_ours", lost_too)],
        "no intent before an acknowledgement": lambda: [
            patch(claim_checkpoint.ClaimCheckpoint, "write", without_intent)
        ],
        "a certain claim is not written": lambda: [
            patch(RecordStore, "write_claim", without(ClaimState.CLAIMED))
        ],
        "no intent before a put": lambda: [patch(RecordStore, "write_result", without_result("intended"))],
        "a put that was taken is not written": lambda: [
            patch(RecordStore, "write_result", without_result("done"))
        ],
        "no copies of a claim": lambda: [
            patch(module, "undisturbed_tasks", always([])) for module in (claim_checkpoint, copies)
        ],
        "the weakest record of a claim counts": lambda: [
            patch(module, "newest_claim", weakest)
            for module in (claim_checkpoint, copies, job_life, record_search)
            if hasattr(module, "newest_claim")
        ],
        "an intended call is taken for done": lambda: row((Known.INTENDED, Known.NONE), Step.NOTHING),
        "a refused nonce is never an unknown claim": lambda: [
            patch(module, "acknowledging", never_in_doubt) for module in (claims, claiming)
        ],
        "a lost answer is a refusal": lambda: [patch(_transport.Transport, "send", without_doubt)],
        "a job that another task waits for is claimed": lambda: [
            patch(claim._ClaimingTask, "_is_awaited", always(False))
        ],
        "the next job's unknown claim is not asked for again": lambda: [
            patch(awaited_job, "is_next_claim_unknown", always(False))
        ],
        "the status of an ended job is not asked for": lambda: [
            patch(CodePipelineHook, "status_of_ended", always(None))
        ],
        "a run that claimed gets a successor": lambda: [patch(job_runs, "has_claimed", always(False))],
        "the callback does nothing": lambda: [
            patch(notifications.CodePipelineJobFailureNotifier, "notify", always(None))
        ],
        "a failure leaves the run green": lambda: [
            patch(of_task, "fail_run", property(always(False), always(None)), create=True)
        ],
        "finish_job does not wait for the work": lambda: [patch(finishing, "unended_work", always([]))],
        "finish_job reports success": lambda: [patch(work_failure, "failure_of_run", always(None))],
        "a retry of a function works again": lambda: [
            patch(result_checkpoint.ResultCheckpoint, "result_of_earlier_try", always(None))
        ],
        "a sensor awaits no job": lambda: [patch(awaited_job, "awaited_token", always(None))],
        "an error is the end of a report": lambda: [
            patch(report, "_reply", always(reporting.Reply.NEVER_TAKEN))
        ],
    }


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Break a rule."""
    with ExitStack() as stack:
        for each in patches()[name]():
            stack.enter_context(each)
        yield


def found_after(name: str, seeds: int) -> tuple[int | None, str]:
    """Return after how many seeds a broken rule is found, and as what."""
    with broken(name):
        for seed in range(1, seeds + 1):
            findings = simulate.try_history(seed)[1]
            if findings:
                return seed, ", ".join(sorted({finding.kind for finding in findings}))
    return None, ""


def main() -> int:
    """Print the table, and return whether a broken rule was not found."""
    parser = argparse.ArgumentParser(description="Break the rules one by one, and see after how many seeds.")
    parser.add_argument("--seeds", type=int, default=10_000, help="the most seeds for each (default: 10,000)")
    parser.add_argument("--only", help="only those whose name holds this text")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    simulate.set_up()
    missed = 0
    print("| what is broken | found after | as |\n|---|---|---|")
    names = [name for name in patches() if not arguments.only or arguments.only in name]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, context, initializer=simulate.set_up) as pool:
        for name, (seed, kinds) in zip(
            names, pool.map(found_after, names, itertools.repeat(arguments.seeds)), strict=True
        ):
            missed += seed is None
            print(f"| {name} | {seed or f'not in {arguments.seeds:,}'} | {kinds} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
