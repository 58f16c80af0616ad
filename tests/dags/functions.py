# SPDX-License-Identifier: Apache-2.0
"""DAGs whose work is one function, which does what the run's conf says."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Variable, dag, task, task_group

from airflow_codepipeline_partner._compat import AirflowFailException, AirflowSkipException
from airflow_codepipeline_partner.decorators import Completion, Continuation, JobInProgress
from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.jobs import ExecutionDetails
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import finish_job

#: How often each job was worked on, in this process.
CALLS: dict[str, int] = {}
SECRET_TEXT = "the function's own text, which no customer may read"


def signal(name: str) -> BaseException:
    """Make one of Airflow's signals."""
    import airflow.exceptions
    import airflow.sdk.exceptions

    kind = getattr(airflow.sdk.exceptions, name, None) or getattr(airflow.exceptions, name)
    arguments = {
        "AirflowRescheduleException": {"reschedule_date": None},
        "DownstreamTasksSkipped": {"tasks": []},
        "TaskDeferred": {"trigger": None, "method_name": "execute_complete"},
    }
    return kind(**arguments[name])


def act(job: JobInProgress, how: Any) -> Any:
    """Do one thing by its name, or return a value."""
    match how:
        case "raise":
            raise ValueError(SECRET_TEXT)
        case "raise in first try":
            if CALLS[job.job_id] == 1:
                raise ValueError(SECRET_TEXT)
        case "refuse":
            raise JobFailure("Name a Target.", "ConfigurationError")
        case "refuse for good":
            raise AirflowFailException(SECRET_TEXT) from JobFailure("Name a Target.", "ConfigurationError")
        case "fail for good":
            raise AirflowFailException(SECRET_TEXT)
        case "unheard failure type":
            raise JobFailure("Name a Target.", "Unheard")
        case "skip":
            raise AirflowSkipException(SECRET_TEXT)
        case "AirflowRescheduleException" | "DownstreamTasksSkipped" | "TaskDeferred":
            raise signal(how)
        case "exit":
            sys.exit(SECRET_TEXT)
        case "interrupt":
            raise KeyboardInterrupt(SECRET_TEXT)
        case "sleep":
            time.sleep(30)
        case {"stop": str(pipeline), "execution": str(execution)}:
            client = job.hook.get_client_type()
            client.stop_pipeline_execution(pipelineName=pipeline, pipelineExecutionId=execution, abandon=True)
        case "missing variable":
            Variable.get("no_such_variable")
        case "progress":
            job.progress(40, "Begun.")
            job.progress(summary="Half way.")
        case "progress of 101":
            job.progress(101)
        case "progress of nothing":
            job.progress()
        case "revision":
            job.current_revision = {"revision": "r1", "changeIdentifier": "c1"}
        case "half a revision":
            job.current_revision = {"revision": "r1"}
        case "configuration":
            details, again = job.details(), job.configuration
            assert details.configuration == again == job.configuration
            return {"summary": f"Configured with {sorted(again)}."}
        case "leak":
            raise ValueError(
                f"{dict(job.configuration)} {job.details()} {job.details().artifact_credentials}"
            )
        case "give itself":
            return job
        case "give a set":
            return {1, 2}
        case "continue":
            job.progress(40, "Begun.")
            return Continuation("step-2")
        case "continue with details":
            return Continuation("step-2", {"percentComplete": 50})
        case "continue with too much":
            return Continuation("t" * 2049)
        case "complete":
            job.progress(100, "Told before.")
            return Completion(output_variables={"Digest": "abc", "Files": 2})
        case "complete with details":
            return Completion({"summary": "Done."}, {"Digest": "abc"})
        case "complete with too much":
            return Completion(output_variables={"Digest": "v" * 122_880})
        case "dataclass":
            return ExecutionDetails("Done.", percent_complete=100)
        case _:
            return how
    return None


@task.codepipeline_job
def deploy(job: JobInProgress, how: Any = None, ti: Any = None, **context: Any) -> Any:
    assert job.hook.client_conn_id_template == "codepipeline_client_{client_id}"
    assert ti is context["task_instance"]
    CALLS[job.job_id] = CALLS.get(job.job_id, 0) + 1
    conf = context["dag_run"].conf
    doing = conf["how_of"][job.job_id] if "how_of" in conf else conf.get("how")
    return act(job, doing if how is None else how)


for retries in (0, 1):
    options = {"retries": retries, "retry_delay": timedelta(0)}
    with DAG(f"function_alone_{retries}_retries", schedule=None):
        deploy.override(**options)("{{ dag_run.conf['job'] }}")

    with DAG(f"function_and_finish_{retries}_retries", schedule=None):
        finish_job(deploy.override(**options)("{{ dag_run.conf['job'] }}"))

    with DAG(f"function_leaves_doubt_{retries}_retries", schedule=None):
        deploy.override(unknown_claim="leave", **options)("{{ dag_run.conf['job'] }}")

with DAG("function_by_name", schedule=None, render_template_as_native_obj=True):
    deploy.override(task_id="by_name")(how="dataclass", job="{{ dag_run.conf['job'] }}")

with DAG("function_in_time", schedule=None):
    # Long enough for the claim on a busy machine.
    finish_job(
        deploy.override(execution_timeout=timedelta(seconds=5))("{{ dag_run.conf['job'] }}", how="sleep")
    )

with DAG("function_with_callback", schedule=None, on_failure_callback=CodePipelineJobFailureNotifier()):
    deploy("{{ dag_run.conf['job'] }}")


@dag(schedule=None)
def function_mapped() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    deploy.override(retries=1, retry_delay=timedelta(0)).partial(how=None).expand(job=jobs())


@dag(schedule=None)
def function_in_mapped_group() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    @task_group
    def handle(job: Any) -> None:
        finish_job(deploy(job))

    handle.expand(job=jobs())


@dag(schedule=None)
def function_after_sensor() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    @task
    def first_of(offered: list[dict[str, Any]]) -> dict[str, Any]:
        return offered[0]

    @task
    def report(claimed: Any) -> str:
        return claimed["job_id"]

    worked = deploy(first_of(jobs()))
    report(worked)
    finish_job(worked)


mapped, grouped, after = function_mapped(), function_in_mapped_group(), function_after_sensor()

try:
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
except ImportError:
    # Before Airflow 3.3 there is no such policy; the tests of it are skipped there.
    pass
else:
    with DAG("function_with_retry_policy", schedule=None):
        policy = ExceptionRetryPolicy([RetryRule(exception=ValueError, action=RetryAction.FAIL)])
        deploy.override(retries=3, retry_delay=timedelta(0), retry_policy=policy)("{{ dag_run.conf['job'] }}")
