# SPDX-License-Identifier: Apache-2.0
"""What docs/scale.md shows works: its tables are the simulation's, its DAGs run, and its settings exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
from support import CUSTOM_TYPE

from benchmarks.scale import task_cost
from benchmarks.scale.__main__ import main, with_tables
from benchmarks.scale.tables import TABLES
from tests.docs.pages import blocks, blocks_of, page

PAGE = "docs/scale.md"
#: Sections of providers that are installed with their executor only, and their options.
OF_EXECUTORS = {
    "celery": {"worker_concurrency", "worker_prefetch_multiplier", "task_acks_late"},
    "celery_broker_transport_options": {"visibility_timeout"},
    "kubernetes_executor": {"worker_pods_creation_batch_size"},
}


def options():
    """Yield the section and the name of each option of Airflow that the page names."""
    for line in page(PAGE).splitlines():
        yield from re.findall(r"`\[(\w+)\] (\w+)", line)


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == ["bash", "python", "python", "python"]


def test_the_tables_are_what_the_simulation_says():
    assert with_tables(page(PAGE)) == page(PAGE)


def test_each_table_is_on_the_page():
    assert set(re.findall(r"<!-- begin (\w+): ", page(PAGE))) == set(TABLES)


def test_the_commands_run(capsys):
    [commands] = blocks_of(PAGE, "bash")
    simulated, helped = (shlex.split(line) for line in commands.splitlines())
    assert simulated[:3] == helped[:3] == ["python", "-m", "benchmarks.scale"]
    assert main(simulated[3:]) == 0
    assert "claimed after" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(helped[3:])
    assert ended.value.code == 0
    [measured] = re.findall(r"`python -m benchmarks.scale.task_cost ([^`]*)`", page(PAGE))
    assert task_cost.parsed(shlex.split(measured)).jobs == 16


def test_local_settings_import_the_hook_in_each_process(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "airflow_local_settings.py").write_text(blocks_of(PAGE, "python")[0])
    asked = (
        "import sys\nfrom airflow import settings\nsettings.initialize()\n"
        "assert 'airflow_codepipeline_partner.hooks' in sys.modules"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", asked], env=environment, check=True, timeout=120)


@pytest.mark.parametrize(("number", "dag_id"), [(1, "build_many_jobs"), (2, "build_in_bursts")])
def test_a_dag_works_on_all_jobs(number, dag_id, emulator, aws_connection, dags_folder, load_dags, make_hook):
    for name in ("one", "two"):
        emulator.add_pipeline(name, action_type=CUSTOM_TYPE)
        emulator.start_execution(name)
    code = blocks_of(PAGE, "python")[number]
    (dags_folder / f"{dag_id}_from_docs.py").write_text(code)
    # The watcher of an asset does not run here, so its jobs come as the run's conf.
    jobs = make_hook().poll(CUSTOM_TYPE, 10) if "offered_jobs" in code else []
    conf = {"jobs": [job.to_xcom() for job in jobs]} if jobs else {}
    assert load_dags().run(dag_id, **conf).state == "success"
    for name in ("one", "two"):
        [_, stage] = emulator.pipeline_state(name)["stageStates"]
        [action] = stage["actionStates"]
        assert action["latestExecution"]["summary"] == f"Built {name}."


def test_airflow_has_the_options():
    named = set(options())
    assert len(named) > 10
    own = {option for option in named if option[0] not in OF_EXECUTORS}
    assert [option for option in own if conf.get_default_value(*option, fallback=None) is None] == []
    assert {option for option in named - own if option[1] not in OF_EXECUTORS[option[0]]} == set()


@pytest.mark.parametrize("section", OF_EXECUTORS)
def test_an_installed_provider_has_its_options(section):
    configured = dict(ProvidersManager().provider_configs)
    sections = {name: options for config in configured.values() for name, options in config.items()}
    if section not in sections:
        pytest.skip("the executor's provider is not installed")
    assert set(sections[section]["options"]) >= OF_EXECUTORS[section]
