# SPDX-License-Identifier: Apache-2.0
"""What the demo's stories are told from: copies of examples, declared pipelines, consoles and logs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from support import REPO

from demo import story as stories
from demo.job_story import WAYS
from demo.local_airflow import LocalAirflow
from demo.rest_api import AirflowFailed
from demo.secret_check import SecretCheck
from demo.start_story import DEPLOY, StartStory
from demo.step_story import STEP, StepStory
from demo.story import action, copy_dags


class Airflow:
    """What Airflow answers: one task, in the state that a test gives it."""

    def __init__(self):
        self.state = "running"
        self.api = SimpleNamespace(call=self.call)

    def call(self, method, path, body=None):
        task = {"task_id": "work", "dag_run_id": "r", "start_date": "2026-01-01", "state": self.state}
        return {"task_instances": [task, {**task, "task_id": "later", "state": "scheduled"}]}


@pytest.fixture
def told(emulator, monkeypatch):
    """A story of a step with an emulator, an Airflow that answers what is asked here, and what was said."""
    monkeypatch.setattr(stories, "_LOOK_SECONDS", 0)
    said = []
    reader = SimpleNamespace(say=said.append, begin=said.append)
    return SimpleNamespace(
        story=StepStory(emulator, Airflow(), reader), said=said, airflow=Airflow(), emulator=emulator
    )


@pytest.mark.parametrize(
    "examples", [StepStory.examples, StartStory.examples, *(way.dags for way in WAYS.values())]
)
def test_the_examples_of_a_story_look_more_often(tmp_path, examples):
    copies = copy_dags(REPO / "example_dags", tmp_path / "dags", examples)
    assert {path.stem for path in copies.iterdir()} == set(examples)
    for slow in ("poke_interval=5,", "poll_interval=5,", "progress_interval=60,"):
        assert slow not in "".join(path.read_text() for path in copies.iterdir())


def test_a_console_is_told_when_it_shows_something_new(told):
    told.story.declare_pipeline("one", {"name": "Deploy", "actions": [action("Deploy", DEPLOY)]})
    told.said.clear()
    told.emulator.fail_action("one", "Deploy", code="NoHost", message="None is free.")
    told.story.console.start_pipeline_execution(name="one")
    for _ in range(2):
        told.story.show_news("one", ["dag"])
    assert told.said[0].startswith("CodePipeline  Source / Fetch: Succeeded: ")
    assert told.said[1:] == [
        "CodePipeline  Deploy / Deploy: Failed: NoHost: None is free.",
        "Airflow       dag / work: running",
    ]
    told.story.airflow.state = "success"
    told.story.show_last_news("one", ["dag"])
    assert told.said[3:] == ["Airflow       dag / work: success"]


def test_the_action_type_of_the_step_is_that_of_the_example(told):
    told.story.create_action_type("airflow-dag.yaml")
    assert told.said == ["action-type create airflow-dag.yaml: Created Invoke/AirflowDag/1 in us-east-1"]
    found = told.story.console.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    assert [each["id"] for each in found] == [STEP]
    example = (REPO / "example_dags" / "example_run_dag_step.py").read_text()
    assert f'"{"/".join(STEP.values())}"' in example


def test_what_is_no_action_type_is_said(told):
    with pytest.raises(AirflowFailed, match=r"(?s)was not created: .*run\.py"):
        told.story.create_action_type("run.py")


def test_the_logs_of_a_task_are_read_by_time(tmp_path, told):
    airflow = LocalAirflow(tmp_path, tmp_path / "dags")
    folder = tmp_path / "logs" / "dag_id=d" / "run_id=r" / "task_id=t"
    folder.mkdir(parents=True)
    failure = {"event": "Task failed", "error_detail": [{"exc_value": "Staging / Deploy: No host."}]}
    for name, entries in {
        "attempt=1.log": [(1, {"event": "started"}), (4, {"event": "seen"}), (5, failure)],
        "attempt=1.log.trigger.2.log": [(2, {"event": "seen"}), (3, {"event": "ended"})],
    }.items():
        lines = [json.dumps({"timestamp": f"12:00:0{second}", **entry}) for second, entry in entries]
        (folder / name).write_text("\n".join(lines))
    told.story.airflow = airflow
    said = told.story.log_lines("d", "r", "t")
    assert said == ["started", "seen", "ended", "Task failed", "Staging / Deploy: No host."]
    assert airflow.task_log("d", "r", "t") in airflow.task_logs("d", "r", "t")
    assert airflow.task_log("d", "r", "other") is None


def test_a_search_that_finds_no_job_proves_nothing(tmp_path, told):
    check = SecretCheck(told.story)
    told.story.job_ids.append("00000000-0000-4000-8000-000000000000")
    (tmp_path / "task.log").write_text(f"nothing but {told.story.aws_secret}")
    with pytest.raises(AirflowFailed, match="search is broken"):
        check.search(tmp_path)
