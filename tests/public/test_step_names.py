# SPDX-License-Identifier: Apache-2.0
"""The names of steps, frozen: the signature, the properties of the action type, the run's id and conf."""

from __future__ import annotations

from public_surface import NEEDED, parameters_of

from airflow_codepipeline_partner import dags
from airflow_codepipeline_partner._protocol import step_configuration


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
        "progress_interval": None,
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
