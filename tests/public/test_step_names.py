# SPDX-License-Identifier: Apache-2.0
"""The names of steps, frozen: the signature, the properties of the action type, the run's id and conf."""

from __future__ import annotations

from public_surface import NEEDED, parameters_of

from airflow_codepipeline_partner import dags
from airflow_codepipeline_partner._protocol import step_configuration
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner.dags import step_tasks
from airflow_codepipeline_partner.jobs import ActionType, ClaimedJob, OfferedJob


def test_the_signature_is_as_it_was():
    assert dags.__all__ == ["run_dag_step"]
    assert parameters_of(dags.run_dag_step) == {
        "action_type": NEEDED,
        "allowed_dags": (),
        "allowed_tag": None,
        "dag_id": "codepipeline_step",
        "poll_interval": 30,
        "wake_queue": None,
        "query_param": None,
        "job_timeout": 3600,
        "progress_interval": 300,
        "poke_interval": 30,
        "max_active_runs": 64,
        "missing_outputs": "warn",
        "aws_conn_id": "aws_default",
        "region_name": None,
    }


def test_the_properties_are_as_they_were():
    named = {step_configuration.DAG, step_configuration.CONF}
    assert named | {step_configuration.OUTPUTS, step_configuration.TIMEOUT} == {
        "Dag",
        "Conf",
        "Outputs",
        "Timeout",
    }


def test_what_a_run_knows_of_its_job_is_as_it_was():
    """It lies in the conf of runs. The worker's task is named beside it, as ``claimed_by``."""
    names = ("pipeline_name", "stage_name", "action_name", "action_execution_id")
    of_custom_jobs = ("account_id", "pipeline_arn", "pipeline_execution_id")
    given = dict.fromkeys((*names, *of_custom_jobs), "x")
    offered = OfferedJob("j", None, ActionType("Build", "Airflow", "1", "Custom"), nonce="1")
    job = ClaimedJob(offered, continuation_token="secret", **given)
    artifacts = {"input_artifacts", "output_artifacts"}
    assert set(step_tasks._about(job)) == {"job_id", "action_type", *given, *artifacts}
    assert TaskInstanceRef.from_value({"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1})


def test_the_tag_of_workers_is_as_it_was():
    assert step_tasks.WORKER_TAG == "codepipeline-worker"
