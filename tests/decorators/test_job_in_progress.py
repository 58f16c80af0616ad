# SPDX-License-Identifier: Apache-2.0
"""What a function is given: the job it works on; and how it says that its action goes on."""

from __future__ import annotations

import pytest
from support import ACTION_TYPE, action_state, results_of
from test_secrets import all_that_airflow_keeps, found, planted

from airflow_codepipeline_partner.decorators import Continuation, JobInProgress
from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded
from airflow_codepipeline_partner.jobs import ExecutionDetails

__all__ = ["planted"]

ALONE = "function_alone_0_retries"
FINISHED = "function_and_finish_0_retries"
FINISHED_WITH_RETRY = "function_and_finish_1_retries"


# The values.


@pytest.mark.parametrize("token", ["", "t" * 2049, "None", None, b"t"])
def test_a_continuation_checks_its_token(token):
    with pytest.raises(LimitExceeded, match="continuationToken"):
        Continuation(token)


def test_a_continuation_checks_and_reads_its_details():
    assert Continuation("t", {"percentComplete": "5"}).execution_details == ExecutionDetails(None, None, 5)
    assert Continuation("t").execution_details is None
    with pytest.raises(InvalidInput):
        Continuation("t", {"nonsense": 1})


@pytest.fixture
def working(offer, make_hook):
    hook = make_hook()
    return JobInProgress(hook.claim(offer()), hook)


def test_details_are_fresh_and_configuration_is_asked_for_once(emulator, working):
    def asked():
        return sum(entry.operation == "GetThirdPartyJobDetails" for entry in emulator.ledger)

    before = asked()
    assert working.details().job_id == working.job_id
    assert working.details().pipeline_name == "pipe"
    assert working.configuration is working.configuration
    assert asked() == before + 3


def test_what_a_result_was_keyed_by_is_not_told(emulator, offer, run_dag):
    job = offer()
    run_dag(ALONE, job=job, how={"jane.doe@customer.example": "ok", "planted": "ok"})
    said = action_state(emulator)["errorDetails"]["message"]
    assert "executionDetails has no field of the name given" in said
    assert "jane" not in said
    assert "planted" not in said


def test_progress_is_checked_at_once_logged_and_remembered(working, caplog):
    caplog.set_level("INFO")
    working.progress(40, "Begun.")
    working.progress("50")
    assert working._progress == ExecutionDetails("Begun.", None, 50)
    assert "Working on pipe / Partner / Partner: 40 %, Begun." in caplog.text
    assert "Working on pipe / Partner / Partner: 50 %, Begun." in caplog.text
    for percent in (-1, 101, "many"):
        with pytest.raises(LimitExceeded, match="percentComplete"):
            working.progress(percent)
    with pytest.raises(InvalidInput, match="progress needs"):
        working.progress()
    assert working._progress == ExecutionDetails("Begun.", None, 50)


def test_a_revision_is_checked_at_once(working):
    working.current_revision = {"revision": "r", "changeIdentifier": "c"}
    with pytest.raises(InvalidInput, match="changeIdentifier"):
        working.current_revision = {"revision": "r"}
    assert working.current_revision.revision == "r"


def test_a_job_in_progress_cannot_be_stored(working):
    try:
        from airflow.sdk.serde import serialize
    except ImportError:
        # Its place until Airflow 3.1.
        from airflow.serialization.serde import serialize

    with pytest.raises(InvalidInput, match="cannot be stored in XCom"):
        serialize(working)
    assert repr(working) == f"JobInProgress({working.job_id})"


# Secrets.


@pytest.mark.parametrize("how", ["configuration", "continue", "raise", "give itself"])
def test_planted_secrets_are_nowhere(emulator, planted, make_hook, run_dag, capfd, caplog, how):
    caplog.set_level("INFO")
    emulator.start_execution("pipe")
    [job] = [offered.to_xcom() for offered in make_hook().poll(ACTION_TYPE)]
    run_dag(FINISHED_WITH_RETRY, job=job, how=how)
    assert len(planted) > 4
    shown = "".join(capfd.readouterr()).encode() + caplog.text.encode()
    assert found(planted, shown) == set()
    assert found(planted, all_that_airflow_keeps()) == set()
    assert len(results_of(emulator, job)) == 1


def test_secrets_in_an_exception_do_not_reach_the_customer(emulator, planted, make_hook, run_dag):
    emulator.start_execution("pipe")
    [job] = [offered.to_xcom() for offered in make_hook().poll(ACTION_TYPE)]
    run = run_dag(FINISHED, job=job, how="leak")
    assert results_of(emulator, job) == ["failure"]
    assert found(planted, str(action_state(emulator)).encode()) == set()
    assert found(planted, str(run.xcoms).encode()) == set()
