# SPDX-License-Identifier: Apache-2.0
"""
The simulation's small Airflow is held to the real one.

The same runs, once by ``dag.test()`` with the emulator over HTTP, once in the simulation: the same states of
tasks, the same XComs, the same calls in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as version
from airflow.sdk import get_current_context
from simulation import simulate, ways
from simulation.history import History
from simulation.plan import PLANS, all_ways
from simulation.small_airflow import SmallAirflow
from support import REPO

from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.operators import CodePipelineFinishJobOperator

#: Without those whose one run takes two jobs.
WAYS = sorted(name for name, way in ways.ways().items() if not way.takes_many)
WORK = ("ok", "fail", "stumble", "job failure")
#: Records that ``dag.test()`` does not write: Airflow 3.1 hands a task's callback no exception there.
UNSEEN = ("codepipeline_failure",) if version.startswith("3.1.") else ()
#: Airflow looks into a file only if it holds the words "airflow" and "dag".
DAG_FILE = """
# DAGs of Airflow's: airflow, dag
import sys
sys.path[:0] = [{tests!r}]
from simulation.ways import ways
for way in ways().values():
    way.dag.fileloc = __file__
    globals()[way.dag.dag_id] = way.dag
"""


@pytest.fixture(scope="module")
def simulated_dags(airflow_database: None) -> Any:
    """The DAGs of the simulation, where the real Airflow finds them."""
    from in_process_airflow import Dags

    path = Path(os.environ["AIRFLOW_HOME"]) / "dags" / "simulated_ways.py"
    path.write_text(DAG_FILE.format(tests=str(REPO / "tests")))
    try:
        yield Dags()
    finally:
        path.unlink()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """The connections, for both; the real one's leads to the emulator over HTTP."""
    for name, value in simulate.connections(emulator.url).items():
        monkeypatch.setenv(name, value)
    emulator.configure(default_batch_size=10, continuation_delay=0)
    monkeypatch.setattr(CodePipelineFinishJobOperator, "LOOK_AGAIN_AFTER", timedelta(milliseconds=50))


def calls_in(entries: Iterable[Any]) -> list[tuple[str, str, str | None, str | None]]:
    """Return the calls of a ledger that are about jobs."""
    return [
        (entry.operation, entry.outcome, entry.status_after, entry.result)
        for entry in entries
        if entry.kind == "call" and not entry.operation.startswith("Poll")
    ]


def records(values: Mapping[tuple[str, str], Any]) -> set[tuple[str, str, Any]]:
    """Return which XComs there are, and the states of our records."""
    return {
        (task, key, value.get("state") if isinstance(value, dict) else None)
        for (task, key), value in values.items()
        # A link leads to another address.
        if not key.startswith("_link") and key not in UNSEEN
    }


def simulated(way: str, work: str) -> History:
    """Let the same happen in the simulation."""
    decisions = {
        "way": sorted(all_ways()).index(way),
        "work": PLANS["work"].index(work),
        "looks": PLANS["looks"].index(0),
        "continuation_delay": PLANS["continuation_delay"].index(0.0),
    }
    history = History(1, decisions)
    history.run()
    assert not history.misfortunes
    return history


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("way", WAYS)
def test_the_small_airflow_does_as_the_real_one(
    way: str,
    work: str,
    simulated_dags: Any,
    client: None,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    make_hook: Callable[..., Any],
) -> None:
    history = simulated(way, work)
    owner = all_ways()[way].owner
    action_type = f"Deploy/{owner}/Acme/1"
    client_id = None
    if owner == "ThirdParty":
        client_id = emulator.add_customer(simulate.CLIENT_ID, simulate.CLIENT_TOKEN).client_id
    emulator.add_pipeline("pipe0", client_id=client_id, action_type=action_type, input_artifacts=())
    emulator.start_execution("pipe0")
    [job] = make_hook().poll(action_type)
    # The same function, with the same plan.
    plan = History(1, {"work": PLANS["work"].index(work), "looks": PLANS["looks"].index(0)})
    plan.current = None
    monkeypatch.setattr(ways, "do_work", plan.do_work)
    looked = set()

    def is_done(job_id: str) -> bool:
        """Stumble at each task's first look, as the simulation does."""
        task_id = get_current_context()["ti"].task_id
        if work == "stumble" and task_id not in looked:
            looked.add(task_id)
            raise ValueError("as planned")
        return plan.ends_well()

    monkeypatch.setattr(ways, "is_done", is_done)
    conf = {name: value for name, value in job.to_xcom().items() if value is not None}
    run = simulated_dags.run(f"way_{way}", **conf)

    [small] = history.server.runs.values()
    states = {each.name: each.state for each in small.instances.values()}
    assert run.states == states
    assert run.state == small.state
    xcoms = {
        (key[2], name): value for key, held in history.server.xcoms.items() for name, value in held.items()
    }
    assert records(run.xcoms) == records(xcoms)
    assert calls_in(emulator.ledger) == calls_in(history.codepipeline.state.ledger)


def test_a_group_over_what_was_never_made_does_not_start(simulated_dags: Any, client: None) -> None:
    """Whatever the trigger rules of its tasks are: ``jobs`` fails."""
    run = simulated_dags.run("way_many", jobs=None)
    server = SmallAirflow()
    small = server.start_run(all_ways()["many"].dag, "run", {}, 0.0)
    small.instances["jobs", -1].state = "failed"
    assert list(server.startable(small)) == []
    server.update_state(small)
    assert run.states == {each.name: each.state for each in small.instances.values()}
    assert run.state == small.state
