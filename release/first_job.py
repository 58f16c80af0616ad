# SPDX-License-Identifier: Apache-2.0
"""
Do one job with what is installed, and nothing else: the emulator offers it, an example DAG finishes it.

Runs as a file of its own in an environment that has the wheel; it imports nothing of this repository.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

DISTRIBUTION, PACKAGE = "airflow-codepipeline-partner", "airflow_codepipeline_partner"
DAG_ID = "example_claim_work_finish"
ACTION_TYPE = "Deploy/ThirdParty/Example/1"
CLIENT_ID, CLIENT_TOKEN = "6f0d6e0c-2f3b-4c55-9d5e-0d3a1b2c3d4e", "token-of-the-release-check"
#: What needs the extra "local", or pytest.
WITH_EXTRAS = (f"{PACKAGE}.emulator", f"{PACKAGE}.testing", f"{PACKAGE}._pytest_plugin")
START_SECONDS = 60
BIN = Path(sys.executable).parent


def main() -> None:
    """Do the part that the command line names: ``alone`` or ``job``."""
    {"alone": look_at_the_wheel, "job": do_a_job}[sys.argv[1]]()


def look_at_the_wheel() -> None:
    """Check what needs the wheel and what it requires, without any extra."""
    package = importlib.import_module(PACKAGE)
    assert "site-packages" in str(package.__file__), package.__file__
    modules = [found.name for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")]
    modules = [name for name in modules if not name.startswith(WITH_EXTRAS) and "__main__" not in name]
    for name in modules:
        importlib.import_module(name)
    points = importlib.metadata.distribution(DISTRIBUTION).entry_points
    for point in points:
        # pytest loads its own.
        if point.group != "pytest11":
            point.load()
    say(f"{len(modules)} modules and {len(points)} entry points load")
    providers = json.loads(output("airflow", "providers", "list", "--output", "json"))
    assert DISTRIBUTION in [each["package_name"] for each in providers], providers
    helped = output("python", "-m", PACKAGE, "--help")
    assert helped.startswith("usage: python -m airflow_codepipeline_partner"), helped
    say(f"Airflow {importlib.metadata.version('apache-airflow')} lists the provider")


def do_a_job() -> None:
    """Let an example DAG do one job of an emulated pipeline."""
    with emulator() as url:
        os.environ |= {
            "CODEPIPELINE_EMULATOR_URL": url,
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
                {
                    "conn_type": "aws",
                    "login": "anyone",
                    "password": "anything",
                    "extra": {"region_name": "us-east-1", "endpoint_url": url},
                }
            ),
            f"AIRFLOW_CONN_CODEPIPELINE_CLIENT_{CLIENT_ID.replace('-', '_').upper()}": json.dumps(
                {"conn_type": "codepipeline_partner_client", "login": CLIENT_ID, "password": CLIENT_TOKEN}
            ),
        }
        emulated("add-customer", "--client-id", CLIENT_ID, f"--client-token={CLIENT_TOKEN}")
        emulated("add-pipeline", "shop", "--client-id", CLIENT_ID)
        emulated("start-execution", "shop")
        output("airflow", "db", "migrate")
        from airflow_codepipeline_partner.hooks import CodePipelineHook

        [job] = CodePipelineHook().poll(ACTION_TYPE)
        printed = output("airflow", "dags", "test", DAG_ID, "--conf", json.dumps(job.to_xcom()))
        state = emulated("state", "shop")
        jobs = emulated("jobs")
    assert '"Succeeded"' in jobs, (jobs, state, printed)
    assert CLIENT_TOKEN not in printed
    say(f"{DAG_ID} did its job")


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """Run the emulator by its command; the URL is that of its command's first line."""
    port_file = Path("port")
    command = [str(BIN / "python"), "-m", f"{PACKAGE}.emulator", "serve", "--port-file", str(port_file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (port_file.exists() and port_file.read_text().strip()):
            assert process.poll() is None, "the emulator did not start"
            assert time.monotonic() < deadline, "the emulator did not say its port"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode in (0, -15), process.returncode


def emulated(*arguments: str) -> str:
    """Run a command of the emulator, and return what it prints."""
    return output("python", "-m", f"{PACKAGE}.emulator", *arguments)


def output(program: str, *arguments: str) -> str:
    """Run a program of this environment, and return what it prints."""
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=300)  # noqa: S603
    assert done.returncode == 0, (program, arguments[:3], done.stdout, done.stderr)
    return done.stdout


def say(what: str) -> None:
    """Say what holds."""
    print(f"    {what}", flush=True)


if __name__ == "__main__":
    main()
