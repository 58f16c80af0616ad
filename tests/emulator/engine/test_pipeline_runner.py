# SPDX-License-Identifier: Apache-2.0
"""How executions run: order, failures, stops, retries, execution modes."""

from __future__ import annotations

import pytest
from declaring import CODE_DEPLOY, action, code, retry, stage


def test_stages_run_in_order_and_actions_by_run_order(made):
    m = made()
    m.create(
        m.source,
        stage("Build", action("One"), action("Two"), action("Last", runOrder=2)),
        stage("Ship", action("Out")),
    )
    execution_id = m.start()
    together = {m.named(job): job["id"] for job in m.w.worker.poll()}
    assert sorted(together) == ["One", "Two"]
    for job_id in together.values():
        m.w.worker.acknowledge(job_id)
    m.w.worker.succeed(together["Two"])
    assert m.w.worker.poll() == []
    assert m.actions() == {
        "Fetch": "Succeeded",
        "One": "InProgress",
        "Two": "Succeeded",
        "Last": None,
        "Out": None,
    }
    m.w.worker.succeed(together["One"])
    last = m.claim()
    assert m.named(last) == "Last"
    assert m.stages() == {"Source": "Succeeded", "Build": "InProgress", "Ship": None}
    m.w.worker.succeed(last["id"])
    out = m.claim()
    assert m.named(out) == "Out"
    assert m.status(execution_id) == "InProgress"
    m.w.worker.succeed(out["id"])
    assert m.status(execution_id) == "Succeeded"
    assert m.stages() == {"Source": "Succeeded", "Build": "Succeeded", "Ship": "Succeeded"}
    assert [run["actionName"] for run in m.runs()] == ["Fetch", "One", "Two", "Last", "Out"]


def test_run_orders_may_have_gaps_and_any_order(made):
    m = made()
    m.create(m.source, stage("Build", action("B", runOrder=7), action("A", runOrder=3)))
    m.start()
    first = m.claim()
    assert m.named(first) == "A"
    m.w.worker.succeed(first["id"])
    assert m.named(m.claim()) == "B"


def test_an_action_that_is_not_emulated_succeeds(made):
    """And says so."""
    m = made()
    m.create(
        m.source,
        stage("Build", action("Own", inputs=["App"])),
        stage("Deploy", action("Roll", CODE_DEPLOY, inputs=["App"], outputs=["Log"])),
        stage("Check", action("See", inputs=["Log"])),
    )
    m.start()
    m.w.worker.succeed(m.claim()["id"])
    roll = m.runs()[2]
    assert (roll["actionName"], roll["status"]) == ("Roll", "Succeeded")
    assert (
        "does not do Deploy/AWS/CodeDeploy/1" in roll["output"]["executionResult"]["externalExecutionSummary"]
    )
    [log] = m.claim()["data"]["inputArtifacts"]
    place = log["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read().startswith(b"PK")


def test_hundreds_of_aws_own_actions_end_at_once(made):
    m = made()
    actions = [action(f"A{order}", CODE_DEPLOY, runOrder=order) for order in range(1, 900)]
    m.create(m.source, stage("Deploy", *actions))
    assert m.status(m.start()) == "Succeeded"


def test_a_failure_ends_the_execution_after_parallel_actions(made):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Two"), action("Last", runOrder=2)))
    execution_id = m.start()
    jobs = {m.named(job): job["id"] for job in m.w.worker.poll()}
    for job_id in jobs.values():
        m.w.worker.acknowledge(job_id)
    assert code(m.client.retry_stage_execution, **retry(m, execution_id)) == "StageNotRetryableException"
    m.w.worker.fail(jobs["One"])
    assert m.status(execution_id) == "InProgress"
    m.w.worker.succeed(jobs["Two"])
    assert m.status(execution_id) == "Failed"
    assert m.w.worker.poll() == []
    for wrong in ("Source", "Other"):
        asked = retry(m, execution_id, stage_name=wrong)
        error = "StageNotFoundException" if wrong == "Other" else "StageNotRetryableException"
        assert code(m.client.retry_stage_execution, **asked) == error
    m.client.retry_stage_execution(**retry(m, execution_id))
    again = m.claim()
    assert m.named(again) == "One"
    assert m.w.worker.poll() == []
    m.w.worker.succeed(again["id"])
    assert m.named(m.claim()) == "Last"


def test_a_failed_action_is_retried_beside_running_ones(made):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Two")))
    execution_id = m.start()
    jobs = {m.named(job): job["id"] for job in m.w.worker.poll()}
    for job_id in jobs.values():
        m.w.worker.acknowledge(job_id)
    m.w.worker.fail(jobs["One"])
    whole = retry(m, execution_id, "ALL_ACTIONS")
    assert code(m.client.retry_stage_execution, **whole) == "StageNotRetryableException"
    m.client.retry_stage_execution(**retry(m, execution_id))
    again = m.claim()
    assert m.named(again) == "One"
    m.w.worker.succeed(again["id"])
    assert m.status(execution_id) == "InProgress"
    m.w.worker.succeed(jobs["Two"])
    assert m.status(execution_id) == "Succeeded"


@pytest.mark.parametrize(("mode", "following"), [("FAILED_ACTIONS", "Last"), ("ALL_ACTIONS", "One")])
def test_a_retry_continues_a_stop_between_two_actions(made, mode, following):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Last", runOrder=2)))
    execution_id = m.start()
    job = m.claim()
    stop = {"pipelineName": "made", "pipelineExecutionId": execution_id}
    m.client.stop_pipeline_execution(**stop, reason="why")
    assert code(m.client.retry_stage_execution, **retry(m, execution_id)) == "StageNotRetryableException"
    m.w.worker.succeed(job["id"])
    assert m.status(execution_id) == "Stopped"
    m.client.retry_stage_execution(**retry(m, execution_id, mode))
    assert m.named(m.claim()) == following
    shown = m.client.get_pipeline_execution(**stop)["pipelineExecution"]
    assert (shown["status"], shown.get("statusSummary")) == ("InProgress", None)


def test_a_stopped_waiting_execution_has_nothing_to_retry(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.start()
    waiting = m.start()
    m.client.stop_pipeline_execution(pipelineName="made", pipelineExecutionId=waiting)
    assert code(m.client.retry_stage_execution, **retry(m, waiting)) == "StageNotRetryableException"


@pytest.mark.parametrize("still_there", [True, False])
def test_no_retry_in_a_stage_that_a_newer_execution_entered(made, still_there):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    first = m.start()
    m.w.worker.fail(m.claim()["id"])
    second = m.start()
    if not still_there:
        m.w.worker.succeed(m.claim()["id"])
    error = "NotLatestPipelineExecutionException"
    assert code(m.client.retry_stage_execution, **retry(m, first)) == error
    assert m.status(second) == ("InProgress" if still_there else "Succeeded")


def test_parallel_executions_are_retried_whatever_the_others_do(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), executionMode="PARALLEL", pipelineType="V2")
    first = m.start()
    m.w.worker.fail(m.claim()["id"])
    m.start()
    m.w.worker.succeed(m.claim()["id"])
    m.client.retry_stage_execution(**retry(m, first))
    assert m.status(first) == "InProgress"


def test_the_reason_of_a_stop_stays_when_the_next_has_none(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    stop = {"pipelineName": "made", "pipelineExecutionId": m.start()}
    m.client.stop_pipeline_execution(**stop, reason="why")
    m.client.stop_pipeline_execution(**stop, abandon=True)
    assert m.client.get_pipeline_execution(**stop)["pipelineExecution"]["statusSummary"] == "why"


def test_a_retry_of_all_actions_begins_the_stage_anew(made):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Last", runOrder=2)))
    execution_id = m.start()
    m.w.worker.succeed(m.claim()["id"])
    m.w.worker.fail(m.claim()["id"])
    m.client.retry_stage_execution(
        pipelineName="made",
        stageName="Build",
        pipelineExecutionId=execution_id,
        retryMode="ALL_ACTIONS",
    )
    assert m.named(m.claim()) == "One"


def test_a_pipeline_that_was_changed_is_not_retried(made):
    m = made()
    stages = (m.source, stage("Build", action("Do")))
    m.create(*stages)
    execution_id = m.start()
    m.w.worker.fail(m.claim()["id"])
    m.update(*stages)
    assert (
        code(
            m.client.retry_stage_execution,
            pipelineName="made",
            stageName="Build",
            pipelineExecutionId=execution_id,
            retryMode="ALL_ACTIONS",
        )
        == "StageNotRetryableException"
    )


@pytest.mark.parametrize("abandon", [True, False])
def test_a_stop_keeps_the_stages_from_going_on(made, abandon):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Two")), stage("Ship", action("Out")))
    execution_id = m.start()
    first, second = (job["id"] for job in m.w.worker.poll())
    m.w.worker.acknowledge(first)
    m.client.stop_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id, abandon=abandon)
    if abandon:
        assert m.actions() | {"Fetch": None} == {
            "Fetch": None,
            "One": "Abandoned",
            "Two": "Abandoned",
            "Out": None,
        }
        assert code(m.w.worker.succeed, job_id=first) == "InvalidJobStateException"
        assert m.w.worker.acknowledge(second) == "Failed"
    else:
        assert (m.status(execution_id), m.stages()["Build"]) == ("Stopping", "Stopping")
        m.w.worker.succeed(first)
        assert m.status(execution_id) == "Stopping"
        m.w.worker.acknowledge(second)
        m.w.worker.succeed(second)
    assert (m.status(execution_id), m.stages()["Build"]) == ("Stopped", "Stopped")
    assert m.w.worker.poll() == []
    assert m.stages()["Ship"] is None


def test_a_newer_execution_replaces_the_one_that_waits(made):
    m = made()
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    first, second, third = m.start(), m.start(), m.start()
    job = m.claim()
    assert m.w.worker.poll() == []
    assert [m.status(each) for each in (first, second, third)] == ["InProgress", "Superseded", "InProgress"]
    build = m.client.get_pipeline_state(name="made")["stageStates"][1]
    assert build["latestExecution"]["pipelineExecutionId"] == first
    assert [each["pipelineExecutionId"] for each in build["inboundExecutions"]] == [third]
    m.w.worker.succeed(job["id"])
    following = m.claim()
    assert following["data"]["pipelineContext"]["pipelineExecutionId"] == third
    m.w.worker.fail(following["id"])
    assert [m.status(each) for each in (first, second, third)] == ["Succeeded", "Superseded", "Failed"]


def test_queued_executions_follow_each_other(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), executionMode="QUEUED", pipelineType="V2")
    started = [m.start() for _ in range(4)]
    m.client.stop_pipeline_execution(pipelineName="made", pipelineExecutionId=started[1])
    assert m.status(started[1]) == "Stopped"
    done = []
    while jobs := m.w.worker.poll():
        [job] = jobs
        m.w.worker.acknowledge(job["id"])
        done.append(job["data"]["pipelineContext"]["pipelineExecutionId"])
        m.w.worker.succeed(job["id"])
    assert done == [started[0], *started[2:]]
    assert [m.status(each) for each in started] == ["Succeeded", "Stopped", "Succeeded", "Succeeded"]


def test_many_that_wait_for_what_aws_does_all_come_through(made):
    m = made()
    m.create(
        m.source,
        stage("Build", action("Do")),
        stage("Deploy", action("Roll", CODE_DEPLOY)),
        executionMode="QUEUED",
        pipelineType="V2",
    )
    started = [m.start() for _ in range(3)]
    for _ in started:
        m.w.worker.succeed(m.claim()["id"])
    assert [m.status(each) for each in started] == ["Succeeded"] * 3


def test_parallel_executions_do_not_wait(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), executionMode="PARALLEL", pipelineType="V2")
    started = [m.start() for _ in range(3)]
    jobs = m.w.worker.poll()
    assert [job["data"]["pipelineContext"]["pipelineExecutionId"] for job in jobs] == started


def test_a_timeout_lets_the_next_execution_in(made):
    """And fails its action."""
    m = made(custom_action_timeout=100)
    m.create(m.source, stage("Build", action("Do")))
    first, second = m.start(), m.start()
    m.w.emu.advance(101)
    assert (m.status(first), m.status(second)) == ("Failed", "InProgress")
    [job] = m.w.worker.poll()
    assert job["data"]["pipelineContext"]["pipelineExecutionId"] == second


@pytest.mark.parametrize("key", ["a\ud800b", ""])
def test_what_moto_cannot_do_fails_only_the_action(made, signed_call, key):
    m = made()
    source = {
        **m.source["actions"][0],
        "configuration": {"S3Bucket": "sources", "S3ObjectKey": key or "none"},
    }
    declared = m.declared(stage("Source", source), stage("Build", action("Do")))
    assert signed_call(m.w.emu, "CreatePipeline", {"pipeline": declared})[0] == 200
    assert m.status(m.start()) == "Failed"
    assert m.status(m.start()) == "Failed"


def test_what_breaks_in_an_action_fails_it(made, monkeypatch):
    m = made()
    m.create(m.source, stage("Build", action("Do")))

    def broken(*arguments):
        raise RuntimeError("hush")

    monkeypatch.setattr(m.w.emu.store, "get", broken)
    assert m.status(m.start()) == "Failed"
    [fetch] = m.runs()
    error = {"code": "InternalError", "message": "The emulator could not run this action: RuntimeError."}
    assert fetch["output"]["executionResult"]["errorDetails"] == error


def test_aws_own_action_of_a_third_party_is_no_partners(made):
    m = made()
    github = {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"}
    m.create(
        stage("Source", action("Clone", github, outputs=["App"])),
        stage("Build", action("Do", inputs=["App"])),
    )
    m.start()
    assert m.named(m.claim()) == "Do"
    assert m.actions()["Clone"] == "Succeeded"


def test_a_source_action_of_a_workers_own_begins_the_pipeline(made):
    m = made()
    own = {"category": "Source", "owner": "Custom", "provider": "Svn", "version": "1"}
    m.w.create(category="Source", provider="Svn")
    m.create(
        stage("Source", action("Out", own, outputs=["App"])), stage("Build", action("Do", inputs=["App"]))
    )
    execution_id = m.start()
    job = m.claim(**own)
    [goes] = job["data"]["outputArtifacts"]
    revision = {"revision": "r7", "changeIdentifier": "c7"}
    m.w.worker.succeed(job["id"], currentRevision=revision)
    [came] = m.claim()["data"]["inputArtifacts"]
    assert (came["location"], came["revision"]) == (goes["location"], "r7")
    shown = m.client.get_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    assert [each["revisionId"] for each in shown["pipelineExecution"]["artifactRevisions"]] == ["r7"]
