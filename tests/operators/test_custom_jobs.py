# SPDX-License-Identifier: Apache-2.0
"""Jobs of custom actions: the same hook, sensor, claim, finishing task and decorator as for a partner's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import CUSTOM_TYPE, action_state, results_of

from airflow_codepipeline_partner._protocol import choices
from airflow_codepipeline_partner._protocol.claims import AskDetails, ClaimState
from airflow_codepipeline_partner._worker import next_job
from airflow_codepipeline_partner.exceptions import (
    InvalidJobReference,
    JobNotInProgress,
    RequestRefused,
)
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.jobs import OfferedJob

ONE_JOB = "one_job_assume_ours_0_retries"
ONE_JOB_WITH_RETRY = "one_job_assume_ours_1_retries"
ONE_JOB_LEFT_IN_DOUBT = "one_job_leave_0_retries"
FUNCTION = "function_and_finish_0_retries"
SECRET = "planted-secret-of-a-configuration"


@pytest.fixture
def own(emulator, aws_connection):
    """The pipeline ``own``, with a custom action."""
    emulator.add_pipeline(
        "own",
        action_type=CUSTOM_TYPE,
        configuration={"ApiKey": SECRET},
        secret_configuration_keys=("ApiKey",),
    )


@pytest.fixture
def hook(make_hook, own):
    return make_hook()


@pytest.fixture
def offer_own(emulator, hook):
    """Start the pipeline and poll: return an offered job, as it lies in XCom."""

    def offer_one():
        emulator.start_execution("own")
        [job] = hook.poll(CUSTOM_TYPE)
        return job.to_xcom()

    return offer_one


def calls(emulator):
    return [entry.operation for entry in emulator.ledger if entry.kind == "call"]


# The hook.


def test_the_way_of_a_custom_job(emulator, hook):
    emulator.start_execution("own")
    [offered] = hook.poll(CUSTOM_TYPE)
    assert offered.client_id is None
    assert offered.nonce
    claimed = hook.claim(offered)
    execution_id = emulator.jobs()[0].pipeline_execution_id
    assert (claimed.account_id, claimed.pipeline_execution_id) == ("123456789012", execution_id)
    assert claimed.pipeline_arn == "arn:aws:codepipeline:us-east-1:123456789012:own"
    assert hook.details(claimed).configuration == {"ApiKey": SECRET}
    hook.succeed(claimed, output_variables={"Digest": "abc"})
    assert calls(emulator) == [
        "PollForJobs",
        "GetJobDetails",
        "AcknowledgeJob",
        "GetJobDetails",
        "PutJobSuccessResult",
    ]
    [put] = emulator.ledger.terminal_results()
    assert put.details["outputVariables"] == {"Digest": "abc"}


def test_xcom_of_a_custom_job_holds_no_configuration(emulator, hook):
    emulator.start_execution("own")
    [offered] = hook.poll(CUSTOM_TYPE)
    claimed = hook.claim(offered.to_xcom())
    assert offered.to_xcom() == {
        "job_id": offered.job_id,
        "client_id": None,
        "action_type": CUSTOM_TYPE,
        "nonce": offered.nonce,
    }
    assert SECRET not in f"{claimed.to_xcom()}{offered!r}{claimed!r}"
    assert OfferedJob.from_value(claimed.to_xcom()) == offered


def test_a_custom_job_fails(emulator, hook):
    emulator.start_execution("own")
    [offered] = hook.poll(CUSTOM_TYPE)
    hook.fail(hook.claim(offered), message="No such Target.", failure_type="ConfigurationError")
    error = action_state(emulator, "own")["errorDetails"]
    assert error == {"code": "ConfigurationError", "message": "No such Target."}


def test_a_stale_nonce_is_a_lost_race_of_that_offer_only(emulator, hook):
    emulator.start_execution("own")
    [stale] = hook.poll(CUSTOM_TYPE)
    emulator.advance(60)
    [fresh] = hook.poll(CUSTOM_TYPE)
    assert stale.job_id == fresh.job_id
    assert hook.try_claim(stale).state is ClaimState.LOST
    assert hook.claim(stale) is None
    assert hook.claim(fresh).job == fresh


def test_a_lost_acknowledgement_of_a_custom_job_stays_in_doubt(emulator, hook):
    emulator.start_execution("own")
    [offered] = hook.poll(CUSTOM_TYPE)
    emulator.inject("drop_response", "AcknowledgeJob")
    claim = hook.try_claim(offered)
    assert (claim.state, claim.job.certain) == (ClaimState.UNKNOWN, False)
    assert emulator.jobs()[0].status == "InProgress"
    # Only a poll returns the nonce.
    assert calls(emulator).count("GetJobDetails") == 1


def test_a_custom_job_without_its_nonce_is_not_claimed(emulator, hook):
    emulator.start_execution("own")
    [offered] = hook.poll(CUSTOM_TYPE)
    before = calls(emulator)
    with pytest.raises(InvalidJobReference, match="needs nonce, which its poll gave"):
        hook.claim({"job_id": offered.job_id, "action_type": CUSTOM_TYPE})
    assert calls(emulator) == before


def test_an_offer_without_a_nonce_holds_up_no_other(emulator, hook, monkeypatch, capfd):
    for _ in range(2):
        emulator.start_execution("own")
    send = hook._send

    def without_first_nonce(call, **more):
        answer = send(call, **more)
        del answer.get("jobs")[0]["nonce"]
        return answer

    monkeypatch.setattr(hook, "_send", without_first_nonce)
    [job] = hook.poll(CUSTOM_TYPE)
    assert job.job_id == emulator.jobs()[1].job_id
    logged = "".join(capfd.readouterr())
    assert "without a nonce" in logged
    assert SECRET not in logged


@pytest.fixture
def queryable(emulator, aws_connection, make_hook):
    """An action type with a queryable property, and a pipeline for each of two values."""
    client = make_hook().conn
    client.create_custom_action_type(
        category="Build",
        provider="Airflow",
        version="2",
        configurationProperties=[
            {"name": "Project", "required": True, "key": True, "secret": False, "queryable": True}
        ],
        inputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
    )
    kind = {**CUSTOM_TYPE, "version": "2"}
    for project in ("shop", "mill"):
        emulator.add_pipeline(project, action_type=kind, configuration={"Project": project})
        emulator.start_execution(project)
    return kind


def test_a_query_gives_jobs_of_one_value_and_stays_with_them(emulator, make_hook, queryable):
    [job] = make_hook().poll(queryable, query_param={"Project": "mill"})
    assert job.query_param == {"Project": "mill"}
    assert make_hook().claim(job).pipeline_name == "mill"
    assert OfferedJob.from_value(job.to_xcom()) == job


@pytest.mark.parametrize("query_param", [None, {"Projekt": "mill"}])
def test_a_poll_with_the_wrong_query_says_so(emulator, make_hook, queryable, query_param):
    with pytest.raises(RequestRefused) as refusal:
        make_hook().poll(queryable, query_param=query_param)
    assert not refusal.value.retryable
    assert "needs it, under the property's name" in str(refusal.value)
    assert f"the poll for {'/'.join(queryable.values())}" in str(refusal.value)


@pytest.mark.parametrize("way", ["poke", "reschedule", "deferrable"])
def test_each_way_to_wait_asks_with_the_query(emulator, run_dag, queryable, way):
    run = run_dag(f"sensor_{way}", action_type=queryable, query_param={"Project": "mill"})
    [job] = run.xcoms["wait", "return_value"]
    assert job["query_param"] == {"Project": "mill"}
    states = {found.pipeline_name: found.status for found in emulator.jobs()}
    assert states == {"shop": "Queued", "mill": "Dispatched"}


@pytest.mark.parametrize("nonce", [3, 10**18, 10**49])
def test_a_nonce_that_was_rendered_as_a_number_is_one(nonce):
    job = OfferedJob.from_value({"job_id": "j", "action_type": CUSTOM_TYPE, "nonce": nonce})
    assert job.nonce == str(nonce)


# In a DAG.


def test_the_dag_for_a_partners_job_serves_a_custom_one(emulator, offer_own, run_dag):
    job = offer_own()
    run = run_dag(ONE_JOB, job=job, details={"percentComplete": 100}, variables={"Digest": "abc", "Files": 2})
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    assert action_state(emulator, "own")["percentComplete"] == 100
    [put] = emulator.ledger.terminal_results()
    assert put.details["outputVariables"] == {"Digest": "abc", "Files": "2"}
    assert SECRET not in str(run.xcoms)


def test_custom_work_that_fails_ends_its_job_with_failure(emulator, offer_own, run_dag):
    job = offer_own()
    run = run_dag(ONE_JOB, job=job, work="fail", variables={"Digest": "abc"})
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"a b": "c"}, "The name of output_variables number 1 (3 characters)"),
        ({"a": "v" * 122_880}, "122881 bytes"),
        ({"a": ["b"]}, "must be strings, or numbers"),
        ("planted", "output_variables must be a mapping"),
    ],
)
def test_variables_that_cannot_be_sent_are_told_as_a_failure(emulator, offer_own, run_dag, variables, why):
    job = offer_own()
    run = run_dag(ONE_JOB, job=job, variables=variables)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert why in action_state(emulator, "own")["errorDetails"]["message"]


def test_variables_for_a_partners_job_are_told_as_a_failure(emulator, offer, run_dag):
    job = offer()
    run_dag(ONE_JOB, job=job, variables={"Digest": "abc"})
    assert results_of(emulator, job) == ["failure"]
    assert "output_variables are for custom actions" in action_state(emulator)["errorDetails"]["message"]


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_that_aws_does_itself_is_left(emulator, customer, run_dag, retries):
    job = {"job_id": "j", "action_type": {**CUSTOM_TYPE, "owner": "AWS"}, "nonce": "3"}
    run = run_dag(f"one_job_assume_ours_{retries}_retries", job=job)
    assert (run.state, run.states["finish_job"]) == ("failed", "failed")
    assert calls(emulator) == []


def test_variables_too_large_for_codepipeline_are_a_failure(emulator, offer_own, run_dag):
    job = offer_own()
    code = "OutputVariablesSizeExceededException"
    emulator.inject("error", "PutJobSuccessResult", code=code, message="Too much for the pipeline.")
    run = run_dag(ONE_JOB, job=job, variables={"Digest": "abc"})
    assert run.state == "failed"
    assert results_of(emulator, job) == [code, "failure"]


def test_a_stale_offer_is_skipped_for_the_next_one(emulator, offer_own, hook, run_dag, capfd):
    job = offer_own()
    emulator.advance(60)
    [fresh] = hook.poll(CUSTOM_TYPE)
    run = run_dag(ONE_JOB, job=job)
    assert run.states["claim"] == "skipped"
    assert "or this offer of it was stale: its claim is lost" in "".join(capfd.readouterr())
    assert results_of(emulator, job) == []
    assert run_dag(ONE_JOB, job=fresh.to_xcom()).state == "success"
    assert results_of(emulator, job) == ["success"]


def test_an_unknown_custom_claim_is_left_if_asked(emulator, offer_own, run_dag):
    job = offer_own()
    emulator.inject("drop_response", "AcknowledgeJob")
    run = run_dag(ONE_JOB_LEFT_IN_DOUBT, job=job)
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "unknown"
    assert results_of(emulator, job) == []


def test_an_unknown_custom_claim_is_worked_on_with_one_result(emulator, offer_own, run_dag):
    job = offer_own()
    emulator.inject("drop_response", "AcknowledgeJob")
    emulator.inject("drop_response", "PutJobSuccessResult")
    run = run_dag(ONE_JOB_WITH_RETRY, job=job)
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "unknown"
    assert [entry.result for entry in emulator.ledger.terminal_results(job["job_id"])] == ["success"]


def test_a_batch_may_hold_jobs_of_both_owners(emulator, offer, offer_own, run_dag):
    jobs = [offer(), offer_own(), offer(), offer_own()]
    run = run_dag("many_jobs", jobs=jobs, work_of={job["job_id"]: "succeed" for job in jobs})
    assert run.state == "success"
    assert [results_of(emulator, job) for job in jobs] == [["success"]] * 4
    assert {job.status for job in emulator.jobs()} == {"Succeeded"}


def test_a_custom_action_goes_on_in_new_jobs(emulator, offer_own, run_dag, monkeypatch):
    emulator.configure(continuation_delay=0)
    monkeypatch.setattr(choices, "CONTINUATION_TIMEOUT", 5.0)
    run = run_dag("continued", job=offer_own())
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded"] * 3
    assert {results_of(emulator, {"job_id": job.job_id})[0] for job in emulator.jobs()[:2]} == {"continue"}
    assert len({job.action_execution_id for job in emulator.jobs()}) == 1


def test_the_poll_says_what_a_job_continues(emulator, offer_own, run_dag):
    """Nobody asks for the details to learn it."""
    emulator.configure(continuation_delay=0)
    assert run_dag("continued", job=offer_own()).state == "success"
    # One for each of the three claims.
    assert calls(emulator).count("GetJobDetails") == 3


def test_an_old_offer_of_an_unknown_claim_takes_nothing_back(emulator, offer_own, hook, run_dag, monkeypatch):
    emulator.configure(continuation_delay=0)
    emulator.inject("drop_response", "AcknowledgeJob")
    job = offer_own()
    offered = OfferedJob.from_value(job)
    poll, old_offers = CodePipelineHook.poll, [replace(offered, nonce="stale", _is_token_known=True)]

    def poll_with_an_old_offer(self, *arguments, **more):
        # The first poll finds nothing else: the next job would be claimed first.
        return [old_offers.pop()] if old_offers else poll(self, *arguments, **more)

    monkeypatch.setattr(CodePipelineHook, "poll", poll_with_an_old_offer)
    run = run_dag("continued", job=job)
    assert run.state == "success"
    assert emulator.ledger.where(operation="AcknowledgeJob", outcome="InvalidNonceException")
    assert [found.status for found in emulator.jobs()] == ["Succeeded"] * 3


def test_the_next_job_is_polled_for_with_the_first_query(
    emulator, make_hook, queryable, run_dag, monkeypatch
):
    emulator.configure(continuation_delay=0)
    [job] = make_hook().poll(queryable, query_param={"Project": "mill"})
    run = run_dag("continued", job=job.to_xcom())
    assert run.state == "success"
    assert {job.status for job in emulator.jobs() if job.pipeline_name == "mill"} == {"Succeeded"}


def test_a_next_job_whose_offer_went_stale_is_waited_for_again(emulator, offer_own, run_dag, monkeypatch):
    emulator.configure(continuation_delay=0, lease_seconds=0.3)
    carry_out = CodePipelineHook.carry_out
    claims = []

    def first_next_job_too_late(self, job, call):
        if isinstance(call, AskDetails):
            claims.append(job)
        return carry_out(self, replace(job, nonce="stale") if len(claims) == 2 else job, call)

    monkeypatch.setattr(CodePipelineHook, "carry_out", first_next_job_too_late)
    run = run_dag("continued", job=offer_own())
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded"] * 3
    assert claims[1].job_id == claims[2].job_id
    assert emulator.ledger.where(operation="AcknowledgeJob", outcome="InvalidNonceException")


def test_an_unknown_claim_that_was_nobodys_is_claimed_later(emulator, offer_own, run_dag):
    """When the job is offered again."""
    emulator.configure(continuation_delay=0, lease_seconds=0.3)
    job = {**offer_own(), "nonce": "stale"}
    # Neither answer says so, and it looks as if both had been carried out.
    emulator.inject("server_error", "AcknowledgeJob")
    emulator.inject("server_error", "PutJobSuccessResult")
    run = run_dag("continued", job=job)
    assert run.state == "success"
    assert [found.status for found in emulator.jobs()] == ["Succeeded"] * 3
    assert [entry.result for entry in emulator.ledger.terminal_results()] == ["success"]


def test_a_claim_that_stays_unknown_when_offered_again_goes_on(emulator, offer_own, run_dag, monkeypatch):
    """It was nobody's at first. The next one is ours, and its answer is lost: it is offered no more."""
    emulator.configure(continuation_delay=0, lease_seconds=0.3)
    job, claim_anew, again = {**offer_own(), "nonce": "stale"}, next_job._claim_anew, []
    emulator.inject("server_error", "AcknowledgeJob")
    emulator.inject("server_error", "PutJobSuccessResult")

    def lose_the_answer(*given):
        if not again:
            emulator.inject("drop_response", "AcknowledgeJob")
        again.append(claim_anew(*given))
        return again[-1]

    monkeypatch.setattr(next_job, "_claim_anew", lose_the_answer)
    run = run_dag("continued", job=job)
    assert again[0].record.state.is_unknown
    assert run.state == "success"
    assert [found.status for found in emulator.jobs()] == ["Succeeded"] * 3
    assert [entry.result for entry in emulator.ledger.terminal_results()] == ["success"]


@pytest.mark.parametrize(
    ("does", "summary", "variables"),
    [
        ("complete", "Told before.", {"Digest": "abc", "Files": "2"}),
        ("complete with details", "Done.", {"Digest": "abc"}),
    ],
)
def test_a_function_returns_output_variables(emulator, offer_own, run_dag, does, summary, variables):
    job = offer_own()
    run = run_dag(FUNCTION, job=job, how=does)
    assert run.state == "success"
    [put] = emulator.ledger.terminal_results()
    assert put.details["outputVariables"] == variables
    assert action_state(emulator, "own")["summary"] == summary


def test_a_partners_function_returns_no_output_variables(emulator, offer, run_dag):
    job = offer()
    run = run_dag(FUNCTION, job=job, how="complete")
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert "output_variables" in action_state(emulator)["errorDetails"]["message"]


def test_a_functions_variables_are_checked_where_they_are_made(emulator, offer_own, run_dag):
    job = offer_own()
    run_dag(FUNCTION, job=job, how="complete with too much")
    assert results_of(emulator, job) == ["failure"]
    assert "bytes" in action_state(emulator, "own")["errorDetails"]["message"]


# One call each.


def test_one_call_gives_a_custom_job_its_success(emulator, hook, offer_own, run_dag):
    job = offer_own()
    hook.claim(job)
    assert run_dag("put_custom_success", job=job, variables={"Digest": "abc"}).state == "success"
    [put] = emulator.ledger.terminal_results(job["job_id"])
    assert (put.operation, put.details["outputVariables"]) == ("PutJobSuccessResult", {"Digest": "abc"})


def test_one_call_goes_on_with_a_token(emulator, hook, offer_own, run_dag):
    job = offer_own()
    hook.claim(job)
    assert run_dag("put_custom_success", job=job, token="step-2").state == "success"
    assert results_of(emulator, job) == ["continue"]


def test_variables_with_a_token_are_refused_before_the_call(emulator, hook, offer_own, run_dag):
    job = offer_own()
    hook.claim(job)
    assert run_dag("put_custom_success", job=job, token="t", variables={"a": "b"}).state == "failed"
    assert results_of(emulator, job) == []


def test_one_call_gives_a_custom_job_its_failure(emulator, hook, offer_own, run_dag):
    job = offer_own()
    hook.claim(job)
    assert run_dag("put_custom_failure", job=job).state == "success"
    assert action_state(emulator, "own")["errorDetails"] == {"code": "PermissionError", "message": "No."}


def test_a_result_for_a_job_that_nobody_claimed_is_not_taken(emulator, hook, offer_own):
    with pytest.raises(JobNotInProgress):
        hook.succeed(offer_own())
