# SPDX-License-Identifier: Apache-2.0
"""What docs/logs.md says of the log is what runs write."""

from __future__ import annotations

import re

import pytest
from log_lines import kept_lines

from airflow_codepipeline_partner._job_log import FIELDS
from tests.docs.pages import blocks, blocks_of, page

PAGE = "docs/logs.md"
#: The ids on the page: of the customer, the jobs, and the action's execution.
CUSTOMER, ACTION = "acme", "c08ad37e"
JOBS = ("b40d930d-2e09-4d43-b332-4ecd86490aa5", "5d0f33a1-5f0b-4f4e-9ac9-0b9a4d0b7d55")


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == ["text", "text", "python"]


@pytest.mark.parametrize(
    ("number", "dag_id"), [(0, "example_claim_work_finish"), (1, "example_continue_in_same_run")]
)
def test_a_run_writes_what_the_page_says(emulator, customer, offer, run_dag, number, dag_id):
    emulator.configure(continuation_delay=0, lease_seconds=0.2)
    with kept_lines() as lines:
        run = run_dag(dag_id, **offer())
    assert run.state == "success"
    ids = {customer.client_id: CUSTOMER}
    ids |= {job.job_id: shown for job, shown in zip(emulator.jobs(), JOBS, strict=False)}
    ids[run.xcoms["claim", "return_value"]["action_execution_id"]] = ACTION
    text = "".join(f"{line.text}\n" for line in lines)
    for found, shown in ids.items():
        text = text.replace(found, shown)
    assert text == blocks_of(PAGE, "text")[number]


def test_the_fields_are_those_of_the_page():
    rows = re.findall(r"^\| (`.*?`) \|", page(PAGE).partition("## The fields")[2], re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == list(FIELDS)


def test_the_author_names_an_instance_of_a_task(emulator, aws_connection, dags_folder, load_dags):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    emulator.add_pipeline("own", action_type="Deploy/Custom/Airflow/1")
    emulator.start_execution("own")
    [code] = blocks_of(PAGE, "python")
    (dags_folder / "named_from_docs.py").write_text(code)
    run = load_dags().run("deploy_by_name")
    assert run.state == "success"
    with create_session() as session:
        found = session.scalars(select(TaskInstance).filter_by(dag_id=run.dag_id, run_id=run.run_id))
        labels = {each.task_id: each.rendered_map_index for each in found if each.map_index == 0}
    assert labels == {
        "handle.claim": "own / Partner / Partner",
        "handle.deploy": "own / Partner",
        "handle.finish_job": "own / Partner / Partner",
    }
