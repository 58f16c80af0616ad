# SPDX-License-Identifier: Apache-2.0
"""The tutorial works, from its first block to its last, with a real Airflow."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from importlib.metadata import version

import pytest

from demo.local_airflow import free_port
from tests.docs.pages import PATH, blocks, blocks_of

PAGE = "docs/tutorial.md"
SETTINGS, SERVE, CREATE, UNPAUSE, STANDALONE, RUN, STATE, FAIL, PARTNER = blocks_of(PAGE, "bash")
BUILD, PARTNERS_DAG = blocks_of(PAGE, "python")
SECONDS = 240
# The one that the reader installs.
[VERSION] = re.findall(r"\.venv/([\d.]+)/", SETTINGS)


@pytest.fixture
def terminal(tmp_path):
    """Return a function that runs a block in a terminal of its own, maybe in the background."""
    emulator, airflow = free_port(), free_port()
    started = []
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))
    }
    environment |= {
        "PATH": PATH,
        "HOME": str(tmp_path),
        "AIRFLOW__API__PORT": str(airflow),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{airflow}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{airflow}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }

    def run(block, background=False):
        settings = "" if "source settings.sh" in block else "source settings.sh\n"
        process = subprocess.Popen(
            ["bash", "-ec", (settings + block).replace("8123", str(emulator))],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL if background else subprocess.PIPE,
            stderr=subprocess.DEVNULL if background else subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if background:
            started.append(process)
            return ""
        printed, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, printed
        return printed

    # The reader's environment is made by make; here it is this one.
    own = SETTINGS.replace(f"source ../.venv/{VERSION}/bin/activate\n", "").replace("8123", str(emulator))
    (tmp_path / "settings.sh").write_text(own)
    yield run
    for process in started:
        for each in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, each)
                process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass


def ended(terminal, pipeline):
    """Return the action's state once its execution has ended."""
    deadline = time.monotonic() + SECONDS
    while True:
        state = json.loads(terminal(STATE.replace("shop", pipeline)))
        action = state["stageStates"][1]["actionStates"][0].get("latestExecution", {})
        if action.get("status") in ("Succeeded", "Failed"):
            return action
        assert time.monotonic() < deadline, state
        time.sleep(1)


def test_every_block_is_run_here():
    kinds = [language for language, _ in blocks(PAGE)]
    assert (kinds.count("yaml"), kinds.count("json"), len(kinds)) == (1, 2, 9 + 2 + 1 + 2)


@pytest.mark.system
@pytest.mark.skipif(version("apache-airflow") != VERSION, reason="it is written for the newest Airflow")
def test_the_tutorial_works_from_beginning_to_end(terminal, tmp_path):
    (tmp_path / "action-type.yaml").write_text(blocks_of(PAGE, "yaml")[0])
    dags = tmp_path / "airflow" / "dags"
    dags.mkdir(parents=True)
    terminal(SERVE, background=True)
    terminal(
        "until python -m airflow_codepipeline_partner.emulator clock >/dev/null 2>&1; do sleep 0.2; done"
    )
    assert "codepipeline:PollForJobs" in terminal(CREATE)
    (dags / "build.py").write_text(BUILD)
    terminal(UNPAUSE)
    terminal(STANDALONE, background=True)
    succeeded, failed = map(json.loads, blocks_of(PAGE, "json"))
    terminal(RUN)
    assert succeeded.items() <= ended(terminal, "shop").items()
    terminal(FAIL)
    assert failed.items() <= ended(terminal, "lost").items()
    (dags / "partner.py").write_text(PARTNERS_DAG)
    terminal(PARTNER)
    assert ended(terminal, "market")["summary"] == "Built market."
