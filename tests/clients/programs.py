# SPDX-License-Identifier: Apache-2.0
"""Programs of other makers: where they are, and how they are run without the user's own settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VENV = HERE.parents[1] / ".venv"
_OF_THE_USER = re.compile("^AWS_|_PROXY$", re.IGNORECASE)


def environment(**more):
    """Return the process's environment with neither the user's AWS profile nor a proxy."""
    others = {name: os.environ[name] for name in os.environ if not _OF_THE_USER.search(name)}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return others | nothing | more


def run(*command, check=True, timeout=120, cwd=None, **more):
    """Run a program, and return what it said; ``more`` is added to its environment."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=cwd,
        env=environment(**more),
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def found(path, packages):
    """
    Return the path of a program or a folder. Without it the test is skipped; in CI it fails.

    :param packages: Debian's packages that have it.
    """
    there = shutil.which(path) or (path if Path(path).is_dir() else None)
    if there is None:
        lack = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        lack(f"There is no {path} here. On Debian: apt-get install {packages}")
    return there
