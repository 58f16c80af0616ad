# SPDX-License-Identifier: Apache-2.0
"""The DAGs whose runs the simulation tries. Each is one way in which a DAG's author takes jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from airflow_codepipeline_partner._compat import AirflowSkipException
from airflow_codepipeline_partner.decorators import JobInProgress
from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.jobs import ClaimedJob, ExecutionDetails
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    PutJobSuccessResultOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor

JOB = "{{ dag_run.conf | tojson }}"


def do_work(job_id: str, ti: Any) -> None:
    """Do what a user's function does; a history puts its own in this place."""


def is_done(job_id: str) -> bool:
    """Return whether work elsewhere is done; a history puts its own in this place."""
    return True


@dataclass(frozen=True)
class Way:
    """
    A DAG of the simulation.

    :param dag: The DAG.
    :param owner: Whose action it does: ``ThirdParty`` or ``Custom``.
    :param unknown_claim: What its unknown claims count as.
    :param takes_many: Whether one run takes several jobs.
    :param has_notifier: Whether it has our callback, and may be ended by ``dagrun_timeout``.
    :param has_finish: Whether a finishing task is there.
    """

    dag: Any
    owner: str = "ThirdParty"
    unknown_claim: str = "assume_ours"
    takes_many: bool = False
    has_notifier: bool = False
    has_finish: bool = True


def tries(count: int) -> dict[str, Any]:
    """Return the parameters of a task that has some retries."""
    return {"retries": count, "retry_delay": timedelta(seconds=1)}


@task(task_id="work", **tries(1))
def work(job: dict[str, Any], ti: Any = None) -> None:
    """Stand for a user's function."""
    do_work(job["job_id"], ti)


@task(task_id="lone_work", retries=0)
def lone_work(job: dict[str, Any], ti: Any = None) -> None:
    """Stand for a user's function that is not tried again."""
    do_work(job["job_id"], ti)


@task(task_id="optional", **tries(1))
def optional() -> None:
    """Stand for a last step that is not needed this time."""
    raise AirflowSkipException


@task.short_circuit(task_id="gate", **tries(2))
def gate(ti: Any = None) -> bool:
    """Stand for a step that decides whether the next one is wanted, and can say so at the second look."""
    if ti.try_number == 1:
        raise RuntimeError
    return True


@task(task_id="aside", **tries(2))
def aside(ti: Any = None) -> None:
    """Stand for a step that does not follow the claim."""
    if ti.try_number == 1:
        raise RuntimeError


@task(task_id="last", **tries(2))
def last() -> None:
    """Stand for a last step."""


@task.codepipeline_job(task_id="function", **tries(2))
def function(job: JobInProgress, ti: Any = None) -> None:
    """Stand for a function that is all the work there is."""
    do_work(job.job.job_id, ti)


def look(job: ClaimedJob) -> bool | ExecutionDetails:
    """Stand for a look at work elsewhere."""
    if is_done(job.job.job_id):
        return True
    return ExecutionDetails("At work.", percent_complete=50)


def claim(**more: Any) -> CodePipelineClaimJobOperator:
    """Return the task that claims."""
    return CodePipelineClaimJobOperator(**{"task_id": "claim", "job": JOB, **tries(2), **more})


def watch(name: str, claimed: Any, **more: Any) -> CodePipelineJobProgressSensor:
    """Return a task that renews the job while it waits."""
    return CodePipelineJobProgressSensor(
        task_id=name,
        job=claimed.output,
        progress=look,
        **{
            "progress_interval": 60,
            "poke_interval": 40,
            "poll_interval": 5,
            "continuation_timeout": 900,
            **tries(2),
            **more,
        },
    )


def continuing(claimed: Any, name: str = "go_on") -> CodePipelineContinueJobOperator:
    """Return a task that goes on with the action in a next job."""
    return CodePipelineContinueJobOperator(
        task_id=name, job=claimed.output, poll_interval=5, timeout=900, **tries(2)
    )


def _dag(name: str, **more: Any) -> DAG:
    return DAG(f"way_{name}", schedule=None, **more)


def ways() -> dict[str, Way]:
    """Return all ways, by name."""
    found: dict[str, Way] = {}
    with _dag("plain") as dag:
        claimed = claim()
        work(claimed.output)
        finish_job(claimed)
    found["plain"] = Way(dag)
    with _dag("leave") as dag:
        claimed = claim(unknown_claim="leave")
        work(claimed.output)
        finish_job(claimed)
    found["leave"] = Way(dag, unknown_claim="leave")
    with _dag("no_retries") as dag:
        claimed = claim(retries=0)
        lone_work(claimed.output)
        finish_job(claimed)
    found["no_retries"] = Way(dag)
    with _dag("custom") as dag:
        claimed = claim()
        work(claimed.output)
        finish_job(claimed)
    found["custom"] = Way(dag, owner="Custom")
    with _dag("optional_step") as dag:
        claimed = claim()
        work(claimed.output) >> optional()
        finish_job(claimed)
    found["optional_step"] = Way(dag)
    with _dag("gated") as dag:
        claimed = claim()
        [work(claimed.output) >> gate(), aside()] >> last()
        finish_job(claimed)
    found["gated"] = Way(dag)
    with _dag("function_and_finish") as dag:
        finish_job(function(JOB))
    found["function_and_finish"] = Way(dag)
    with _dag("function_alone") as dag:
        function(JOB)
    found["function_alone"] = Way(dag, has_finish=False)
    with _dag("go_on") as dag:
        claimed = claim()
        work(continuing(claimed).output)
        finish_job(claimed)
    found["go_on"] = Way(dag)
    with _dag("watch") as dag:
        claimed = claim()
        watch("watch", claimed)
        finish_job(claimed)
    found["watch"] = Way(dag)
    with _dag("two_watch") as dag:
        claimed = claim()
        watch("watch", claimed)
        watch("beside", claimed)
        finish_job(claimed)
    found["two_watch"] = Way(dag)
    with _dag("custom_watch") as dag:
        claimed = claim()
        watch("watch", claimed)
        finish_job(claimed)
    found["custom_watch"] = Way(dag, owner="Custom")
    with _dag("custom_go_on") as dag:
        claimed = claim()
        work(continuing(claimed).output)
        finish_job(claimed)
    found["custom_go_on"] = Way(dag, owner="Custom")
    with _dag("custom_go_on_watch") as dag:
        claimed = claim()
        # The second look comes at half time.
        watch("watch", continuing(claimed), job_timeout=80)
        finish_job(claimed)
    found["custom_go_on_watch"] = Way(dag, owner="Custom")
    with _dag("custom_go_on_put") as dag:
        claimed = claim()
        following = continuing(claimed).output
        work(following) >> PutJobSuccessResultOperator(task_id="put", job=following, **tries(2))
        finish_job(claimed)
    found["custom_go_on_put"] = Way(dag, owner="Custom")
    with _dag("custom_two_go_on") as dag:
        claimed = claim()
        work(continuing(continuing(claimed), "go_on_again").output)
        finish_job(claimed)
    found["custom_two_go_on"] = Way(dag, owner="Custom")
    with _dag("two_watch_put") as dag:
        claimed = claim()
        first, second = watch("watch", claimed), watch("beside", claimed)
        # Which of the two returns the newest job, nobody can say.
        [first, second] >> PutThirdPartyJobSuccessResultOperator(task_id="put", job=first.output, **tries(2))
        finish_job(claimed)
    found["two_watch_put"] = Way(dag)
    for name, operator in (
        ("put", PutThirdPartyJobSuccessResultOperator),
        ("custom_put", PutJobSuccessResultOperator),
    ):
        with _dag(name) as dag:
            claimed = claim()
            work(claimed.output) >> operator(task_id="put", job=claimed.output, **tries(2))
            finish_job(claimed)
        found[name] = Way(dag, owner="Custom" if name.startswith("custom") else "ThirdParty")
    with _dag("many") as dag:

        @task(task_id="jobs", **tries(2))
        def jobs(dag_run: Any = None) -> list[dict[str, Any]]:
            return list(dag_run.conf["jobs"])

        @task_group
        def handle(job: Any) -> None:
            claimed = claim(job=job)
            work(claimed.output)
            finish_job(claimed)

        handle.expand(job=jobs())
    found["many"] = Way(dag, takes_many=True)
    with _dag("many_go_on") as dag:

        @task_group
        def handle_in_two_jobs(job: Any) -> None:
            claimed = claim(job=job)
            work(continuing(claimed).output)
            finish_job(claimed)

        handle_in_two_jobs.expand(job=jobs())
    found["many_go_on"] = Way(dag, takes_many=True)
    with _dag("timed", on_failure_callback=CodePipelineJobFailureNotifier()) as dag:
        claimed = claim()
        work(claimed.output)
        finish_job(claimed)
    found["timed"] = Way(dag, has_notifier=True)
    with _dag("timed_go_on", on_failure_callback=CodePipelineJobFailureNotifier()) as dag:
        claimed = claim()
        work(continuing(claimed).output)
        finish_job(claimed)
    found["timed_go_on"] = Way(dag, has_notifier=True)
    for way in found.values():
        for each in way.dag.tasks:
            # As Airflow does when it has parsed the DAG.
            if not each.is_mapped:
                each.prepare_template()
    return found


class WorkFailed(JobFailure):
    """What a user's function raises for the customer's own fault."""
