# SPDX-License-Identifier: Apache-2.0
"""
Make the virtual environment of an Airflow version, or of the documentation, and the file with its pins.

Runs on the machine's own Python, before anything is installed: nothing but the standard library, and no
syntax that an old Python cannot read, so that it can say that it is too old.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
PIP = "pip==26.3"  # from 25.1 on it knows --group
PROGRESS_SECONDS = 5
# The environment that has no Airflow: the tools that make the site of the documentation.
DOCS = "docs"
# The user may have activated the very environment that is made anew here.
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
# Versions that a fresh resolve gets wrong.
PINS = {
    # Airflow 3.2.2 does not start with the FastAPI and Cadwyn that its own requirements allow today. With
    # svcs 26 its dag.test() finds no svcs registry.
    "3.2.2": ["fastapi==0.136.3", "cadwyn==7.0.0", "svcs==25.1.0"],
}
_PINNED = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+")
# pip has its own pin, and setuptools and wheel depend on the Python.
_NOT_PINNED = re.compile(r"(pip|setuptools|wheel)==", re.IGNORECASE)


def main() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["install", "constraints"])
    parser.add_argument("airflow", help="the Airflow version, or docs for the tools of the documentation")
    parser.add_argument("--group", default=["test"], nargs="+", help="groups of tools to install as well")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _check_python()
        if arguments.what == "install":
            install(arguments.airflow, arguments.group)
        else:
            write_constraints(arguments.airflow, arguments.group)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        # Its output has been shown.
        return error.returncode
    except KeyboardInterrupt:
        return 130
    return 0


def constraints_file(airflow: str) -> Path:
    """Return where the pinned versions of an Airflow version are."""
    return ROOT / "constraints" / ("docs.txt" if airflow == DOCS else f"airflow-{airflow}.txt")


def install(airflow: str, groups: list[str]) -> None:
    """
    Make ``.venv/<version>``, or bring it up to date; quick if it is up to date.

    :param airflow: The Airflow version.
    :param groups: Groups of pyproject.toml; those that are installed already are kept.
    """
    constraints = constraints_file(airflow)
    if not constraints.exists():
        there = ", ".join(
            sorted(path.stem.partition("-")[2] for path in constraints.parent.glob("airflow-*.txt"))
        )
        raise RuntimeError(
            f"No pinned versions for Airflow {airflow}; there are some for {there}. "
            f"To make them: make constraints AIRFLOW={airflow}"
        )
    venv = ROOT / ".venv" / airflow
    venv.parent.mkdir(exist_ok=True)
    with (venv.parent / f"{airflow}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # If the first part differs, the environment is made anew, so that no old package stays.
        foundation = _digest(sys.version, sys.base_prefix, venv, PIP, constraints.read_bytes())
        wanted = [foundation, _digest((ROOT / "pyproject.toml").read_bytes())]
        stamp = venv / "installed"
        found = stamp.read_text().split() if stamp.exists() else []
        installed = found[2:] if found[:1] == wanted[:1] else []
        if found[:2] == wanted and set(groups) <= set(installed):
            return
        stamp.unlink(missing_ok=True)
        if found[:1] != wanted[:1]:
            _make_venv(venv)
        known = len(_pinned(constraints.read_text()))
        groups = sorted({*groups, *installed})
        _install_package(venv, airflow, groups, ["-c", constraints], _name(airflow), known)
        stamp.write_text(" ".join(wanted + groups))


def write_constraints(airflow: str, groups: list[str]) -> None:
    """
    Resolve everything anew in a temporary environment, and write the versions to a file.

    :param airflow: The Airflow version.
    :param groups: Groups of pyproject.toml.
    """
    with tempfile.TemporaryDirectory(prefix="airflow-constraints-") as temporary:
        venv = Path(temporary) / "venv"
        _make_venv(venv)
        _install_package(
            venv, airflow, groups, list(PINS.get(airflow, ())), f"the newest for {_name(airflow)}"
        )
        subprocess.run([_python(venv), "-m", "pip", "check"], check=True)
        frozen = subprocess.run(
            [_python(venv), "-m", "pip", "freeze"], check=True, capture_output=True, text=True
        ).stdout
    pinned = sorted(_pinned(frozen), key=str.lower)
    today = datetime.datetime.now(datetime.timezone.utc).date()  # noqa: UP017 - an old Python has no datetime.UTC
    # Some packages want a later patch release than Debian's Python 3.11.2: resolve on the oldest one around.
    python = ".".join(str(part) for part in sys.version_info[:3])
    held = f" with {' and '.join(PINS[airflow])}" if airflow in PINS else ""
    package = f"# of apache-airflow=={airflow}{held},\n# of this package with its extra local, and"
    heading = (
        f"# make constraints AIRFLOW={airflow}, on {today} with Python {python}: a fresh resolve\n"
        f"{'#' if airflow == DOCS else package} of its groups {' and '.join(groups)}.\n"
    )
    path = constraints_file(airflow)
    path.parent.mkdir(exist_ok=True)
    path.write_text(heading + "\n".join(pinned) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(pinned)} versions")


def _check_python() -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        oldest = ".".join(str(part) for part in OLDEST_PYTHON)
        raise RuntimeError(
            f"This needs Python {oldest} or newer, and {sys.executable} is {version}. "
            f"Name another one: make PYTHON=python{oldest} …"
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise RuntimeError(
            f"{sys.executable} cannot make virtual environments: its modules venv and ensurepip are missing. "
            "On Debian and Ubuntu they are in the package python3-venv."
        )


def _make_venv(venv: Path) -> None:
    if venv.exists():
        shutil.rmtree(venv)
    version = ".".join(str(part) for part in sys.version_info[:3])
    _say(f"making a virtual environment with Python {version}")
    _run([BASE_PYTHON, "-m", "venv", venv], "the virtual environment")
    _run([_python(venv), "-m", "pip", "install", PIP], "its pip")


def _install_package(
    venv: Path, airflow: str, groups: list[str], versions: list[object], what: str, known: int | None = None
) -> None:
    command: list[object] = [_python(venv), "-m", "pip", "install", *versions]
    if airflow != DOCS:
        command += [f"apache-airflow=={airflow}", "--editable", ".[local]"]
    command += [argument for group in groups for argument in ("--group", group)]
    _run(command, what, known)


def _run(command: list[object], what: str, known: int | None = None) -> None:
    """Run a command and show its progress, since pip prints too much, or nothing for minutes."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        shown = started
        while process.poll() is None:
            time.sleep(0.1)
            if time.monotonic() - shown >= PROGRESS_SECONDS:
                shown = time.monotonic()
                _say(f"{shown - started:4.0f} s  {what}: {_stage(output, known)}")
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
        process.wait()
        reader.join(10)
    if process.returncode != 0:
        raise RuntimeError("".join(output[-40:]) + f"{' '.join(str(part) for part in command)} failed.")
    if known is not None:
        _say(f"{time.monotonic() - started:4.0f} s  {what}: installed")


def _stage(output: list[str], known: int | None) -> str:
    lines = list(output)
    if any(line.startswith("Installing collected packages") for line in lines):
        return "installing"
    found = sum(line.startswith("Collecting ") for line in lines)
    if not found:
        return "beginning"
    return f"{found} of about {known} packages found" if known else f"{found} packages found"


def _pinned(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if _PINNED.fullmatch(line) and not _NOT_PINNED.match(line)]


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _name(airflow: str) -> str:
    return "the documentation" if airflow == DOCS else f"Airflow {airflow}"


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _say(text: str) -> None:
    print(f"[environment] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
