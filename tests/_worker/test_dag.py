# SPDX-License-Identifier: Apache-2.0
"""What the graph of a DAG says: which tasks claim, which are the work, which instances belong together."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, setup, task, task_group, teardown

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import dag as graph
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

JOB = {"job_id": "j", "client_id": "c"}


@task
def step():
    """Do nothing."""


@pytest.fixture
def one_job():
    """A claim, work with a setup and a teardown, the finishing task, and a task apart from all of it."""
    with DAG("d", schedule=None) as dag:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB, unknown_claim="leave")
        first, second = step.override(task_id="first")(), step.override(task_id="second")()

        # Airflow takes a call of a teardown once.
        @setup
        @task
        def make():
            """Make something for the work."""

        @teardown
        @task
        def remove():
            """Remove it."""

        made, removed = make(), remove()
        claim >> first >> made >> second >> removed
        apart = step.override(task_id="apart")()
        finish = finish_job(claim)
        apart >> finish
    return dag


def test_the_work_is_what_follows_the_claim_except_teardowns(one_job):
    finish = one_job.get_task("finish_job")
    assert graph.work_before(one_job, finish, "claim") == {"first", "second"}


def test_claiming_tasks_and_their_choice_are_found(one_job):
    [claim] = graph.claiming_tasks(one_job)
    assert claim.task_id == "claim"
    assert graph.unknown_claim_of(claim) == "leave"


@pytest.mark.parametrize(
    ("states", "unended"),
    [
        ({"claim": ["success"], "work": ["success"]}, []),
        ({"claim": ["success"], "work": ["failed", "skipped", "upstream_failed", "removed"]}, []),
        ({"claim": ["success"], "work": ["success", None]}, ["work"]),
        ({"claim": ["running"], "work": ["success"]}, ["claim"]),
        ({"claim": ["success"], "work": ["success"], "far": [None]}, []),
    ],
    ids=str,
)
def test_only_the_claim_and_the_tasks_just_before_are_awaited(states, unended):
    with DAG("d", schedule=None):
        before, after = step.override(task_id="work")(), step.override(task_id="after")()
        before >> after
    assert graph.unended_work(after.operator, "claim", states) == unended


def test_an_instance_of_the_same_group_has_the_same_index():
    with DAG("d", schedule=None) as dag:
        alone = step.override(task_id="alone")()

        @task_group
        def each(job):
            CodePipelineClaimJobOperator(task_id="claim", job=job) >> step.override(task_id="work")()

        group = each.expand(job=[JOB, JOB])
        alone >> group
    claim, work, alone = (dag.get_task(name) for name in ("each.claim", "each.work", "alone"))
    own = TaskInstanceRef("d", "r", "each.work", 3)
    assert graph.matching_instance(work, own, claim) == TaskInstanceRef("d", "r", "each.claim", 3)
    assert graph.matching_instance(work, own, alone) == TaskInstanceRef("d", "r", "alone", -1)
    assert graph.matching_instance(alone, TaskInstanceRef("d", "r", "alone"), claim) is None
