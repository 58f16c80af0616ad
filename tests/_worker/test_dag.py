# SPDX-License-Identifier: Apache-2.0
"""What the graph of a DAG says: which tasks claim, which are the work, which instances belong together."""

from __future__ import annotations

from types import SimpleNamespace

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
    ("state", "is_awaited"),
    [(None, True), ("running", True), ("up_for_retry", True), ("failed", False), ("skipped", False)],
)
@pytest.mark.parametrize("task_id", ["claim", "first", "make", "apart", "remove"])
def test_whatever_matters_for_the_job_is_awaited(one_job, task_id, state, is_awaited):
    """Not only the tasks just before: the trigger rule of one of them need not wait for all before it."""
    finish = one_job.get_task("finish_job")
    states = {name: ["success"] for name in finish.get_flat_relative_ids(upstream=True)}
    assert graph.unended_work(one_job, finish, "claim", states) == []
    unended = graph.unended_work(one_job, finish, "claim", {**states, task_id: ["success", state]})
    assert unended == ([task_id] if is_awaited else [])


def test_what_does_not_matter_for_the_job():
    """What came before the claim, the end of another job, and a teardown that need not succeed."""
    with DAG("d", schedule=None) as dag:
        before = step.override(task_id="before")()
        first, second = (CodePipelineClaimJobOperator(task_id=name, job=JOB) for name in ("first", "second"))
        work = step.override(task_id="work")()

        @teardown
        @task
        def remove():
            """Remove something."""

        @teardown(on_failure_fail_dagrun=True)
        @task
        def check():
            """Fail the run if something is left."""

        before >> [first, second] >> work >> [remove(), check()]
        finished = finish_job(first, task_id="finish_first")
        finish = finish_job(second, task_id="finish_second")
        finished >> finish
    assert finish.get_flat_relative_ids(upstream=True) >= {"finish_first", "remove", "check"}
    # The other claim comes before the work, so that the work may have failed for lack of it.
    assert graph.tasks_of_job(dag, finish, "second") == {"first", "work", "check"}


def test_a_mapped_teardown_may_be_to_fail_the_run():
    with DAG("d", schedule=None) as dag:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)

        @teardown
        @task
        def remove(part):
            """Remove something."""

        @teardown(on_failure_fail_dagrun=True)
        @task
        def check(part):
            """Fail the run if something is left."""

        claim >> step.override(task_id="work")() >> [remove.expand(part=[1, 2]), check.expand(part=[1, 2])]
        finish = finish_job(claim)
    assert graph.tasks_of_job(dag, finish, "claim") == {"work", "check"}


def test_a_task_skipped_unexpanded_goes_with_all_instances():
    """A short circuit outside the group says no: the instances of the task never exist."""
    with DAG("d", schedule=None) as dag:

        @task_group
        def each(job):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
            claim >> step.override(task_id="work")()
            finish_job(claim)

        each.expand(job=[JOB])
    finish = dag.get_task("each.finish_job")

    def get_task_states(dag_id, task_ids, run_ids, map_index):
        known = {0: {"each.claim_0": "success"}, -1: {"each.work": "skipped"}}[map_index]
        return {"r": {name: state for name, state in known.items() if name.removesuffix("_0") in task_ids}}

    ti = SimpleNamespace(dag_id="d", run_id="r", map_index=0, get_task_states=get_task_states)
    states = graph.states_before({"ti": ti, "dag": dag}, finish)
    assert states == {"each.claim": ["success"], "each.work": ["skipped"]}
    assert graph.unended_work(dag, finish, "each.claim", states) == []


def test_a_mapped_task_without_any_instance_is_waited_for():
    """The DAG's file has it since the run began, and Airflow has made no instance of it yet."""
    with DAG("d", schedule=None) as dag:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
        claim >> task(lambda part: None, task_id="step").expand(part=[1, 2])
        finish = finish_job(claim)

    def get_task_states(dag_id, task_ids, run_ids, map_index):
        return {"r": {name: "success" for name in task_ids if name == "claim"}}

    ti = SimpleNamespace(dag_id="d", run_id="r", map_index=-1, get_task_states=get_task_states)
    states = graph.states_before({"ti": ti, "dag": dag}, finish)
    assert states == {"claim": ["success"], "step": [None]}
    assert graph.unended_work(dag, finish, "claim", states) == ["step"]


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
