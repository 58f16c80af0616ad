# SPDX-License-Identifier: Apache-2.0
"""
What the evidence comes to: what is wrong, and the figures.

Pure: it reads nothing but the evidence, so that each finding has a test with a made-up ledger.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner.emulator.ledger import Ledger, LedgerEntry
from tests.chaos.evidence import RIVALS_EXECUTION_ID, Claim, Evidence, Strike
from tests.chaos.kinds import KINDS, RESULTS
from tests.chaos.plan import PlannedJob
from tests.chaos.work_log import WorkEntry

#: What may be found; the words are explained in this package's README.
FINDINGS = (
    *("lost", "unclaimed", "doubled", "flipped", "late", "foreign", "false", "green", "failed", "unended"),
    "no race",
)
#: States of a claim's record in which nobody can know whose the job was.
_UNKNOWN = ("unknown", "intent")
_ACKNOWLEDGES = ("AcknowledgeThirdPartyJob", "AcknowledgeJob")
#: What hits no task of its own, and holds up whatever is open.
_HOLDS_UP_ALL = (
    *("triggerer", "scheduler", "api-server", "dag-processor"),
    *("cut database", "cut queue", "rolling restart"),
)
#: How long after a run has timed out its callback may still run, or wait to be run, in the DAG processor.
CALLBACK_SECONDS = 60.0
#: How long a rolling restart takes until it comes to the DAG processor.
RESTART_SECONDS = 40.0
#: What users do to a run; work that was begun just then may come after the result that this causes.
_BY_USERS = {"mark task failed", "mark run failed", "clear task"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """
    Something that must not be.

    :param kind: One of :data:`FINDINGS`.
    :param pipeline: The job's pipeline.
    :param text: What was seen.
    """

    kind: str
    pipeline: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind.upper()}: {self.pipeline}: {self.text}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """
    What is wrong, and the figures.

    :param findings: Nothing, if all is well.
    :param figures: What was counted and measured, with its value as text.
    :param notes: What is allowed and should be known, in sentences.
    """

    findings: Sequence[Finding]
    figures: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()


def judge(evidence: Evidence) -> Verdict:
    """Judge a run of the suite."""
    trial = _Trial(evidence)
    findings = [finding for job in evidence.jobs for finding in trial.findings(job)]
    findings += trial.findings_of_all()
    return Verdict(findings, list(_figures(trial, findings)), list(trial.notes()))


class _Trial:
    """The evidence, by job and by pipeline."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.entries: dict[str, Ledger] = defaultdict(Ledger)
        for entry in evidence.ledger:
            if entry.pipeline_name is not None:
                self.entries[entry.pipeline_name].append(entry)
        self.claims: dict[str, list[Claim]] = defaultdict(list)
        for claim in evidence.claims:
            self.claims[claim.job_id].append(claim)
        self.run_states = {(run.airflow, run.dag_id, run.run_id): run.state for run in evidence.runs}
        #: By pipeline: an action that was hit in one of its jobs may end in another.
        self.strikes_by_job: dict[str | None, list[Strike]] = defaultdict(list)
        pipelines = {entry.job_id: entry.pipeline_name for entry in evidence.ledger}
        for strike in evidence.strikes:
            for name in {pipelines.get(job_id) for job_id in strike.job_ids}:
                self.strikes_by_job[name].append(strike)

    def findings(self, job: PlannedJob) -> Iterator[Finding]:
        """Yield what is wrong with the job of a pipeline, and with those that followed it."""
        entries = self.entries[job.name]
        ids = job_ids(entries)
        for kind, text in (
            *self._ends(job, entries, ids),
            *self._flips(entries, ids),
            *self._works(ids),
            *self._heirs(entries, ids),
            *self._late_works(job, entries),
            *self._strangers(entries, ids),
            *self._untruths(job, entries, ids),
        ):
            yield Finding(kind, job.name, text)

    def findings_of_all(self) -> Iterator[Finding]:
        """Yield what is wrong with no one job."""
        for run in self.evidence.runs:
            if run.state in ("queued", "running"):
                yield Finding("unended", run.dag_id, f"{run.run_id} is still {run.state}")
        for kind in sorted({job.kind for job in self.evidence.jobs if KINDS[job.kind].races}):
            names = [job.name for job in self.evidence.jobs if job.kind == kind]
            if not self._made_for(names) & self.evidence.rivals_jobs:
                yield Finding("no race", kind, "the rival claimed nothing")
        shared = [job for job in self.evidence.jobs if KINDS[job.kind].shared]
        made = self._made_for(job.name for job in shared)
        claimed = {
            claim.airflow
            for claim in self.evidence.claims
            if claim.state == "claimed" and claim.job_id in made
        }
        if shared and len(claimed) < 2:
            yield Finding("no race", shared[0].kind, "one Airflow claimed nothing, or both")

    def _made_for(self, names: Iterable[str]) -> set[str]:
        """Return the jobs of these pipelines."""
        return {job_id for name in names for job_id in job_ids(self.entries[name])}

    def notes(self) -> Iterator[str]:
        """Yield why each job failed though its work would have succeeded, and which have no callback."""
        for job in self.evidence.jobs:
            for job_id in job_ids(self.entries[job.name]):
                has_result = any(entry.result for entry in self.entries[job.name].puts(job_id))
                if not has_result and self.lost_callback(job, job_id):
                    yield f"{job.name}: its run timed out, and the callback died with the DAG processor"
            for entry in self.entries[job.name].terminal_results():
                if entry.result != RESULTS[job.outcome] and entry.result == "failure":
                    strikes = ", ".join(strike.what for strike in self.strikes_by_job[job.name])
                    message = entry.details.get("failureDetails", {}).get("message")
                    yield f"{job.name} failed ({strikes or 'it was not hit itself'}): {message}"

    def _ends(self, job: PlannedJob, entries: Ledger, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        if not ids:
            yield "lost", "no job was made"
        for job_id in ids:
            results = [entry.result for entry in entries.puts(job_id) if entry.result]
            claimed = entries.where(
                job_id=job_id, operation=_ACKNOWLEDGES, status_after="InProgress", outcome="ok"
            )
            if len(results) > 1:
                yield "doubled", f"job {job_id} got the results {', '.join(results)}"
            if not claimed:
                yield "unclaimed", f"job {job_id} was claimed by nobody"
            elif not results and not self.lost_callback(job, job_id):
                timed_out = entries.where(job_id=job_id, kind="job", operation="TimedOut")
                how = "ended by CodePipeline's timeout" if timed_out else "has no result"
                yield "lost", f"job {job_id} was claimed and {how}"
        terminal = entries.terminal_results()
        if ids and not terminal and entries.puts().where(result="continue"):
            yield "lost", "the action goes on, and has no last result"
        if len({entry.job_id for entry in terminal}) > 1:
            yield "doubled", f"the action got {len(terminal)} last results"

    def _works(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        begun = [entry for entry in self.evidence.work if entry.what == "begin" and entry.job_id in ids]
        tries = Counter(
            (entry.dag_id, run_name(entry), entry.task_id, entry.map_index, entry.try_number)
            for entry in begun
        )
        for (_, run, task_id, _, try_number), times in tries.items():
            if times > 1:
                yield "doubled", f"try {try_number} of {task_id} in {run} ran {times} times"
        for job_id in ids:
            runs = self.runs_that_worked(job_id)
            certain = [claim for claim in self.claims[job_id] if claim.state == "claimed"]
            if len({claim.airflow for claim in certain}) > 1:
                yield "doubled", f"job {job_id} is held by two Airflows to be their own"
            sure = {run_name(claim) for claim in certain}
            if len(runs) > 1 and (len(runs & sure) > 1 or not self.in_doubt(job_id)):
                yield "doubled", f"job {job_id} was worked on by {', '.join(sorted(runs))}"

    def _heirs(self, entries: Ledger, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the further jobs that another run worked on than the one that goes on with the action."""
        for put in entries.where(result="continue"):
            waiting = TaskInstanceRef.from_token(put.details.get("continuationToken"))
            if waiting is None or put.job_id not in ids:
                continue
            for job_id in ids[ids.index(put.job_id) + 1 :][:1]:
                strangers = self.runs_that_worked(job_id) - self._going_on(put.job_id, waiting.run_id)
                if strangers:
                    yield "doubled", f"job {job_id} of {waiting} was worked on by {', '.join(strangers)}"

    def _going_on(self, job_id: str | None, run_id: str) -> set[str]:
        """
        Return the runs that may work on the job after this one, of those that a continuation token names.

        It does not say of which Airflow, but the record of the claim says from which jobs it went on. Without
        such a record it can be any.
        """
        claims = self.evidence.claims
        named = [
            run_name(claim) for claim in claims if claim.run_id == run_id and job_id in claim.former_job_ids
        ]
        airflows = {claim.airflow for claim in claims} | {work.airflow for work in self.evidence.work}
        return set(named) or {_run_name(airflow, run_id) for airflow in airflows}

    def runs_that_worked(self, job_id: str) -> set[str]:
        """Return the runs whose function began to work on a job."""
        return {
            run_name(work) for work in self.evidence.work if work.what == "begin" and work.job_id == job_id
        }

    def _flips(self, entries: Ledger, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the results that came too late for a job, and would have been others than the one it has."""
        for job_id in ids:
            has: str | None = None
            for put in entries.puts(job_id):
                has = has or put.result
                # What was refused before it was looked at does not show what it would have been.
                is_refused = put.result is None and put.details and not is_rivals(put)
                is_sure = not self.in_doubt(job_id) and job_id not in self.evidence.rivals_jobs
                if has and is_refused and is_sure and has != _meant(put):
                    yield "flipped", f"job {job_id} has {has}, and then came {_meant(put)}"

    def _late_works(self, job: PlannedJob, entries: Ledger) -> Iterator[tuple[str, str]]:
        """Yield the work that was begun after the job had its result, if no user interfered."""
        struck = {strike.what for strike in self.strikes_by_job[job.name]}
        if struck & _BY_USERS or KINDS[job.kind].time_limit:
            return
        results = {entry.job_id: entry for entry in entries.puts() if entry.result}
        for work in self.evidence.work:
            result = results.get(work.job_id)
            if result is None or work.what != "begin" or self.in_doubt(work.job_id):
                continue
            if work.time > result.time.timestamp():
                yield "late", f"try {work.try_number} of {work.run_id} began after the result"

    def _strangers(self, entries: Ledger, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        rivals = self.evidence.rivals_jobs.intersection(ids)
        for put in entries.puts():
            # What was refused before it was looked at does not show whose it was.
            if put.job_id in rivals and put.details and not is_rivals(put):
                yield "foreign", f"{put.operation} on the rival's job {put.job_id}: {put.outcome}"
        for begun in self.evidence.work:
            if begun.what == "begin" and begun.job_id in rivals:
                yield "foreign", f"{begun.run_id} worked on the rival's job {begun.job_id}"
        for job_id in sorted(rivals):
            for claim in self.claims[job_id]:
                if claim.state == "claimed":
                    yield "foreign", f"{claim.run_id} holds the rival's job {job_id} to be its own"

    def _untruths(self, job: PlannedJob, entries: Ledger, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        for job_id in ids:
            if any(entry.result for entry in entries.puts(job_id)):
                continue
            for claim in self.claims[job_id]:
                state = self._state_of_run(claim)
                if state == "success" and claim.state in ("claimed", "unknown"):
                    yield "green", f"job {job_id} has no result, and {claim.run_id} is green"
        for entry in entries.terminal_results():
            if is_rivals(entry):
                continue
            if self._failed_for_nothing(job, entry, ids):
                yield "failed", f"job {entry.job_id} failed, its work succeeded, and nothing befell it"
            if entry.result == "success" and RESULTS[job.outcome] == "failure":
                yield "false", f"job {entry.job_id} succeeded, and its work failed"
            ended = any(done.what == "end" and done.job_id in ids for done in self.evidence.work)
            if entry.result == "success" and not ended:
                yield "false", f"job {entry.job_id} succeeded, and its work was not done"
            for claim in self.claims[entry.job_id or ""]:
                state = self._state_of_run(claim)
                is_its = claim.state == "claimed" or (
                    _is_of(entry, claim) and not self._is_of_another_airflow(claim)
                )
                if entry.result == "failure" and state == "success" and is_its:
                    yield "green", f"job {entry.job_id} failed, and {claim.run_id} is green"

    def _failed_for_nothing(self, job: PlannedJob, entry: LedgerEntry, ids: Sequence[str]) -> bool:
        """Tell whether a job failed though its work was done, and nothing befell it."""
        if entry.result != "failure" or RESULTS[job.outcome] != "success":
            return False
        done = any(work.what == "end" and work.job_id in ids for work in self.evidence.work)
        return done and not self.strikes_by_job[job.name] and KINDS[job.kind].time_limit is None

    def lost_callback(self, job: PlannedJob, job_id: str) -> bool:
        """
        Return whether the DAG processor died when it had the callback of a run that had timed out.

        Airflow takes a callback out of its database before it runs it, and no task of such a run runs any
        more.
        """
        if KINDS[job.kind].time_limit is None:
            return False
        names = {(claim.dag_id, claim.run_id) for claim in self.claims[job_id] if claim.state == "claimed"}
        runs = (run for run in self.evidence.runs if (run.dag_id, run.run_id) in names)
        ends = [run.ended_at for run in runs if run.ended_at is not None]
        before = {"dag-processor": 0.0, "rolling restart": RESTART_SECONDS}
        return any(
            end - before[strike.what] <= strike.time <= end + CALLBACK_SECONDS
            for strike in self.evidence.strikes
            if strike.what in before
            for end in ends
        )

    def _state_of_run(self, claim: Claim) -> str | None:
        return self.run_states.get((claim.airflow, claim.dag_id, claim.run_id))

    def _is_of_another_airflow(self, claim: Claim) -> bool:
        """Tell whether a job is held by a run of another Airflow, which has the same name."""
        return any(
            other.state == "claimed" and other.airflow != claim.airflow for other in self.claims[claim.job_id]
        )

    def in_doubt(self, job_id: str) -> list[Claim]:
        """Return the records of a job's claims whose owner nobody can know."""
        return [claim for claim in self.claims[job_id] if claim.state in _UNKNOWN]


def job_ids(entries: Iterable[LedgerEntry]) -> list[str]:
    """Return the jobs of these entries, the oldest first."""
    return list(dict.fromkeys(entry.job_id for entry in entries if entry.job_id is not None))


def run_name(of: Claim | WorkEntry) -> str:
    """Return the name of a run, which says of which Airflow it is."""
    return _run_name(of.airflow, of.run_id)


def _run_name(airflow: str, run_id: str) -> str:
    return f"{run_id} of the {airflow} Airflow" if airflow else run_id


def is_rivals(entry: LedgerEntry) -> bool:
    """Tell whether a result is the other worker's."""
    return any(
        entry.details.get(member, {}).get("externalExecutionId") == RIVALS_EXECUTION_ID
        for member in ("executionDetails", "failureDetails")
    )


def _meant(put: LedgerEntry) -> str:
    """Return the result that a put would have been, had it been taken."""
    if put.operation.endswith("FailureResult"):
        return "failure"
    return "continue" if put.details.get("continuationToken") else "success"


def _is_of(entry: LedgerEntry, claim: Claim) -> bool:
    """Tell whether a failure is the result of a run."""
    said = entry.details.get("failureDetails", {}).get("externalExecutionId", "")
    return claim.state in _UNKNOWN and f"{claim.dag_id}/runs/{claim.run_id}" in said


def _figures(trial: _Trial, findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    evidence = trial.evidence
    ledger = evidence.ledger
    terminal = ledger.terminal_results()
    kinds = Counter(finding.kind for finding in findings)
    yield "jobs, by how they are handled", _by(Counter(job.kind for job in evidence.jobs))
    yield "jobs, by what their work comes to", _by(Counter(job.outcome for job in evidence.jobs))
    yield "results", _by(Counter(entry.result or "" for entry in terminal))
    for kind in FINDINGS:
        yield kind, str(kinds[kind])
    yield "claims by what their record says", _by(Counter(claim.state for claim in evidence.claims))
    in_doubt = {claim.job_id for claim in evidence.claims if claim.state in _UNKNOWN}
    yield "jobs with an unknown claim", str(len(in_doubt))
    yield (
        "of these, worked on by two runs",
        str(sum(len(trial.runs_that_worked(job_id)) > 1 for job_id in in_doubt)),
    )
    notes = list(trial.notes())
    lost = sum("callback died" in note for note in notes)
    yield "failed, though the work would have succeeded", str(len(notes) - lost)
    yield "timed out, and the callback died with the DAG processor", str(lost)
    if evidence.rivals_jobs:
        yield "jobs that the rival claimed", str(len(evidence.rivals_jobs))
    for airflow in sorted({claim.airflow for claim in evidence.claims if claim.airflow}):
        states = Counter(claim.state for claim in evidence.claims if claim.airflow == airflow)
        yield f"claims of the {airflow} Airflow by what their record says", _by(states)
    yield "blows", _by(Counter(strike.what for strike in evidence.strikes))
    if evidence.not_struck:
        yield "blows for which there was nothing to hit", _by(Counter(evidence.not_struck))
    calls = ledger.where(kind="call")
    yield "faults", _by(Counter(fault for entry in calls for fault in entry.faults))
    yield "calls", _by(Counter(entry.operation for entry in calls))
    yield from _durations(evidence)
    runs = Counter((run.airflow, run.run_id.split("__")[1]) for run in evidence.runs)
    yield "jobs that needed a further run", str(sum(count > 1 for count in runs.values()))
    if ledger:
        yield "seconds in all", f"{(ledger[-1].time - ledger[0].time).total_seconds():.0f}"


def _durations(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield how long the actions took, all in all and from what befell them, by what that was."""
    ledger = evidence.ledger
    # By pipeline, since an action may go on in a further job.
    pipelines = {entry.job_id: entry.pipeline_name for entry in ledger}
    queued: dict[str | None, float] = {}
    for entry in ledger.where(kind="job", operation="Queued"):
        queued.setdefault(entry.pipeline_name, entry.time.timestamp())
    ended = {entry.pipeline_name: entry.time.timestamp() for entry in ledger.terminal_results()}
    yield (
        "seconds from job to result",
        _spread([ended[name] - queued[name] for name in ended.keys() & queued.keys()]),
    )
    took = {name: ended[name] - queued[name] for name in ended.keys() & queued.keys()}
    if took:
        slowest = max(took, key=lambda name: took[name])
        entries = ledger.where(pipeline_name=slowest)
        yield (
            "of the slowest, the calls",
            _by(Counter(entry.operation for entry in entries.where(kind="call"))),
        )
    yield "seconds from a continuation to the claim of the new job", _spread(list(_renewals(ledger)))
    seconds: dict[str, list[float]] = defaultdict(list)
    for strike in evidence.strikes:
        hit = {pipelines.get(job_id) for job_id in strike.job_ids}
        if strike.what in _HOLDS_UP_ALL:
            hit = {name for name, at in queued.items() if at <= strike.time}
        seconds[strike.what] += [
            ended[name] - strike.time for name in hit if ended.get(name, 0) > strike.time
        ]
    for what in sorted(seconds):
        if seconds[what]:
            of_all = " (of all jobs that were open)" if what in _HOLDS_UP_ALL else ""
            yield f"seconds from {what} to the customer's result{of_all}", _spread(seconds[what])


def _renewals(ledger: Ledger) -> Iterator[float]:
    """Yield, for each continuation, how long it took until somebody had claimed the new job."""
    begun: dict[str | None, float] = {}
    for entry in ledger:
        name, at = entry.pipeline_name, entry.time.timestamp()
        if entry.result == "continue":
            begun[name] = at
        is_claim = entry.operation.startswith("Acknowledge") and entry.status_after == "InProgress"
        if is_claim and entry.outcome == "ok" and name in begun:
            yield at - begun.pop(name)


def _by(counts: Mapping[str, int]) -> str:
    if not counts:
        return "0"
    parts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda kv: -kv[1]))
    return f"{sum(counts.values())}: {parts}"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    median, most = statistics.median(values), max(values)
    return f"median {median:.1f}, most {most:.1f}, of {len(values)}"
