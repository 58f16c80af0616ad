# SPDX-License-Identifier: Apache-2.0
"""How a program is run with what is installed alone: far from the checkout, and with nothing left behind."""

from __future__ import annotations

import contextlib
import sys

import psutil
import pytest
from support import REPO

from release.installed import run_alone

LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
"""


def test_it_says_what_holds_and_not_what_is_logged(tmp_path, capsys):
    run_alone([sys.executable, "-c", "print('a log line'); print('    it holds')"], tmp_path)
    assert capsys.readouterr().out == "    it holds\n"


def test_a_failure_shows_all_that_was_said(tmp_path):
    program = "import sys; print('a log line'); sys.exit('an error')"
    with pytest.raises(RuntimeError, match=r"(?s)a log line.*failed with exit code 1"):
        run_alone([sys.executable, "-c", program], tmp_path)


def test_what_is_left_running_is_found_and_ended(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)left running:.*time\.sleep\(600\)"):
        run_alone([sys.executable, "-c", LEAVES_A_CHILD], tmp_path)
    child = int((tmp_path / "child").read_text())
    # It ends in its own time, and stays a zombie where init takes none.
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
            pass


def test_it_knows_nothing_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    program = f"import os; assert {str(REPO)!r} not in str(os.environ); assert len(os.environ) < 9"
    run_alone([sys.executable, "-I", "-c", program], tmp_path)
