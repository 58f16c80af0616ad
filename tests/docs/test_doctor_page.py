# SPDX-License-Identifier: Apache-2.0
"""What docs/doctor.md shows is what the command prints."""

from __future__ import annotations

import json
import platform
import re
import shlex
from importlib.metadata import version

from airflow.sdk import DAG
from doctor_rows import CLAIM_AND_FINISH, claim, dag_as_stored

from airflow_codepipeline_partner import __version__, cli
from airflow_codepipeline_partner.assets import codepipeline_jobs
from airflow_codepipeline_partner.doctor import aws_access, checks, client_token_checks
from tests.docs.pages import blocks, blocks_of, page

PAGE = "docs/doctor.md"


def test_every_block_is_looked_at_here():
    assert [language for language, _ in blocks(PAGE)] == ["bash", "text", "json"]


def arguments():
    [command] = blocks_of(PAGE, "bash")
    assert command.startswith("python -m airflow_codepipeline_partner ")
    return shlex.split(command)[3:]


def test_the_sample_is_what_the_command_prints(emulator, aws_connection, rows, capsys):
    emulator.add_action_type("Deploy/Custom/Airflow/1")
    code = "AccessDeniedException"
    emulator.inject("error", "PutJobFailureResult", code=code, message="planted-secret", times=None)
    for kind in ("SchedulerJob", "DagProcessorJob"):
        rows.job(kind, 1)
    rows.job("TriggererJob", 4000)
    rows.run("builds", paused=True)
    rows.dag("builds", *CLAIM_AND_FINISH)
    waiting = codepipeline_jobs("waiting", "Deploy/Custom/Airflow/1")
    stored = dag_as_stored(DAG("take_jobs", schedule=[waiting]))
    rows.add("dag", dag_id="take_jobs", is_paused=1, is_stale=0, bundle_name="b")
    rows.dag("take_jobs", timetable=stored["timetable"])
    rows.xcom("builds", "codepipeline_claim", claim())
    assert cli.main(arguments()) == 1
    printed = capsys.readouterr().out.replace(emulator.url, "http://127.0.0.1:4566")
    for name, shown in (
        (platform.python_version(), "3.12.11"),
        (f"apache-airflow {version('apache-airflow')}", "apache-airflow 3.3.2"),
        (f"amazon {version('apache-airflow-providers-amazon')}", "amazon 9.39.0"),
        (f"boto3 {version('boto3')}", "boto3 1.44.5"),
        (f"partner {__version__}", "partner 0.1.0"),
    ):
        printed = printed.replace(name, shown)
    assert printed == blocks_of(PAGE, "text")[0]


def test_the_json_has_the_members_that_the_page_shows(emulator, aws_connection, rows, capsys):
    cli.main([*arguments(), "--json"])
    printed = json.loads(capsys.readouterr().out)
    shown = json.loads(blocks_of(PAGE, "json")[0])
    assert (list(printed), printed["version"]) == (list(shown), shown["version"])
    [permission] = shown["checks"]
    assert permission in printed["checks"]
    assert {tuple(each) for each in printed["checks"]} == {tuple(permission)}
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page(PAGE), re.MULTILINE)
    members = {name for row in table for name in re.findall(r"`(\w+)`", row)}
    assert members == set(permission)


def test_the_page_has_each_option():
    for argument in cli.DOCTOR_COMMAND.arguments[1:]:
        assert f"`{argument.flags[0]}" in page(PAGE) or f" {argument.flags[0]}`" in page(PAGE)


def test_the_time_limits_are_those_of_the_code():
    assert (checks.LIMIT, aws_access.LIMIT, client_token_checks.LIMIT) == (20, 20, 600)
    assert (aws_access.CONNECT_TIMEOUT, aws_access.READ_TIMEOUT, aws_access.ATTEMPTS) == (3, 5, 2)
    assert client_token_checks.AT_ONCE == 10
