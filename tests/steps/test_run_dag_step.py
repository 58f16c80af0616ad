# SPDX-License-Identifier: Apache-2.0
"""The worker that runs a DAG as a step of a pipeline."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner.dags import run_dag_step, step_tasks
from airflow_codepipeline_partner.dags.step_tasks import StepOutputsOperator, look_at_run
from airflow_codepipeline_partner.exceptions import InvalidInput

#: The function of the same name hides it.
module_of_worker = sys.modules["airflow_codepipeline_partner.dags.run_dag_step"]
KIND = "Build/Custom/RunDag/1"


def test_it_makes_two_dags():
    polling, working = run_dag_step(KIND, allowed_dags=["train_model"], dag_id="step", tags=["mine"])
    assert (polling.dag_id, working.dag_id) == ("step", "step_job")
    assert set(working.task_dict) == {"claim", "start", "wait", "outputs", "finish_job"}
    assert working.get_task("finish_job").is_teardown
    # What customers' runs come to must not pause it, and somebody may mark its last task as success.
    assert working.max_consecutive_failed_dag_runs == 0
    assert working.on_success_callback
    assert working.on_failure_callback
    assert polling.tags == working.tags == {"mine", "codepipeline-worker"}
    assert run_dag_step(KIND, allowed_dags="train_model")[0].tags == {"codepipeline", "codepipeline-worker"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"action_type": "Build/ThirdParty/RunDag/1"}, "custom action type"),
        ({"allowed_dags": []}, "allowed_dags"),
        ({"allowed_dags": [""]}, "allowed_dags"),
        ({"allowed_dags": [], "allowed_tag": ""}, "allowed_dags"),
        ({"allowed_tag": "codepipeline-worker"}, "which workers have"),
        ({"allowed_tag": ["a"]}, "allowed_tag must be a tag"),
        ({"missing_outputs": "perhaps"}, "missing_outputs"),
        ({"allowed_dags": ["codepipeline_step_job"]}, "its own worker"),
    ],
)
def test_what_makes_no_worker_is_refused(wrong, said):
    given = {"action_type": KIND, "allowed_dags": ["train_model"], **wrong}
    with pytest.raises(InvalidInput, match=said):
        run_dag_step(given.pop("action_type"), **given)


def test_a_tag_is_refused_where_a_task_cannot_read_it(monkeypatch):
    monkeypatch.setattr(module_of_worker, "READS_OTHER_DAGS", False)
    with pytest.raises(InvalidInput, match=r"needs Airflow 3\.2, and this is 3\.\d+\.\d+.*allowed_dags"):
        run_dag_step(KIND, allowed_tag="for-pipelines")
    run_dag_step(KIND, allowed_dags=["train_model"])


@pytest.fixture
def airflow(monkeypatch):
    """What Airflow says of the run."""
    world = SimpleNamespace(state="running", tasks={})
    monkeypatch.setattr(step_tasks, "get_run_state", lambda dag_id, run_id: world.state)
    monkeypatch.setattr(step_tasks, "get_task_states", lambda dag_id, runs: {runs[0]: world.tasks})
    return world


RUN = {"dag_id": "train_model", "run_id": "r", "deadline": None, "outputs": []}
RUN["execution_details"] = {"external_execution_id": "train_model/runs/r"}


def test_the_progress_is_how_many_tasks_are_done(airflow):
    link = {"external_execution_id": "train_model/runs/r"}
    assert look_at_run(None, RUN) == {"summary": "0 of 0 tasks of DAG train_model are done.", **link}
    airflow.tasks = {"a": "success", "b": "skipped", "c": "running", "d": None}
    assert look_at_run(None, RUN) == {
        "summary": "2 of 4 tasks of DAG train_model are done.",
        "percent_complete": 50,
        **link,
    }
    airflow.state = "success"
    assert look_at_run(None, RUN) is True


def test_a_failed_run_names_its_failed_tasks(airflow):
    airflow.state, airflow.tasks = "failed", {"b": "failed", "c": "upstream_failed", "a": "failed"}
    with pytest.raises(AirflowFailException, match="DAG train_model failed: a, b"):
        look_at_run(None, RUN)


def test_a_run_that_was_deleted(airflow):
    airflow.state = None
    with pytest.raises(AirflowFailException, match="was deleted in Airflow"):
        look_at_run(None, RUN)


def test_a_run_that_takes_too_long_is_left(airflow):
    with pytest.raises(AirflowFailException, match="within the action's Timeout"):
        look_at_run(None, {**RUN, "deadline": 1.0})


def outputs_of(values, *outputs):
    def xcom_pull(*, task_ids, key, dag_id, run_id):
        assert (dag_id, run_id) == ("train_model", "r")
        return values.get((task_ids, key))

    task = StepOutputsOperator(
        task_id="outputs", run={**RUN, "outputs": list(outputs)}, job={"job_id": "j", "action_type": KIND}
    )
    return task.execute({"ti": SimpleNamespace(xcom_pull=xcom_pull)})


def test_outputs_come_from_the_runs_xcom():
    values = {("evaluate", "return_value"): 0.93, ("train", "uri"): "s3://b/k"}
    found = outputs_of(values, ["Accuracy", "evaluate", "return_value"], ["Model", "train", "uri"])
    assert found == {"Accuracy": "0.93", "Model": "s3://b/k"}


def test_an_output_that_is_missing_is_named():
    with pytest.raises(AirflowFailException, match="no output Accuracy: task evaluate"):
        outputs_of({}, ["Accuracy", "evaluate", "return_value"])
