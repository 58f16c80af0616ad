# SPDX-License-Identifier: Apache-2.0
"""Work that goes on in new jobs of its action, within one run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from airflow.sdk import get_current_context
from support import ACTION_TYPE, action_state, results_of

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._polling import schedule
from airflow_codepipeline_partner._protocol import choices, requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner._worker import next_job
from airflow_codepipeline_partner._worker.claim_checkpoint import ClaimCheckpoint
from airflow_codepipeline_partner._worker.claiming import Earlier
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import RequestRefused
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.jobs import ActionType, ClaimedJob, OfferedJob
from airflow_codepipeline_partner.operators import CodePipelineContinueJobOperator
from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator

#: Results that CodePipeline took, in the ledger.
TAKEN = ("continue", "success", "failure")


@pytest.fixture(autouse=True)
def quick(emulator, customer, quick_clients, monkeypatch):
    emulator.configure(continuation_delay=0, lease_seconds=0.2)
    monkeypatch.setattr(choices, "CONTINUATION_TIMEOUT", 5.0)
    monkeypatch.setattr(CodePipelineFinishJobOperator, "POLL_INTERVAL", 0.1)


@pytest.fixture
def puts(monkeypatch):
    """The arguments of all results that are put."""
    arguments = []
    send = CodePipelineHook.send_result

    def record(self, call):
        arguments.append(call.arguments)
        return send(self, call)

    monkeypatch.setattr(CodePipelineHook, "send_result", record)
    return arguments


def results(emulator):
    return {job.job_id: results_of(emulator, {"job_id": job.job_id}) for job in emulator.jobs()}


def ended(emulator):
    """Return the terminal results of all jobs, in order."""
    return [entry.result for job in emulator.jobs() for entry in emulator.ledger.terminal_results(job.job_id)]


def test_a_run_goes_on_in_new_jobs_and_ends_the_newest(emulator, offer, run_dag):
    job = offer()
    run = run_dag("continued", job=job)
    assert run.state == "success"
    jobs = emulator.jobs()
    assert [found.status for found in jobs] == ["Succeeded"] * 3
    assert list(results(emulator).values()) == [["continue"], ["continue"], ["success"]]
    assert [run.xcoms[task_id, "return_value"]["job_id"] for task_id in ("claim", "first", "second")] == [
        found.job_id for found in jobs
    ]
    # The work belongs to the newest job.
    assert run.xcoms["work", "return_value"] == jobs[-1].job_id
    assert action_state(emulator)["percentComplete"] == 100


def test_progress_is_shown_with_the_run_and_the_revision(offer, run_dag, puts):
    run = run_dag("continued", job=offer())
    first, second, _ = puts
    assert first["executionDetails"] == {
        "summary": "Begun.",
        "percentComplete": 10,
        "externalExecutionId": run_link(run),
    }
    assert first["currentRevision"] == {"revision": "r1", "changeIdentifier": "c1"}
    assert second["executionDetails"]["summary"] == "The Airflow DAG continued is at work on this action."


def run_link(run):
    from urllib.parse import quote

    return f"{run.dag_id}/runs/{quote(run.run_id, safe='')}"


def test_the_record_names_the_newest_and_the_former_jobs(emulator, offer, run_dag):
    run = run_dag("continued", job=offer())
    ids = [job.job_id for job in emulator.jobs()]
    record = run.xcoms["claim", "codepipeline_claim"]
    assert (record["job_id"], record["state"], record["former_job_ids"]) == (ids[2], "claimed", ids[:2])
    assert run.xcoms["claim", "codepipeline_result"]["job_id"] == ids[2]


def test_the_record_keeps_what_the_former_jobs_reported(emulator, offer, run_dag):
    run = run_dag("continued", job=offer())
    ids = [job.job_id for job in emulator.jobs()]
    first, second = run.xcoms["claim", "codepipeline_claim"]["former_jobs"]
    assert (first["job_id"], first["percent"], first["summary"]) == (ids[0], 10, "Begun.")
    assert second["job_id"] == ids[1]
    times = [each[name] for each in (first, second) for name in ("claimed_at", "ended_at")]
    assert times == sorted(times)


@pytest.mark.parametrize("job_of", ["PutThirdPartyJobSuccessResult", "AcknowledgeThirdPartyJob"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_retry_goes_on_where_the_try_before_it_died(emulator, offer, run_dag, job_of, when):
    run = run_dag("dying_continuation", job=offer(), die=f"{when} {job_of}")
    assert run.state == "success"
    first, second = emulator.jobs()
    assert [first.status, second.status] == ["Succeeded"] * 2
    taken = [[r for r in put if not r.endswith("Exception")] for put in results(emulator).values()]
    assert taken == [["continue"], ["success"]]
    assert run.xcoms["work", "return_value"] == second.job_id


@pytest.mark.parametrize("job_of", ["PutThirdPartyJobSuccessResult", "AcknowledgeThirdPartyJob"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_without_another_try_finish_job_ends_the_newest_job(emulator, offer, run_dag, job_of, when):
    run = run_dag("dying_continuation", job=offer(), die=f"{when} {job_of}", deaths=2)
    assert run.state == "failed"
    assert ended(emulator) == ["failure"]
    assert {job.status for job in emulator.jobs()} <= {"Succeeded", "Failed"}
    assert emulator.jobs()[-1].status == "Failed"


def test_the_failure_of_the_work_ends_the_newest_job(emulator, offer, run_dag):
    run = run_dag("continued", job=offer(), work="fail")
    assert run.state == "failed"
    assert list(results(emulator).values()) == [["continue"], ["continue"], ["failure"]]


@pytest.mark.parametrize(
    ("dag_id", "result"),
    [("given_up_between_two_jobs", "failure"), ("given_up_between_two_jobs_unnoticed", "success")],
)
def test_finish_job_takes_the_job_that_no_task_waits_for(emulator, offer, run_dag, dag_id, result):
    run_dag(dag_id, job=offer())
    assert list(results(emulator).values()) == [["continue"], [result]]


def test_a_job_that_never_comes_fails_the_run_and_hangs_no_task(emulator, offer, run_dag, monkeypatch):
    emulator.configure(continuation_delay=3600)
    monkeypatch.setattr(choices, "CONTINUATION_TIMEOUT", 0.5)
    run = run_dag("continuation_in_vain", job=offer(), die="nowhere")
    assert run.state == "failed"
    assert run.states["go_on"] == run.states["finish_job"] == "failed"


def test_another_run_leaves_the_job_while_the_waiting_one_lives(emulator, offer, run_dag, dags, make_hook):
    run = ended_run(emulator, offer, run_dag)
    set_state(run, "running")
    [offered] = make_hook().poll(ACTION_TYPE)
    other = run_dag("one_job_assume_ours_0_retries", job=offered.to_xcom())
    assert other.states["claim"] == "skipped"
    assert other.state == "success"
    assert results(emulator)[offered.job_id] == []
    assert emulator.jobs()[-1].status in ("Queued", "Dispatched")


def test_a_retry_that_may_have_claimed_it_leaves_it_too(emulator, offer, run_dag, make_hook, monkeypatch):
    run = ended_run(emulator, offer, run_dag)
    set_state(run, "running")
    [offered] = make_hook().poll(ACTION_TYPE)
    earlier = Earlier(ClaimRecord(ClaimState.UNKNOWN, ClaimedJob(offered)))
    monkeypatch.setattr(ClaimCheckpoint, "recall", lambda self, job_id: earlier)
    other = run_dag("one_job_assume_ours_0_retries", job=offered.to_xcom())
    assert other.states["claim"] == "skipped"
    assert results(emulator)[offered.job_id] == []
    assert emulator.jobs()[-1].status == "Dispatched"


def test_a_job_whose_run_has_ended_is_ended_by_its_claimer(emulator, offer, run_dag, make_hook, puts):
    waited = ended_run(emulator, offer, run_dag)
    [offered] = make_hook().poll(ACTION_TYPE)
    other = run_dag("one_job_assume_ours_0_retries", job=offered.to_xcom())
    assert other.state == "failed"
    assert results(emulator)[offered.job_id] == ["failure"]
    # The work is not done a second time.
    assert other.states["work"] == "upstream_failed"
    assert waited.run_id in puts[-1]["failureDetails"]["message"]


def test_a_job_of_a_run_that_is_not_known_here_is_left(emulator, offer, run_dag, make_hook):
    run = ended_run(emulator, offer, run_dag)
    delete(run)
    [offered] = make_hook().poll(ACTION_TYPE)
    other = run_dag("one_job_assume_ours_0_retries", job=offered.to_xcom())
    assert other.states["claim"] == "skipped"
    assert results(emulator)[offered.job_id] == []


def test_the_hook_alone_leaves_what_a_task_waits_for(emulator, offer, run_dag, make_hook):
    ended_run(emulator, offer, run_dag)
    [offered] = make_hook().poll(ACTION_TYPE)
    assert make_hook().claim(offered) is None


def test_a_callback_does_nothing_between_two_jobs(emulator, offer, run_dag):
    run = ended_run(emulator, offer, run_dag)
    assert run_dag("notify_ended", run_id=run.run_id).state == "success"
    assert ended(emulator) == []


def ended_run(emulator, offer, run_dag):
    """Return a run that has ended while its action goes on."""
    run = run_dag("ended_between_two_jobs", job=offer())
    assert run.state == "failed"
    assert [job.status for job in emulator.jobs()] == ["Succeeded", "Queued"]
    return run


def set_state(run, state):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(DagRun).filter_by(dag_id=run.dag_id, run_id=run.run_id).update({"_state": state})


def delete(run):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(DagRun).filter_by(dag_id=run.dag_id, run_id=run.run_id).delete()


def test_each_job_of_a_mapped_group_goes_on_by_itself(emulator, offer, run_dag):
    jobs = [offer(), offer()]
    run = run_dag("continued_each", jobs=jobs)
    assert run.state == "success"
    assert sorted(map(tuple, results(emulator).values())) == [("continue",)] * 2 + [("success",)] * 2


def test_a_result_for_a_former_job_ends_the_newest(emulator, offer, run_dag):
    """Of two progress sensors, for instance, nobody can say which returns the newest job."""
    run = run_dag("continued_and_then_put_by_hand", job=offer())
    assert run.state == "success"
    assert list(results(emulator).values()) == [["continue"], ["success"]]


def test_a_refused_poll_for_the_next_job_is_retried(emulator, offer, run_dag, monkeypatch):
    job = offer()
    poll = CodePipelineHook.poll
    refused = []

    def refuse_once(self, *args, **kwargs):
        if not refused:
            refused.append(args)
            raise RequestRefused("The security token is expired.", code="ExpiredTokenException")
        return poll(self, *args, **kwargs)

    monkeypatch.setattr(CodePipelineHook, "poll", refuse_once)
    run = run_dag("continued", job=job)
    assert refused
    assert run.state == "success"
    assert list(results(emulator).values()) == [["continue"], ["continue"], ["success"]]


@pytest.mark.parametrize("operation", ["PutThirdPartyJobSuccessResult", "AcknowledgeThirdPartyJob"])
def test_a_refusal_that_may_pass_is_tried_again_by_the_retry(
    emulator, offer, run_dag, monkeypatch, operation
):
    job, send, refused = offer(), Transport.send, []

    def refuse_once(self, call, *args, **kwargs):
        # The claim of the first job has no retries in that DAG.
        is_claim = call.operation == "AcknowledgeThirdPartyJob" and call.job.job_id == job["job_id"]
        if call.operation == operation and not refused and not is_claim:
            refused.append(call)
            raise RequestRefused("The security token is expired.", code="ExpiredTokenException")
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", refuse_once)
    run = run_dag("continued", job=job)
    assert refused
    assert run.state == "success"
    assert list(results(emulator).values()) == [["continue"], ["continue"], ["success"]]


def test_a_lost_continuation_goes_on_after_an_unknown_claim(emulator, offer, run_dag):
    job = offer()
    for operation in ("AcknowledgeThirdPartyJob", "PutThirdPartyJobSuccessResult"):
        emulator.inject("drop_response", operation=operation, times=1)
    run = run_dag("continued", job=job)
    assert run.xcoms["claim", "return_value"]["certain"] is False
    assert run.state == "success"
    taken = [[result for result in put if result in TAKEN] for put in results(emulator).values()]
    assert taken == [["continue"], ["continue"], ["success"]]


def test_a_continuation_of_anothers_job_is_not_awaited_for_ever(
    emulator, offer, run_dag, make_hook, monkeypatch
):
    """The claim was unknown, and the job turned out not to be ours."""
    job, send, rival = offer(), Transport.send, make_hook()
    monkeypatch.setattr(choices, "CONTINUATION_TIMEOUT", 0.5)
    emulator.inject("drop_response", operation="AcknowledgeThirdPartyJob", times=1)
    ended = []

    def outrun(self, call, *args, **kwargs):
        if call.operation == "PutThirdPartyJobSuccessResult" and not ended:
            ended.append(call)
            rival.succeed(job)
            emulator.inject("drop_response", operation="PutThirdPartyJobSuccessResult", times=1)
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", outrun)
    run = run_dag("continuation_in_vain", job=job, die="nowhere")
    assert ended
    assert run.state == "failed"
    assert run.states["go_on"] == run.states["finish_job"] == "failed"
    assert [entry.result for entry in emulator.ledger.terminal_results(job["job_id"])] == ["success"]


def intend_beside(job):
    """Write the intent of another task of the running one's run to claim a job."""
    ti = get_current_context()["ti"]
    claim = RecordStore(
        TaskInstanceRef(ti.dag_id, ti.run_id, "claim"),
        writer="finish_job",
        writers=("finish_job",),
        goes_on=True,
    )
    before = claim.read_claim()
    intent = ClaimRecord(ClaimState.INTENT, replace(before.job, job=job), (before.job.job_id,))
    claim.write_claim(intent)
    return intent


def test_a_next_job_that_two_tasks_claim_at_once_is_ended(emulator, offer, run_dag, monkeypatch):
    job = offer()
    send = Transport.send
    others = []

    def outrun(self, call, *args, **kwargs):
        if call.operation == "AcknowledgeThirdPartyJob" and call.job.job_id != job["job_id"] and not others:
            # Between the intent and the acknowledgement of this one.
            others.append(intend_beside(call.job))
            send(self, call, *args, **kwargs)
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", outrun)
    run = run_dag("dying_continuation", job=job, die="never")
    assert others
    assert run.state == "success"
    assert list(results(emulator).values()) == [["continue"], ["success"]]


def test_a_job_that_the_run_did_not_claim_cannot_go_on(emulator, offer, run_dag, capfd):
    job = offer()
    run = run_dag("continued_without_claim", job=job)
    assert run.state == "failed"
    assert f"No task of this run claimed job {job['job_id']}" in "".join(capfd.readouterr())
    assert results(emulator)[job["job_id"]] == []


@pytest.mark.parametrize("event_status", ["offered", "timeout"])
def test_a_late_task_finds_the_job_that_another_claimed(emulator, offer, run_dag, event_status):
    run = run_dag("two_tasks_for_one_job", job=offer(), event_status=event_status)
    assert run.state == "success"
    assert list(results(emulator).values()) == [["continue"], ["success"]]
    assert run.xcoms["late", "return_value"]["job_id"] == emulator.jobs()[-1].job_id


def test_a_next_job_that_is_left_in_doubt_leaves_no_green_run(emulator, offer, run_dag):
    run = run_dag("left_in_doubt", job=offer())
    assert run.state == "failed"
    assert run.states["finish_job"] == "failed"
    assert list(results(emulator).values()) == [["continue"], []]


def test_the_next_job_of_another_airflows_run_is_left(emulator, offer, run_dag, make_hook):
    """Its run has the same id as one here."""
    job, other_airflow = offer(), make_hook()
    other_airflow.claim(job)
    ours = run_dag("one_job_assume_ours_0_retries", job=job)
    assert ours.states["claim"] == "skipped"
    token = TaskInstanceRef(ours.dag_id, ours.run_id, "go_on").token
    other_airflow.succeed(job, continuation_token=token)
    [offered] = other_airflow.poll(ACTION_TYPE)
    run = run_dag("one_job_assume_ours_0_retries", job=offered.to_xcom())
    assert run.states["claim"] == "skipped"
    assert results(emulator)[offered.job_id] == []


def test_nothing_is_put_if_the_next_job_cannot_be_polled_for(emulator, offer, run_dag):
    job = offer()
    run = run_dag("continued", job={"job_id": job["job_id"], "client_id": job["client_id"]})
    assert run.states["first"] == "failed"
    assert list(results(emulator).values()) == [["failure"]]


def test_a_job_claimed_after_it_was_given_up_is_found(emulator, offer, run_dag, monkeypatch):
    """By its record."""
    monkeypatch.setattr(triggers, "LOOK_AT_RECORD_AFTER", 0.5)
    waits = []
    defer = triggers.defer_for_next_job

    def defer_while_another_claims(task, claim, **more):
        waits.append(claim.record.job.job_id)
        if len(waits) == 1:
            # As if a task that was marked as failed had just got it: nobody is offered it any more.
            [_, following] = emulator.jobs()
            hook = CodePipelineHook()
            [offered] = hook.poll(ACTION_TYPE)
            assert offered.job_id == following.job_id
            next_job.claim_next_job(hook, claim, offered)
        defer(task, claim, **more)

    monkeypatch.setattr(triggers, "defer_for_next_job", defer_while_another_claims)
    run = run_dag("continued", job=offer())
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded"] * 3


def test_a_wait_for_the_next_job_has_all_its_own_time(emulator, offer, run_dag, monkeypatch):
    monkeypatch.setattr(triggers, "LOOK_AT_RECORD_AFTER", 0.2)
    emulator.configure(continuation_delay=1)
    run = run_dag("continued", job=offer())
    assert run.state == "success"
    assert len(emulator.jobs()) == 3


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_unanswered_polls_end_no_wait_before_its_time(emulator, offer, run_dag, monkeypatch, code):
    monkeypatch.setattr(triggers, "LOOK_AT_RECORD_AFTER", 0.3)
    monkeypatch.setattr(schedule, "MAX_BACKOFF", 0.2)
    job = offer()
    status = 500 if code == "InternalFailure" else 400
    emulator.inject("error", "PollForThirdPartyJobs", code=code, message="", status=status, times=6)
    run = run_dag("continued", job=job)
    assert run.state == "success"
    assert len(emulator.ledger.polls().where(outcome=code)) == 6


@pytest.mark.parametrize(("poll_interval", "look"), [(30, 120), (600, 600)])
def test_a_wait_is_looked_at_now_and_again_and_has_all_its_time(monkeypatch, poll_interval, look):
    token = TaskInstanceRef("dag", "run", "task").token
    job = OfferedJob("j", "c", ActionType.from_value(ACTION_TYPE))
    others = TaskInstanceRef("dag", "run", "other").token
    put, of_other = (
        ResultRecord.of_call("done", requests.success(job, continuation_token=each))
        for each in (token, others)
    )
    ref = TaskInstanceRef("dag", "run", "claim")
    place = SimpleNamespace(ref=ref, read_results=lambda job_id: Results(put, [of_other]))
    claim = ClaimInRun(place, ClaimRecord(ClaimState.CLAIMED, ClaimedJob(job)), "assume_ours")
    task = CodePipelineContinueJobOperator(task_id="task", job=job)
    deferrals = []
    monkeypatch.setattr(CodePipelineContinueJobOperator, "defer", lambda self, **how: deferrals.append(how))
    monkeypatch.setattr(triggers.time, "time", lambda: put.at.timestamp())
    more = {"poll_interval": poll_interval, "method_name": "execute_complete"}
    triggers.defer_for_next_job(task, claim, timeout=3600, at_least=None, **more)
    [how] = deferrals
    # However late the try comes, it waits for a while.
    assert how["kwargs"] == {"at_least": pytest.approx(put.at.timestamp() + 300)}
    assert how["trigger"].timeout_deadline - put.at.timestamp() == pytest.approx(look)
    assert how["timeout"].total_seconds() == pytest.approx(3660)
    # There is no doubt about a job that was claimed for certain.
    assert how["trigger"].doubtful_job_id is None
    # It is not known whose token was taken.
    assert (how["trigger"].continuation_token, how["trigger"].other_tokens) == (token, (others,))
