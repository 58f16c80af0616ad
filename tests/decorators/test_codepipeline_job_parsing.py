# SPDX-License-Identifier: Apache-2.0
"""What the decorator takes and refuses as a DAG is parsed."""

from __future__ import annotations

from functools import partial

import pytest
from airflow.sdk import DAG, task

from airflow_codepipeline_partner.decorators import (
    codepipeline_job_task,
)
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference
from airflow_codepipeline_partner.jobs import OfferedJob
from airflow_codepipeline_partner.operators import finish_job

JOB = {"job_id": "j", "client_id": "c"}


# As the DAG is parsed.


def test_the_decorator_is_there_under_its_name():
    assert task.codepipeline_job is codepipeline_job_task or task.codepipeline_job.__name__ == (
        "codepipeline_job_task"
    )


def without_parameter():
    """Take no job."""


def with_context_first(ti, job):
    """Have no place for the job."""


def with_only_context(**context):
    """Have no place for the job."""


def wrapped(*args, **kwargs):
    """Stand for what a decorator made of a function."""


async def a_coroutine(job):
    """Have not worked when it returns."""


def a_generator(job):
    """Have not worked when it returns."""
    yield


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (without_parameter, "without_parameter needs a first parameter, which gets the job"),
        (with_only_context, "with_only_context needs a first parameter"),
        (
            with_context_first,
            "cannot be ti, which is of Airflow's context: def with_context_first(job, ti=None)",
        ),
        (a_coroutine, "a_coroutine must be a plain function"),
        (a_generator, "a_generator must be a plain function"),
        (partial(with_only_context, job=1), "takes a plain function, not a partial"),
        (wrapped, "If a decorator wraps the function, give that one functools.wraps"),
    ],
)
@pytest.mark.parametrize("with_parameters", [False, True])
def test_a_function_that_takes_no_job_is_refused_when_parsed(function, named, with_parameters):
    with pytest.raises(InvalidInput, match=r"@task\.codepipeline_job") as refused:
        task.codepipeline_job(retries=1)(function) if with_parameters else task.codepipeline_job(function)
    assert named in str(refused.value)


def work(job, how=None):
    """Take a job."""


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda made: made(), InvalidInput, 'Call it with the offered job, as in work("{{ dag_run.conf'),
        (lambda made: made(how="x"), InvalidInput, "work.expand(job=wait.output)"),
        (lambda made: made(None), InvalidJobReference, "A job must be a mapping"),
        (lambda made: made("no job"), InvalidJobReference, "A job must be a mapping"),
        (lambda made: made(job={"job_id": "j"}), InvalidJobReference, "needs client_id"),
        (lambda made: made.override(unknown_claim="perhaps")(JOB), InvalidInput, "unknown_claim must be one"),
    ],
)
def test_a_call_without_a_job_is_refused_as_the_dag_is_parsed(call, error, named):
    made = task.codepipeline_job(work)
    with DAG("parsed", schedule=None), pytest.raises(error) as refused:
        call(made)
    assert named in str(refused.value)


def test_several_outputs_are_refused():
    with pytest.raises(InvalidInput, match="multiple_outputs"):
        task.codepipeline_job(multiple_outputs=True)


def test_an_annotated_mapping_makes_no_several_outputs():
    def annotated(job) -> dict:
        return {}

    with DAG("parsed", schedule=None):
        assert task.codepipeline_job(annotated)(JOB).operator.multiple_outputs is False


def test_finish_job_takes_over_what_the_function_was_given():
    with DAG("parsed", schedule=None):
        made = task.codepipeline_job(
            aws_conn_id="other", unknown_claim="leave", client_conn_id_template="x_{client_id}"
        )(work)(OfferedJob("j", "c"))
        finish = finish_job(made)
    assert finish.claim_task_id == "work"
    assert finish.job == {**JOB, "action_type": None}
    assert (finish.aws_conn_id, finish.unknown_claim) == ("other", "leave")
    assert finish.client_conn_id_template == "x_{client_id}"


def test_a_mapped_function_is_finished_in_a_group_only():
    with DAG("parsed", schedule=None), pytest.raises(InvalidInput, match="expand a task group"):
        finish_job(task.codepipeline_job(work).expand(job=[JOB]))


def test_a_users_callbacks_from_default_args_stay(offer):
    """Beside the package's own, which restores the record of a claim."""

    def alert(context):
        pass

    with DAG("parsed", schedule=None, default_args={"on_failure_callback": alert}):
        function = task.codepipeline_job(lambda job: None, task_id="work")(offer()).operator
    assert alert in function.on_failure_callback
    assert len(function.on_failure_callback) == 2


def test_default_args_reach_the_function(offer):
    with DAG("parsed", schedule=None, default_args={"aws_conn_id": "other", "retries": 4}):
        made = task.codepipeline_job(work)(JOB).operator
    assert (made.aws_conn_id, made.retries) == ("other", 4)
