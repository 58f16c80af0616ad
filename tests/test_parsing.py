# SPDX-License-Identifier: Apache-2.0
"""A DAG file loads only what makes and checks a DAG. What a task or the triggerer does is loaded there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PACKAGE = "airflow_codepipeline_partner"
IMPORTS = "".join(f"import {PACKAGE}.{name}\n" for name in ("operators", "sensors", "triggers", "assets"))
#: The one job of most DAG files.
DAG = f"""
from airflow.sdk import DAG
from {PACKAGE}.assets import codepipeline_events, codepipeline_jobs
from {PACKAGE}.operators import CodePipelineClaimJobOperator, finish_job
from {PACKAGE}.sensors import CodePipelineJobSensor

KIND = "Deploy/ThirdParty/Example/1"
with DAG("d", schedule=[codepipeline_jobs("jobs", KIND), codepipeline_events("ends", "shop")]):
    sensor = CodePipelineJobSensor(task_id="sensor", action_type=KIND, deferrable=True)
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{{{ ti.xcom_pull('sensor')[0] }}}}")
    sensor >> claim
    finish = finish_job(claim, failure_message="It failed.")
for task in (claim, finish):
    task.prepare_template()
"""
#: Of the rooms for what runs, what checks a DAG.
CHECKS = {
    "_worker": {"callbacks", "dag", "wiring"},
    "_polling": set(),
    "artifacts": {"archive_limits", "formats", "places"},
    "_protocol": {"choices", "dialects", "jobs", "parsing"},
    "operators": {
        *("artifacts", "claim_job", "continue_job", "dispatch_jobs", "finish", "finish_wiring"),
        *("put_result", "put_result_base", "start_pipeline", "stop_pipeline", "retry_stage", "waiting_base"),
        *("approval", "stage_transition", "stage_condition", "rollback_stage", "source_revision"),
    },
}
#: What a task needs, and others that take long to import.
NOT_LOADED = {
    *(f"{PACKAGE}.{name}" for name in ("hooks", "client_tokens", "_transport", "_connections", "_watching")),
    *("boto3", "botocore", "difflib", "packaging.requirements"),
    *("airflow.models.variable", "airflow.providers.amazon", "airflow.providers.standard.operators.python"),
}
#: Of this package; each takes about half a millisecond.
MAX_MODULES = 53


def loaded_by(program: str) -> set[str]:
    """Return the modules that a program loads beyond those of a plain DAG, which Airflow 3.1 has many of."""
    program = (
        "import json, sys\nfrom airflow.sdk import DAG, BaseOperator\n"
        "with DAG('plain', schedule=None):\n    BaseOperator(task_id='a')\n"
        "before = set(sys.modules)\n"
        f"{program}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module", params=[IMPORTS, DAG], ids=["imports", "a DAG"])
def loaded(request):
    return loaded_by(request.param)


def test_parsing_loads_nothing_that_only_runs(loaded):
    assert NOT_LOADED & loaded == set()
    for room, checks in CHECKS.items():
        inside = f"{PACKAGE}.{room}."
        assert {name.removeprefix(inside) for name in loaded if name.startswith(inside)} <= checks


def test_parsing_loads_few_modules_of_ours(loaded):
    assert len({name for name in loaded if name.startswith(PACKAGE)}) <= MAX_MODULES
