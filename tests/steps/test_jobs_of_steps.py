# SPDX-License-Identifier: Apache-2.0
"""A job that runs a DAG: what the run gets, and what the customer reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support import CUSTOM_TYPE

from airflow_codepipeline_partner._compat import (
    READS_OTHER_DAGS,
    AirflowFailException,
    get_run_state,
    start_run,
)
from airflow_codepipeline_partner.dags import step_tasks


class Refusal(Exception):
    """As Airflow's server refuses to start a run."""

    def __init__(self, status, reason=None):
        super().__init__()
        detail = {"detail": {"reason": reason}} if reason else {"detail": "no"}
        self.error = type("Answer", (), {"detail": {"status_code": status, "detail": detail}})


@pytest.fixture
def airflow(monkeypatch):
    """The Airflow that runs the steps: what was started there, and how that ends."""
    world = type("World", (), {"started": [], "states": ["running", "success"], "refusal": None, "tasks": {}})

    def start_run(dag_id, run_id, conf, note):
        world.note = note
        if world.refusal is not None:
            raise world.refusal
        is_new = (dag_id, run_id) not in [each[:2] for each in world.started]
        world.started.append((dag_id, run_id, conf))
        return is_new

    monkeypatch.setattr(step_tasks, "start_run", start_run)
    monkeypatch.setattr(step_tasks, "is_paused", lambda ti, dag_id: dag_id == "paused")

    def get_run_state(dag_id, run_id):
        if (dag_id, run_id) not in [each[:2] for each in world.started]:
            return None
        return world.states.pop(0) if len(world.states) > 1 else world.states[0]

    monkeypatch.setattr(step_tasks, "get_run_state", get_run_state)
    monkeypatch.setattr(step_tasks, "get_task_states", lambda dag_id, runs: {runs[0]: world.tasks})
    world.started, world.states = [], ["running", "success"]
    return world


@pytest.fixture
def run_step(emulator, aws_connection, make_hook, dags, monkeypatch):
    """Return a function that has an action with a configuration done, and returns its state."""

    def run(worker="step_job", **configuration):
        for task in dags.by_id[worker].tasks:
            monkeypatch.setattr(task, "retry_delay", timedelta(0))
        emulator.add_pipeline("own", action_type=CUSTOM_TYPE, configuration=configuration)
        emulator.start_execution("own")
        [job] = make_hook().poll(CUSTOM_TYPE)
        done = dags.run(worker, **job.to_xcom())
        [_, stage] = emulator.pipeline_state("own")["stageStates"]
        return done, job, stage["actionStates"][0]["latestExecution"]

    return run


def test_the_dag_runs_with_the_conf_and_the_pipeline(airflow, run_step):
    done, job, shown = run_step(Dag="train_model", Conf='{"day": "2026-01-31"}')
    assert done.state == "success"
    [(dag_id, run_id, conf)] = airflow.started
    assert (dag_id, run_id) == ("train_model", f"codepipeline__{job.job_id}")
    about = conf.pop("codepipeline")
    assert conf == {"day": "2026-01-31"}
    assert (about["pipeline_name"], about["stage_name"], about["job_id"]) == ("own", "Partner", job.job_id)
    assert about["pipeline_execution_id"] in about["pipeline_execution_url"]
    assert airflow.note == (
        f"A step of a pipeline: own / Partner / Partner, execution {about['pipeline_execution_id']}. "
        f"{about['pipeline_execution_url']}"
    )
    assert [each["name"] for each in about["input_artifacts"]] == ["SourceOutput"]
    assert (shown["status"], shown["summary"]) == ("Succeeded", "DAG train_model succeeded.")
    assert shown["externalExecutionId"] == f"train_model/runs/{run_id}"


def test_a_failed_run_fails_the_action(airflow, run_step):
    airflow.states, airflow.tasks = ["failed"], {"load": "success", "train": "failed"}
    done, _, shown = run_step(Dag="train_model")
    assert (done.state, shown["status"]) == ("failed", "Failed")
    assert shown["errorDetails"] == {"code": "JobFailed", "message": "DAG train_model failed: train"}


@pytest.mark.parametrize(
    ("configuration", "refusal", "code", "message"),
    [
        ({"Dag": "other"}, None, "PermissionError", "DAG other may not be run by pipelines."),
        ({"Dag": "paused"}, None, "ConfigurationError", "DAG paused is paused in Airflow."),
        ({"Dag": "train_model", "Conf": "{"}, None, "ConfigurationError", "Conf is not JSON"),
        ({"Dag": "train_model"}, (404, "not_found"), "ConfigurationError", "does not exist"),
        ({"Dag": "train_model"}, (400, "import_errors"), "ConfigurationError", "its file has an error"),
        ({"Dag": "train_model"}, (400, "value_error"), "ConfigurationError", "does not take this Conf"),
        ({"Dag": "train_model"}, (400, "denied_run_type"), "ConfigurationError", "does not allow runs"),
        ({"Dag": "train_model"}, (400, "else"), "ConfigurationError", "DAG train_model cannot be run."),
    ],
)
def test_what_cannot_be_run_is_said_to_the_customer(airflow, run_step, configuration, refusal, code, message):
    airflow.refusal = refusal and Refusal(*refusal)
    done, _, shown = run_step(**configuration)
    assert (done.state, shown["status"], airflow.started) == ("failed", "Failed", [])
    assert shown["errorDetails"]["code"] == code
    assert message in shown["errorDetails"]["message"]


@pytest.mark.skipif(not READS_OTHER_DAGS, reason="Before Airflow 3.2, no task can read another DAG's tags.")
@pytest.mark.parametrize(
    ("dag_id", "is_allowed"),
    # One with the tag, one without it, and two workers with it.
    [
        ("build_nothing", True),
        ("build_in_python", False),
        ("tagged_step", False),
        ("tagged_step_job", False),
    ],
)
def test_a_tag_says_which_dags_may_be_run(airflow, run_step, serialized_dags, dag_id, is_allowed):
    done, _, shown = run_step("tagged_step_job", Dag=dag_id)
    assert [each[0] for each in airflow.started] == ([dag_id] if is_allowed else [])
    assert (done.state, shown["status"]) == (("success", "Succeeded") if is_allowed else ("failed", "Failed"))
    if not is_allowed:
        message = f"DAG {dag_id} may not be run by pipelines."
        assert shown["errorDetails"] == {"code": "PermissionError", "message": message}


def test_an_output_that_is_missing_fails_the_action(airflow, run_step):
    done, _, shown = run_step(Dag="train_model", Outputs="Accuracy=evaluate")
    assert done.state == "failed"
    assert "There is no output Accuracy: task evaluate" in shown["errorDetails"]["message"]


def context_of(job, began=None, try_number=1):
    run = SimpleNamespace(conf={"job_id": job["job_id"]}, start_date=began)
    return {"ti": SimpleNamespace(try_number=try_number), "dag_run": run}


@pytest.fixture
def claim_step(aws_connection, emulator, make_hook):
    """Return a function that starts an execution, and claims its job."""

    def claim(**configuration):
        emulator.add_pipeline("own", action_type=CUSTOM_TYPE, configuration=configuration)
        emulator.start_execution("own")
        hook = make_hook()
        return hook, hook.claim(hook.poll(CUSTOM_TYPE)[0])

    return claim


@pytest.fixture
def starting(monkeypatch):
    """Return a function that makes the task that starts the run."""
    monkeypatch.setattr(step_tasks, "_claimed_by", lambda context, job: {})
    return lambda job: step_tasks.StartRunOfStepOperator(
        task_id="start", job=job, allowed_dags=["train_model"]
    )


@pytest.mark.parametrize("meanwhile", ["paused", "broken", "no longer allowed"])
def test_a_retry_goes_on_with_what_was_started(airflow, run_step, monkeypatch, meanwhile):
    """The answer to the start was lost, or its process has died."""
    start_run = step_tasks.start_run

    def start_and_die(*given, **more):
        start_run(*given, **more)
        monkeypatch.setattr(step_tasks, "start_run", start_run)
        monkeypatch.setattr(step_tasks, "is_paused", lambda ti, dag_id: meanwhile == "paused")
        airflow.refusal = Refusal(400, "import_errors") if meanwhile == "broken" else None
        if meanwhile == "no longer allowed":
            monkeypatch.setattr(step_tasks.StartRunOfStepOperator, "_allows", lambda *given: False)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(step_tasks, "start_run", start_and_die)
    done, _, shown = run_step(Dag="train_model")
    assert (done.state, shown["status"], len(airflow.started)) == ("success", "Succeeded", 1)


@pytest.mark.parametrize("end", ["Failed", "Succeeded", "TimedOut"])
def test_nothing_is_started_for_a_job_that_has_ended(airflow, claim_step, starting, emulator, end):
    hook, claimed = claim_step(Dag="train_model")
    if end == "TimedOut":
        emulator.advance(3700)
    elif end == "Failed":
        hook.fail(claimed, message="no")
    else:
        hook.succeed(claimed)
    with pytest.raises(AirflowFailException, match="The job has ended"):
        starting(claimed.to_xcom()).execute(context_of(claimed.to_xcom()))
    assert airflow.started == []


def test_the_next_job_of_an_action_starts_no_second_run(airflow, claim_step, starting):
    """A cleared claim returns the job in which the action has gone on since."""
    _, claimed = claim_step(Dag="train_model", Timeout="60")
    began = datetime(2026, 1, 31, tzinfo=UTC)
    runs = [
        starting(claimed.to_xcom()).execute(context_of({"job_id": "first"}, began, try_number))
        for try_number in (1, 2)
    ]
    assert [each[1] for each in airflow.started] == ["codepipeline__first"]
    # Its time does not begin anew either.
    assert {run["deadline"] for run in runs} == {began.timestamp() + 60}


@pytest.mark.parametrize("dag_id", ["train_model", "secret_payroll"])
def test_a_run_that_somebody_made_before_is_not_the_steps(airflow, claim_step, starting, dag_id):
    """The job's id is seen before its run is started, and many may start runs."""
    _, claimed = claim_step(Dag=dag_id)
    airflow.started.append((dag_id, f"codepipeline__{claimed.job_id}", {}))
    with pytest.raises(AirflowFailException, match="which is not the step's"):
        starting(claimed.to_xcom()).execute(context_of(claimed.to_xcom()))


def test_a_run_that_is_deleted_fails_the_action(airflow, run_step, monkeypatch):
    monkeypatch.setattr(step_tasks, "get_run_state", get_run_state)
    done, _, shown = run_step(Dag="train_model")
    assert done.state == "failed"
    assert shown["errorDetails"]["message"] == "The run of DAG train_model was deleted in Airflow."


def test_a_refusal_of_airflows_own_server_is_recognized(airflow, run_step, monkeypatch):
    monkeypatch.setattr(step_tasks, "start_run", start_run)
    monkeypatch.setattr(step_tasks, "get_run_state", get_run_state)
    monkeypatch.setattr(step_tasks.StartRunOfStepOperator, "_allows", lambda *given: True)
    _, _, shown = run_step(Dag="nobodys_dag")
    assert "DAG nobodys_dag does not exist in this Airflow." in shown["errorDetails"]["message"]


def test_the_link_of_a_failed_action_leads_to_the_run(airflow, run_step):
    airflow.states = ["failed"]
    _, job, shown = run_step(Dag="train_model")
    assert shown["externalExecutionId"] == f"train_model/runs/codepipeline__{job.job_id}"


def test_no_frame_of_an_error_shows_what_was_configured(aws_connection, emulator, airflow, make_hook):
    """Sentry and rich show the variables of a function that raises."""
    planted = {"Dag": "train_model", "Conf": '{"key": "planted-value"}', "Outputs": "planted-value"}
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE, configuration=planted)
    emulator.start_execution("own")
    hook = make_hook()
    claimed = hook.claim(hook.poll(CUSTOM_TYPE)[0]).to_xcom()
    task = step_tasks.StartRunOfStepOperator(task_id="start", job=claimed, allowed_dags=["train_model"])
    with pytest.raises(Exception, match="Outputs") as raised:
        task.execute(context_of(claimed))
    error, shown = raised.value, []
    while error is not None:
        frames = error.__traceback__
        while frames is not None:
            if frames.tb_frame.f_code.co_filename.endswith(("step_tasks.py", "step_configuration.py")):
                shown.append(repr(frames.tb_frame.f_locals))
            frames = frames.tb_next
        error = error.__cause__ or error.__context__
    assert shown
    assert "planted-value" not in str(shown)


def test_an_output_that_is_too_large_fails_the_action(airflow, run_step, monkeypatch):
    monkeypatch.setattr(step_tasks, "value_from_run", lambda *of_which: "x" * 200_000)
    done, _, shown = run_step(Dag="train_model", Outputs="Model=train")
    assert (done.state, shown["status"]) == ("failed", "Failed")
    assert "output_variables have 200005 bytes" in shown["errorDetails"]["message"]
