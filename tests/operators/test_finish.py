# SPDX-License-Identifier: Apache-2.0
"""The finishing task: each claimed job gets its one result, whatever becomes of the work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from support import ACTION_TYPE, CUSTOM_TYPE, action_state, results_of

from airflow_codepipeline_partner._compat import AirflowFailException, AirflowRescheduleException
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner._worker import dag
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    RequestRefused,
)
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineFinishJobOperator,
    finish_job,
    finishing,
)

pytestmark = pytest.mark.usefixtures("customer")
ONE_JOB = "one_job_assume_ours_0_retries"
ONE_JOB_WITH_RETRY = "one_job_assume_ours_1_retries"
ONE_JOB_LEFT_IN_DOUBT = "one_job_leave_0_retries"


def test_work_that_succeeds_ends_the_job_with_success(emulator, offer, run_dag):
    job = offer()
    run = run_dag(ONE_JOB, job=job, details={"summary": "Done.", "percentComplete": "100"})
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    assert action_state(emulator)["status"] == "Succeeded"
    assert action_state(emulator)["summary"] == "Done."
    assert action_state(emulator)["percentComplete"] == 100
    assert action_state(emulator)["externalExecutionId"].startswith(f"{ONE_JOB}/runs/manual__")


def test_without_details_the_summary_names_the_dag(emulator, offer, run_dag):
    run_dag(ONE_JOB, job=offer())
    assert ONE_JOB in action_state(emulator)["summary"]
    assert "percentComplete" not in action_state(emulator)


def test_the_records_tell_claim_and_result_and_hold_no_secret(offer, run_dag, customer):
    job = offer()
    run = run_dag(ONE_JOB, job=job, revision={"revision": "r1", "changeIdentifier": "c1"})
    claim = run.xcoms["claim", "codepipeline_claim"]
    assert claim["state"] == "claimed"
    assert claim["at"]
    assert {name: claim[name] for name in run.xcoms["claim", "return_value"]} == run.xcoms[
        "claim", "return_value"
    ]
    result = run.xcoms["claim", "codepipeline_result"]
    assert result["state"] == "done"
    assert result["result"] == "success"
    assert result["job_id"] == job["job_id"]
    assert result["call"]["currentRevision"] == {"revision": "r1", "changeIdentifier": "c1"}
    assert customer.client_token not in str(run.xcoms)


def test_failed_work_ends_the_job_and_fails_the_run(emulator, offer, run_dag):
    job = offer()
    run = run_dag(ONE_JOB, job=job, work="fail")
    assert run.states == {"claim": "success", "work": "failed", "finish_job": "failed"}
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator)["errorDetails"]
    assert error["code"] == "JobFailed"
    assert "task work" in error["message"]
    assert "no customer may read" not in error["message"]


@pytest.mark.parametrize(
    ("cleared", "unended"),
    [("work", None), ("work", "scheduled"), ("work", "running"), ("work", "up_for_retry"), ("claim", None)],
)
def test_work_cleared_just_before_the_report_is_waited_for(
    cleared, unended, emulator, offer, run_dag, monkeypatch
):
    job = offer()
    looks = []

    def states_before(context, task):
        states = dag.states_before(context, task)
        looks.append(states)
        return {**states, cleared: [unended]} if len(looks) == 1 else states

    monkeypatch.setattr(finishing, "states_before", states_before)
    monkeypatch.setattr(CodePipelineFinishJobOperator, "LOOK_AGAIN_AFTER", timedelta(milliseconds=1))
    run = run_dag(ONE_JOB, job=job, work="fail")
    assert len(looks) == 2
    assert run.states["finish_job"] == "failed"
    assert results_of(emulator, job) == ["failure"]


def test_it_looks_ever_less_often_for_work_that_goes_on():
    with DAG("d", schedule=None):
        finish = finish_job(
            CodePipelineClaimJobOperator(task_id="claim", job={"job_id": "j", "client_id": "c"})
        )
    pauses = []
    for looks in range(8):
        with pytest.raises(AirflowRescheduleException) as rescheduled:
            finishing.Finishing(finish, {"task_reschedule_count": looks})._wait_for_work(["work"])
        pauses.append((rescheduled.value.reschedule_date - datetime.now(UTC)).total_seconds())
    assert [round(pause, -1) for pause in pauses] == [10, 20, 40, 60, 60, 60, 60, 60]


def test_a_task_that_waits_for_its_retry_is_not_kept_from_it(emulator, offer, run_dag, monkeypatch):
    """``dag.test()`` runs one task after the other: who waits in its place keeps the next from its turn."""
    monkeypatch.setattr(CodePipelineFinishJobOperator, "LOOK_AGAIN_AFTER", timedelta(milliseconds=50))
    job = offer()
    run = run_dag("retried_beside_a_failure", job=job)
    states = {name: run.states[name] for name in ("deploy", "check", "notify")}
    assert states == {"deploy": "success", "check": "failed", "notify": "upstream_failed"}
    assert results_of(emulator, job) == ["failure"]
    assert "check" in action_state(emulator)["errorDetails"]["message"]


def test_the_user_words_the_failure(emulator, offer, run_dag):
    run_dag(ONE_JOB, job=offer(), work="fail", message="Ask the desk.", failure_type="PermissionError")
    assert action_state(emulator)["errorDetails"] == {"code": "PermissionError", "message": "Ask the desk."}


def test_a_failure_that_cannot_be_sent_gets_the_default_text(emulator, offer, run_dag):
    run_dag(ONE_JOB, job=offer(), work="fail", message={"no": "text"}, failure_type="Unheard")
    assert action_state(emulator)["errorDetails"]["code"] == "JobFailed"
    assert "task work" in action_state(emulator)["errorDetails"]["message"]


def test_work_that_is_skipped_ends_the_job_with_failure(emulator, offer, run_dag):
    job = offer()
    run = run_dag(ONE_JOB, job=job, work="skip")
    assert results_of(emulator, job) == ["failure"]
    assert "skipped" in action_state(emulator)["errorDetails"]["message"]
    assert run.state == "failed"


def test_a_failure_that_a_task_reported_fails_the_run(emulator, offer, run_dag):
    """The job has that one result."""
    job = offer()
    run = run_dag("claim_and_put_failure_and_finish", job=job)
    assert run.states == {"claim": "success", "put": "success", "finish_job": "failed"}
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]


def test_a_lost_race_is_skipped_and_nothing_is_put(emulator, offer, run_dag, make_hook):
    job = offer()
    assert make_hook().claim(job) is not None
    run = run_dag(ONE_JOB, job=job)
    assert run.states == {"claim": "skipped", "work": "skipped", "finish_job": "skipped"}
    assert run.state == "success"
    assert results_of(emulator, job) == []
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "lost"


def test_a_client_without_a_connection_leaves_its_job_unclaimed(emulator, offer, run_dag, monkeypatch):
    job = offer()
    conn_id = f"codepipeline_client_{job['client_id'].replace('-', '_')}"
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")
    run = run_dag(ONE_JOB_WITH_RETRY, job=job)
    assert run.states["claim"] == "failed"
    # Nothing was claimed and nothing is put; but a run whose claim failed is not green.
    assert run.state == "failed"
    assert results_of(emulator, job) == []
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "refused"
    assert [offered.status for offered in emulator.jobs()] == ["Dispatched"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"revision": {"revision": "r" * 1501, "changeIdentifier": "c"}}, "currentRevision.revision"),
        ({"revision": {"revision": "r"}}, "changeIdentifier"),
        ({"details": {"percentComplete": 101}}, "executionDetails.percentComplete"),
        ({"details": {"nonsense": 1}}, "executionDetails"),
    ],
)
def test_a_result_that_cannot_be_sent_ends_the_job_with_failure(emulator, offer, run_dag, given, field):
    job = offer()
    run = run_dag(ONE_JOB, job=job, message="The work broke.", **given)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert field in action_state(emulator)["errorDetails"]["message"]


def test_an_unrenderable_result_ends_the_job_with_failure(emulator, offer, run_dag):
    job = offer()
    run = run_dag("unrenderable_result", job=job)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    assert "execution_details could not be rendered" in action_state(emulator)["errorDetails"]["message"]


def test_failed_work_is_reported_even_if_unrenderable(emulator, offer, run_dag):
    job = offer()
    run_dag("unrenderable_result", job=job, work="fail")
    assert results_of(emulator, job) == ["failure"]
    assert "task work" in action_state(emulator)["errorDetails"]["message"]


@pytest.mark.parametrize(
    ("conf", "result"),
    [
        ({}, "success"),
        ({"set_up": "fail"}, "failure"),
        ({"set_up": "skip"}, "failure"),
        ({"work": "fail"}, "failure"),
        # The teardown behind it succeeds, and is no work.
        ({"work": "skip"}, "failure"),
    ],
)
def test_setups_and_teardowns_are_no_work(emulator, offer, run_dag, conf, result):
    """Nor do they keep a job from its result."""
    job = offer()
    run = run_dag("work_between_setup_and_teardown", job=job, **conf)
    assert results_of(emulator, job) == [result]
    assert run.state == ("success" if result == "success" else "failed")


def test_what_does_not_follow_the_claim_is_no_work_of_the_job(emulator, offer, run_dag):
    done = offer()
    run_dag("summary_from_elsewhere", job=done)
    assert action_state(emulator)["summary"] == "From elsewhere."
    skipped = offer()
    run_dag("summary_from_elsewhere", job=skipped, work="skip")
    assert [results_of(emulator, job) for job in (done, skipped)] == [["success"], ["failure"]]


def test_templates_are_rendered_in_our_own_classes_too(emulator, offer, run_dag):
    job = offer()
    run = run_dag("values_in_our_own_classes", job=job)
    assert results_of(emulator, job) == ["success"]
    assert action_state(emulator)["summary"] == f"Run {run.run_id}."
    assert action_state(emulator)["externalExecutionId"] == run.run_id


def test_each_of_two_claims_in_a_row_can_be_finished(emulator, offer, run_dag):
    jobs = [offer(), offer()]
    run_dag("two_claims", jobs=jobs)
    assert [results_of(emulator, job) for job in jobs] == [["success"], ["success"]]


def test_of_two_claims_with_one_work_each_job_has_its_own_end(emulator, offer, run_dag):
    """The finishing task of one fails since its job was ended elsewhere; the work of the other succeeded."""
    jobs = [offer(), offer()]
    run = run_dag("two_claims_one_work", jobs=jobs)
    assert (run.states["finish_first"], run.states["finish_second"]) == ("failed", "success")
    assert results_of(emulator, jobs[1]) == ["success"]
    # Neither comes after the other, so either makes the run red.
    assert run.state == "failed"


@pytest.mark.parametrize("dag_id", ["many_jobs", "many_jobs_built", "many_jobs_in_inner_groups"])
def test_a_mapped_group_finishes_each_job_on_its_own(dag_id, emulator, offer, run_dag):
    jobs = [offer() for _ in range(3)]
    how = dict(zip((job["job_id"] for job in jobs), ("succeed", "fail", "skip"), strict=True))
    run = run_dag(dag_id, jobs=jobs, work_of=how)
    assert [results_of(emulator, job) for job in jobs] == [["success"], ["failure"], ["failure"]]
    assert run.state == "failed"


def test_one_client_without_token_does_not_hold_up_the_others(emulator, offer, run_dag, make_hook):
    mine = offer()
    stranger = emulator.add_customer()
    emulator.add_pipeline("other", client_id=stranger.client_id, action_type=ACTION_TYPE)
    emulator.start_execution("other")
    [theirs] = [job.to_xcom() for job in make_hook().poll(ACTION_TYPE)]
    assert theirs["client_id"] == stranger.client_id
    run = run_dag("many_jobs", jobs=[theirs, mine])
    assert run.states["handle.claim[0]"] == "failed"
    assert run.states["handle.finish_job[0]"] == "failed"
    assert run.states["handle.finish_job[1]"] == "success"
    assert results_of(emulator, mine) == ["success"]
    assert results_of(emulator, theirs) == []


@pytest.mark.parametrize(
    ("parts", "result"),
    [(["a", "b"], "success"), (["a", "fail"], "failure"), (["skip", "skip"], "success"), ([], "success")],
)
def test_mapped_work_counts_with_all_its_instances(emulator, offer, run_dag, parts, result):
    job = offer()
    run_dag("mapped_work", job=job, parts=parts)
    assert results_of(emulator, job) == [result]


def test_a_lost_answer_to_the_result_is_no_second_result(emulator, offer, run_dag):
    emulator.inject("drop_response", operation="PutThirdPartyJobSuccessResult", times=1)
    job = offer()
    run = run_dag(ONE_JOB, job=job)
    assert run.state == "success"
    assert results_of(emulator, job) == ["success", "InvalidJobStateException"]
    assert run.xcoms["claim", "codepipeline_result"]["state"] == "done"


def kill(monkeypatch, operation, *, after):
    """
    Have the task's process end at the first call of an operation: before it is sent, or after its answer.

    What it had not yet said is never said, as with a kill; real kills need real processes.
    """
    send = Transport.send
    deaths = []

    def dying(self, call, *args, **kwargs):
        if call.operation != operation or deaths:
            return send(self, call, *args, **kwargs)
        deaths.append(call)
        if after:
            send(self, call, *args, **kwargs)
        raise SystemExit(9)

    monkeypatch.setattr(Transport, "send", dying)
    return deaths


@pytest.mark.parametrize("after", [False, True])
def test_a_claim_that_dies_at_its_acknowledgement_fails(emulator, offer, run_dag, monkeypatch, after):
    job = offer()
    deaths = kill(monkeypatch, "AcknowledgeThirdPartyJob", after=after)
    run = run_dag(ONE_JOB, job=job)
    assert len(deaths) == 1
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "intent"
    assert run.states["finish_job"] == "failed"
    # Never acknowledged, it takes no result and is offered again; acknowledged, it has ended.
    assert results_of(emulator, job) == (["failure"] if after else ["InvalidJobStateException"])


@pytest.mark.parametrize("after", [False, True])
def test_an_unknown_claim_is_left_alone_where_the_user_says_so(emulator, offer, run_dag, monkeypatch, after):
    job = offer()
    kill(monkeypatch, "AcknowledgeThirdPartyJob", after=after)
    run = run_dag(ONE_JOB_LEFT_IN_DOUBT, job=job)
    assert run.state == "failed"
    assert results_of(emulator, job) == []


def test_a_claim_that_died_is_retried_and_works_the_same_job(emulator, offer, run_dag, monkeypatch):
    job = offer()
    kill(monkeypatch, "AcknowledgeThirdPartyJob", after=True)
    run = run_dag(ONE_JOB_WITH_RETRY, job=job)
    assert run.states == {"claim": "success", "work": "success", "finish_job": "success"}
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "unknown"
    assert run.xcoms["claim", "return_value"]["certain"] is False
    assert results_of(emulator, job) == ["success"]


def test_a_finish_that_died_after_its_put_does_not_put_another(emulator, offer, run_dag, monkeypatch):
    job = offer()
    kill(monkeypatch, "PutThirdPartyJobSuccessResult", after=True)
    run = run_dag("finish_is_retried_at_once", job=job)
    assert run.state == "success"
    assert results_of(emulator, job) == ["success", "InvalidJobStateException"]
    assert run.xcoms["claim", "codepipeline_result"]["state"] == "done"


# What the work, the connection or Airflow does to it.


def test_a_claim_ended_before_its_acknowledgement_has_nothing(emulator, offer, run_dag, monkeypatch):
    job = offer()
    deaths = kill(monkeypatch, "GetThirdPartyJobDetails", after=True)
    run = run_dag(ONE_JOB, job=job)
    assert len(deaths) == 1
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "refused"
    assert run.state == "failed"
    # It is offered again, perhaps to another run, whose job this one must not end.
    assert results_of(emulator, job) == []


def test_what_passes_does_not_end_the_finishing_task(emulator, offer, run_dag, monkeypatch):
    job = offer()
    send = Transport.send
    troubles = [
        ClientConnectionError("The secrets backend did not answer."),
        RequestRefused("The credentials have expired.", code="ExpiredTokenException"),
    ]

    def troubled(self, call, *args, **kwargs):
        if call.operation == "PutThirdPartyJobSuccessResult" and troubles:
            raise troubles.pop()
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", troubled)
    run = run_dag("finish_is_retried_at_once", job=job)
    assert troubles == []
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]


def test_a_success_that_is_not_taken_becomes_a_failure(emulator, offer, run_dag):
    job = offer()
    emulator.inject(
        "error", operation="PutThirdPartyJobSuccessResult", times=None, code="ValidationException"
    )
    run = run_dag(ONE_JOB, job=job)
    assert run.state == "failed"
    assert results_of(emulator, job) == ["ValidationException", "failure"]
    assert "does not take its result" in action_state(emulator)["errorDetails"]["message"]
    assert run.xcoms["claim", "codepipeline_result"]["result"] == "failure"


def test_a_rendered_value_that_is_no_json_stops_no_result(emulator, offer, run_dag):
    job = offer()
    run = run_dag(ONE_JOB, job=job, revision="{'revision': 12e4567, 'changeIdentifier': 'c'}")
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]


def test_a_number_is_a_revision_too(emulator, offer, run_dag):
    job = offer()
    run = run_dag(ONE_JOB, job=job, revision={"revision": 1234567, "changeIdentifier": 1})
    assert results_of(emulator, job) == ["success"]
    sent = run.xcoms["claim", "codepipeline_result"]["call"]["currentRevision"]
    assert sent == {"revision": "1234567", "changeIdentifier": "1"}


def test_a_link_that_cannot_be_made_fails_nothing(emulator, aws_connection, make_hook, run_dag, monkeypatch):
    def no_location(self):
        raise RuntimeError("no region")

    # A partner's job has no link.
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE)
    emulator.start_execution("own")
    job = make_hook().poll(CUSTOM_TYPE)[0].to_xcom()
    monkeypatch.setattr(CodePipelineHook, "location", property(no_location))
    assert run_dag(ONE_JOB, job=job).state == "success"
    assert results_of(emulator, job) == ["success"]


def test_a_finishing_task_before_its_claim_says_so(emulator, offer, run_dag, capfd):
    run = run_dag("finish_without_claim_before_it", job=offer())
    assert run.state == "failed"
    assert "must come after claim" in "".join(capfd.readouterr())


def test_it_ends_the_jobs_of_tasks_that_are_gone_too(emulator, offer, run_dag, monkeypatch):
    """The DAG had two claims, one of which is no longer there; the job of the other has its result."""

    def end(hook, context):
        raise AirflowFailException("Ended: job gone.")

    monkeypatch.setattr(finishing, "end_jobs_of_former_tasks", end)
    job = offer()
    run = run_dag(ONE_JOB, job=job)
    assert results_of(emulator, job) == ["success"]
    assert run.states["finish_job"] == run.state == "failed"


def test_a_claim_that_never_asked_ends_no_other_runs_job(emulator, offer, run_dag, make_hook, monkeypatch):
    job = offer()
    make_hook().claim(job)

    def die(self, context):
        raise SystemExit(9)

    monkeypatch.setattr(CodePipelineClaimJobOperator, "execute", die)
    run = run_dag("one_job_assume_ours_0_retries", job=job)
    assert run.states == {"claim": "failed", "work": "upstream_failed", "finish_job": "failed"}
    assert results_of(emulator, job) == []
