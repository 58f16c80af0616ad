# SPDX-License-Identifier: Apache-2.0
"""
What must not be, at the end of a history.

==========  ==============================================================================================
lost        a run claimed the job, and it has no result
foreign     a run put a result for a job that it had no reason to hold for its own
false       the job succeeded although its work failed or was not done, or failed although nothing went wrong
green       the run is green although its job failed, or has no result
red         the run is red for no other reason than its result, which was put
doubled     two runs worked on a job, and both were sure that it was theirs
unended     a run never ends
unclaimed   nobody claims a job, although nothing went wrong
open        a job that continues the work of a run is claimed by nobody
again       a run that had ended, and whose claim was cleared, did the work again
==========  ==============================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow.sdk.execution_time import comms

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, SKIP_KEY
from simulation.events import Call, Work
from simulation.history import SLOWNESS, START, History
from simulation.plan import FIXED_SETTINGS
from simulation.small_airflow import Run

#: Whether this Airflow has a store that outlives a task's retry.
REMEMBERS = hasattr(comms, "TaskStateStoreResult")
#: The processes of tasks that go on with an action; and those that start anew, and clear their records.
CONTINUING = re.compile(r"[ .](go_on|go_on_again|watch|beside)(_\d+)?\.")
STARTING = re.compile(r"[ .](claim|go_on|go_on_again|watch|beside)(_\d+)?\.\d+$")
_ACKNOWLEDGES = ("AcknowledgeThirdPartyJob", "AcknowledgeJob")


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind.upper()}: {self.text}"


def judge(history: History) -> list[Finding]:
    """Return what is wrong."""
    return list(_Trial(history).findings())


class _Trial:
    def __init__(self, history: History) -> None:
        self.history = history
        self.runs = {run.run_id: run for run in history.server.runs.values()}
        #: Job → by whom it was claimed, as CodePipeline knows: a run, or None for the rival. If a run takes
        #: several jobs, each has instances of its own: then it is the run with their map index.
        self.owners: dict[str, str | None] = {}
        #: (run, job) of each acknowledgement that was sent.
        self.asked: set[tuple[str | None, str]] = set()
        #: (run, job) of each acknowledgement whose answer was lost.
        self.unknown: set[tuple[str | None, str]] = set()
        #: Job → the call that gave it its result.
        self.results: dict[str, Call] = {}
        self.puts: list[Call] = []
        answered = {
            (call.by, call.job_id)
            for call in history.calls
            if call.operation in _ACKNOWLEDGES and call.was_answered and call.was_carried_out
        }
        for process, jobs in history.intents.items():
            for job_id, run_id in jobs.items():
                self.asked.add((run_id, job_id))
                # The answer is lost, too, if it could not be recorded.
                if (process, job_id) not in answered or (run_id, job_id) not in history.recorded:
                    self.unknown.add((run_id, job_id))
        for call in history.calls:
            if call.job_id is None:
                continue
            if call.operation in _ACKNOWLEDGES:
                self.asked.add((call.of, call.job_id))
                if not call.was_answered and call.by != "rival":
                    self.unknown.add((call.of, call.job_id))
                if call.was_carried_out and call.status == "InProgress":
                    self.owners[call.job_id] = call.of
            elif call.operation.startswith("Put"):
                self.puts.append(call)
                if call.was_carried_out and call.outcome == "ok":
                    self.results[call.job_id] = call

    def findings(self) -> Iterator[Finding]:
        if self.history.never_ended:
            yield Finding("unended", "the history does not come to an end")
            return
        for run in self.runs.values():
            if run.state == "running":
                yield Finding("unended", f"{run.run_id} is still running")
        for call in self.puts:
            yield from self._of_put(call)
        for job_id, owner in self.owners.items():
            if owner is not None:
                yield from self._of_job(job_id, owner)
        yield from self._doubles()
        yield from self._spoils()
        for job_id in self.history.codepipeline.state.jobs:
            is_calm = not self.history.misfortunes and not self.history.plan.rival
            if job_id not in self.owners and is_calm:
                yield Finding("unclaimed", f"nobody claimed {job_id}")
        yield from self._open_next_jobs()

    def _open_next_jobs(self) -> Iterator[Finding]:
        """Yield the next jobs of our runs' actions that nobody claimed and ended."""
        for job_id, job in self.history.codepipeline.state.jobs.items():
            waiting = TaskInstanceRef.from_token(self.history.tokens.get(job_id))
            is_open = waiting is not None and not job.status.ended and job_id not in self.owners
            if is_open and not (self._user_did("clear") and self._was_cut_short(waiting)):
                yield Finding("open", f"{job_id} continues the work of {waiting}, and nobody ended it")

    def _was_cut_short(self, waiting: TaskInstanceRef) -> bool:
        """Return whether a task that was to go on with an action may have left no record of that."""
        # It was cleared, too, and its older process, held for dead, still put the token.
        index = "" if waiting.map_index < 0 else f"_{waiting.map_index}"
        died = self._was_hit(f" {waiting.task_id}{index}.", "die")
        run = self.runs.get(waiting.run_id)
        return died or (run is not None and (self._was_cleared_twice(run) or self._has_cleared_only(run)))

    def _was_cleared_twice(self, run: Run) -> bool:
        """Return whether a task that goes on with the action was cleared at work, and then again."""
        own = f"{self.history._name_of(run)} "
        outdated = any(name.startswith(own) and CONTINUING.search(name) for name in self.history.outdated)
        return outdated and sum(action.startswith("clear") for action in self.history.users_actions) > 1

    def _has_cleared_only(self, run: Run) -> bool:
        """Return whether a process cleared the records of its task, and ended before it wrote any."""
        own = f"{self.history._name_of(run)} "
        # A later try of a task that goes on with the action may have found none to write anew.
        later = (name for name in self.history.steps if CONTINUING.search(name) and not name.endswith(".1"))
        # What a try restores as it starts may come after the last look of the finishing task.
        unsaid = (
            *self.history.killed - self.history.wrote,
            *(each for each in later if each not in self.history.wrote),
        )
        ended = (
            name for name in self.history.killed if name in self.history.outdated and not name.endswith(".1")
        )
        return any(name.startswith(own) and STARTING.search(name) for name in (*unsaid, *ended))

    def _of_put(self, call: Call) -> Iterator[Finding]:
        job_id = call.job_id
        if call.by == "rival" or job_id is None:
            return
        of = call.of or self._run_of_callback(call)
        may_end_it = self._continues_an_ended_run(of, job_id)
        if (of, job_id) not in self.asked and not may_end_it:
            yield Finding("foreign", f"{call.by} put {call.operation} on {job_id}, which it never claimed")
        is_taken = self.results.get(job_id) is call
        if not is_taken:
            return
        owner = self.owners.get(job_id, "nobody")
        if owner not in (of, "nobody"):
            may_be_ours = (of, job_id) in self.unknown and self.history.way.unknown_claim != "leave"
            if not may_be_ours and not may_end_it:
                yield Finding("foreign", f"{call.by} ended {job_id}, which is {owner or 'the rival'}'s")
        run_id = run_of(of)
        if run_id in self.runs:
            yield from self._of_truth(call, self.runs[run_id], job_id)

    def _run_of_callback(self, call: Call) -> str | None:
        if "callback" not in call.by:
            return None
        number = int(call.by.split()[0].removeprefix("run"))
        return list(self.runs)[number - 1]

    def _continues_an_ended_run(self, of: str | None, job_id: str) -> bool:
        """Return whether a job continues an action of this run, or of one that has ended without it."""
        waiting = TaskInstanceRef.from_token(self.history.tokens.get(job_id))
        if of is None or waiting is None:
            return False
        its_run = self.runs.get(waiting.run_id)
        return waiting.run_id == run_of(of) or (its_run is not None and its_run.state != "running")

    def _of_truth(self, call: Call, run: Run, job_id: str) -> Iterator[Finding]:
        if call.request.get("continuationToken"):
            return
        # A process that a user has ended may do work later, which does not count.
        done = [work for work in self.history.work if work.run_id == run.run_id and work.at <= call.at]
        if self.history.way.takes_many:
            action = self.history.actions[job_id]
            done = [work for work in done if self.history.actions[work.job_id] == action]
        if "Success" in call.operation:
            # If it may have been put before, it is repeated, whatever the user does then.
            lost = [said for said in self.history.misfortunes if said.startswith(("die", "fail after"))]
            was_intended = any(
                ("_result" in said and said.endswith(" intended") and "after" in said) or ": Put" in said
                for said in lost
                if f": {self.history._name_of(run)} " in said
            ) or any(
                name.startswith(f"{self.history._name_of(run)} ")
                for name in self.history.intended & self.history.outdated.keys()
            )
            # It cannot know what a user clears and ends after it has read that the work had succeeded.
            had_judged = self.history.judged.get(call.by, call.at) < run.cut_off_at
            is_late = run.cut_off_at < call.at and not was_intended and not had_judged
            ended_at = self.history.outdated.get(call.by)
            is_outdated = ended_at is not None and call.at <= ended_at + SLOWNESS
            cut_off = [task_id for task_id in run.cut_off if not self._skipped_itself(run, task_id)]
            if cut_off and is_late and not is_outdated and not self.history.way.takes_many:
                names = ", ".join(cut_off)
                yield Finding("false", f"{job_id} succeeded, although a user ended {names} before")
            # What a process does that a user has ended says nothing of the work of the next try.
            ended = [work for work in done if work.what != "begin" and not self._failed_in_vain(work)]
            last = {work.task: work.what for work in ended}
            if self._is_said_to_be_done():
                return
            if "end" not in last.values():
                yield Finding("false", f"{job_id} succeeded, and its work was not done")
            elif "fail" in last.values():
                yield Finding("false", f"{job_id} succeeded, and its work failed")
        elif not self.history.misfortunes and self._would_succeed():
            yield Finding("false", f"{job_id} failed, and nothing went wrong")
        elif self._was_own_skip_lost() or self._has_failed_put(run):
            return
        elif self._is_well(run, job_id) and not self._user_did("clear", "time", "mark"):
            yield Finding("false", f"{job_id} failed, although all its work succeeded")

    def _failed_in_vain(self, work: Work) -> bool:
        """Return whether a process failed after a user had ended it."""
        return work.what == "fail" and work.at > self.history.outdated.get(work.by, work.at)

    def _skipped_itself(self, run: Run, task_id: str) -> bool:
        """Return whether a task skipped itself in a try that a user has cleared; its record says so still."""
        return any(SKIP_KEY in self.history.server.xcoms.get(each.key, {}) for each in run.of_task(task_id))

    def _is_said_to_be_done(self) -> bool:
        """Return whether a user said that the work is done: that of a sensor's, or all."""
        return any(said.endswith(" as a success") for said in self.history.misfortunes)

    def _was_own_skip_lost(self) -> bool:
        """Return whether a task died after it was skipped, and before it could say that it skipped itself."""
        lost = ("codepipeline_skip", ": is skipped")
        return any(said.endswith(lost[1]) or lost[0] in said for said in self.history.misfortunes)

    def _has_failed_put(self, run: Run) -> bool:
        """Return whether a task that was to put the result before the finishing task failed for good."""
        puts = (each for each in run.instances.values() if getattr(each.task, "ends_job", False))
        is_hit = any(self._was_hit(" put.", how) for how in ("die", "fail", "hang"))
        failed = any(each.state == "failed" and "Finish" not in type(each.task).__name__ for each in puts)
        return is_hit and failed

    def _user_did(self, *kinds: str) -> bool:
        """Return whether a user did something of these kinds."""
        return any(action.startswith(kinds) for action in self.history.users_actions)

    def _was_hit(self, process: str, how: str) -> bool:
        """Return whether a misfortune of a kind hit a process whose name holds a text."""
        return any(said.startswith(how) and process in said for said in self.history.misfortunes)

    def _would_succeed(self) -> bool:
        work = self.history.plan.work
        way = self.history.plan.way
        # Before Airflow 3.3, a lone function is not tried again.
        is_retried = way != "no_retries" and (REMEMBERS or not way.startswith("function"))
        return work == "ok" or (work == "stumble" and is_retried)

    def _is_well(self, run: Run, job_id: str) -> bool:
        """Return whether all tasks but the reporting ones succeeded."""
        others = [each for each in self._instances(run, job_id) if not _reports(each.task)]
        return bool(others) and all(each.state in ("success", "skipped") for each in others)

    def _instances(self, run: Run, job_id: str) -> list[object]:
        """Return the instances that worked for a job; all of the run, if it takes one only."""
        result = self.results[job_id]
        return [
            each
            for each in run.instances.values()
            if not self.history.way.takes_many or each.side == result.of
        ]

    def _of_job(self, job_id: str, owner: str) -> Iterator[Finding]:
        """Yield what is wrong with a job that a run of ours claimed for certain."""
        run = self.runs[str(run_of(owner))]
        job = self.history.codepipeline.state.jobs.get(job_id)
        result = self.results.get(job_id)
        is_unknown = (owner, job_id) in self.unknown or not self._is_certain(run, job_id)
        leaves = is_unknown and self.history.way.unknown_claim == "leave"
        if result is None:
            is_open = job is not None and not job.status.ended
            if is_open and not leaves and not self._is_excused(run, job_id):
                yield Finding("lost", f"{job_id} was claimed by {run.run_id} and has no result")
            is_known = is_open or self._is_end_known(job_id, owner)
            is_said = not self.history.way.has_finish and self._is_said_to_be_done()
            # Before Airflow 3.3, a claim forgets its earlier tries if a user clears what is beside it.
            is_said = is_said or self._is_cleared_alone(run) or (not REMEMBERS and self._user_did("clear"))
            if run.state == "success" and not leaves and is_known and not is_said:
                yield Finding("green", f"{run.run_id} is green, and {job_id} has no result")
            return
        yield from self._work_again(job_id, run, result)
        if result.by == "rival" or run_of(result.of or self._run_of_callback(result)) != run.run_id:
            return
        if result.request.get("continuationToken"):
            return
        is_success = "Success" in result.operation
        # A process that a user has ended may still put a result, whose record the clear then removes.
        is_said = (
            result.by in self.history.outdated
            or self._is_cleared_alone(run)
            # Before Airflow 3.3, whatever had failed is a success then.
            or "user: marks the run as a success" in self.history.misfortunes
            # Nothing records what the callback of a run that timed out put.
            or ("callback" in result.by and not self._is_end_known(job_id, owner))
        )
        if not is_success and run.state == "success" and not is_said:
            yield Finding("green", f"{run.run_id} is green, and {job_id} failed")
        if is_success and run.state == "failed" and self._is_red_for_the_result(run, job_id):
            yield Finding("red", f"{run.run_id} is red, although {job_id} succeeded")

    def _is_certain(self, run: Run, job_id: str) -> bool:
        """Return whether a record that no clear of another task removes says that the job is the run's."""
        found = (
            value
            for each in run.instances.values()
            for key, value in self.history.server.xcoms.get(each.key, {}).items()
            if key == CLAIM_KEY and isinstance(value, dict)
        )
        return any(value.get("job_id") == job_id and value.get("state") == "claimed" for value in found)

    def _is_end_known(self, job_id: str, owner: str) -> bool:
        """Return whether the run that claimed a job could know that the job ended without its result."""
        by = {*(call.by for call in self.puts if call.job_id == job_id), *self.history.intended}
        putting = {name.split(".")[0] for name in by}
        hit = (*self.history.misfortunes, *self.history.killed, *self.history.outdated)
        was_put_hit = any(f"{task}." in said for task in putting for said in hit)
        said_so = any(
            call.of == owner and call.job_id == job_id and call.status in ("Failed", "TimedOut", "Succeeded")
            for call in self.history.calls
            if not any(f"{call.by}:" in f"{said}:" for said in hit)
        )
        return said_so or not was_put_hit

    def _is_cleared_alone(self, run: Run) -> bool:
        """Return whether a user began a run anew without its last tasks, so that none of them has a say."""
        return "clear alone" in self.history.users_actions and bool(run.clear_number)

    def _work_again(self, job_id: str, run: Run, result: Call) -> Iterator[Finding]:
        # Nothing else: what a user has ended may go on for a moment.
        was_claim_cleared = set(self.history.users_actions) == {"clear claim"}
        if not run.clear_number or not was_claim_cleared or run.started_at < result.at:
            return
        for work in self.history.work:
            is_its = work.run_id == run.run_id and work.what == "begin"
            if is_its and work.job_id == job_id and work.at > run.started_at:
                yield Finding("again", f"{work.task} of {run.run_id} worked for {job_id}, which had ended")

    def _is_red_for_the_result(self, run: Run, job_id: str) -> bool:
        if self._user_did("clear", "mark", "time", "abandon") or self.history.way.takes_many:
            return False
        if (self.owners.get(job_id), job_id) in self.unknown and any(
            said.startswith(("lose", "die", "fail")) and ("Put" in said or "_result" in said)
            for said in self.history.misfortunes
        ):
            # Nobody knows whose the job was, and the answer to its result was lost, too.
            return False
        return self._is_well(run, job_id) and not self._has_failed_put(run)

    def _is_excused(self, run: Run, job_id: str) -> bool:
        """Return whether the only one that could still have ended the job was killed."""
        cut = [said for said in self.history.misfortunes if said.startswith(("die", "fail"))]
        for call in self.history.calls:
            ended_at = self.history.outdated.get(call.by, run.ended_at)
            certain_at = self.history.recorded.get((call.of or "", job_id), call.at)
            known_at = certain_at if self.history.way.unknown_claim == "leave" else call.at
            was_late = ended_at is not None and known_at > ended_at
            is_its_claim = call.job_id == job_id and call.operation in _ACKNOWLEDGES
            was_killed = call.by in self.history.killed or any(f" {call.by}: " in said for said in cut)
            if is_its_claim and was_late and was_killed:
                # It claimed after Airflow had ended it, so only itself knew of it. With "leave", what it had
                # not recorded by then counts for nobody.
                return True
        if any("callback" in said for said in self.history.misfortunes):
            # It has half a minute, and nothing comes after it.
            return True
        if self._user_did("clear") and (
            any(re.search(r"[ .]claim(_\d+)?\.", said) for said in cut)
            or self._has_cleared_only(run)
            or self._was_cleared_twice(run)
        ):
            # Airflow has cleared all that the earlier tries had written where others can read it.
            return True
        if not REMEMBERS and self._user_did("clear"):
            # Before Airflow 3.3, a cleared claim may know nothing of its earlier tries.
            return True
        unsaid = (name for name in self.history.outdated if name not in self.history.wrote)
        hit = (*cut, *self.history.killed, *unsaid)
        if self.history.plan.way.startswith("function") and any(" function." in said for said in hit):
            # No task stands beside it. Its last try may have ended before it could write its claim anew, or
            # the one before, and then a user ended the run.
            return True
        if not REMEMBERS and any(re.search(r" function\.[2-9]", name) for name in self.history.outdated):
            # Before Airflow 3.3, the one task beside it is the finishing one, which clears the copy when it
            # starts. A user has ended a retry that had not written its claim anew.
            return True
        if not self.history.way.has_finish:
            # Its last try died, and nothing else ends the job: CodePipeline does.
            return bool(self.history.misfortunes)
        return False

    def _spoils(self) -> Iterator[Finding]:
        """Yield what one misfortune spoiled, although Airflow tries each task again."""
        history = self.history
        if len(history.misfortunes) != 1 or history.users_actions or history.plan.rival:
            return
        way = history.plan.way
        forgets = not REMEMBERS and way.startswith("function")
        # Each task of the other ways is tried again.
        if history.plan.work != "ok" or way in ("no_retries", "timed", "many") or forgets:
            return
        # If Airflow takes longer than a job has, that is no fault of a task's.
        is_late = history.now >= START + FIXED_SETTINGS["job_timeout"]
        if is_late or history.way.unknown_claim == "leave" or self._was_own_skip_lost():
            return
        what = history.misfortunes[0]
        for run in self.runs.values():
            # It may have worked in vain for a job of which it could not know whose it was.
            is_unknown = any(run_of(of) == run.run_id for of, _ in self.unknown)
            if run.state == "failed" and not is_unknown and not self._came_too_late(run):
                yield Finding("spoiled", f"{run.run_id} failed after one misfortune: {what}")
        for job_id, result in self.results.items():
            if "Failure" in result.operation:
                yield Finding("spoiled", f"{job_id} failed after one misfortune: {what}")

    def _came_too_late(self, run: Run) -> bool:
        """Return whether CodePipeline had forgotten the job of another run when its claim was tried again."""
        theirs = {job_id for job_id, result in self.results.items() if run_of(result.of) != run.run_id}
        return any(
            call.outcome == "JobNotFoundException" and call.job_id in theirs and run_of(call.of) == run.run_id
            for call in self.history.calls
        )

    def _doubles(self) -> Iterator[Finding]:
        by_job: dict[str, set[str]] = {}
        for work in self.history.work:
            # A look at work elsewhere is no work.
            if work.what == "begin" and work.task not in ("watch", "beside"):
                by_job.setdefault(work.job_id, set()).add(work.of)
        for job_id, runs in by_job.items():
            sure = {of for of in runs if (of, job_id) not in self.unknown}
            if len(sure) > 1:
                yield Finding("doubled", f"{job_id} was worked on by {', '.join(sorted(sure))}")
        for job_id, runs in by_job.items():
            for of in runs:
                is_rivals = self.owners.get(job_id, "") is None
                if is_rivals and (of, job_id) not in self.unknown:
                    yield Finding("foreign", f"{of} worked on {job_id}, which is the rival's")


def run_of(of: str | None) -> str | None:
    """Return the id of the run of what claims, works or puts."""
    return None if of is None else of.split("[")[0]


def _reports(task: object) -> bool:
    kind = getattr(task, "operator_class", None) or type(task)
    return bool(getattr(kind, "ends_job", False)) or "Finish" in kind.__name__
