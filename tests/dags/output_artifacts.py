# SPDX-License-Identifier: Apache-2.0
"""DAGs that upload the output artifacts which the run's conf names, and then succeed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, task, task_group, teardown

from airflow_codepipeline_partner._compat import AirflowSkipException
from airflow_codepipeline_partner._worker import output_artifacts
from airflow_codepipeline_partner.artifacts import Workspace
from airflow_codepipeline_partner.decorators import JobInProgress
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    CodePipelineUploadArtifactsOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)

JOB, NAMES = "{{ dag_run.conf['job'] }}", "{{ dag_run.conf['names'] }}"


def upload_all(workspace: Workspace, names: list[str]) -> None:
    with workspace:
        (workspace.path / "f").write_text("made")
        for name in names:
            workspace.upload(name, workspace.path / "f")


@task
def work(job: Any, names: list[str]) -> None:
    upload_all(Workspace(job), names)


for choice in ("warn", "fail", "ignore"):
    with DAG(f"outputs_{choice}", schedule=None, render_template_as_native_obj=True):
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
        work(claim.output, NAMES)
        finish_job(claim, missing_outputs=choice, failure_message="The author's own words.")

    with DAG(f"outputs_of_a_function_{choice}", schedule=None, render_template_as_native_obj=True):

        @task.codepipeline_job(missing_outputs=choice)
        def build(job: JobInProgress, names: list[str]) -> None:
            if names:
                upload_all(job.workspace(), names)

        finish_job(build(JOB, NAMES))

    with DAG(f"outputs_before_a_put_{choice}", schedule=None, render_template_as_native_obj=True):
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
        done = work(claim.output, NAMES)
        put = PutThirdPartyJobSuccessResultOperator(task_id="put", job=claim.output, missing_outputs=choice)
        done >> put
        finish_job(claim)

with DAG("outputs_of_an_operator", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    CodePipelineUploadArtifactsOperator(
        task_id="upload", job=claim.output, artifacts="{{ dag_run.conf['sources'] }}"
    )
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_of_a_teardown", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    done = work(claim.output, [])

    @teardown
    def upload_at_the_end(job: Any) -> None:
        upload_all(Workspace(job), ["Built"])

    done >> upload_at_the_end(claim.output)
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_of_a_short_circuit", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)

    @task.short_circuit
    def upload_first(job: Any) -> bool:
        upload_all(Workspace(job), ["Built"])
        return True

    upload_first(claim.output) >> work(claim.output, [])
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_before_a_skip", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)

    @task
    def upload_and_skip(job: Any) -> None:
        upload_all(Workspace(job), ["Built"])
        raise AirflowSkipException

    [upload_and_skip(claim.output), work(claim.output, [])]
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_of_a_failed_teardown", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    done = work(claim.output, [])

    @teardown
    def upload_and_clean_up(job: Any) -> None:
        upload_all(Workspace(job), ["Built"])
        raise OSError

    done >> upload_and_clean_up(claim.output)
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_in_the_next_job", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    going_on = CodePipelineContinueJobOperator(task_id="go_on", job=claim.output, poll_interval=0.1)
    # Not the job that the continuation returned.
    going_on >> work(claim.output, NAMES)
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_between_two_jobs", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)

    class UploadBeforeTheWait(CodePipelineContinueJobOperator):
        """Uploads when the job has ended, and the next one is not claimed."""

        def _hand_on(self, context: Any, claim: Any, at_least: Any) -> Any:
            upload_all(Workspace(claim.record.job), ["Built"])

    UploadBeforeTheWait(task_id="go_on", job=claim.output, poll_interval=0.1)
    finish_job(claim)

with DAG("outputs_around_a_deferral", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)

    class UploadTwice(BaseOperator):
        """Upload an artifact, wait, and upload another one, in another process then."""

        template_fields = ("job",)

        def __init__(self, *, job: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.job = job

        def execute(self, context: Any) -> None:
            upload_all(Workspace(self.job), ["Built"])
            self.defer(trigger=TimeDeltaTrigger(timedelta(0)), method_name="execute_again")

        def execute_again(self, context: Any, event: Any = None) -> None:
            output_artifacts._recorded.clear()
            upload_all(Workspace(self.job), ["Tested"])

    UploadTwice(task_id="upload", job=claim.output)
    finish_job(claim, missing_outputs="fail")

with DAG("outputs_of_a_group", schedule=None, render_template_as_native_obj=True):

    @task
    def jobs_of_run(dag_run: Any = None) -> list[Any]:
        return dag_run.conf["jobs"]

    @task
    def upload_for_the_first(job: Any, dag_run: Any = None) -> None:
        if job["job_id"] == dag_run.conf["jobs"][0]["job_id"]:
            upload_all(Workspace(job), ["Built"])

    @task_group
    def handle(job: Any) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        upload_for_the_first(claim.output)
        finish_job(claim, missing_outputs="fail")

    handle.expand(job=jobs_of_run())
