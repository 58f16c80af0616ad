# SPDX-License-Identifier: Apache-2.0
"""A folder with DAGs and tests, as a user of the kit has it, and pytest there, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

#: What must not be used: an account, a secrets backend, and a database of the user's.
USERS_OWN = {
    "AWS_ACCESS_KEY_ID": "AKIAUSERSOWNKEY00000",
    "AWS_SECRET_ACCESS_KEY": "users-own-secret",
    "AWS_PROFILE": "no-such-profile",
    "AIRFLOW__SECRETS__BACKEND": "no.such.Backend",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run_pytest(folder: Path, *arguments: str, python: str = sys.executable, **env: str) -> str:
    """
    Run pytest in a folder, with nothing of our own tests, and return what it prints.

    :param arguments: Of pytest.
    :param python: The Python to run it with.
    :param env: More of its environment.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "AWS_", "PYTEST_", "COV_"))
    }
    home = folder / "home-of-the-user"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--show-capture=no", *arguments],
        cwd=folder,
        env=kept | {"HOME": str(home)} | env,
        capture_output=True,
        text=True,
        timeout=400,
    )
    return done.stdout + done.stderr


def message_of(test: str, printed: str) -> str:
    """Return the error of a failed test, as pytest shows it, without the margin."""
    [section] = re.findall(rf"^_+ {test} _+$(.*?)^\S+\.py:\d+: ", printed, re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(r"^E  ? ? ? ? ? ?(.*)$", section, re.MULTILINE))
