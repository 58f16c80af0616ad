# SPDX-License-Identifier: Apache-2.0
"""How a finishing task is made: what it waits for, what it is given, what is refused."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, task, task_group

from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
    LimitExceeded,
)
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineFinishJobOperator,
    finish_job,
)

pytestmark = pytest.mark.usefixtures("customer")


# What is refused when the DAG is written.


def a_claim():
    return CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf }}", region_name="eu-west-1")


def test_it_follows_all_of_the_claim_with_its_aws_parameters():
    with DAG("d", schedule=None):
        claim = a_claim()

        @task
        def some_work():
            """Work."""

        first, second = some_work(), some_work()
        claim >> first >> second
        claim >> (other := some_work())
        finish = finish_job(claim)
    assert finish.upstream_task_ids == {second.operator.task_id, other.operator.task_id}
    assert finish.region_name == "eu-west-1"
    assert finish.is_teardown
    assert finish.on_failure_fail_dagrun
    assert finish.is_setup is False


def test_default_args_leave_its_retries_priority_and_time():

    hostile = {
        "retries": 0,
        "retry_delay": timedelta(days=1),
        "execution_timeout": timedelta(seconds=1),
        "priority_weight": 1,
        "weight_rule": "absolute",
        "depends_on_past": True,
        "wait_for_downstream": True,
        "trigger_rule": "all_success",
    }
    if "retry_policy" in inspect.signature(BaseOperator.__init__).parameters:  # from Airflow 3.3 on
        hostile["retry_policy"] = "never"
    with DAG("d", schedule=None, default_args=hostile):
        finish = finish_job(a_claim())
    assert finish.retries == CodePipelineFinishJobOperator.MIN_RETRIES
    assert finish.retry_delay == CodePipelineFinishJobOperator.RETRY_DELAY
    assert finish.retry_exponential_backoff
    assert finish.execution_timeout is None
    assert finish.priority_weight == 1
    assert "upstream" in str(finish.weight_rule).lower() or "Upstream" in type(finish.weight_rule).__name__
    assert not finish.depends_on_past
    assert not finish.wait_for_downstream
    assert finish.trigger_rule == "all_done"
    assert finish.retry_policy is None


def test_more_retries_than_its_own_are_kept():
    with DAG("d", schedule=None):
        assert finish_job(a_claim(), retries=20).retries == 20


def test_what_claims_no_job_cannot_be_finished():
    with DAG("d", schedule=None):

        @task
        def no_claim():
            """Claim nothing."""

        claim = no_claim()
        with pytest.raises(InvalidInput, match="CodePipelineClaimJobOperator"):
            finish_job(claim)


def test_a_claim_mapped_alone_is_refused_with_the_way_out():
    with DAG("d", schedule=None), pytest.raises(InvalidInput, match="task group"):
        finish_job(CodePipelineClaimJobOperator.partial(task_id="claim").expand(job=[{"job_id": "j"}]))


def test_a_finishing_task_behind_a_mapped_claim_is_refused():
    with DAG("d", schedule=None) as dag:
        claims = CodePipelineClaimJobOperator.partial(task_id="claim").expand(job=[{"job_id": "j"}])
        claims >> CodePipelineFinishJobOperator(task_id="finish", claim_task_id="claim")
    with pytest.raises(InvalidInput, match="expand a task group"):
        dag.resolve_template_files()


def test_a_task_outside_between_work_and_finish_is_refused():
    """It waits for the work on all jobs: one customer's failure would be another's."""
    with DAG("d", schedule=None) as dag:
        outside = EmptyOperator(task_id="outside")

        @task_group
        def handle(job):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
            claim >> EmptyOperator(task_id="work") >> outside
            finish_job(claim)

        handle.expand(job=[{"job_id": "j", "client_id": "c"}])
    with pytest.raises(InvalidInput, match=r"outside comes between the work on a job and handle\.finish_job"):
        dag.resolve_template_files()


def test_two_finishing_tasks_for_one_claim_are_refused():
    with DAG("d", schedule=None):
        claim = a_claim()
        finish_job(claim)
        with pytest.raises(InvalidInput, match="already"):
            finish_job(claim, task_id="again")


def test_finishing_outside_the_claims_mapped_group_is_refused():
    claims = []
    with DAG("d", schedule=None):

        @task_group
        def handle(job):
            claims.append(CodePipelineClaimJobOperator(task_id="claim", job=job))

        handle.expand(job=[{"job_id": "j", "client_id": "c"}])
        with pytest.raises(InvalidInput, match="same mapped task group"):
            finish_job(claims[0])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"execution_details": {"percentComplete": 101}}, "percentComplete"),
        ({"execution_details": {"percentComplete": -1, "summary": "{{ later }}"}}, "percentComplete"),
        ({"current_revision": {"revision": "r"}}, "changeIdentifier"),
        ({"current_revision": {"revision": "r" * 1501, "changeIdentifier": "{{ later }}"}}, "revision"),
        ({"failure_type": "Unheard"}, "failureDetails.type"),
    ],
)
def test_an_unsendable_literal_is_refused_at_construction(wrong, field):
    with DAG("d", schedule=None), pytest.raises(LimitExceeded, match=field):
        finish_job(a_claim(), **wrong)
