# SPDX-License-Identifier: Apache-2.0
"""DAGs that go on with an action in new jobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task, task_group

from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._worker.next_job import action_of
from airflow_codepipeline_partner.exceptions import JobFailure, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ClaimedJob
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor

QUICK = {"poll_interval": 0.1, "timeout": 30, "retries": 1, "retry_delay": 0}


@task
def work(job: dict[str, Any], **context: Any) -> str:
    if context["dag_run"].conf.get("work") == "fail":
        raise ValueError("the work's own text")
    return job["job_id"]


with DAG("continued", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    first = CodePipelineContinueJobOperator(
        task_id="first",
        job=claim.output,
        execution_details={"summary": "Begun.", "percentComplete": 10},
        current_revision={"revision": "r1", "changeIdentifier": "c1"},
        **QUICK,
    )
    second = CodePipelineContinueJobOperator(
        task_id="second", job=first.output, execution_details={"percentComplete": 60}, **QUICK
    )
    work(second.output)
    finish_job(claim, execution_details={"percentComplete": 100})


class DyingContinue(CodePipelineContinueJobOperator):
    """Dies where the conf says, once; a retry finds what it left."""

    def execute(self, context: Any) -> Any:
        self._die_after(context)
        return super().execute(context)

    def execute_complete(self, context: Any, event: Any, at_least: Any = None) -> Any:
        self._die_after(context)
        return super().execute_complete(context, event, at_least)

    def _die_after(self, context: Any) -> None:
        conf, hook = context["dag_run"].conf, self.hook
        if context["ti"].try_number > conf.get("deaths", 1):
            return
        original = hook._send

        def send(call: Any, **more: Any) -> Any:
            if conf["die"] == f"before {call.operation}":
                raise SystemExit(1)
            try:
                return original(call, **more)
            finally:
                if conf["die"] == f"after {call.operation}":
                    raise SystemExit(1)

        hook._send = send


for dag_id, timeout in (("dying_continuation", 5), ("continuation_in_vain", 1)):
    with DAG(dag_id, schedule=None, render_template_as_native_obj=True):
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
        going_on = DyingContinue(task_id="go_on", job=claim.output, **(QUICK | {"timeout": timeout}))
        work(going_on.output)
        finish_job(claim)

with DAG("continued_and_then_put_by_hand", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    going_on = CodePipelineContinueJobOperator(task_id="go_on", job=claim.output, **QUICK)
    new = PutThirdPartyJobSuccessResultOperator(task_id="new", job=going_on.output)
    former = PutThirdPartyJobSuccessResultOperator(task_id="former", job=claim.output)
    going_on >> former >> new

with DAG("continued_without_claim", schedule=None, render_template_as_native_obj=True):
    CodePipelineContinueJobOperator(task_id="go_on", job="{{ dag_run.conf['job'] }}", **QUICK)

with DAG("given_up_between_two_jobs", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")

    class GivingUp(CodePipelineContinueJobOperator):
        """Is failed, or marked as succeeded, when it is about to wait."""

        def _hand_on(self, context: Any, claim: Any, at_least: Any) -> Any:
            if self.params["how"] == "fail":
                raise AirflowFailException("given up")
            return {}

    GivingUp(task_id="go_on", job=claim.output, params={"how": "fail"}, **QUICK)
    finish_job(claim)

with DAG(
    "given_up_between_two_jobs_unnoticed",
    schedule=None,
    render_template_as_native_obj=True,
):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    GivingUp(task_id="go_on", job=claim.output, params={"how": "pass"}, **QUICK)
    finish_job(claim)

with DAG("ended_between_two_jobs", schedule=None, render_template_as_native_obj=True) as ended:
    claim = CodePipelineClaimJobOperator(
        task_id="claim", job="{{ dag_run.conf['job'] }}", finished_elsewhere=True
    )
    GivingUp(task_id="go_on", job=claim.output, params={"how": "fail"}, **QUICK)


class DoubtfulContinue(CodePipelineContinueJobOperator):
    """Cannot know whether the new job is its own."""

    def execute_complete(self, context: Any, event: Any, at_least: Any = None) -> Any:
        original = self.hook._send

        def send(call: Any, **more: Any) -> Any:
            answer = original(call, **more)
            if call.operation == "AcknowledgeThirdPartyJob":
                raise ServiceUnavailable("The answer was lost.", in_doubt=True)
            return answer

        self.hook._send = send
        return super().execute_complete(context, event, at_least)


with DAG("left_in_doubt", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(
        task_id="claim", job="{{ dag_run.conf['job'] }}", unknown_claim="leave"
    )
    work(DoubtfulContinue(task_id="go_on", job=claim.output, **(QUICK | {"retries": 0})).output)
    finish_job(claim)


class LateContinue(CodePipelineContinueJobOperator):
    """Gets the job that another task of its run has claimed already, or that there was none."""

    def execute(self, context: Any) -> Any:
        claim = action_of(context, OfferedJob.from_value(self.job))
        job = claim.record.job.job.to_xcom()
        event_status = context["dag_run"].conf["event_status"]
        return self.execute_complete(context, {"status": event_status, "jobs": [job], "error": None})


with DAG("two_tasks_for_one_job", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    going_on = CodePipelineContinueJobOperator(task_id="go_on", job=claim.output, **QUICK)
    late = LateContinue(task_id="late", job=claim.output, **QUICK)
    going_on >> late
    work(late.output)
    finish_job(claim)

with DAG("continued_each", schedule=None, render_template_as_native_obj=True):

    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    @task_group
    def handle(job: Any) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        going_on = CodePipelineContinueJobOperator(task_id="go_on", job=claim.output, **QUICK)
        work(going_on.output)
        finish_job(claim)

    handle.expand(job=jobs())

with DAG("notify_ended", schedule=None):

    @task
    def notify(**context: Any) -> None:
        notifier = CodePipelineJobFailureNotifier()
        notifier({"dag": ended, "run_id": context["dag_run"].conf["run_id"], "reason": "timed_out"})

    notify()


def look(job: ClaimedJob, path: str) -> Any:
    """Say what the next line of a file says, and note for which job."""
    lines = Path(path).read_text().splitlines()
    said, *left = lines
    Path(path).write_text("\n".join(left))
    with Path(f"{path}.jobs").open("a") as seen:
        seen.write(job.job_id + "\n")
    if said in RAISED:
        raise RAISED[said]
    return json.loads(said)


RAISED = {
    "fail": ValueError("the work's own text"),
    "skip": AirflowSkipException("not today"),
    "reschedule": AirflowRescheduleException(datetime(2026, 1, 1, tzinfo=UTC)),
    "job failure": JobFailure("the customer's own fault"),
}
for dag_id, more in (
    ("watched_work", {"timeout": 600}),
    ("watched_work_silently", {"silent_fail": True, "progress_interval": None, "poke_interval": 0.1}),
    # Half of the job's timeout passes before a retry, but not before a poke.
    ("watched_work_in_an_outage", {"job_timeout": 1, "progress_interval": None, "retry_delay": 0.6}),
    ("watched_work_that_stumbles", {"progress_interval": None}),
    ("watched_work_out_of_time", {"timeout": 0.001, "progress_interval": None}),
    ("watched_work_by_job_timeout", {"job_timeout": 0.6, "progress_interval": None}),
    ("watched_work_in_patience", {"poke_interval": 0.1, "progress_interval": None, "timeout": 600}),
):
    with DAG(dag_id, schedule=None, render_template_as_native_obj=True):
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
        watch = CodePipelineJobProgressSensor(
            task_id="watch",
            job=claim.output,
            progress=look,
            op_kwargs={"path": "{{ dag_run.conf['path'] }}"},
            **{
                "progress_interval": 0.3,
                "poke_interval": 30,
                "poll_interval": 0.1,
                "continuation_timeout": 5,
                "retries": 1,
                "retry_delay": 0,
                **more,
            },
        )
        work(watch.output)
        finish_job(claim)
