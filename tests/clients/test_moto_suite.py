# SPDX-License-Identifier: Apache-2.0
"""
What moto's own tests find right of moto's server, they find right of the emulator.

moto's tests are in its source distribution, which pip fetches in the version that is installed. Those that
fail against the emulator run against moto's server too. There they have to fail as well.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest
from clients.programs import HERE, VENV, environment, run

FREEZEGUN = "freezegun==1.5.5"
VERSION = importlib.metadata.version("moto")
FOLDER = VENV / "moto-suite" / VERSION
#: Services whose tests run: MOTO_SUITES="sts kms iam" make test-clients.
SERVICES = os.environ.get("MOTO_SUITES", "s3 codepipeline").split()
#: How many emulators, and processes with a share of the tests, work at the same time.
WORKERS = 2
_CODEPIPELINE = "tests/test_codepipeline/test_codepipeline.py::"
#: Where the emulator means to differ, and why.
DIFFERENCES = {
    _CODEPIPELINE
    + "test_get_pipeline_execution": "a variable must be declared, and the pipeline really runs",
    _CODEPIPELINE
    + "test_get_pipeline_execution_errors": "an execution's id is checked against AWS's pattern",
    _CODEPIPELINE + "test_list_pipeline_executions": "the pipeline really runs, and its source has no object",
    _CODEPIPELINE + "test_create_pipeline_errors": "a taken name has an error of its own",
}
#: A secret's rotation by a Lambda function waits for Docker for ever, and has no mark that says so.
SELECTED = (
    *("--quiet", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-m", "not network and not requires_docker", "-k", "not using_lambda"),
)
ENDS = ("failure", "error", "skipped")
EMULATOR = """
import sys
from airflow_codepipeline_partner.emulator import Emulator
with Emulator() as emulator:
    print(emulator.url, flush=True)
    sys.stdin.read()
"""
MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def suite():
    """Return the folder with moto's tests, and fetch it if it is not there."""
    if not FOLDER.exists():
        made = FOLDER.with_name(f"{VERSION}.{os.getpid()}")
        pip("install", "--no-deps", "--target", str(made / "packages"), FREEZEGUN)
        pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(made), f"moto=={VERSION}")
        with tarfile.open(made / f"moto-{VERSION}.tar.gz") as archive:
            archive.extractall(made, filter="data")
        (made / f"moto-{VERSION}" / "tests").rename(made / "tests")
        # moto itself is the one that is installed.
        shutil.copy(made / f"moto-{VERSION}" / "pyproject.toml", made)
        shutil.rmtree(made / f"moto-{VERSION}")
        made.rename(FOLDER)
    return FOLDER


def pip(*arguments):
    """Run pip; an index may be away for a moment."""
    command = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    if run(*command, check=False, timeout=300).returncode != 0:
        run(*command, timeout=300)


def outcomes(suite, server, tests):
    """Run tests against a server of their own, and return how each ended by its id."""
    code = [sys.executable, "-c", server]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        tempfile.NamedTemporaryFile(suffix=".xml") as report,
        subprocess.Popen(code, **pipes, cwd=HERE.parents[1], env=environment()) as process,
    ):
        done = run(
            *(sys.executable, "-m", "pytest", *SELECTED, *tests),
            *("-o", "junit_family=xunit1", f"--junit-xml={report.name}"),
            check=False,
            cwd=suite,
            timeout=1200,
            TEST_SERVER_MODE="true",
            TEST_SERVER_MODE_ENDPOINT=process.stdout.readline().strip(),
            PYTHONPATH=str(suite / "packages"),
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        cases = ElementTree.parse(report.name).iter("testcase")  # noqa: S314 - pytest wrote it just now
    return {id_of(case): next((each.tag for each in case if each.tag in ENDS), "passed") for case in cases}


def id_of(case):
    file = case.get("file")
    classes = case.get("classname").removeprefix(file.removesuffix(".py").replace("/", ".")).split(".")
    return "::".join([file, *filter(None, classes), case.get("name")])


def shares(suite):
    """Divide the files with tests by their size, the largest first."""
    files = [
        path
        for service in SERVICES
        for path in (suite / "tests" / f"test_{service}").rglob("test_*.py")
        # These start servers of their own, on ports that are always the same.
        if not path.name.endswith("_server.py")
    ]
    files.sort(key=lambda path: path.stat().st_size, reverse=True)
    parts = [[str(path.relative_to(suite)) for path in files[start::WORKERS]] for start in range(WORKERS)]
    # Without a name, pytest would run all.
    return list(filter(None, parts))


def test_what_moto_does_right_the_emulator_does_right(suite):
    with ThreadPoolExecutor(WORKERS) as pool:
        parts = pool.map(lambda tests: outcomes(suite, EMULATOR, tests), shares(suite))
        ours = {test: end for part in parts for test, end in part.items()}
    assert sum(end == "passed" for end in ours.values()) > 10 * len(SERVICES)
    failed = sorted(test for test, end in ours.items() if end in ("failure", "error"))
    theirs = outcomes(suite, MOTO, failed) if failed else {}
    different = {test for test in failed if theirs[test] == "passed"}
    assert different == {test for test in DIFFERENCES if test in ours}
