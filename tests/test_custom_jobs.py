# SPDX-License-Identifier: Apache-2.0
"""Jobs of custom actions: the same hook, sensor, claim, finishing piece and decorator as for a partner's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk import DAG, task, task_group
from support import ACTION_TYPE, CUSTOM_TYPE, action_state, results_of

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._worker import next_job
from airflow_codepipeline_partner.assets import codepipeline_jobs
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
    InvalidJobReference,
    JobNotInProgress,
    LimitExceeded,
    RequestRefused,
)
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.jobs import OfferedJob
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineFinishJobOperator,
    PutJobFailureResultOperator,
    PutJobSuccessResultOperator,
    PutThirdPartyJobFailureResultOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

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


def test_what_lies_in_xcom_of_a_custom_job_holds_no_configuration(emulator, hook):
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
    # Only a poll could tell the nonce.
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
        del answer["jobs"][0]["nonce"]
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


def test_a_query_gives_the_jobs_of_one_value_and_stays_with_them(emulator, make_hook, queryable):
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
    assert f"provider {queryable['provider']}" in str(refusal.value)


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


def test_variables_that_codepipeline_finds_too_large_are_told_as_a_failure(emulator, offer_own, run_dag):
    job = offer_own()
    code = "OutputVariablesSizeExceededException"
    emulator.inject("error", "PutJobSuccessResult", code=code, message="Too much for the pipeline.")
    run = run_dag(ONE_JOB, job=job, variables={"Digest": "abc"})
    assert run.state == "failed"
    assert results_of(emulator, job) == [code, "failure"]


def test_a_stale_offer_is_skipped_and_the_job_left_to_its_next_offer(
    emulator, offer_own, hook, run_dag, capfd
):
    job = offer_own()
    emulator.advance(60)
    [fresh] = hook.poll(CUSTOM_TYPE)
    run = run_dag(ONE_JOB, job=job)
    assert run.states["claim"] == "skipped"
    assert "this offer of it was stale. Then it is offered again" in "".join(capfd.readouterr())
    assert results_of(emulator, job) == []
    assert run_dag(ONE_JOB, job=fresh.to_xcom()).state == "success"
    assert results_of(emulator, job) == ["success"]


def test_a_custom_claim_in_doubt_is_left_where_that_is_asked_for(emulator, offer_own, run_dag):
    job = offer_own()
    emulator.inject("drop_response", "AcknowledgeJob")
    run = run_dag(ONE_JOB_LEFT_IN_DOUBT, job=job)
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "unknown"
    assert results_of(emulator, job) == []


def test_a_custom_claim_in_doubt_is_worked_on_and_gets_one_result(emulator, offer_own, run_dag):
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
    monkeypatch.setattr(next_job, "CONTINUATION_TIMEOUT", 5.0)
    run = run_dag("continued", job=offer_own())
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded"] * 3
    assert {results_of(emulator, {"job_id": job.job_id})[0] for job in emulator.jobs()[:2]} == {"continue"}
    assert len({job.action_execution_id for job in emulator.jobs()}) == 1


def test_which_job_continues_what_the_poll_tells_and_nobody_asks_for(emulator, offer_own, run_dag):
    emulator.configure(continuation_delay=0)
    assert run_dag("continued", job=offer_own()).state == "success"
    # One for each of the three claims.
    assert calls(emulator).count("GetJobDetails") == 3


def test_an_old_offer_of_a_job_in_doubt_that_is_ours_takes_nothing_back(
    emulator, offer_own, hook, run_dag, monkeypatch
):
    emulator.configure(continuation_delay=1)
    emulator.inject("drop_response", "AcknowledgeJob")
    job = offer_own()
    offered = OfferedJob.from_value(job)
    poll, polls = CodePipelineHook.poll, []

    def poll_with_an_old_offer(self, *arguments, **more):
        polls.append(arguments)
        jobs = poll(self, *arguments, **more)
        old = replace(offered, nonce="stale", _is_token_known=True)
        return [old, *jobs] if len(polls) == 1 else jobs

    monkeypatch.setattr(CodePipelineHook, "poll", poll_with_an_old_offer)
    run = run_dag("continued", job=job)
    assert run.state == "success"
    assert emulator.ledger.where(operation="AcknowledgeJob", outcome="InvalidNonceException")
    assert [found.status for found in emulator.jobs()] == ["Succeeded"] * 3


def test_the_next_job_of_an_action_is_polled_for_with_the_query_of_the_first(
    emulator, make_hook, queryable, run_dag, monkeypatch
):
    emulator.configure(continuation_delay=0)
    [job] = make_hook().poll(queryable, query_param={"Project": "mill"})
    run = run_dag("continued", job=job.to_xcom())
    assert run.state == "success"
    assert {job.status for job in emulator.jobs() if job.pipeline_name == "mill"} == {"Succeeded"}


def test_a_next_job_whose_offer_went_stale_is_waited_for_again(emulator, offer_own, run_dag, monkeypatch):
    emulator.configure(continuation_delay=0, lease_seconds=0.3)
    try_claim = CodePipelineHook.try_claim
    claims = []

    def first_next_job_too_late(self, job, **more):
        claims.append(job)
        return try_claim(self, replace(job, nonce="stale") if len(claims) == 2 else job, **more)

    monkeypatch.setattr(CodePipelineHook, "try_claim", first_next_job_too_late)
    run = run_dag("continued", job=offer_own())
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded"] * 3
    assert claims[1].job_id == claims[2].job_id
    assert emulator.ledger.where(operation="AcknowledgeJob", outcome="InvalidNonceException")


def test_a_job_in_doubt_that_nobody_had_claimed_is_claimed_when_it_is_offered_again(
    emulator, offer_own, run_dag
):
    emulator.configure(continuation_delay=0, lease_seconds=0.3)
    job = {**offer_own(), "nonce": "stale"}
    # Neither answer tells, and so it looks as if both had been carried out.
    emulator.inject("server_error", "AcknowledgeJob")
    emulator.inject("server_error", "PutJobSuccessResult")
    run = run_dag("continued", job=job)
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


def test_a_function_for_a_partners_job_cannot_return_output_variables(emulator, offer, run_dag):
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


def test_one_call_with_variables_and_a_token_is_refused_before_it_is_made(emulator, hook, offer_own, run_dag):
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


# What does not fit is refused before any call, and in the DAG already where it can be known there.

OF_AWS = {"job_id": "j", "action_type": {**CUSTOM_TYPE, "owner": "AWS"}}


def finish_claims_of(*action_types, in_group=False):
    """Finish what some sensors wait for, with output variables."""
    waits = [
        CodePipelineJobSensor(task_id=f"wait_{index}" if index else "wait", action_type=each)
        for index, each in enumerate(action_types)
    ]
    if in_group:

        @task_group
        def handle(job):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
            finish_job(claim, output_variables={"Digest": "d"})

        handle.expand(job=waits[0].output)
        return
    offered = waits[0].output if len(waits) == 1 else waits[0].output.concat(waits[1].output)
    claim = CodePipelineClaimJobOperator(task_id="claim", job=offered)
    finish_job(claim, output_variables={"Digest": "d"})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda: CodePipelineJobSensor(task_id="t", action_type=ACTION_TYPE, query_param={"a": "b"}),
            "query_param is for custom action types",
        ),
        (
            lambda: CodePipelineJobSensor(task_id="t", action_type=CUSTOM_TYPE, query_param={"a": "v" * 51}),
            "The value of 'a' in query_param has 51 characters",
        ),
        (
            lambda: CodePipelineJobSensor(
                task_id="t", action_type=CUSTOM_TYPE, query_param={"a": "b", "c": "d"}
            ),
            "query_param has 2 entries",
        ),
        (
            lambda: CodePipelineJobSensor(task_id="t", action_type={**CUSTOM_TYPE, "owner": "AWS"}),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: CodePipelineJobTrigger(action_type=ACTION_TYPE, query_param={"a": "b"}),
            "query_param is for custom action types",
        ),
        (
            lambda: codepipeline_jobs("name", ACTION_TYPE, query_param={"a": "b"}),
            "query_param is for custom action types",
        ),
        (
            lambda: codepipeline_jobs("name", {**CUSTOM_TYPE, "owner": "AWS"}),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: PutJobSuccessResultOperator(
                task_id="t", job_id="j", output_variables={"a": "v" * 122_880}
            ),
            "122881 bytes",
        ),
        (
            lambda: PutJobSuccessResultOperator(
                task_id="t", job_id="j", output_variables={"a": "b"}, continuation_token="c"
            ),
            "exclude each other",
        ),
        (
            lambda: PutJobSuccessResultOperator(task_id="t", job={"job_id": "j", "client_id": "c"}),
            "Use PutThirdPartyJobSuccessResultOperator",
        ),
        (lambda: PutJobSuccessResultOperator(task_id="t"), "takes either job or job_id; neither was given"),
        (
            lambda: PutJobFailureResultOperator(task_id="t", job={"job_id": "j"}, job_id="j", message="m"),
            "takes either job or job_id; both was given",
        ),
        (
            lambda: PutJobSuccessResultOperator(
                task_id="t", job={"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}
            ),
            "Use PutThirdPartyJobSuccessResultOperator",
        ),
        (
            lambda: PutThirdPartyJobSuccessResultOperator(
                task_id="t", job={"job_id": "j", "action_type": CUSTOM_TYPE}
            ),
            "Use PutJobSuccessResultOperator",
        ),
        (
            lambda: finish_job(
                CodePipelineClaimJobOperator(task_id="claim", job="{{ x }}"), output_variables={"a b": "c"}
            ),
            "The name of output_variables number 1 (3 characters) must match",
        ),
        (
            lambda: finish_job(
                CodePipelineClaimJobOperator(task_id="claim", job={"job_id": "j", "client_id": "c"}),
                output_variables={"Digest": "{{ x }}"},
            ),
            "output_variables are for custom actions; the result of the job j (client c)",
        ),
        (
            lambda: finish_claims_of(ACTION_TYPE),
            "output_variables are for custom actions; wait waits for a partner's jobs",
        ),
        (
            lambda: finish_claims_of(ACTION_TYPE, in_group=True),
            "output_variables are for custom actions; wait waits for a partner's jobs",
        ),
        (
            lambda: CodePipelineClaimJobOperator(
                task_id="claim", job={"job_id": "j", "action_type": CUSTOM_TYPE}
            ),
            "CodePipelineClaimJobOperator claim: The custom job j needs nonce",
        ),
        (
            lambda: CodePipelineClaimJobOperator(task_id="claim", job=OF_AWS),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: PutJobSuccessResultOperator(task_id="put", job=OF_AWS),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: PutThirdPartyJobFailureResultOperator(task_id="put", job=OF_AWS, message="m"),
            "Jobs of owner AWS are not served",
        ),
    ],
)
def test_a_literal_that_does_not_fit_is_refused_when_the_dag_is_parsed(make, why):
    with DAG("refused", schedule=None), pytest.raises(InvalidInput) as refusal:
        make()
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    "kinds", [[CUSTOM_TYPE], [ACTION_TYPE, CUSTOM_TYPE], ["{{ x }}"], [ACTION_TYPE, "{{ x }}"]]
)
def test_variables_are_taken_where_a_custom_job_may_be_claimed(kinds):
    with DAG("taken", schedule=None) as dag:
        finish_claims_of(*kinds)
    assert dag.get_task("finish_job").output_variables == {"Digest": "d"}


def test_variables_are_taken_where_a_job_does_not_come_from_the_sensor_before_it():
    with DAG("taken", schedule=None):
        wait = CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE)

        @task
        def other(offered):
            return {"job_id": "j", "action_type": CUSTOM_TYPE, "nonce": "3"}

        claim = CodePipelineClaimJobOperator(task_id="claim", job=other(wait.output))
        finish_job(claim, output_variables={"Digest": "d"})
        later = CodePipelineClaimJobOperator(task_id="later", job="{{ dag_run.conf['job'] }}")
        claim >> later
        finishes = finish_job(later, task_id="finish_later", output_variables={"Digest": "d"})
    assert finishes.output_variables == {"Digest": "d"}
    assert wait.task_id in finishes.get_flat_relative_ids(upstream=True)


def test_a_finishing_task_of_ones_own_needs_no_job():
    with DAG("own", schedule=None):
        own = CodePipelineFinishJobOperator(task_id="fin", claim_task_id="claim", output_variables={"A": "1"})
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ x }}")
        finish = finish_job(claim, job=None, output_variables={"A": "1"})
    assert [(task.job, task.output_variables) for task in (own, finish)] == [(None, {"A": "1"})] * 2


def test_what_is_refused_names_the_task_once():
    with DAG("refused", schedule=None), pytest.raises(InvalidInput) as refusal:
        CodePipelineJobSensor(task_id="wait_here", action_type={**CUSTOM_TYPE, "owner": "AWS"})
    assert str(refusal.value).startswith("CodePipelineJobSensor wait_here: Jobs of owner AWS are not served")
    with DAG("refused", schedule=None), pytest.raises(InvalidInput) as refusal:
        PutJobSuccessResultOperator(task_id="put_here")
    assert str(refusal.value).count("put_here") == 1


def test_variables_that_are_known_later_are_not_checked_yet():
    with DAG("templated", schedule=None):
        PutJobSuccessResultOperator(task_id="a", job_id="j", output_variables="{{ x }}")
        PutJobSuccessResultOperator(task_id="b", job_id="j", output_variables={"Digest": "{{ x }}"})
        with pytest.raises(LimitExceeded):
            PutJobSuccessResultOperator(
                task_id="c", job_id="j", output_variables={"a b": "c", "Digest": "{{ x }}"}
            )


@pytest.mark.parametrize("name", ["value", "check", "query_param"])
def test_a_variable_may_have_any_name(name):
    with DAG("named", schedule=None):
        put = PutJobSuccessResultOperator(task_id="put", job_id="j", output_variables={name: "{{ x }}"})
    assert put.output_variables == {name: "{{ x }}"}


def test_a_query_may_be_known_later_in_part():
    with DAG("queried", schedule=None):
        sensor = CodePipelineJobSensor(
            task_id="t", action_type=CUSTOM_TYPE, query_param={"Dag": "{{ params.d }}"}
        )
    assert sensor.query_param == {"Dag": "{{ params.d }}"}


@pytest.mark.parametrize(
    ("poll", "why"),
    [
        (lambda hook: hook.poll(ACTION_TYPE, query_param={"a": "b"}), "query_param is for custom"),
        (lambda hook: hook.poll(CUSTOM_TYPE, query_param={"a": "b", "c": "d"}), "has 2 entries"),
        (lambda hook: hook.poll(CUSTOM_TYPE, query_param={"a": "v" * 51}), "has 51 characters"),
        (lambda hook: hook.poll({**CUSTOM_TYPE, "owner": "AWS"}), "Jobs of owner AWS are not served"),
        (
            lambda hook: hook.succeed({"job_id": "j", "client_id": "c"}, output_variables={"a": "b"}),
            "output_variables are for custom actions",
        ),
        (
            lambda hook: hook.details({"job_id": "j", "action_type": {**CUSTOM_TYPE, "owner": "AWS"}}),
            "Jobs of owner AWS are not served",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_call(emulator, hook, poll, why):
    with pytest.raises(InvalidInput, match=why):
        poll(hook)
    assert calls(emulator) == []
