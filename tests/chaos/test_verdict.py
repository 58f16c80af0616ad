# SPDX-License-Identifier: Apache-2.0
"""The verdict, from made-up ledgers: each thing that must not be is found, and what may be is not."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner.emulator.ledger import Ledger, LedgerEntry
from tests.chaos.evidence import RIVALS_EXECUTION_ID, Claim, Evidence, Run, Strike
from tests.chaos.plan import PlannedJob
from tests.chaos.verdict import judge
from tests.chaos.work_log import WorkEntry

PIPELINE = "one_run-succeed-1"
JOB = PlannedJob(PIPELINE, "one_run", "succeed", 0)
FAILING = PlannedJob(PIPELINE, "one_run", "fail", 0)
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SUCCEED, FAIL = "PutThirdPartyJobSuccessResult", "PutThirdPartyJobFailureResult"
OURS = {"executionDetails": {"externalExecutionId": "chaos_one_run/runs/run"}}
THEIRS = {"executionDetails": {"externalExecutionId": RIVALS_EXECUTION_ID}}
RUN = "codepipeline__j"


def ledger(*entries: dict[str, Any]) -> Ledger:
    """Return a ledger, with a second between any two entries."""
    return Ledger(
        LedgerEntry(
            **{
                "number": number,
                "time": START + datetime.timedelta(seconds=number),
                "kind": "call",
                "job_id": "j",
                "pipeline_name": PIPELINE,
                **entry,
            }
        )
        for number, entry in zip(itertools.count(1), entries, strict=False)
    )


QUEUED = {"kind": "job", "operation": "Queued", "status_after": "Queued"}
CLAIMED = {"operation": "AcknowledgeThirdPartyJob", "status_after": "InProgress"}
SUCCESS = {"operation": SUCCEED, "result": "success", "details": OURS}
FAILURE = {"operation": FAIL, "result": "failure", "details": {"failureDetails": {"message": "It broke."}}}
CONTINUE = {"operation": SUCCEED, "result": "continue", "details": OURS}
REFUSED = {"operation": SUCCEED, "outcome": "InvalidJobStateException", "details": OURS}


def work(what: Any = "begin", **values: Any) -> WorkEntry:
    """Return an entry of the work's log."""
    known = {"job_id": "j", "dag_id": "d", "run_id": RUN, "task_id": "work", "map_index": -1, "try_number": 1}
    return WorkEntry(what, **{**known, **values})


WORKED = [work(), work("end")]


def kinds(*entries: dict[str, Any], job: PlannedJob = JOB, **evidence: Any) -> list[str]:
    """Return the kinds of what is found."""
    found = judge(Evidence(jobs=[job], ledger=ledger(*entries), **{"work": WORKED, **evidence}))
    return [finding.kind for finding in found.findings]


def figures(*entries: dict[str, Any], **evidence: Any) -> dict[str, str]:
    """Return the figures."""
    return dict(judge(Evidence(jobs=[JOB], ledger=ledger(*entries), **evidence)).figures)


def test_a_job_that_was_claimed_worked_on_and_ended_is_well() -> None:
    assert kinds(QUEUED, CLAIMED, SUCCESS) == []


def test_a_result_that_was_put_twice_and_taken_once_is_well() -> None:
    assert kinds(QUEUED, CLAIMED, SUCCESS, REFUSED) == []


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], ["lost"]),
        ([QUEUED], ["unclaimed"]),
        ([QUEUED, CLAIMED], ["lost"]),
        ([QUEUED, CLAIMED, {"kind": "job", "operation": "TimedOut"}], ["lost"]),
        ([QUEUED, CLAIMED, REFUSED], ["lost"]),
        ([QUEUED, CLAIMED, SUCCESS, SUCCESS], ["doubled"]),
        ([QUEUED, CLAIMED, SUCCESS, FAILURE], ["doubled", "failed"]),
        ([QUEUED, {**CLAIMED, "outcome": "InvalidNonceException"}], ["unclaimed"]),
    ],
)
def test_a_job_without_exactly_one_result_is_found(entries: list[dict[str, Any]], found: list[str]) -> None:
    assert kinds(*entries) == found


@pytest.mark.parametrize(
    ("late", "found"),
    [
        ({"operation": FAIL, "details": {"failureDetails": {}}}, ["flipped"]),
        ({"operation": SUCCEED, "details": {"continuationToken": "t"}}, ["flipped"]),
        ({"operation": SUCCEED, "details": OURS}, []),
        # Refused before it was looked at, as a throttled one.
        ({"operation": FAIL}, []),
    ],
)
def test_another_result_is_found_even_if_it_came_too_late(late: dict[str, Any], found: list[str]) -> None:
    refused = {"outcome": "InvalidJobStateException", **late}
    assert kinds(QUEUED, CLAIMED, SUCCESS, refused) == found
    # Before there was a result, nothing could be flipped.
    assert kinds(QUEUED, CLAIMED, refused, SUCCESS) == []
    unknown = [Claim("j", "d", RUN, "unknown")]
    assert kinds(QUEUED, CLAIMED, SUCCESS, refused, claims=unknown) == []


def test_a_failed_job_is_found_if_its_work_was_done() -> None:
    """And no fault or kill explains it."""
    assert kinds(QUEUED, CLAIMED, FAILURE) == ["failed"]
    assert kinds(QUEUED, CLAIMED, FAILURE, strikes=[Strike("celery worker", 0, frozenset({"j"}))]) == []
    assert kinds(QUEUED, CLAIMED, FAILURE, work=[work()]) == []


def test_work_that_was_begun_after_the_result_is_found() -> None:
    late = [*WORKED, work(try_number=2, time=START.timestamp() + 60)]
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=late) == ["late"]
    cleared = [Strike("clear task", 0, frozenset({"j"}))]
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=late, strikes=cleared) == []


def test_a_further_job_that_another_run_worked_on_is_found() -> None:
    token = TaskInstanceRef("d", RUN, "go_on").token
    go_on = {**CONTINUE, "details": {"continuationToken": token}}
    second = [{**entry, "job_id": "k"} for entry in (QUEUED, CLAIMED, SUCCESS)]
    for run, found in ((RUN, []), (f"{RUN}__2", ["doubled"])):
        both = [work(job_id="k", run_id=run), work("end", job_id="k", run_id=run)]
        assert kinds(QUEUED, CLAIMED, go_on, *second, work=both) == found


SECOND: dict[str, Any] = {"airflow": "second"}


def test_two_airflows_that_hold_one_job_are_found() -> None:
    first, second = Claim("j", "d", RUN, "claimed"), Claim("j", "d", RUN, "claimed", "second")
    assert kinds(QUEUED, CLAIMED, SUCCESS, claims=[first, second]) == ["doubled"]
    lost = Claim("j", "d", RUN, "lost", "second")
    assert kinds(QUEUED, CLAIMED, SUCCESS, claims=[first, lost]) == []


def test_runs_of_the_same_name_in_two_airflows_are_two() -> None:
    both = [*WORKED, work(**SECOND)]
    claims = [Claim("j", "d", RUN, "claimed"), Claim("j", "d", RUN, "lost", "second")]
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=both, claims=claims) == ["doubled"]
    # Each of them may have the state that the other must not have.
    runs = [Run("d", RUN, "success", "second"), Run("d", RUN, "failed")]
    assert kinds(QUEUED, CLAIMED, FAILURE, job=FAILING, claims=claims, runs=runs) == []
    runs = [Run("d", RUN, "failed", "second"), Run("d", RUN, "success")]
    assert kinds(QUEUED, CLAIMED, FAILURE, job=FAILING, claims=claims, runs=runs) == ["green"]
    unknown = Claim("j", "d", RUN, "intent", "second")
    runs = [Run("d", RUN, "success", "second"), Run("d", RUN, "failed")]
    said = {**FAILURE, "details": {"failureDetails": {"externalExecutionId": f"d/runs/{RUN}"}}}
    assert kinds(QUEUED, CLAIMED, said, job=FAILING, claims=[claims[0], unknown], runs=runs) == []
    assert kinds(QUEUED, CLAIMED, said, job=FAILING, claims=[unknown], runs=runs) == ["green"]


@pytest.mark.parametrize(("holder", "found"), [("", ["doubled"]), ("second", [])])
def test_a_run_of_the_same_name_in_another_airflow_stays(holder: str, found: list[str]) -> None:
    token = TaskInstanceRef("d", RUN, "go_on").token
    go_on = {**CONTINUE, "details": {"continuationToken": token}}
    further = [{**entry, "job_id": "k"} for entry in (QUEUED, CLAIMED, SUCCESS)]
    worked = [work(job_id="k", **SECOND), work("end", job_id="k", **SECOND)]
    claims = [Claim("k", "d", RUN, "claimed", holder, ("j",))]
    assert kinds(QUEUED, CLAIMED, go_on, *further, work=worked, claims=claims) == found


@pytest.mark.parametrize(
    ("airflows", "found"), [(["", "second"], []), ([""], ["no race"]), ([], ["no race"])]
)
def test_each_airflow_claims_some_of_what_they_share(airflows: list[str], found: list[str]) -> None:
    jobs = [PlannedJob(name, "shared", "succeed", 0) for name in ("one", "two")]
    made = [
        {**entry, "job_id": job.name, "pipeline_name": job.name}
        for job in jobs
        for entry in (QUEUED, CLAIMED, SUCCESS)
    ]
    done = [work("end", job_id=job.name) for job in jobs]
    claims = [
        Claim(job.name, "d", RUN, "claimed", airflow) for job, airflow in zip(jobs, airflows, strict=False)
    ]
    verdict = judge(Evidence(jobs=jobs, ledger=ledger(*made), work=done, claims=claims))
    assert [finding.kind for finding in verdict.findings] == found


def test_an_endless_run_and_a_race_without_rival_are_found() -> None:
    assert kinds(QUEUED, CLAIMED, SUCCESS, runs=[Run("d", RUN, "running")]) == ["unended"]
    race = PlannedJob(PIPELINE, "rival", "succeed", 0)
    assert kinds(QUEUED, CLAIMED, SUCCESS, job=race) == ["no race"]


@pytest.mark.parametrize(
    ("claimed", "missing"),
    [
        (set(), ["custom_rival", "rival"]),
        ({"rival"}, ["custom_rival"]),
        ({"rival", "custom_rival"}, []),
    ],
)
def test_each_owner_has_a_race_of_its_own(claimed: set[str], missing: list[str]) -> None:
    jobs = [PlannedJob(name, name, "succeed", 0) for name in ("rival", "custom_rival")]
    theirs = {**SUCCESS, "details": THEIRS}
    made = [
        {**entry, "job_id": job.name, "pipeline_name": job.name}
        for job in jobs
        for entry in (QUEUED, CLAIMED, theirs)
    ]
    evidence = Evidence(jobs=jobs, ledger=ledger(*made), rivals_jobs=frozenset(claimed))
    found = [finding.pipeline for finding in judge(evidence).findings if finding.kind == "no race"]
    assert found == missing


def test_a_job_that_timed_out_is_said_to_have() -> None:
    timed_out = {"kind": "job", "operation": "TimedOut"}
    [finding] = judge(Evidence(jobs=[JOB], ledger=ledger(QUEUED, CLAIMED, timed_out))).findings
    assert str(finding) == f"LOST: {PIPELINE}: job j was claimed and ended by CodePipeline's timeout"


def test_an_action_that_goes_on_in_a_new_job_ends_once() -> None:
    second = [{**entry, "job_id": "k"} for entry in (QUEUED, CLAIMED, SUCCESS)]
    steps = [QUEUED, CLAIMED, CONTINUE]
    assert kinds(*steps, *second) == []
    assert kinds(*steps) == ["lost"]
    assert kinds(*steps, *second[:2]) == ["lost", "lost"]
    assert kinds(*steps, SUCCESS, *second) == ["doubled", "doubled"]


def test_a_function_that_ran_twice_in_one_try_is_found() -> None:
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=[work(), *WORKED]) == ["doubled"]


@pytest.mark.parametrize("other", [{"try_number": 2}, {"map_index": 1}, {"task_id": "other"}])
def test_a_retry_an_index_and_another_task_are_no_second_time(other: dict[str, Any]) -> None:
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=[work(**other), *WORKED]) == []


def test_a_job_of_two_runs_is_found_unless_a_claim_is_unknown() -> None:
    twice = [work(run_id=f"{RUN}__2"), *WORKED]
    claim = Claim("j", "d", RUN, "claimed")
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=twice, claims=[claim]) == ["doubled"]
    for state in ("unknown", "intent"):
        unknown = Claim("j", "d", f"{RUN}__2", state)
        assert kinds(QUEUED, CLAIMED, SUCCESS, work=twice, claims=[claim, unknown]) == []
        # Where two are sure, a third one's unknown claim excuses nothing.
        sure = [claim, Claim("j", "d", f"{RUN}__2", "claimed"), Claim("j", "d", f"{RUN}__3", state)]
        assert kinds(QUEUED, CLAIMED, SUCCESS, work=twice, claims=sure) == ["doubled"]


@pytest.mark.parametrize("outcome", ["ok", "InvalidJobStateException"])
def test_our_result_on_a_rivals_job_is_found_even_if_refused(outcome: str) -> None:
    put = {"operation": SUCCEED, "outcome": outcome, "details": OURS}
    theirs = {**SUCCESS, "details": THEIRS}
    rivals = {"rivals_jobs": frozenset({"j"}), "work": []}
    assert kinds(QUEUED, CLAIMED, theirs, put, **rivals) == ["foreign"]
    assert kinds(QUEUED, CLAIMED, theirs, **rivals) == []


def test_a_refused_put_of_unknown_origin_is_not_ours() -> None:
    throttled = {"operation": SUCCEED, "outcome": "ThrottlingException"}
    theirs = {**SUCCESS, "details": THEIRS}
    assert kinds(QUEUED, CLAIMED, throttled, theirs, work=[], rivals_jobs=frozenset({"j"})) == []


def test_work_and_records_of_a_rivals_job_are_found() -> None:
    theirs = {**SUCCESS, "details": THEIRS}
    rivals = {"rivals_jobs": frozenset({"j"})}
    assert kinds(QUEUED, CLAIMED, theirs, **rivals) == ["foreign"]
    claim = Claim("j", "d", RUN, "claimed")
    assert kinds(QUEUED, CLAIMED, theirs, work=[], claims=[claim], **rivals) == ["foreign"]
    lost = Claim("j", "d", RUN, "lost")
    assert kinds(QUEUED, CLAIMED, theirs, work=[], claims=[lost], **rivals) == []


def test_a_success_of_work_that_failed_or_was_not_done_is_found() -> None:
    assert kinds(QUEUED, CLAIMED, SUCCESS, job=FAILING) == ["false"]
    assert kinds(QUEUED, CLAIMED, SUCCESS, work=[work()]) == ["false"]


def test_a_green_run_of_a_job_that_failed_is_found() -> None:
    claims = [Claim("j", "d", RUN, "claimed")]
    for state, found in (("success", ["green"]), ("failed", [])):
        runs = [Run("d", RUN, state)]
        assert kinds(QUEUED, CLAIMED, FAILURE, job=FAILING, claims=claims, runs=runs) == found
        said = {"externalExecutionId": f"d/runs/{RUN}", "message": "It broke."}
        by_it = {**FAILURE, "details": {"failureDetails": said}}
        unknown = [Claim("j", "d", RUN, "unknown")]
        assert kinds(QUEUED, CLAIMED, by_it, job=FAILING, claims=unknown, runs=runs) == found


def test_a_green_run_without_a_result_is_found() -> None:
    """Even if its claim was unknown."""
    runs = [Run("d", RUN, "success")]
    for state, found in (("unknown", ["unclaimed", "green"]), ("lost", ["unclaimed"])):
        assert kinds(QUEUED, REFUSED, claims=[Claim("j", "d", RUN, state)], runs=runs) == found


def test_a_failure_instead_of_a_success_is_noted_with_its_cause() -> None:
    strike = Strike("celery worker", START.timestamp(), frozenset({"j"}))
    for strikes, why in (([strike], "celery worker"), ([], "it was not hit itself")):
        evidence = Evidence(jobs=[JOB], ledger=ledger(QUEUED, CLAIMED, FAILURE), strikes=strikes)
        verdict = judge(evidence)
        assert verdict.findings == []
        assert verdict.notes == [f"{PIPELINE} failed ({why}): It broke."]


@pytest.mark.parametrize(
    ("kind", "what", "after", "found"),
    [
        ("time_limit", "dag-processor", 20, []),
        ("time_limit", "rolling restart", -20, []),
        ("time_limit", "dag-processor", -1, ["lost"]),
        ("time_limit", "dag-processor", 61, ["lost"]),
        ("time_limit", "scheduler", 20, ["lost"]),
        ("one_run", "dag-processor", 20, ["lost"]),
    ],
)
def test_a_callback_that_died_excuses_its_job_alone(
    kind: str, what: str, after: float, found: list[str]
) -> None:
    verdict = judge(
        Evidence(
            jobs=[PlannedJob(PIPELINE, kind, "hang", 0)],
            ledger=ledger(QUEUED, CLAIMED),
            claims=[Claim("j", "d", RUN, "claimed")],
            runs=[Run("d", RUN, "failed", ended_at=START.timestamp())],
            strikes=[Strike(what, START.timestamp() + after)],
        )
    )
    assert [finding.kind for finding in verdict.findings] == found
    assert len(verdict.notes) == (not found)
    assert dict(verdict.figures)["timed out, and the callback died with the DAG processor"] == str(
        int(not found)
    )


def test_the_figures_count_what_was_seen() -> None:
    throttled = {"operation": SUCCEED, "outcome": "ThrottlingException", "faults": ("throttle",)}
    seen = figures(
        QUEUED,
        CLAIMED,
        throttled,
        SUCCESS,
        work=WORKED,
        claims=[Claim("j", "d", RUN, "unknown")],
        runs=[Run("d", RUN, "success"), Run("d", f"{RUN}__2", "success")],
        strikes=[Strike("triggerer", START.timestamp() + 2), Strike("task process", 0, frozenset({"j"}))],
        not_struck=["scheduler"],
    )
    assert seen["jobs, by how they are handled"] == "1: one_run 1"
    assert seen["jobs, by what their work comes to"] == "1: succeed 1"
    assert seen["jobs with an unknown claim"] == "1"
    assert seen["results"] == "1: success 1"
    assert seen["lost"] == seen["doubled"] == "0"
    assert seen["claims by what their record says"] == "1: unknown 1"
    assert seen["blows"] == "2: triggerer 1, task process 1"
    assert seen["blows for which there was nothing to hit"] == "1: scheduler 1"
    assert seen["faults"] == "1: throttle 1"
    assert seen["seconds from job to result"] == "median 3.0, most 3.0, of 1"
    assert (
        seen["seconds from triggerer to the customer's result (of all jobs that were open)"]
        == "median 2.0, most 2.0, of 1"
    )
    assert seen["jobs that needed a further run"] == "1"


def test_how_long_a_renewal_took_is_a_figure():
    next_claimed = {**CLAIMED, "job_id": "k"}
    refused = {**next_claimed, "outcome": "InvalidNonceException"}
    said = judge(
        Evidence(
            jobs=[JOB],
            ledger=ledger(QUEUED, CLAIMED, CONTINUE, refused, next_claimed, {**SUCCESS, "job_id": "k"}),
            work=WORKED,
        )
    )
    figures = dict(said.figures)
    assert figures["seconds from a continuation to the claim of the new job"] == "median 2.0, most 2.0, of 1"


def test_two_parts_of_a_run_are_judged_as_one() -> None:
    second = PlannedJob("two", "one_run", "succeed", 0)
    later = [{**entry, "job_id": "k", "pipeline_name": "two"} for entry in (QUEUED, CLAIMED)]
    first = Evidence(jobs=[JOB], ledger=ledger(QUEUED, CLAIMED, SUCCESS), work=WORKED)
    both = first.followed_by(Evidence(jobs=[second], ledger=ledger(*later)))
    assert [(finding.kind, finding.pipeline) for finding in judge(both).findings] == [("lost", "two")]
