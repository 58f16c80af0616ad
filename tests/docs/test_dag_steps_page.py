# SPDX-License-Identifier: Apache-2.0
"""What docs/dag-steps.md shows works."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from support import admin_client

from airflow_codepipeline_partner._compat import READS_OTHER_DAGS
from airflow_codepipeline_partner.action_types import CustomActionType, cloudformation_template
from airflow_codepipeline_partner.dags.step_tasks import _about
from tests.docs.conftest import STEPS_PAGE as PAGE
from tests.docs.pages import blocks, blocks_of


def test_every_block_is_run_here():
    languages = [language for language, _ in blocks(PAGE)]
    assert languages == ["yaml", "bash", "python", "python", "json", "python", "python", "yaml", "python"]


def declaration():
    return blocks_of(PAGE, "yaml")[0]


def test_a_pipeline_runs_the_dag(declare, codepipeline, do_step):
    emulator = codepipeline.emulator
    action_type = declare(declaration())
    shown = json.loads(blocks_of(PAGE, "json")[0])
    assert {each["name"] for each in action_type["configurationProperties"]} >= set(shown["configuration"])
    kind = "/".join(shown["actionTypeId"][part] for part in ("category", "owner", "provider", "version"))
    emulator.add_pipeline("own", action_type=kind, configuration=shown["configuration"])
    emulator.start_execution("own")
    run = do_step(kind)
    assert run.state == "success"
    [trained] = run.started
    assert (trained.dag_id, trained.conf["day"]) == ("train_model", "2026-01-31")
    [succeeded] = [entry for entry in emulator.ledger if entry.operation == "PutJobSuccessResult"][-1:]
    model = f"s3://models/{succeeded.pipeline_execution_id}"
    assert succeeded.details["outputVariables"] == {"Accuracy": "0.93", "Model": model}


@pytest.mark.skipif(not READS_OTHER_DAGS, reason="Before Airflow 3.2, no task can read another DAG's tags.")
def test_the_worker_by_tag_is_a_worker(dags_folder, load_dags):
    [code] = [block for block in blocks_of(PAGE, "python") if "allowed_tag" in block]
    (dags_folder / "worker_from_dag_steps.py").write_text(code)
    assert load_dags().by_id["codepipeline_step_job"].get_task("start").allowed_tag == "for-pipelines"


def test_a_run_reads_and_makes_artifacts(emulator, aws_connection, make_hook, dags_folder, load_dags):
    [code] = [block for block in blocks_of(PAGE, "python") if "Workspace" in block]
    (dags_folder / "report_from_dag_steps.py").write_text(code)
    emulator.add_pipeline("own", action_type="Build/Custom/Airflow/1", output_artifacts=["Report"])
    emulator.start_execution("own")
    hook = make_hook()
    about = _about(hook.claim(hook.poll("Build/Custom/Airflow/1")[0]))
    assert load_dags().run("build_report", codepipeline=about).state == "success"
    [report] = about["output_artifacts"]
    client = admin_client(emulator, "s3")
    with client.get_object(Bucket=report["bucket"], Key=report["key"])["Body"] as body:
        archive = zipfile.ZipFile(io.BytesIO(body.read()))
    client.close()
    assert archive.read("report.txt") == b"1 files"


def test_each_airflow_does_its_own_steps(declare, codepipeline, do_step, tmp_path):
    emulator = codepipeline.emulator
    shown = declaration().replace('version: "1"', 'version: "2"') + blocks_of(PAGE, "yaml")[1]
    declared = CustomActionType.from_declaration(declare(shown))
    template = cloudformation_template(declared)["Resources"]["ActionType"]["Properties"]
    assert [each["Name"] for each in template["ConfigurationProperties"] if each.get("Queryable")] == [
        "Airflow"
    ]
    worker = next(block for block in blocks_of(PAGE, "python") if "query_param" in block)
    for team in ("team-a", "team-b"):
        configuration = {"Dag": "train_model", "Airflow": team}
        emulator.add_pipeline(team, action_type="Invoke/Custom/AirflowDag/2", configuration=configuration)
        emulator.start_execution(team)
    assert do_step("Invoke/Custom/AirflowDag/2", worker, {"Airflow": "team-a"}).state == "success"
    # What the worker's own poll asks for.
    [waiting] = codepipeline.load_dag(tmp_path / "worker_from_dag_steps.py", "codepipeline_step").schedule
    [watcher] = waiting.watchers
    assert watcher.trigger.serialize()[1]["query_param"] == {"Airflow": "team-a"}
    states = {team: emulator.pipeline_state(team)["stageStates"][1] for team in ("team-a", "team-b")}
    assert {team: state["latestExecution"]["status"] for team, state in states.items()} == {
        "team-a": "Succeeded",
        "team-b": "InProgress",
    }
