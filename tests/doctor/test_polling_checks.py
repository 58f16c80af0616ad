# SPDX-License-Identifier: Apache-2.0
"""Who polls for an action type: what DAGs say, also while they are paused."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, Asset
from doctor_rows import CLAIM_AND_FINISH, dag_as_stored

from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs
from airflow_codepipeline_partner.doctor import airflow_checks
from airflow_codepipeline_partner.doctor.findings import Outcome
from airflow_codepipeline_partner.doctor.polling_checks import check_polls
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

PASS, FAIL, UNKNOWN = Outcome
TEXT = "Deploy/Custom/Airflow/1"
TYPE = ActionType.from_value(TEXT)


class Sensor(CodePipelineJobSensor):
    """A user's own."""


Sensor.__module__ = "code_of_a_user"


def waiting(text=TEXT, name="jobs"):
    return codepipeline_jobs(name, text, botocore_config={"read_timeout": 70})


@pytest.fixture
def store(rows):
    def put(dag, *, is_paused=False):
        rows.add("dag", dag_id=dag.dag_id, is_paused=int(is_paused), is_stale=0, bundle_name="b")
        held = dag_as_stored(dag)
        rows.dag(held.pop("dag_id"), *held.pop("tasks"), **held)

    return put


@pytest.fixture
def polled(database):
    def check(wanted=TYPE):
        return [(each.outcome, each.what, each.to_do) for each in check_polls(database, wanted)]

    return check


def take_jobs(schedule=None, target=None, name="take_jobs"):
    with DAG(name, schedule=[waiting()] if schedule is None else schedule) as dag:
        if target is not None:
            dispatch_jobs(None, target)
    return dag


@pytest.mark.parametrize("schedule", [[waiting()], waiting() | Asset("b"), (waiting() & Asset("b"))])
def test_a_dag_polls_if_a_watcher_of_its_asset_does(store, polled, schedule):
    store(take_jobs(schedule))
    assert polled() == [(PASS, f"take_jobs polls for {TEXT}.", "")]


def test_a_paused_dag_does_not_poll(store, polled):
    store(take_jobs(), is_paused=True)
    said = f"take_jobs polls for {TEXT}, but is paused: nothing polls."
    assert polled() == [(FAIL, said, "airflow dags unpause take_jobs")]
    # It may be meant, for instance for an old version.
    unpause = "airflow dags unpause take_jobs. Or leave it so, if it is meant."
    assert polled(None) == [(UNKNOWN, said, unpause)]


def test_another_dag_on_the_asset_keeps_the_polls_going(store, polled):
    store(take_jobs(), is_paused=True)
    store(take_jobs([Asset("jobs")], name="reads_it"))
    assert polled() == [(PASS, f"reads_it polls for {TEXT}.", "")]


def test_a_mere_reference_to_the_asset_makes_nothing_poll(store, polled):
    store(take_jobs(), is_paused=True)
    store(take_jobs([Asset.ref(name="jobs")], name="refers"))
    assert [outcome for outcome, *_ in polled()] == [FAIL]


def test_without_a_dag_that_polls_it_is_unknown(store, polled, rows):
    assert polled(None) == [(PASS, "No DAG here polls for jobs, and no DAG works on them.", "")]
    rows.run("builds")
    rows.dag("builds", *CLAIM_AND_FINISH)
    [(outcome, what, _)] = polled(None)
    assert (outcome, what) == (UNKNOWN, "No DAG here polls for jobs, but builds works on them.")
    store(take_jobs([waiting("Deploy/Custom/Airflow/2")]))
    [(outcome, what, _)] = polled()
    expected = f"No DAG here polls for {TEXT}. DAGs poll for Deploy/Custom/Airflow/2."
    assert (outcome, what) == (UNKNOWN, expected)


@pytest.mark.parametrize("kind", [CodePipelineJobSensor, Sensor])
@pytest.mark.parametrize(
    "action_type", [TEXT, TYPE, {"category": "Deploy", "owner": "Custom", "provider": "Airflow"}]
)
def test_a_sensor_polls_while_it_runs(store, polled, kind, action_type):
    with DAG("waits", schedule=None) as dag:
        kind(task_id="wait", action_type=action_type)
    store(dag)
    assert polled() == [(PASS, f"waits polls for {TEXT}, while wait runs.", "")]


@pytest.mark.parametrize("is_expanded", [True, False])
def test_mapped_sensors_poll(store, polled, is_expanded):
    with DAG("waits", schedule=None) as dag:
        if is_expanded:
            CodePipelineJobSensor.partial(task_id="wait").expand(action_type=[TEXT, "Test/Custom/Airflow/1"])
        else:
            CodePipelineJobSensor.partial(task_id="wait", action_type=TEXT).expand(aws_conn_id=["a"])
    store(dag)
    assert [outcome for outcome, *_ in polled()] == [PASS]
    assert len(polled(None)) == 1 + is_expanded


def test_a_templated_action_type_cannot_be_seen(store, polled):
    with DAG("waits", schedule=None) as dag:
        CodePipelineJobSensor(task_id="wait", action_type="{{ params.action_type }}")
    store(dag)
    [(outcome, what, _)] = polled()
    assert (outcome, "except perhaps waits" in what) == (UNKNOWN, True)
    assert [outcome for outcome, *_ in polled(None)] == [UNKNOWN]
    store(take_jobs(), is_paused=True)
    [(outcome, what, _)] = polled()
    assert (outcome, "is paused: nothing polls, except perhaps waits." in what) == (UNKNOWN, True)


def test_a_dag_that_cannot_be_read_may_poll(store, polled, rows):
    store(take_jobs(), is_paused=True)
    store(take_jobs([], name="odd"))
    rows.execute("UPDATE serialized_dag SET data = '[]' WHERE dag_id = 'odd'")
    assert [outcome for outcome, *_ in polled()] == [UNKNOWN]


# The DAG that works on the jobs.


def test_a_paused_dag_gets_no_runs(store, polled):
    store(take_jobs(target="deploy"))
    store(DAG("deploy", schedule=None), is_paused=True)
    said = f"take_jobs polls for {TEXT} and starts runs of deploy, which is paused: no job is worked on."
    assert polled()[1:] == [(FAIL, said, "airflow dags unpause deploy")]


def test_a_dag_that_is_not_there_gets_no_runs(store, polled):
    store(take_jobs(target="gone"))
    [_, (outcome, what, _)] = polled()
    assert (outcome, "runs of gone, which Airflow does not have" in what) == (FAIL, True)


@pytest.mark.parametrize("target", ["deploy", "{{ params.dag }}"])
def test_a_dag_that_works_on_the_jobs_passes(store, polled, target):
    store(take_jobs(target=target))
    store(DAG("deploy", schedule=None))
    assert [outcome for outcome, *_ in polled()] == [PASS]


@pytest.mark.parametrize(("number", "said"), [(1, "1 run for a job waits"), (2, "2 runs for jobs wait")])
def test_queued_runs_of_a_paused_dag_fail(store, rows, database, number, said):
    store(DAG("deploy", schedule=None), is_paused=True)
    assert [each.outcome for each in airflow_checks.check_paused(database)] == [PASS]
    for each in range(number):
        rows.add(
            "dag_run",
            id=each,
            dag_id="deploy",
            run_id=f"codepipeline__{each}",
            state="queued",
            run_type="manual",
            logical_date=None,
        )
    rows.add("dag_run", id=9, dag_id="deploy", run_id="manual__1", state="queued", run_type="manual")
    [found] = airflow_checks.check_paused(database)
    expected = (FAIL, f"{said}, since the DAG deploy is paused.", "airflow dags unpause deploy")
    assert (found.outcome, found.what, found.to_do) == expected


def test_a_dag_that_is_in_no_file_any_more_is_not_unpaused(rows, database):
    rows.run("deploy", paused=True, state="queued")
    rows.execute("UPDATE dag_run SET run_id = 'codepipeline__1'")
    assert [each.outcome for each in airflow_checks.check_paused(database)] == [FAIL]
    rows.execute("UPDATE dag SET is_stale = 1")
    assert [each.outcome for each in airflow_checks.check_paused(database)] == [PASS]


def test_a_paused_target_is_named_once(store, database):
    both = [waiting(), waiting("Deploy/Custom/Airflow/2", "more_jobs")]
    store(take_jobs(both, target="deploy"))
    with DAG("deploy", schedule=None) as target:
        pass
    store(target, is_paused=True)
    found = [each.what for each in check_polls(database, None)]
    assert sum("which is paused" in what for what in found) == 1
