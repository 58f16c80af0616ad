# SPDX-License-Identifier: Apache-2.0
"""Users' subclasses of our operators are known by what Airflow stores, without an import of their code."""

from __future__ import annotations

import sys

import pytest
from airflow.sdk import DAG, chain, task
from airflow.sdk.bases.operator import BaseOperator
from doctor_rows import dag_as_stored

from airflow_codepipeline_partner import operators, sensors
from airflow_codepipeline_partner.decorators.codepipeline_job import _CodePipelineJobDecoratedOperator
from airflow_codepipeline_partner.doctor.stored_dags import _kinds_of, may_end_unrecorded, unended_claims

JOB = {"job_id": "j", "client_id": "c"}


class Claim(operators.CodePipelineClaimJobOperator):
    """As it is."""


class Finish(operators.CodePipelineFinishJobOperator):
    """With a field more."""

    template_fields = (*operators.CodePipelineFinishJobOperator.template_fields, "ticket")
    ticket = "T-1"


class Unrelated(BaseOperator):
    """With the fields of a claim."""

    template_fields = operators.CodePipelineClaimJobOperator.template_fields
    job = aws_conn_id = region_name = verify = client_conn_id_template = None


for kind in (Claim, Finish, Unrelated):
    # There is no such module, so it cannot be imported.
    kind.__module__ = "code_of_a_user"


@pytest.mark.parametrize("is_mapped", [False, True])
def test_subclasses_claim_and_end_jobs(is_mapped):
    with DAG("d", schedule=None) as dag:
        if is_mapped:
            claim = Claim.partial(task_id="claim").expand(job=[JOB])
        else:
            claim = Claim(task_id="claim", job=JOB)
        finish = Finish(task_id="finish", claim_task_id="claim")
        chain(claim, finish)
    assert unended_claims(dag_as_stored(dag)) == []
    assert not may_end_unrecorded(dag_as_stored(dag), "claim", is_run_over=True)
    assert "code_of_a_user" not in sys.modules


def test_a_claim_by_a_subclass_that_no_task_ends_is_found():
    with DAG("d", schedule=None) as dag:
        claim = Claim(task_id="claim", job=JOB, finished_elsewhere=True)
        claim >> Unrelated(task_id="unrelated")
    assert unended_claims(dag_as_stored(dag)) == ["claim"]


def test_another_operator_is_none_of_this_package():
    with DAG("d", schedule=None) as dag:
        Unrelated(task_id="unrelated")

        @task
        def work():
            """Work."""

        work()
    assert unended_claims(dag_as_stored(dag)) is None


KINDS = [
    getattr(module, name)
    for module in (operators, sensors)
    for name in module.__all__
    if isinstance(getattr(module, name), type)
]


def as_subclass(kind):
    """Return what Airflow stores of a task of a subclass."""
    links = {link.name: link.xcom_key for link in kind.operator_extra_links}
    return {
        "_task_module": "code_of_a_user",
        "task_type": "Mine",
        "template_fields": [*kind.template_fields, "ticket"],
        "_operator_extra_links": links,
    }


@pytest.mark.parametrize("kind", [*KINDS, _CodePipelineJobDecoratedOperator], ids=lambda kind: kind.__name__)
def test_a_subclass_has_the_marks_of_its_class_alone(kind):
    found = _kinds_of(as_subclass(kind))
    for mark in ("claims_job", "ends_job"):
        assert any(getattr(each, mark, False) for each in found) == getattr(kind, mark, False)


@pytest.mark.parametrize("odd", [None, 7, "text", [7], {"x": 7}])
def test_odd_members_do_no_harm(odd):
    task_of_claim = as_subclass(operators.CodePipelineClaimJobOperator)
    for name in task_of_claim:
        _kinds_of(task_of_claim | {name: odd})
