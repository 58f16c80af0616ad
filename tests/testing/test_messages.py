# SPDX-License-Identifier: Apache-2.0
"""What a user's failed test says. One run of pytest, in a user's folder, shows all of it."""

from __future__ import annotations

import pytest

from tests.testing.conftest import DAG_FILE
from tests.testing.users_project import USERS_OWN, message_of, run_pytest, write

TESTS = """
import os
import threading

import pytest

KIND = "Deploy/Custom/Example/1"


@pytest.fixture
def deploy(codepipeline):
    dag = codepipeline.load_dag("worker_dags.py", "as_function")

    def run(**configuration):
        job = codepipeline.queue_job(
            KIND, configuration=configuration, secret_configuration_keys=["Wish"] if configuration else ()
        )
        codepipeline.run(dag)
        return job

    return run


def test_failed(deploy):
    deploy(Wish="fail").assert_succeeded(summary="Deployed.", percent_complete=50)


def test_succeeded(deploy):
    deploy().assert_failed("ConfigurationError", message="Target")


def test_other_summary(deploy):
    deploy().assert_succeeded(summary="Deployed the shop.", output_variables={"Release": "r8"})


def test_no_progress(deploy):
    deploy().assert_progressed(50)


def test_taken(deploy):
    deploy().assert_not_taken()


def test_secret(deploy):
    deploy(Wish="leak-of-a-secret-0123456789").assert_succeeded()


def test_not_run(codepipeline):
    codepipeline.queue_job(KIND).assert_succeeded()


def test_other_kind(codepipeline):
    job = codepipeline.queue_job("Build/Custom/Example/1")
    codepipeline.emulator.add_action_type(KIND)
    dag = codepipeline.load_dag("worker_dags.py", "by_sensor")
    dag.get_task("wait").timeout = 0.1
    codepipeline.run(dag)
    job.assert_succeeded()


def test_no_job(codepipeline):
    codepipeline.run(codepipeline.load_dag("worker_dags.py", "by_sensor"))


def test_no_artifact(codepipeline):
    codepipeline.queue_job(KIND, output_artifacts=["Built"]).output_artifact("Built")


def test_no_such_file(codepipeline):
    (codepipeline.load_dag("no_dags.py"))


def test_broken_file(codepipeline):
    (codepipeline.load_dag("broken.py"))


def test_two_dags(codepipeline):
    (codepipeline.load_dag("worker_dags.py"))


def test_no_dag(codepipeline):
    (codepipeline.load_dag("empty.py"))


def test_no_such_dag(codepipeline):
    (codepipeline.load_dag("worker_dags.py", "deploy"))


def test_starts_another(codepipeline):
    work = codepipeline.load_dag("worker_dags.py", "as_function")
    codepipeline.queue_job(KIND)
    codepipeline.run(codepipeline.load_dag("worker_dags.py", "by_asset"), started=[work])
    job = codepipeline.queue_job(KIND)
    codepipeline.run(codepipeline.load_dag("worker_dags.py", "by_asset"))
    job.assert_succeeded()


def test_not_started(codepipeline):
    codepipeline.add_pipeline("shop").assert_started(variables={"Version": "2"})


def test_nothing_is_left():
    assert {name: os.environ[name] for name in USERS_OWN} == USERS_OWN
    assert [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "AWS_ENDPOINT"))] == []
    assert [each.name for each in threading.enumerate() if each.name == "codepipeline-emulator"] == []
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    tests = TESTS.replace("KIND =", f"USERS_OWN = {USERS_OWN}\nKIND =", 1)
    write(
        folder,
        {
            "worker_dags.py": DAG_FILE.read_text(),
            "test_shop.py": tests,
            "broken.py": "import no_such_module",
            "empty.py": "",
        },
    )
    shown = run_pytest(folder, "-W", "error", **USERS_OWN)
    (folder / "printed.txt").write_text(shown)
    assert "17 failed, 1 passed" in shown, shown[-3000:]
    # No test has imported Airflow before the fixture, so that its home was temporary.
    assert list((folder / "home-of-the-user").iterdir()) == []
    return shown


@pytest.fixture
def message(printed):
    return lambda test: message_of(test, printed)


def test_a_failure_is_told_with_calls_runs_and_errors(message):
    said = message("test_failed")
    assert said.startswith("AssertionError: The job did not succeed as expected.\n")
    assert "action:    pipeline-1 / Deploy / Example\n" in said
    assert "expected:  success, summary with 'Deployed.', 50 %\n" in said
    assert "reported:  failure of type ConfigurationError, message 'The wish was to fail.'\n" in said
    assert "PutJobFailureResult → failure\n" in said
    assert "run of as_function: failed (deploy failed, finish_job failed)\n" in said
    assert 'raise JobFailure("The wish was to fail.", "ConfigurationError")\n' in said
    assert said.endswith("exceptions.JobFailure: The wish was to fail.")


def test_a_success_is_told_where_a_failure_was_expected(message):
    said = message("test_succeeded")
    assert "expected:  failure of type ConfigurationError, message with 'Target'" in said
    assert "reported:  success, summary 'Deployed shop.', 100 %, output variables {'Release': 'r7'}" in said
    assert "error of" not in said


def test_what_is_different_in_a_success_is_told(message):
    said = message("test_other_summary")
    assert "summary with 'Deployed the shop.', output variables {'Release': 'r8'}" in said
    assert "summary 'Deployed shop.'" in said


def test_missing_progress_is_told(message):
    said = message("test_no_progress")
    assert said.startswith("AssertionError: The job did not progress as expected, but with: no continuation.")
    assert "expected:  continued with 50 %" in said


def test_who_took_a_job_is_told(message):
    assert "run of as_function: success" in message("test_taken")


def test_no_secret_is_shown(message, printed):
    said = message("test_secret")
    assert "OSError" in said
    assert "leak-of-a-secret" not in printed.replace('deploy(Wish="leak-of-a-secret-0123456789")', "")


@pytest.mark.parametrize(
    ("test", "part"),
    [
        ("test_not_run", "reported:  nothing; no run has taken the job, which is Queued."),
        ("test_not_run", "runs:      none. codepipeline.run(dag) runs a DAG."),
        (
            "test_other_kind",
            "polls for Deploy/Custom/Example/1, but the job is for Build/Custom/Example/1.",
        ),
        ("test_no_job", "DAG by_sensor waits for jobs, and none is queued: codepipeline.queue_job(…)"),
        ("test_no_artifact", "The job has not uploaded its output artifact Built."),
        ("test_no_such_file", "There is no DAG file no_dags.py."),
        ("test_broken_file", "No module named 'no_such_module'"),
        (
            "test_two_dags",
            "worker_dags.py has 10 DAGs. Name one: load_dag('worker_dags.py', 'as_function'). Its",
        ),
        ("test_no_dag", "empty.py has no DAG at all. Its DAGs: none."),
        ("test_no_such_dag", "worker_dags.py has no DAG deploy. Its DAGs: as_function, by_asset"),
        ("test_starts_another", "Name it in started=[…]: run(dag, started=[load_dag(path, 'as_function')])."),
        ("test_not_started", "the status Succeeded and the variables {'Version': '2'}. Its executions:\n"),
    ],
)
def test_a_mistake_is_explained(message, test, part):
    assert part in message(test)


def test_the_kits_own_frames_are_hidden(printed):
    assert "airflow_codepipeline_partner/testing" not in printed
