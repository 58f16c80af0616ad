# SPDX-License-Identifier: Apache-2.0
"""Install the wheel into an environment of its own, far from the checkout, and let it do a job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from release.archives import ROOT, call

EXAMPLE = ROOT / "example_dags" / "example_claim_work_finish.py"
PROGRAM = Path(__file__).with_name("first_job.py")
#: Of one program; all take some 40 s on two cores.
TIMEOUT = 600
#: In place of an Airflow version: the lowest versions of all that pyproject.toml names, and of what these
#: need the newest of a day on which all of them were there. Airflow 3.1.0 does not start with later ones.
LOWEST, LOWEST_DAY = "lowest", "2026-03-15"
LOWEST_CONSTRAINTS = Path(__file__).with_name("lowest.txt")


def try_out(wheel: Path, airflow: str) -> None:
    """
    Install a wheel, and use it.

    :param wheel: The wheel.
    :param airflow: An Airflow version that has constraints, or :data:`LOWEST`.
    :raises RuntimeError: Something does not work, or still runs at the end.
    """
    with tempfile.TemporaryDirectory(prefix=f"release-{airflow}-") as temporary:
        folder = Path(temporary)
        python = make_venv(folder / "venv")
        shutil.copy(wheel, folder)
        shutil.copy(PROGRAM, folder)
        (folder / "dags").mkdir()
        shutil.copy(EXAMPLE, folder / "dags")
        install(python, folder / wheel.name, airflow, extra="")
        run_alone([python, "-I", PROGRAM.name, "alone"], folder)
        install(python, folder / wheel.name, airflow, extra="[local]")
        run_alone([python, "-I", PROGRAM.name, "job"], folder)


def write_sbom(wheel: Path, airflow: str) -> Path:
    """
    Write what a wheel needs, with the pinned versions, beside it.

    :param wheel: The wheel.
    :param airflow: An Airflow version that has constraints.
    :return: A file of CycloneDX's JSON.
    """
    target = wheel.with_suffix(".cdx.json")
    name, version = wheel.name.split("-")[:2]
    with tempfile.TemporaryDirectory(prefix="release-sbom-") as temporary:
        python = make_venv(Path(temporary) / "venv")
        # By name: the path of a file would be in the list.
        versions = ("--constraints", _constraints(airflow), f"apache-airflow=={airflow}")
        wheels = ("--find-links", wheel.parent, f"{name}[local]=={version}")
        call("uv", "pip", "install", "--quiet", "--python", python, *versions, *wheels)
        options = ("--output-reproducible", "--short-PURLs", "--validate", "--output-file", target)
        call("cyclonedx_py", "environment", *options, python)
    listed = json.loads(target.read_text())
    # It is what the list is about, and no part of itself.
    [own] = [each for each in listed["components"] if each["name"] == name.replace("_", "-")]
    listed["components"].remove(own)
    listed["metadata"]["component"] = own
    target.write_text(json.dumps(listed, indent=2) + "\n")
    return target


def make_venv(folder: Path) -> Path:
    """Make an empty environment, and return its Python."""
    call("uv", "venv", "--quiet", "--python", sys.executable, folder)
    return folder / "bin" / "python"


def install(python: Path, wheel: Path, airflow: str, extra: str) -> None:
    """Install a wheel with an Airflow; quick if the packages are in uv's cache."""
    into = ("uv", "pip", "install", "--quiet", "--python", python)
    if airflow == LOWEST:
        extras = ("--extra", extra.strip("[]")) if extra else ()
        lowest = ("--resolution", "lowest-direct", "--exclude-newer", LOWEST_DAY)
        versions = (*lowest, "--constraints", LOWEST_CONSTRAINTS)
        call(*into, *versions, "--requirements", ROOT / "pyproject.toml", *extras)
        call(*into, "--no-deps", wheel)
        return
    call(*into, "--constraints", _constraints(airflow), f"apache-airflow=={airflow}", f"{wheel}{extra}")


def _constraints(airflow: str) -> Path:
    return ROOT / "constraints" / f"airflow-{airflow}.txt"


def run_alone(command: list[object], folder: Path) -> None:
    """Run a program that knows nothing of the checkout; all that it starts has to end with it."""
    environment = {
        "PATH": f"{folder / 'venv' / 'bin'}:{os.defpath}",
        "HOME": str(folder),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "LANG": "C.UTF-8",
    }
    said = folder / "said.log"
    with said.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            list(map(str, command)),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A session of its own, by which what it leaves behind is found.
            start_new_session=True,
        )
        try:
            code = process.wait(TIMEOUT)
        finally:
            left = _end_session(process.pid)
            process.wait()
    text = said.read_text(errors="replace")
    if code != 0:
        raise RuntimeError(f"{text}\n{command[-1]} failed with exit code {code}.")
    if left:
        raise RuntimeError(f"{command[-1]} left running:\n" + "\n".join(left))
    # Airflow logs much; what holds is indented.
    print(*(line for line in text.splitlines() if line.startswith("    ")), sep="\n", flush=True)


def _end_session(session: int) -> list[str]:
    """Kill all processes of a session, and return them as ``ps`` shows them."""
    shown = subprocess.run(
        ["ps", "-A", "-ww", "-o", "sess=,pid=,stat=,args="],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split(maxsplit=3) for line in shown.splitlines()]
    found = [row for row in rows if row[0] == str(session) and not row[2].startswith("Z")]
    for row in found:
        os.kill(int(row[1]), signal.SIGKILL)
    return [" ".join(row[1:]) for row in found]
