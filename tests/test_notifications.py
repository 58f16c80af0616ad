# SPDX-License-Identifier: Apache-2.0
"""The notifier: the backstop that ends what a run left open, once, from a callback that knows little."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.utils.session import create_session
from reported_job import SUCCESS, recorded
from support import action_state, results_of

from airflow_codepipeline_partner import notifications
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.exceptions import (
    JobNotInProgress,
    LimitExceeded,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier


@pytest.fixture(autouse=True)
def pauses(fake_time, monkeypatch):
    """How long the notifier paused, on a clock of its own."""
    clock = SimpleNamespace(monotonic=fake_time.clock, sleep=fake_time.sleep)
    monkeypatch.setattr(notifications, "time", clock)
    monkeypatch.setattr(notifications, "_patience", notifications._Patience())
    return fake_time.sleeps


@pytest.fixture
def notify(run_dag):
    """Call the notifier for a run, in a task (as Airflow's XCom needs), with a callback's least context."""

    def call(run, **context):
        assert run_dag("notify", dag_id=run.dag_id, run_id=run.run_id, context=context).state == "success"

    return call


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("timed_out", "ran into its time limit"),
        ("success", "ended by hand"),
        # Its work may have succeeded, and only its result could not be sent.
        ("task_failure", "Airflow could not complete this action"),
    ],
)
def test_a_job_that_was_left_open_ends_in_failure(reason, words, emulator, offer, run_dag, notify):
    """Also if a user marked the task that was to end it as a success, and with it the run."""
    job = offer()
    run = run_dag("claim_only", job=job)
    notify(run, reason=reason)
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator)["errorDetails"]
    assert error["code"] == "JobFailed"
    assert words in error["message"]
    assert "claim_only" in error["message"]
    assert action_state(emulator)["externalExecutionId"].startswith("claim_only/runs/")


def test_the_user_words_it(emulator, offer, run_dag, notify):
    run = run_dag("claim_only", job=offer())
    notify(run, notifier={"message": "Run {{ run_id }} broke.", "failure_type": "SystemUnavailable"})
    assert action_state(emulator)["errorDetails"] == {
        "code": "SystemUnavailable",
        "message": f"Run {run.run_id} broke.",
    }


def name_of_job(job):
    """Return how the log names a job of the emulated customer."""
    return f"pipe / Partner / Partner, customer {job['client_id']}, job {job['job_id']}"


def test_called_twice_it_ends_the_job_once_and_says_so(emulator, offer, run_dag, notify, monkeypatch):
    said = []
    for level in ("info", "warning"):
        monkeypatch.setattr(report.log, level, lambda text, *values: said.append(text % values))
    job = offer()
    run = run_dag("claim_only", job=job)
    notify(run)
    notify(run)
    assert results_of(emulator, job) == ["failure", "InvalidJobStateException"]
    refused = said.pop(1)
    assert refused.startswith("CodePipeline has not taken the result failure: ")
    assert said == [
        "Reported pipe / Partner / Partner to CodePipeline: Failed, JobFailed: Airflow could not complete "
        "this action (DAG claim_only).",
        "pipe / Partner / Partner has its result already: Failed.",
    ]


def test_where_the_finishing_task_did_its_work_nothing_is_put(emulator, offer, run_dag, notify):
    job = offer()
    run = run_dag("many_jobs", jobs=[job], work_of={job["job_id"]: "fail"})
    notify(run)
    assert results_of(emulator, job) == ["failure"]


def test_as_a_tasks_callback_it_leaves_the_job_to_finish_job(emulator, offer, run_dag):
    jobs = [offer() for _ in range(2)]
    run_dag(
        "callbacks_of_tasks_beside_finish",
        jobs=jobs,
        work_of={jobs[0]["job_id"]: "fail", jobs[1]["job_id"]: "done"},
    )
    assert [results_of(emulator, job) for job in jobs] == [["failure"], ["success"]]


def test_as_a_tasks_callback_it_ends_that_tasks_job_only(emulator, offer, run_dag):
    jobs = [offer() for _ in range(2)]
    run_dag(
        "callbacks_of_tasks_alone", jobs=jobs, work_of={jobs[0]["job_id"]: "fail", jobs[1]["job_id"]: "done"}
    )
    assert [results_of(emulator, job) for job in jobs] == [["failure"], []]
    assert action_state(emulator)["status"] == "InProgress"
    [failure] = emulator.ledger.terminal_results()
    assert failure.details["failureDetails"]["message"] == "Task handle.work broke."


def test_it_serves_one_run_after_the_other(emulator, offer, run_dag, notify):
    notifier = CodePipelineJobFailureNotifier("Run {{ run_id }} broke.", aws_conn_id="{{ run_id }}_conn")
    dag = DAG("d", schedule=None)
    for run_id in ("one", "two"):
        notifier.render_template_fields({"dag": dag, "run_id": run_id})
        assert (notifier.message, notifier.aws_conn_id) == (f"Run {run_id} broke.", f"{run_id}_conn")


def test_a_lost_race_is_left_alone(emulator, offer, run_dag, notify, make_hook):
    job = offer()
    make_hook().claim(job)
    notify(run_dag("claim_only", job=job))
    assert results_of(emulator, job) == []


def dies_at(monkeypatch, operation):
    send = Transport.send

    def dying(self, call, *args, **kwargs):
        if call.operation == operation:
            send(self, call, *args, **kwargs)
            raise SystemExit(9)
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", dying)


@pytest.mark.parametrize(("choice", "results"), [("assume_ours", ["failure"]), ("leave", [])])
def test_an_unknown_claim_counts_as_its_task_says(
    emulator, offer, run_dag, notify, monkeypatch, choice, results
):
    job = offer()
    with monkeypatch.context() as patched:
        dies_at(patched, "AcknowledgeThirdPartyJob")
        run = run_dag(f"claim_only_{choice}", job=job)
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "intent"
    notify(run)
    assert results_of(emulator, job) == results


@pytest.mark.parametrize("times", [1, None])
def test_a_refused_result_is_asked_for_once_more(emulator, offer, run_dag, notify, capfd, times):
    """It never counts as put."""
    job = offer()
    refused = {"job_id": job["job_id"], "code": "InvalidJobStateException", "times": times}
    emulator.inject("error", "PutThirdPartyJobSuccessResult", **refused)
    run = run_dag("many_jobs", jobs=[job], work_of={job["job_id"]: "succeed"})
    assert results_of(emulator, job) == ["InvalidJobStateException"]
    notify(run)
    again = "success" if times == 1 else "InvalidJobStateException"
    assert results_of(emulator, job) == ["InvalidJobStateException", again]
    seen = "".join(capfd.readouterr())
    assert ("Ended already: " in seen) is (times is None)
    assert "taken as put" not in seen


def test_an_intended_result_is_repeated_and_never_flipped(emulator, offer, run_dag, notify, monkeypatch):
    job = offer()
    with monkeypatch.context() as patched:
        dies_at(patched, "PutThirdPartyJobSuccessResult")
        run = run_dag("claim_and_put", job=job)
    assert run.xcoms["claim", "codepipeline_result"]["state"] == "intended"
    notify(run)
    assert results_of(emulator, job) == ["success", "InvalidJobStateException"]
    assert {entry.operation for entry in emulator.ledger if entry.job_id == job["job_id"]}.isdisjoint(
        {"PutThirdPartyJobFailureResult"}
    )


@pytest.mark.parametrize("trouble", [RequestRefused("not now"), RuntimeError("planted text")])
def test_one_jobs_trouble_is_not_anothers(emulator, offer, run_dag, notify, monkeypatch, capfd, trouble):
    jobs = [offer() for _ in range(3)]
    run = run_dag("mapped_claims", jobs=jobs)
    send = Transport.send

    def troubled(self, call, *args, **kwargs):
        if call.job and call.job.job_id == jobs[0]["job_id"]:
            raise trouble
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", troubled)
    notify(run)
    assert [results_of(emulator, job) for job in jobs] == [[], ["failure"], ["failure"]]
    shown = "".join(capfd.readouterr())
    assert f"Not ended: {name_of_job(jobs[0])}. CodePipeline ends it" in shown
    assert "planted text" not in shown


def test_a_job_known_from_a_copy_alone_is_ended_too(emulator, offer, run_dag, notify):
    """As if the last try of one claim had died before it could write anything."""
    jobs = [offer() for _ in range(3)]
    run = run_dag("callbacks_of_tasks_alone", jobs=jobs)
    assert [results_of(emulator, job) for job in jobs] == [[], [], []]
    with create_session() as session:
        mine = session.query(XComModel).filter_by(run_id=run.run_id, task_id="handle.claim", map_index=1)
        assert mine.filter_by(key="codepipeline_claim").delete() == 1
    notify(run)
    assert [results_of(emulator, job) for job in jobs] == [["failure"], ["failure"], ["failure"]]


@pytest.mark.parametrize("times", [1, 5])
def test_what_passes_is_tried_again_after_the_others(emulator, offer, run_dag, notify, pauses, times):
    jobs = [offer() for _ in range(2)]
    run = run_dag("mapped_claims", jobs=jobs)
    emulator.inject(
        "throttle", operation="PutThirdPartyJobFailureResult", times=times, job_id=jobs[0]["job_id"]
    )
    notify(run)
    assert [results_of(emulator, job)[-1] for job in jobs] == ["failure", "failure"]
    put = [e.job_id for e in emulator.ledger.where(operation="PutThirdPartyJobFailureResult", outcome="ok")]
    assert put == [jobs[1]["job_id"], jobs[0]["job_id"]]
    assert pauses == [notifications.ROUND_PAUSE] * times


def test_a_token_stored_a_moment_after_its_rotation_is_no_loss(
    emulator, customer, offer, run_dag, notify, store_token, monkeypatch, pauses
):
    job = offer()
    run = run_dag("claim_only", job=job)
    rotated = emulator.rotate_token(customer.client_id)
    sleep = notifications.time.sleep

    def store_in_the_third_round(seconds):
        sleep(seconds)
        if len(pauses) == 2:
            store_token(rotated)

    monkeypatch.setattr(notifications.time, "sleep", store_in_the_third_round)
    notify(run)
    assert results_of(emulator, job)[-1] == "failure"
    assert len(pauses) == 2


@pytest.mark.parametrize("code", ["ValidationException", "JobNotFoundException"])
def test_what_cannot_pass_is_not_tried_again(emulator, offer, run_dag, notify, pauses, capfd, code):
    job = offer()
    run = run_dag("claim_only", job=job)
    emulator.inject("error", operation="PutThirdPartyJobFailureResult", code=code, times=None)
    notify(run)
    assert results_of(emulator, job) == [code]
    assert pauses == []
    said = "Ended already" if code == "JobNotFoundException" else "Not ended"
    assert f"{said}: {name_of_job(job)}." in "".join(capfd.readouterr())


def test_if_all_is_slow_each_job_is_tried_once(
    emulator, offer, run_dag, notify, fake_time, monkeypatch, capfd
):
    """To be ended by the DAG processor is not worse than to give up. The log names the jobs first."""
    jobs = [offer() for _ in range(4)]
    run = run_dag("mapped_claims", jobs=jobs)
    puts = []

    def silent(self, call):
        puts.append(call)
        fake_time.now += 15
        raise ServiceUnavailable("No answer.")

    monkeypatch.setattr(CodePipelineHook, "send_result", silent)
    notify(run)
    assert len(puts) == len(jobs)
    shown = "".join(capfd.readouterr())
    assert shown.index("To be ended") < shown.index(f"Not ended yet: {name_of_job(jobs[0])}")
    assert all(f"Not ended: {name_of_job(job)}" in shown for job in jobs)


def test_what_does_not_pass_is_given_up_in_time(emulator, offer, run_dag, notify, pauses, capfd):
    job = offer()
    run = run_dag("claim_only", job=job)
    emulator.inject("throttle", operation="PutThirdPartyJobFailureResult", times=None)
    notify(run)
    assert sum(pauses) <= notifications.CALLBACK_SECONDS
    assert f"Not ended: {name_of_job(job)}" in "".join(capfd.readouterr())


def test_the_runs_of_one_process_share_the_time(emulator, offer, run_dag, notify, pauses, fake_time):
    """The DAG processor calls those of a file's runs one after the other, and ends them all together."""
    runs = [run_dag("claim_only", job=offer()) for _ in range(3)]
    emulator.inject("throttle", operation="PutThirdPartyJobFailureResult", times=None)
    notify(runs[0])
    of_first = len(pauses)
    notify(runs[1])
    assert sum(pauses[of_first:]) == 0
    fake_time.now += 3 * notifications.CALLBACK_SECONDS
    notify(runs[2])
    assert sum(pauses[of_first:]) > 0


def test_unrenderable_templates_do_not_keep_the_job_open(emulator, offer, run_dag, notify, capfd):
    run = run_dag("claim_only", job=offer())
    notify(run, notifier={"message": "{{ ti.no.such.thing }}", "failure_type": "{{ params.no.such }}"})
    assert action_state(emulator)["errorDetails"]["code"] == "JobFailed"
    assert "claim_only" in action_state(emulator)["errorDetails"]["message"]
    assert "message could not be rendered" in "".join(capfd.readouterr())


def test_params_are_known_to_a_callback_that_was_told_nothing(emulator, offer, run_dag, notify):
    run = run_dag("claim_only", job=offer())
    notify(run, notifier={"message": "As {{ params.who }} says."})
    assert action_state(emulator)["errorDetails"]["message"] == "As somebody says."


def test_a_message_that_cannot_be_sent_as_worded_is_the_default(emulator, offer, run_dag, notify):
    run = run_dag("claim_only", job=offer())
    notify(run, notifier={"message": "m", "failure_type": "{{ 'Unheard' }}"})
    assert action_state(emulator)["errorDetails"]["code"] == "JobFailed"
    assert "claim_only" in action_state(emulator)["errorDetails"]["message"]


def test_an_unknown_failure_type_is_refused_at_construction():
    with pytest.raises(LimitExceeded, match=r"failureDetails\.type"):
        CodePipelineJobFailureNotifier(failure_type="Unheard")


def test_a_job_that_took_no_result_of_an_unknown_claim_is_left():
    """Another run may have claimed it meanwhile."""
    notifier = CodePipelineJobFailureNotifier()
    notifier._run = {"dag_id": "d", "run_id": "r"}
    claim = ClaimRecord(ClaimState.UNKNOWN, ClaimedJob(SUCCESS.job))
    puts = []
    hook = SimpleNamespace(send_result=puts.append)
    assert not notifier._end(hook, claim, Results.of(None, [recorded("left", SUCCESS)]))
    assert puts == []


def test_a_job_that_had_ended_is_not_counted_as_refused(stats):
    """Code of the author's may have ended it well, and such ends leave no record."""
    notifier = CodePipelineJobFailureNotifier()
    notifier._run = {"dag_id": "d", "run_id": "r"}

    class Ended:
        def send_result(self, call):
            raise JobNotInProgress("m")

        def status_of_ended(self, job):
            return "Succeeded"

    claim = ClaimRecord(ClaimState.CLAIMED, ClaimedJob(SUCCESS.job))
    assert not notifier._end(Ended(), claim, Results.of(None, []))
    assert notifier._ended == {SUCCESS.job.job_id}
    assert stats.counts == {}


def test_a_refused_success_of_an_unclaimed_next_job_is_not_put():
    """The work may have failed since, and an acknowledgement may have been carried out."""
    notifier = CodePipelineJobFailureNotifier()
    notifier._run = {"dag_id": "d", "run_id": "r"}
    claim = ClaimRecord(ClaimState.UNKNOWN, ClaimedJob(SUCCESS.job), former_job_ids=("job-0",))
    puts = []
    notifier._end(SimpleNamespace(send_result=puts.append), claim, Results(recorded("refused", SUCCESS)))
    assert [requests.result_of(call) for call in puts] == ["failure"]


def test_where_dag_test_calls_it_there_is_no_error(emulator, offer, run_dag, capfd):
    """Airflow gives it the scheduler's copy of the DAG there."""
    job = offer()
    run = run_dag("many_jobs", jobs=[job], work_of={job["job_id"]: "fail"})
    assert run.state == "failed"
    shown = "".join(capfd.readouterr())
    assert "dag.test() gives callbacks a DAG without its operators" in shown
    assert "Callback failed" not in shown
    assert results_of(emulator, job) == ["failure"]
