# SPDX-License-Identifier: Apache-2.0
"""The task that claims a job."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from airflow.sdk import DAG
from packaging.version import Version
from support import ACTION_TYPE, results_of

from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.exceptions import ClientConnectionError, InvalidInput
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
)

#: From Airflow 3.3 on a task has a store that outlives its retries.
REMEMBERS = Version(version("apache-airflow-task-sdk")) >= Version("1.3")
ONE_JOB = "one_job_assume_ours_0_retries"


def test_a_claim_that_asked_in_vain_is_no_unknown_claim(
    emulator, customer, offer, run_dag, store_token, make_hook
):
    job = offer()
    store_token(customer, password="not-the-token-of-anybody")
    run = run_dag("claim_after_another_task", job=job)
    assert run.states["claim"] == "failed"
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "refused"
    assert results_of(emulator, job) == []


def test_a_task_that_asked_in_vain_ends_no_other_runs_job(
    emulator, customer, offer, run_dag, store_token, make_hook, monkeypatch
):
    job = offer()
    conn_id = store_token(customer, password="not-the-token-of-anybody")
    tries = []
    send = Transport.send

    def noted(self, call, *args, **kwargs):
        tries.append(call.operation)
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", noted)
    run = run_dag("one_job_assume_ours_1_retries", job=job)
    assert conn_id
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "refused"
    assert set(tries) == {"GetThirdPartyJobDetails"}
    # Before Airflow 3.3, too, the next try knows of this one: the memory lies with finish_job.
    assert len(tries) == 2


def test_a_first_task_whose_process_died_after_its_put_knows_it(
    emulator, offer, run_dag, make_hook, monkeypatch
):
    job = offer()
    make_hook().claim(job)
    send = Transport.send
    deaths = []

    def dying(self, call, *args, **kwargs):
        answer = send(self, call, *args, **kwargs)
        if call.operation.startswith("Put") and not deaths:
            deaths.append(call)
            raise SystemExit(9)
        return answer

    monkeypatch.setattr(Transport, "send", dying)
    run = run_dag("put_first", job=job)
    assert results_of(emulator, job) == ["success", "InvalidJobStateException"]
    # Before Airflow 3.3 nothing that a first task writes outlives its retry.
    assert run.states == {"put": "success" if REMEMBERS else "failed"}


def test_claims_can_be_mapped(emulator, offer, run_dag):
    jobs = [offer() for _ in range(2)]
    run = run_dag("mapped_claims", jobs=jobs)
    assert [run.xcoms[f"claim[{index}]", "return_value"]["job_id"] for index in range(2)] == [
        job["job_id"] for job in jobs
    ]
    assert [job.status for job in emulator.jobs()] == ["InProgress"] * 2


def test_a_claimed_job_shows_no_credentials_or_configuration(emulator, customer, run_dag, make_hook):
    emulator.add_pipeline(
        "rich",
        client_id=customer.client_id,
        action_type=ACTION_TYPE,
        configuration={"Target": "configuration-value-0123456789"},
        output_artifacts=("Report",),
    )
    emulator.start_execution("rich")
    [job] = [offered.to_xcom() for offered in make_hook().poll(ACTION_TYPE)]
    run = run_dag(ONE_JOB, job=job)
    said = run.xcoms["claim", "return_value"]
    assert set(said) == {
        "job_id",
        "client_id",
        "action_type",
        "certain",
        "continuation_token",
        "pipeline_name",
        "stage_name",
        "action_name",
        "action_execution_id",
        "input_artifacts",
        "output_artifacts",
    }
    assert said["pipeline_name"] == "rich"
    assert [artifact["name"] for artifact in said["input_artifacts"]] == ["SourceOutput"]
    assert [artifact["name"] for artifact in said["output_artifacts"]] == ["Report"]
    assert "configuration-value-0123456789" not in str(run.xcoms)


def test_a_partners_claim_leads_to_no_account_of_a_customer(offer, run_dag):
    run = run_dag(ONE_JOB, job=offer())
    assert run.xcoms["claim", "_link_CodePipelineLink"] == ""
    assert run.xcoms["finish_job", "_link_CodePipelineLink"] == ""


@pytest.mark.parametrize("wrong", ["{'no': 'job'}", "no mapping at all", "{'job_id': 'j'}"])
def test_what_is_no_job_fails_the_claim_and_says_why(emulator, customer, run_dag, capfd, wrong):
    run = run_dag(ONE_JOB, job=wrong)
    assert run.states["claim"] == "failed"
    assert run.state == "failed"
    assert "InvalidJobReference" in "".join(capfd.readouterr())


def test_a_wrong_client_token_fails_the_claim_only(emulator, customer, offer, run_dag, store_token, capfd):
    """The job stays unclaimed."""
    job = offer()
    store_token(customer, password="not-the-token-of-anybody")
    run = run_dag(ONE_JOB, job=job)
    assert run.states["claim"] == "failed"
    assert run.state == "failed"
    assert [offered.status for offered in emulator.jobs()] == ["Dispatched"]
    shown = "".join(capfd.readouterr())
    assert "InvalidClientToken" in shown
    assert "not-the-token-of-anybody" not in shown


def test_an_unknown_job_fails_the_claim_with_its_own_type(emulator, customer, run_dag, capfd):
    run = run_dag(ONE_JOB, job={"job_id": "unknown", "client_id": customer.client_id})
    assert run.states["claim"] == "failed"
    assert "JobNotFound" in "".join(capfd.readouterr())


def test_a_lost_acknowledgement_leaves_an_unknown_claim(emulator, offer, run_dag):
    job = offer()
    emulator.inject("drop_response", operation="AcknowledgeThirdPartyJob", times=None)
    run = run_dag("impatient", job=job)
    assert run.states["claim"] == "failed"
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "unknown"
    assert results_of(emulator, job) == ["failure"]


def test_a_job_that_ended_during_its_claim_fails_the_run(emulator, offer, run_dag, monkeypatch):
    job = offer()
    send = Transport.send
    deaths = []

    def dying(self, call, *args, **kwargs):
        answer = send(self, call, *args, **kwargs)
        if call.operation == "AcknowledgeThirdPartyJob" and not deaths:
            deaths.append(call)
            emulator.advance(emulator.settings.job_timeout + 1)
            raise SystemExit(9)
        return answer

    monkeypatch.setattr(Transport, "send", dying)
    run = run_dag("one_job_assume_ours_1_retries", job=job)
    assert deaths
    assert [found.status for found in emulator.jobs()] == ["TimedOut"]
    assert run.states == {"claim": "failed", "work": "upstream_failed", "finish_job": "failed"}
    assert run.state == "failed"


# What is refused when the DAG is written.


def test_a_connection_template_without_its_field_is_refused():
    with pytest.raises(ClientConnectionError, match="client_conn_id_template"):
        CodePipelineClaimJobOperator(task_id="claim", job=JOB, client_conn_id_template="c_{client}")


JOB = {"job_id": "j", "client_id": "c"}


def test_an_unknown_choice_for_claims_in_doubt_is_refused():
    with pytest.raises(InvalidInput, match="assume_ours, leave"):
        CodePipelineClaimJobOperator(task_id="claim", job=JOB, unknown_claim="whatever")


def test_default_args_reach_the_aws_parameters():
    with DAG("d", schedule=None, default_args={"aws_conn_id": "mine", "region_name": "eu-west-1"}):
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    assert (claim.aws_conn_id, claim.region_name) == ("mine", "eu-west-1")
    assert claim.hook.aws_conn_id == "mine"


def test_the_log_of_a_claim_names_the_client_and_the_outcome(
    emulator, customer, offer, run_dag, capfd, caplog
):
    caplog.set_level("INFO")
    job = offer()
    run_dag("one_job_assume_ours_1_retries", job=job)
    shown = caplog.text + "".join(capfd.readouterr())
    named = f"pipe / Partner / Partner, customer {job['client_id']}, job {job['job_id']}"
    assert f"Claimed {named}." in shown
