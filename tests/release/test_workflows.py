# SPDX-License-Identifier: Apache-2.0
"""The workflows and forms of GitHub fit its schemas, call make targets that are there, and may do little."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from support import REPO

GITHUB = REPO / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
}
#: What a job may do beside reading, and which one may.
MAY = {
    ("release.yml", "attest"): {"id-token": "write", "attestations": "write"},
    ("release.yml", "publish"): {"id-token": "write"},
    ("docs.yml", "deploy"): {"id-token": "write", "pages": "write"},
}
TARGETS = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))


def _jobs():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield pytest.param(path.name, name, job, id=f"{path.stem}-{name}")


JOBS = list(_jobs())


def commands(job):
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_file_fits_the_schema_of_its_kind(schema):
    # It comes with the group dev, which only the newest Airflow's environment has.
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *SCHEMAS[schema]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_are_found():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "docs.yml", "release.yml"]
    assert len(FORMS) == 3


@pytest.mark.parametrize(("workflow", "name", "job"), JOBS)
def test_each_make_target_is_there(workflow, name, job):
    called = {target for each in commands(job) for target in re.findall(r"\bmake ([a-z-]+)", each)}
    assert called <= TARGETS


@pytest.mark.parametrize(("workflow", "name", "job"), JOBS)
def test_each_job_may_do_only_what_it_needs(workflow, name, job):
    assert job["permissions"] == MAY.get((workflow, name), {"contents": "read"})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_by_itself_may_do_nothing(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_action_is_pinned_to_a_commit_and_says_its_version(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_an_action_has_one_commit_everywhere():
    used = {each for path in WORKFLOWS for each in re.findall(r"uses: (\S+@\w+)", path.read_text())}
    assert len({each.partition("@")[0] for each in used}) == len(used)


def test_the_jobs_run_on_the_versions_that_have_constraints():
    tested = set(re.findall(r'"(3\.\d\.\d)"', (GITHUB / "workflows/ci.yml").read_text()))
    makefile = (REPO / "Makefile").read_text()
    assert tested == set(re.findall(r"^(?:NEWEST|OLDEST) := (.*)$", makefile, re.MULTILINE))
    for version in tested:
        assert (REPO / "constraints" / f"airflow-{version}.txt").exists()


def test_tests_run_on_each_python_that_the_package_names():
    classifiers = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["classifiers"]
    named = {each.rpartition(" ")[2] for each in classifiers if "Python :: 3." in each}
    matrix = yaml.safe_load((GITHUB / "workflows/ci.yml").read_text())["jobs"]["tests"]["strategy"]["matrix"]
    assert {*matrix["python"], *(each["python"] for each in matrix["include"])} == named


def test_what_is_published_is_what_was_checked():
    release = yaml.safe_load((GITHUB / "workflows/release.yml").read_text())["jobs"]
    assert "make release-check" in commands(release["build"])
    assert release["publish"]["needs"] == ["build", "attest"]
    assert not any("make" in each or "build" in each for each in commands(release["publish"]))
    # Nothing that runs may write, and nothing that may write runs code of the repository.
    for name in ("attest", "publish"):
        assert not any("checkout" in step.get("uses", "") for step in release[name]["steps"])


def test_each_phase_of_the_ci_script_has_a_job():
    """Except the benchmarks, whose ratios depend on the machine."""
    phases = set(re.findall(r"^ *phase .* make ([a-z-]+)", (REPO / ".ci/run").read_text(), re.MULTILINE))
    called = {
        target
        for parameter in JOBS
        for each in commands(parameter.values[2])
        for target in re.findall(r"\bmake ([a-z-]+)", each)
    }
    assert phases - called - {"environment", "benchmark"} == set()
