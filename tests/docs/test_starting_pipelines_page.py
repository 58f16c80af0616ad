# SPDX-License-Identifier: Apache-2.0
"""What docs/starting-pipelines.md shows works."""

from __future__ import annotations

import json
import shlex

import pytest

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner._protocol.executions import PipelineExecution
from airflow_codepipeline_partner.pipelines import PURPOSES
from tests.docs.pages import blocks, blocks_of, in_shell, page

PAGE = "docs/starting-pipelines.md"


def test_every_block_is_looked_at_here():
    assert [language for language, _ in blocks(PAGE)] == [
        *("python", "text", "json", "python", "bash", "python"),
        *("bash", "json", "bash"),
    ]


def test_the_dag_starts_the_pipeline(emulator, customer, dags_folder, load_dags, make_hook):
    code = blocks_of(PAGE, "python")[0]
    # The emulator's pipeline declares no variables, and nobody works on its job.
    shorter = code.replace('"shop"', '"pipe"').replace("\"{{ dag_run.conf['version'] }}\"", '"1"')
    shorter = shorter.replace('        variables={"Version": "1"},\n', "").replace(
        "deferrable=True", "wait_for_completion=False"
    )
    (dags_folder / "from_starting_pipelines.py").write_text(shorter)
    run = load_dags().run("release")
    assert run.state == "success"
    found = make_hook().get_execution("pipe", run.xcoms["release", "return_value"])
    assert found.status == "InProgress"


def test_the_mapping_has_the_members_that_the_page_shows():
    shown = json.loads(blocks_of(PAGE, "json")[0])
    assert PipelineExecution.from_xcom(shown).to_xcom() == shown


def test_the_dag_runs_at_each_end(emulator, dags_folder, load_dags, capfd):
    code = blocks_of(PAGE, "python")[1]
    (dags_folder / "ends_from_starting_pipelines.py").write_text(code)
    ended = {"pipeline_name": "shop", "pipeline_execution_id": "7ce2", "status": "Failed"}
    assert load_dags().run("after_the_shop", **ended).state == "success"
    assert "shop 7ce2 Failed" in "".join(capfd.readouterr())


def test_the_watched_asset_has_the_queue():
    names = {}
    exec(compile(blocks_of(PAGE, "python")[2], PAGE, "exec"), names)  # noqa: S102 - that is what it is for
    [watcher] = names["shop_ends"].watchers
    assert watcher.trigger.serialize()[1]["wake_queue"].endswith("/changed")


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
def test_the_wake_queues_commands_do_what_they_say(emulator, tmp_path):
    printed = in_shell(blocks_of(PAGE, "bash")[0], emulator, tmp_path)
    assert "Successfully created/updated stack - airflow-shop-ends" in printed


def test_the_policy_is_what_the_command_prints(capsys):
    command = shlex.split(blocks_of(PAGE, "bash")[1])
    assert command[:3] == ["python", "-m", "airflow_codepipeline_partner"]
    assert cli.main(command[3:]) == 0
    assert capsys.readouterr().out == blocks_of(PAGE, "json")[1]


def test_the_other_policies_commands_do_what_they_say(capsys):
    for line in blocks_of(PAGE, "bash")[2].splitlines():
        assert cli.main(shlex.split(line)[3:]) == 0
        assert json.loads(capsys.readouterr().out)["Statement"]


def test_the_table_has_each_purpose():
    table = page(PAGE)[page(PAGE).index("| `--for` |") :]
    assert [purpose for purpose in PURPOSES if f"`{purpose}`" not in table] == []
