# SPDX-License-Identifier: Apache-2.0
"""The operators that stop an execution, and that have a failed stage run again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators import (
    CodePipelineRetryStageOperator,
    CodePipelineStopPipelineOperator,
)

NOBODYS = "00000000-0000-4000-8000-000000000000"


class Store(dict):
    """Stands for Airflow 3.3's store of a task."""

    set = dict.__setitem__


def context_of(try_number=1, max_tries=1, store=None):
    left = {}
    ti = SimpleNamespace(
        try_number=try_number, max_tries=max_tries, xcom_push=lambda key, value: left.update({key: value})
    )
    return {"ti": ti, "task_state_store": store, "left": left}


def made(operator, **parameters):
    with DAG("one", schedule=None):
        return operator(task_id="one", pipeline_name="pipe", waiter_delay=0.05, **parameters)


@pytest.mark.parametrize("abandon", [True, False])
def test_it_stops_the_execution(customer, emulator, partner, executions, abandon):
    execution_id = emulator.start_execution("pipe")
    if not abandon:
        # The action in progress ends first.
        partner(lambda hook, job: hook.succeed(job))
    task = made(CodePipelineStopPipelineOperator, execution_id=execution_id, abandon=abandon)
    assert task.execute(context_of()) in ("Stopped", "Succeeded")
    assert not {"InProgress", "Stopping"} & set(executions().values())
    # Again, as a retry would.
    assert task.execute(context_of()) in ("Stopped", "Succeeded")


def test_a_stop_that_is_not_waited_for(customer, emulator):
    execution_id = emulator.start_execution("pipe")
    task = made(CodePipelineStopPipelineOperator, execution_id=execution_id, wait_for_completion=False)
    assert task.execute(context_of()) == "Stopping"


def test_what_is_not_there_is_not_stopped(customer):
    task = made(CodePipelineStopPipelineOperator, execution_id=NOBODYS)
    with pytest.raises(AirflowFailException, match="PipelineNotFound"):
        task.execute(context_of())


@pytest.fixture
def failed(emulator, partner, make_hook):
    """An execution whose stage has failed once, and succeeds the next time."""
    ends = [lambda hook, job: hook.fail(job, message="Not yet."), lambda hook, job: hook.succeed(job)]
    execution_id = emulator.start_execution("pipe")
    partner(lambda hook, job: ends.pop(0)(hook, job))
    hook = make_hook()
    while not hook.get_execution("pipe", execution_id).is_ended:
        pass
    return execution_id


def retry_of(execution_id, **parameters):
    return made(CodePipelineRetryStageOperator, stage_name="Partner", execution_id=execution_id, **parameters)


def test_a_failed_stage_runs_again(failed, executions):
    context = context_of()
    assert retry_of(failed).execute(context) == failed
    assert executions() == {failed: "Succeeded"}
    assert context["left"]["pipeline_execution"]["status"] == "Succeeded"


def test_a_retry_of_the_task_waits_for_the_same_stage(failed, executions, monkeypatch):
    store, task = Store(), retry_of(failed, wait_for_completion=False)
    task.execute(context_of(store=store))
    again = retry_of(failed)
    calls = []
    monkeypatch.setattr(type(again.hook), "retry_stage", lambda *given, **named: calls.append(given))
    again.execute(context_of(try_number=2, store=store))
    assert (calls, executions()) == ([], {failed: "Succeeded"})


def test_a_task_that_was_cleared_retries_the_stage_once_more(failed):
    store = Store()
    retry_of(failed).execute(context_of(store=store))
    with pytest.raises(AirflowFailException, match="StageNotRetryable"):
        retry_of(failed).execute(context_of(max_tries=3, store=store))


def test_a_retry_finds_that_all_went_well_meanwhile(failed, executions):
    retry_of(failed).execute(context_of())
    # Before Airflow 3.3, nothing says that an earlier try has had the stage run again.
    assert retry_of(failed).execute(context_of(try_number=2)) == failed


def test_a_stage_that_has_not_failed_is_refused(customer, emulator, executions):
    execution_id = emulator.start_execution("pipe")
    with pytest.raises(AirflowFailException, match="StageNotRetryable"):
        retry_of(execution_id).execute(context_of())
    # An earlier try may have had it run, which is not known before Airflow 3.3.
    task = retry_of(execution_id, wait_for_completion=False)
    assert task.execute(context_of(try_number=2)) == execution_id


def test_what_cannot_be_retried_is_refused_as_the_dag_is_read():
    for wrong in ({"retry_mode": "SOME"}, {"stage_name": "a/b"}, {"execution_id": "last"}):
        given = {"stage_name": "Partner", "execution_id": NOBODYS, **wrong}
        with pytest.raises(InvalidInput):
            made(CodePipelineRetryStageOperator, **given)
