# SPDX-License-Identifier: Apache-2.0
"""The second tab: executions of pipelines that DAGs started, or waited for."""

from __future__ import annotations

ENDED = {
    "pipeline_name": "shop",
    "pipeline_execution_id": "exec-1",
    "status": "Failed",
    "status_summary": None,
    "failed_actions": [{"stage_name": "Build", "action_name": "make", "error_message": "It broke."}],
}
ARGUMENTS = {"pipeline_name": "shop", "execution_id": "exec-2", "botocore_config": {"token": "planted-token"}}


def test_ended_executions_are_listed_with_their_reason(jobs, log_in):
    run = jobs.add_run()
    jobs.add_task(run, "start")
    jobs.add_xcom(run, "pipeline_execution", ENDED, task_id="start")
    page = log_in().get("/executions")
    assert page.status_code == 200
    assert "Build / make: It broke." in page.text
    assert 'data-status="Failed"' in page.text
    assert "No task whose DAG" in log_in("bob").get("/executions").text


def test_an_execution_that_a_task_waits_for_is_listed(jobs, log_in):
    run = jobs.add_run()
    trigger = jobs.add_trigger("CodePipelineExecutionTrigger", ARGUMENTS)
    jobs.add_task(run, "start", state="deferred", trigger_id=trigger)
    page = log_in().get("/executions")
    assert "exec-2" in page.text
    assert 'data-status="Waiting"' in page.text
    assert "planted-token" not in page.text
    assert "exec-2" not in log_in("bob").get("/executions").text
