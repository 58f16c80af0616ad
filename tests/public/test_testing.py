# SPDX-License-Identifier: Apache-2.0
"""The names that users' tests depend on, frozen: the test kit."""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points
from typing import Any

import pytest
from public_surface import NEEDED, TEMPLATE, parameters_of

from airflow_codepipeline_partner import testing

SIGNATURES: dict[Any, dict[str, Any]] = {
    testing.CodePipeline: {"home": None},
    testing.CodePipeline.add_customer: {"client_conn_id_template": TEMPLATE},
    testing.CodePipeline.add_pipeline: {"name": NEEDED, "variables": ()},
    testing.CodePipeline.advance: {"seconds": NEEDED},
    testing.CodePipeline.connect: {"aws_conn_id": NEEDED},
    testing.CodePipeline.load_dag: {"path": NEEDED, "dag_id": None},
    testing.CodePipeline.offer: {"job": NEEDED},
    testing.CodePipeline.queue_job: {
        "action_type": NEEDED,
        "configuration": None,
        "artifacts": None,
        "output_artifacts": (),
        "customer": None,
        "secret_configuration_keys": (),
        "pipeline_name": None,
    },
    testing.CodePipeline.run: {"dag": NEEDED, "conf": None, "started": (), "way": None},
    testing.Faults.lose_answer: {"operation": NEEDED, "times": 1},
    testing.Faults.lose_call: {"operation": NEEDED, "times": 1},
    testing.Faults.outdate_token: {"customer": NEEDED},
    testing.Faults.refuse: {"operation": NEEDED, "code": NEEDED, "message": "Refused by a test.", "times": 1},
    testing.Faults.throttle: {"operation": None, "times": 1},
    testing.OutputArtifact.read: {"path": NEEDED},
    testing.Pipeline.assert_started: {"times": 1, "status": "Succeeded", "variables": None},
    testing.Pipeline.fail: {"action": "Deploy", "code": "JobFailed", "message": "It failed."},
    testing.QueuedJob.assert_failed: {"failure_type": None, "message": None},
    testing.QueuedJob.assert_not_taken: {},
    testing.QueuedJob.assert_progressed: {},
    testing.QueuedJob.assert_succeeded: {
        "summary": None,
        "percent_complete": None,
        "output_variables": None,
    },
    testing.QueuedJob.offered: {},
    testing.QueuedJob.output_artifact: {"name": NEEDED},
}
MEMBERS = {
    testing.CodePipeline: {"customer"},
    testing.Faults: set(),
    testing.OutputArtifact: {"files"},
    testing.Pipeline: {"SOURCE", "DEPLOY", "create", "executions"},
    testing.QueuedJob: {
        *("current_revision", "external_execution_id", "failure", "is_taken", "job_id", "output_variables"),
        *("percent_complete", "pipeline_execution_id", "pipeline_name", "results", "status", "summary"),
    },
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_parameters_are_as_they_were(function):
    assert parameters_of(function) == SIGNATURES[function]


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_class_has_the_members_that_it_had(kind):
    methods = {
        function.__name__ for function in SIGNATURES if function.__qualname__.startswith(f"{kind.__name__}.")
    }
    assert {name for name in vars(kind) if not name.startswith("_")} == MEMBERS[kind] | methods


def test_a_run_has_the_fields_that_it_had():
    fields = [field.name for field in dataclasses.fields(testing.Run)]
    assert fields == ["dag_id", "run_id", "conf", "state", "states", "xcoms", "errors", "started"]


def test_the_names_are_those_that_were():
    names = {"CodePipeline", "Faults", "OutputArtifact", "Pipeline", "QueuedJob", "Run"}
    assert set(testing.__all__) == names


def test_the_plugin_and_its_fixture_have_their_names():
    [plugin] = entry_points(group="pytest11", name="codepipeline")
    assert plugin.value == "airflow_codepipeline_partner._pytest_plugin"
    assert "codepipeline" in vars(plugin.load())
