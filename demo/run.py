# SPDX-License-Identifier: Apache-2.0
"""Run the demo: an emulated CodePipeline, a real Airflow, and one of the stories."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from demo.local_airflow import COMPONENTS, USER, LocalAirflow
from demo.processes import adopt_orphans, tail_of
from demo.rest_api import AirflowFailed

ROOT = Path(__file__).resolve().parent.parent
_SILENT_SECONDS = 4
# Somebody waits.
_QUICK = {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1"}
_PRELOADED = "airflow_codepipeline_partner.hooks"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked this process to end."""


class Narrator:
    """Print progress with the seconds since the start, and stop at a signal where that does no harm."""

    def __init__(self) -> None:
        self._started = self._spoke = time.monotonic()
        self._doing = ""
        self.signal: int | None = None
        for number in _SIGNALS:
            # Only noted here: an exception could lose the number of a process that is just being started.
            signal.signal(number, self._note)

    def say(self, text: str) -> None:
        """Print something that happened."""
        self._spoke = time.monotonic()
        print(f"[{self.seconds:5.1f} s] {text}" if text else "", flush=True)

    def begin(self, doing: str) -> None:
        """Print what is being done now; the text before a colon or comma is repeated while it lasts."""
        self._doing = re.split("[:,] ", doing)[0]
        self.say(doing)

    def wait(self) -> None:
        """Be called while waiting: print that it goes on, and end it if a signal came."""
        if self.signal is not None:
            raise Interrupted
        if time.monotonic() - self._spoke > _SILENT_SECONDS:
            self.say(f"… still {self._doing}")

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def _note(self, number: int, frame: object) -> None:
        self.signal = number


def main() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ui", action="store_true", help="leave Airflow's UI open until Ctrl-C")
    parser.add_argument(
        "--check-secrets",
        action="store_true",
        help="let jobs fail as well, and search all that Airflow wrote for the secrets of all jobs",
    )
    parser.add_argument(
        "--story", choices=("job", "step", "start"), default="job", help="a job, a DAG as a step, or a start"
    )
    parser.add_argument(
        "--action", choices=("partner", "custom"), default="partner", help="whose action a job is of"
    )
    parser.add_argument("--keep", action="store_true", help="keep what Airflow wrote")
    arguments = parser.parse_args()
    if arguments.ui and arguments.check_secrets:
        parser.error("either --ui or --check-secrets")
    _forget_the_users_aws()
    adopt_orphans()
    narrator = Narrator()
    home = Path(tempfile.mkdtemp(prefix="codepipeline-demo-"))
    exit_code = 1
    try:
        exit_code = _run(home, narrator, arguments=arguments)
    except Interrupted:
        narrator.say(f"Stopped by {signal.Signals(narrator.signal or 0).name}.")
        exit_code = 128 + (narrator.signal or 0)
    except AirflowFailed as failure:
        narrator.say(f"FAILED: {failure}")
        log = failure.log or _log_that_matters(home)
        if log is not None:
            print(f"\nThe end of {log}:\n{tail_of(log)}\n", flush=True)
    if exit_code in (1, 2) or arguments.keep:
        narrator.say(f"What Airflow wrote is kept in {home}")
    else:
        shutil.rmtree(home, ignore_errors=True)
    return exit_code


def _run(home: Path, narrator: Narrator, *, arguments: argparse.Namespace) -> int:
    from airflow_codepipeline_partner.emulator import Emulator
    from demo.job_story import WAYS, JobStory
    from demo.secret_check import SecretCheck, let_jobs_fail
    from demo.start_story import StartStory
    from demo.step_story import StepStory
    from demo.story import Story, copy_dags

    airflow = LocalAirflow(
        home / "airflow", home / "dags", environment=_QUICK, preloaded=[_PRELOADED], on_wait=narrator.wait
    )
    with Emulator() as emulator:
        stories: dict[str, Callable[[], Story]] = {
            "job": lambda: JobStory(emulator, airflow, narrator, WAYS[arguments.action]),
            "step": lambda: StepStory(emulator, airflow, narrator),
            "start": lambda: StartStory(emulator, airflow, narrator),
        }
        story = stories[arguments.story]()
        copy_dags(ROOT / "example_dags", home / "dags", story.examples)
        check = SecretCheck(story) if arguments.check_secrets else None
        try:
            _start(airflow, narrator)
            narrator.say(f"Airflow is healthy, at {airflow.url}; CodePipeline and S3 are at {emulator.url}")
            story.tell()
            narrator.say(f"All went as it should, {narrator.seconds:.0f} s after the start of the demo.")
            if check and isinstance(story, JobStory):
                narrator.begin("letting jobs fail, for the search for secrets")
                let_jobs_fail(story)
            if arguments.ui:
                _leave_open(airflow, emulator.url, story.pipeline_name, narrator)
        finally:
            narrator.begin("stopping everything")
            airflow.stop()
        if check:
            hits = check.search(home)
            for hit in hits:
                narrator.say(f"SECRET FOUND: {hit.kind} in {hit.place}")
            if hits:
                return 2
            narrator.say("no secret was found")
    narrator.say("everything is stopped")
    return 0


def _start(airflow: LocalAirflow, narrator: Narrator) -> None:
    version = importlib.metadata.version("apache-airflow")
    narrator.begin(f"making the database of Airflow {version}")
    airflow.migrate()
    narrator.begin(f"starting Airflow {version}: {', '.join(COMPONENTS)}")
    airflow.start_components()
    airflow.wait_until_healthy()


def _leave_open(airflow: LocalAirflow, endpoint: str, pipeline_name: str, narrator: Narrator) -> None:
    print(
        f"""
Airflow's UI:  {airflow.url}
  user:        {USER}
  password:    {airflow.password}

For another job, in another terminal:
  {sys.executable} -m airflow_codepipeline_partner.emulator start-execution --url {endpoint} {pipeline_name}

Ctrl-C ends it all.""",
        flush=True,
    )
    while narrator.signal is None:
        airflow.check_alive()
        time.sleep(0.2)


def _log_that_matters(home: Path) -> Path | None:
    """Return the newest log in which something failed."""
    logs = sorted(home.rglob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    tasks_first = sorted(logs, key=lambda path: "component-logs" in path.parts)
    for log in tasks_first:
        text = log.read_text(errors="replace").lower()
        if "traceback" in text or '"level":"error"' in text or "[error" in text:
            return log
    return None


def _forget_the_users_aws() -> None:
    """Keep the user's AWS profile, endpoints and proxy away from this process's own client."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "BOTO_"))]:
        del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


if __name__ == "__main__":
    sys.exit(main())
