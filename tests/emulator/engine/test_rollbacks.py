# SPDX-License-Identifier: Apache-2.0
"""A stage rolled back to an execution that succeeded in it."""

from __future__ import annotations

import uuid

import pytest
from declaring import action, code, retry, stage

CALLER = "arn:aws:sts::123456789012:user/moto"


@pytest.fixture
def built(made):
    """A pipeline of the stages Source, Build and Ship, with a variable."""

    def make(mode="SUPERSEDED"):
        m = made()
        configuration = {"Image": "#{variables.Tag} #{codepipeline.PipelineExecutionId}"}
        m.w.worker.client.create_custom_action_type(
            category="Deploy",
            provider="Own",
            version="1",
            configurationProperties=[{"name": "Image", "required": True, "key": False, "secret": False}],
            inputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
            outputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
        )
        deploy = {"category": "Deploy", "owner": "Custom", "provider": "Own", "version": "1"}
        out = action("Out", deploy, inputs=["Built"], configuration=configuration)
        m.made_of = m.source, stage("Build", action("Do", outputs=["Built"])), stage("Ship", out)
        m.more = {
            "executionMode": mode,
            "pipelineType": "V2",
            "variables": [{"name": "Tag", "defaultValue": "none"}],
        }
        m.create(*m.made_of, **m.more)
        m.deploy = {"category": "Deploy"}
        return m

    return make


def through(m, tag="one"):
    """Let an execution succeed in Build, and return its id."""
    execution_id = m.start(variables=[{"name": "Tag", "value": tag}])
    m.w.worker.succeed(m.claim()["id"])
    return execution_id


def shipped(m, tag="one"):
    """Let an execution succeed in all stages, and return its id."""
    execution_id = through(m, tag)
    m.w.worker.succeed(m.claim(**m.deploy)["id"])
    return execution_id


def roll_back(m, target, stage_name="Ship", name="made"):
    asked = {"pipelineName": name, "stageName": stage_name, "targetPipelineExecutionId": target}
    return m.client.rollback_stage(**asked)["pipelineExecutionId"]


def shown(m, execution_id):
    asked = {"pipelineName": "made", "pipelineExecutionId": execution_id}
    return m.client.get_pipeline_execution(**asked)["pipelineExecution"]


def test_a_rollback_runs_its_stage_with_what_the_target_had(built):
    m = built()
    target = through(m, "one")
    first = m.claim(**m.deploy)
    m.w.worker.succeed(first["id"])
    m.put_source(b"newer")
    shipped(m, "two")
    rollback = roll_back(m, target)
    job = m.claim(**m.deploy)
    assert job["data"]["actionConfiguration"]["configuration"] == {"Image": f"one {rollback}"}
    assert job["data"]["inputArtifacts"] == first["data"]["inputArtifacts"]
    assert m.status(rollback) == "InProgress"
    m.w.worker.succeed(job["id"])
    assert m.status(rollback) == "Succeeded"
    [run] = m.runs(rollback)
    assert (run["stageName"], run["status"]) == ("Ship", "Succeeded")


def test_a_rollback_says_what_it_is(built):
    m = built()
    target = shipped(m)
    rollback = roll_back(m, target)
    wanted = {
        "trigger": {"triggerType": "ManualRollback", "triggerDetail": CALLER},
        "executionType": "ROLLBACK",
        "rollbackMetadata": {"rollbackTargetPipelineExecutionId": target},
    }
    full = shown(m, rollback)
    assert {name: full[name] for name in wanted} == wanted
    assert full["artifactRevisions"] == shown(m, target)["artifactRevisions"] != []
    assert full["variables"] == [{"name": "Tag", "resolvedValue": "one"}]
    listed, before = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert {name: listed[name] for name in wanted} == wanted
    assert listed["sourceRevisions"] == before["sourceRevisions"]
    assert (before["executionType"], "rollbackMetadata" in before) == ("STANDARD", False)
    ship = m.client.get_pipeline_state(name="made")["stageStates"][2]
    assert ship["latestExecution"] == {
        "pipelineExecutionId": rollback,
        "status": "InProgress",
        "type": "ROLLBACK",
    }


def test_a_rollback_ends_with_its_stage(built):
    m = built()
    rollback = roll_back(m, shipped(m), "Build")
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(rollback) == "Succeeded"
    assert m.w.worker.poll(**m.deploy) == []


def test_a_failed_stage_is_rolled_back(built):
    m = built()
    target = shipped(m)
    m.w.worker.fail((through(m), m.claim(**m.deploy))[1]["id"])
    rollback = roll_back(m, target)
    m.w.worker.fail(m.claim(**m.deploy)["id"])
    assert m.status(rollback) == "Failed"
    m.client.retry_stage_execution(**retry(m, rollback, stage_name="Ship"))
    m.w.worker.succeed(m.claim(**m.deploy)["id"])
    assert m.status(rollback) == "Succeeded"


def test_a_disabled_transition_holds_no_rollback(built):
    m = built()
    target = shipped(m)
    asked = {"pipelineName": "made", "stageName": "Ship", "transitionType": "Inbound"}
    m.client.disable_stage_transition(**asked, reason="no")
    roll_back(m, target)
    m.claim(**m.deploy)


def test_only_an_execution_that_succeeded_there_is_a_target(built):
    m = built()
    m.w.worker.fail((failed := through(m), m.claim(**m.deploy))[1]["id"])
    refused = "UnableToRollbackStageException"
    assert code(roll_back, m, failed) == refused
    target = shipped(m)
    again = roll_back(m, target)
    assert code(roll_back, m, target) == refused  # the stage runs
    m.w.worker.succeed(m.claim(**m.deploy)["id"])
    assert code(roll_back, m, again) == refused  # a rollback
    assert code(roll_back, m, target, "Source") == refused
    assert code(roll_back, m, target, "None") == "StageNotFoundException"
    assert code(roll_back, m, target, name="none") == "PipelineNotFoundException"
    assert code(roll_back, m, str(uuid.uuid4())) == "PipelineExecutionNotFoundException"
    assert code(roll_back, m, "x") == "ValidationException"
    m.update(*m.made_of, **m.more)
    assert code(roll_back, m, target) == "PipelineExecutionOutdatedException"


def test_parallel_pipelines_have_no_rollback(built):
    m = built("PARALLEL")
    assert code(roll_back, m, shipped(m)) == "UnableToRollbackStageException"


def test_what_waits_for_the_stage_comes_after_the_rollback(built):
    m = built()
    target = shipped(m)
    roll_back(m, target)
    waiting = through(m, "two")
    assert m.stages()["Ship"] == "InProgress"
    assert len(m.w.worker.poll(**m.deploy)) == 1
    m.w.emu.advance(60)
    m.w.worker.succeed(m.claim(**m.deploy)["id"])
    m.w.worker.succeed(m.claim(**m.deploy)["id"])
    assert m.status(waiting) == "Succeeded"


def test_a_retry_is_counted_in_the_state_of_its_stage(built):
    m = built()
    execution_id = m.start()
    for attempt in (None, 1, 2):
        build = m.client.get_pipeline_state(name="made")["stageStates"][1]
        counted = {"manualStageRetryAttempt": attempt, "latestRetryTrigger": "ManualStageRetry"}
        assert build.get("retryStageMetadata") == (counted if attempt else None)
        m.w.worker.fail(m.claim()["id"])
        m.client.retry_stage_execution(**retry(m, execution_id))
    m.w.worker.succeed(m.claim()["id"])
    ship = m.client.get_pipeline_state(name="made")["stageStates"][2]
    assert "retryStageMetadata" not in ship


def test_a_retry_is_one_more_concurrent_execution(built):
    m = built("PARALLEL")
    failed = m.start()
    m.w.worker.fail(m.claim()["id"])
    m.start()
    m.w.emu.configure(max_concurrent_executions=1)
    error = "ConcurrentPipelineExecutionsLimitExceededException"
    assert code(m.client.retry_stage_execution, **retry(m, failed)) == error
    m.w.emu.configure(max_concurrent_executions=2)
    m.client.retry_stage_execution(**retry(m, failed))


def test_no_condition_can_be_overridden_since_none_holds(built):
    m = built()
    first, second = m.start(), m.start()
    override = m.client.override_stage_condition
    asked = {"pipelineName": "made", "stageName": "Source", "conditionType": "BEFORE_ENTRY"}
    newest = asked | {"pipelineExecutionId": second}
    assert code(override, **newest) == "ConditionNotOverridableException"
    assert code(override, **newest | {"stageName": "None"}) == "StageNotFoundException"
    assert code(override, **newest | {"pipelineName": "none"}) == "PipelineNotFoundException"
    assert code(override, **newest | {"conditionType": "x"}) == "ValidationException"
    for other in (first, str(uuid.uuid4())):
        error = "NotLatestPipelineExecutionException"
        assert code(override, **asked | {"pipelineExecutionId": other}) == error
