# SPDX-License-Identifier: Apache-2.0
"""
Run the chaos suite: a real Airflow on Celery, PostgreSQL and Redis is hurt while it works on jobs.

Exit codes: 0 all is well; 1 something was found, or Airflow broke; 3 a service is missing (with CI=true that
is 1).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.emulator.ledger import Ledger
from airflow_codepipeline_partner.emulator.settings import Settings
from demo.local_airflow import LocalAirflow
from demo.processes import adopt_orphans, tail_of
from demo.rest_api import AirflowFailed
from demo.run import Interrupted, Narrator
from tests.chaos.cluster import SOON_NOTICED, make_airflow, make_second_airflow
from tests.chaos.evidence import Evidence, Run
from tests.chaos.kinds import KINDS
from tests.chaos.metadata import Metadata, job_of_run
from tests.chaos.monkey import Monkey
from tests.chaos.partner import Partner
from tests.chaos.plan import Plan, make_plan
from tests.chaos.rival import Rival
from tests.chaos.services import Services, ServicesMissing
from tests.chaos.verdict import Verdict, job_ids, judge
from tests.chaos.work_log import read

#: CodePipeline, quicker to offer a job again than usual.
SETTINGS = Settings(lease_seconds=15, continuation_delay=3, job_timeout=900, action_timeout=7200)
#: Kind of fault, its chance at each call, its parameters.
FAULTS: tuple[tuple[str, float, dict[str, Any]], ...] = (
    ("throttle", 0.2, {}),
    ("server_error", 0.05, {"status": 503}),
    ("drop_request", 0.02, {}),
    ("drop_response", 0.05, {}),
    ("slow", 0.05, {"seconds": 3}),
)
_RACED_CALLS = (
    "GetThirdPartyJobDetails",
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
    "GetJobDetails",
    "PutJobSuccessResult",
    "PutJobFailureResult",
)
_ACKNOWLEDGES = ("AcknowledgeThirdPartyJob", "AcknowledgeJob")
#: Without an end of any job for so long, those that are open are given up. The fifth event for a job that
#: nobody won is followed by the next after 480 s.
STALLED_SECONDS = 600
#: For what comes after the last result: runs that are still to end, and might do harm.
SETTLING_SECONDS = 120
#: For the second Airflow, from healthy until its triggerer polls for all its kinds.
POLLING_SECONDS = 180
_PROGRESS_SECONDS = 15
_MISSING = 3


class Stage(NamedTuple):
    """All that takes part."""

    emulator: Emulator
    airflow: LocalAirflow
    services: Services
    metadata: Metadata
    partner: Partner
    monkey: Monkey
    narrator: Narrator
    at_once: int
    second: tuple[LocalAirflow, Metadata] | None = None

    @property
    def airflows(self) -> list[tuple[str, LocalAirflow, Metadata]]:
        """All Airflows: the name, as the evidence has it, and where it is."""
        first = ("", self.airflow, self.metadata)
        return [first] if self.second is None else [first, ("second", *self.second)]


def main() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=12, help="jobs that are open at the same time")
    parser.add_argument("--rival-jobs", type=int, default=20, help="of the run with a second worker; 0: none")
    parser.add_argument(
        "--shared-jobs", type=int, default=0, help="of a run with a second Airflow, for instance 8"
    )
    parser.add_argument("--kind", choices=sorted(KINDS), help="all jobs of the mix are of this kind")
    parser.add_argument("--triggerers", type=int, default=2)
    parser.add_argument("--no-faults", action="store_true", help="of CodePipeline, in the mix")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep what Airflow wrote")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("AWS_", "BOTO_"))]:
        # Of the user's own, and not for our clients.
        del os.environ[name]
    adopt_orphans()
    narrator = Narrator()
    home = Path(tempfile.mkdtemp(prefix="codepipeline-chaos-"))
    exit_code = 1
    try:
        exit_code = _run(home, narrator, arguments)
    except ServicesMissing as missing:
        in_ci = os.environ.get("CI") == "true"
        print(f"\n{missing}\n{_HOW_TO_START}\nNothing was tried.", file=sys.stderr, flush=True)
        exit_code = 1 if in_ci else _MISSING
        shutil.rmtree(home, ignore_errors=True)
        return exit_code
    except Interrupted:
        narrator.say(f"Stopped by {signal.Signals(narrator.signal or 0).name}.")
        exit_code = 128 + (narrator.signal or 0)
    except AirflowFailed as failure:
        narrator.say(f"FAILED: {failure}")
        if failure.log is not None:
            print(f"\nThe end of {failure.log}:\n{tail_of(failure.log)}\n", flush=True)
    except Exception:
        print(f"What Airflow wrote is kept in {home}", file=sys.stderr, flush=True)
        raise
    if exit_code == 1 or arguments.keep:
        narrator.say(f"What Airflow wrote is kept in {home}")
    else:
        shutil.rmtree(home, ignore_errors=True)
    return exit_code


_HOW_TO_START = (
    "The chaos suite needs PostgreSQL (user postgres, no password) and Redis on their standard local ports.\n"
    "To start both in containers: docker compose up --detach --wait"
)


def _run(home: Path, narrator: Narrator, arguments: argparse.Namespace) -> int:
    version = importlib.metadata.version("apache-airflow")
    with Services() as services, Emulator(settings=SETTINGS) as emulator:
        airflow = make_airflow(home, services, emulator.url, narrator.wait, triggerers=arguments.triggerers)
        partner = Partner(emulator, airflow)
        metadata = Metadata(services)
        monkey = Monkey(airflow, services, metadata, partner, narrator.say)
        narrator.begin(
            f"starting Airflow {version} with Celery, triggerers: {arguments.triggerers}, in {home}"
        )
        with airflow:
            partner.add_customers()
            stage = Stage(emulator, airflow, services, metadata, partner, monkey, narrator, arguments.at_once)
            kinds = [arguments.kind] if arguments.kind else []
            plan = make_plan(arguments.seed, arguments.jobs, arguments.kills, kinds=kinds)
            narrator.begin(f"the mix, seed {arguments.seed}: {len(plan.jobs)} jobs, {len(plan.blows)} blows")
            for number, (kind, probability, parameters) in enumerate(() if arguments.no_faults else FAULTS):
                seed = arguments.seed + number
                emulator.inject(kind, times=None, probability=probability, seed=seed, **parameters)
            findings = _show("The mix", arguments.seed, judge(_play(stage, plan)))
            emulator.clear_faults()
            if arguments.rival_jobs:
                findings += _run_race(stage, arguments.seed, arguments.rival_jobs)
            if arguments.shared_jobs:
                findings += _run_shared(stage, arguments.seed, arguments.shared_jobs)
            for revival in airflow.revivals:
                print(f"By itself, and started again: {revival}.")
            narrator.begin("stopping everything")
    print("Deaths are noticed soon, by these settings of Airflow:")
    print(", ".join(f"{name.lower().replace('__', '.')}={value}" for name, value in SOON_NOTICED.items()))
    narrator.say(f"{findings} findings" if findings else "All is well.")
    return 1 if findings else 0


def _run_race(stage: Stage, seed: int, jobs: int) -> int:
    """Race against a rival; return how much was found."""
    kinds = [kind.name for kind in KINDS.values() if kind.races]
    plan = make_plan(seed, jobs, 0, kinds=kinds)
    stage.narrator.begin(f"the race, seed {seed}: {jobs} jobs, and a rival")
    with contextlib.ExitStack() as racing:
        rivals = [
            racing.enter_context(
                Rival(stage.emulator.url, KINDS[kind].action_type, stage.partner.token_of, seed)
            )
            for kind in kinds
        ]
        return _show("The race", seed, judge(_race(stage, plan, seed, rivals)))


def _run_shared(stage: Stage, seed: int, jobs: int) -> int:
    """Share jobs with a second Airflow; return how much was found."""
    kinds = [kind.name for kind in KINDS.values() if kind.shared]
    plan = make_plan(seed, jobs, 0, kinds=kinds)
    stage.narrator.begin("starting a second Airflow, with LocalExecutor")
    with _second_airflow(stage, kinds) as second:
        stage.narrator.begin(f"the sharing, seed {seed}: {jobs} jobs, and two Airflows")
        stage = stage._replace(second=second)
        # The first is quicker, and would leave nothing. So it is paused to begin with.
        half = len(plan.jobs) // 2
        _pause(stage.airflow, kinds, True)
        alone = _race(stage, Plan(plan.jobs[:half]), seed)
        _pause(stage.airflow, kinds, False)
        both = _race(stage, Plan(plan.jobs[half:]), seed)
        return _show("The sharing", seed, judge(alone.followed_by(both)))


def _pause(airflow: LocalAirflow, kinds: Iterable[str], is_paused: bool) -> None:
    """Have an Airflow begin no further jobs of some kinds, or begin them again."""
    for kind in kinds:
        airflow.api.call("PATCH", f"/dags/{KINDS[kind].watch_dag_id}", {"is_paused": is_paused})


@contextlib.contextmanager
def _second_airflow(stage: Stage, kinds: list[str]) -> Iterator[tuple[LocalAirflow, Metadata]]:
    """Run a second Airflow, from when it polls for jobs."""
    home = stage.airflow.home / "second"
    with (
        Services() as services,
        make_second_airflow(home, services, stage.emulator.url, stage.narrator.wait, kinds) as airflow,
    ):
        stage.partner.introduce(airflow)
        metadata = Metadata(services, "second")
        what = "a second Airflow that polls"
        airflow.wait_for(lambda: metadata.polls() >= len(kinds), what, POLLING_SECONDS)
        yield airflow, metadata


def _race(stage: Stage, plan: Plan, seed: int, rivals: Iterable[Rival] = ()) -> Evidence:
    """Play a plan if somebody else polls too, with no acknowledge whose answer is lost."""
    emulator = stage.emulator
    for number, (kind, probability, parameters) in enumerate(FAULTS):
        for operation in (*_RACED_CALLS, *(() if kind == "drop_response" else _ACKNOWLEDGES)):
            emulator.inject(
                kind, operation, times=None, probability=probability, seed=seed + number, **parameters
            )
    # So that both are offered the same jobs at the same time, and a custom job with the same nonce.
    emulator.inject("duplicate", times=None, probability=0.5, seed=seed)
    emulator.configure(nonce_on_redelivery="same")
    evidence = _play(stage, plan, rivals)
    emulator.clear_faults()
    emulator.configure(nonce_on_redelivery=SETTINGS.nonce_on_redelivery)
    return evidence


def _play(stage: Stage, plan: Plan, rivals: Iterable[Rival] = ()) -> Evidence:
    """Start the jobs of a plan, strike its blows, wait for the end, and return what was seen."""
    first = len(stage.emulator.ledger)
    strikes_before = len(stage.monkey.strikes)
    stage.monkey.plan(plan.blows)
    waiting = list(plan.jobs)
    ended: set[str] = set()
    moved_at = told_at = time.monotonic()
    while len(ended) < len(plan.jobs) or stage.monkey.is_mending:
        found = stage.partner.ended(plan.jobs)
        now = time.monotonic()
        if len(found) > len(ended) or len(found) == len(plan.jobs):
            # Of the jobs, or what is left is to mend something.
            moved_at = now
        ended = found
        while waiting and len(plan.jobs) - len(waiting) - len(ended) < stage.at_once:
            stage.partner.start(waiting.pop(0))
        stage.monkey.tick(len(ended))
        for _, airflow, _ in stage.airflows:
            airflow.check_alive()
        if stage.narrator.signal is not None:
            raise Interrupted
        if now - told_at >= _PROGRESS_SECONDS:
            told_at = now
            stage.narrator.say(f"{len(ended)} of {len(plan.jobs)} jobs ended, {len(waiting)} to be started")
        if now - moved_at >= STALLED_SECONDS:
            stage.narrator.say(f"no job ended for {STALLED_SECONDS} s; what is open is given up:")
            for line in stage.partner.open_jobs():
                print(f"  {line}", flush=True)
            for name, _, metadata in stage.airflows:
                for line in metadata.unfinished_tasks():
                    print(f"  {name} {line}", flush=True)
            break
        time.sleep(0.5)
    _settle(stage)
    names = {job.name for job in plan.jobs}
    ledger = Ledger(
        entry
        for entry in stage.emulator.ledger
        if entry.number > first and (entry.pipeline_name in names or entry.pipeline_name is None)
    )
    jobs = set(job_ids(ledger))
    return Evidence(
        jobs=plan.jobs,
        ledger=ledger,
        work=[
            entry
            for name, airflow, _ in stage.airflows
            for entry in read(airflow.home, name)
            if entry.job_id in jobs
        ],
        claims=[
            claim for *_, metadata in stage.airflows for claim in metadata.claims() if claim.job_id in jobs
        ],
        runs=[
            run
            for *_, metadata in stage.airflows
            for run in metadata.runs()
            if job_of_run(run.run_id) in jobs
        ],
        strikes=stage.monkey.strikes[strikes_before:],
        not_struck=stage.monkey.not_struck,
        rivals_jobs=frozenset(job_id for rival in rivals for job_id in rival.claimed),
    )


def _settle(stage: Stage) -> None:
    """Wait until no run is left that could still do something."""

    def living_runs() -> list[Run]:
        return [run for *_, metadata in stage.airflows for run in metadata.living_runs()]

    with contextlib.suppress(TimeoutError):
        stage.airflow.wait_for(lambda: not living_runs(), "the end of all runs", SETTLING_SECONDS)
    for run in living_runs():
        stage.narrator.say(f"still {run.state}: {run.airflow} {run.dag_id} {run.run_id}")


def _show(name: str, seed: int, verdict: Verdict) -> int:
    """Print a verdict at once, since what comes after may be stopped; return how much was found."""
    title = f"{name}, Airflow {importlib.metadata.version('apache-airflow')}, seed {seed}"
    print(f"\n{title}\n\n| figure | value |\n|---|---|")
    for name, value in verdict.figures:
        print(f"| {name} | {value} |")
    print()
    for line in (*verdict.notes, *verdict.findings):
        print(line)
    print(flush=True)
    return len(verdict.findings)


if __name__ == "__main__":
    sys.exit(main())
