# SPDX-License-Identifier: Apache-2.0
"""DAGs whose run conf says which job they take and what becomes of the work."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.sdk import DAG, TaskGroup, dag, setup, task, task_group, teardown

from airflow_codepipeline_partner._compat import AirflowSkipException
from airflow_codepipeline_partner.assets import dispatch_jobs, offered_jobs
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.jobs import CurrentRevision, ExecutionDetails, OfferedJob
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineFinishJobOperator,
    PutJobFailureResultOperator,
    PutJobSuccessResultOperator,
    PutThirdPartyJobFailureResultOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

#: These must not keep a finishing task from its work.
HOSTILE_DEFAULTS = {"retries": 0, "execution_timeout": None, "depends_on_past": False, "priority_weight": 1}


def do_work(how: str) -> str:
    """Do what the conf says."""
    if how == "fail":
        raise ValueError("the work's own text, which no customer may read")
    if how == "skip":
        raise AirflowSkipException("nothing to do")
    return how


@task
def work(job: Any, **context: Any) -> str:
    conf = context["dag_run"].conf
    return do_work(conf["work_of"][job["job_id"]] if "work_of" in conf else conf.get("work", "succeed"))


for unknown_claim in ("assume_ours", "leave"):
    for retries in (0, 1):
        with DAG(
            f"one_job_{unknown_claim}_{retries}_retries",
            schedule=None,
            render_template_as_native_obj=True,
            default_args=HOSTILE_DEFAULTS,
        ):
            claim = CodePipelineClaimJobOperator(
                task_id="claim",
                job="{{ dag_run.conf['job'] }}",
                unknown_claim=unknown_claim,
                retries=retries,
                retry_delay=0,
            )
            work(claim.output)
            finish_job(
                claim,
                current_revision="{{ dag_run.conf.get('revision') }}",
                execution_details="{{ dag_run.conf.get('details') }}",
                failure_message="{{ dag_run.conf.get('message') }}",
                failure_type="{{ dag_run.conf.get('failure_type') }}",
                output_variables="{{ dag_run.conf.get('variables') }}",
            )


with DAG("put_custom_success", schedule=None, render_template_as_native_obj=True):
    PutJobSuccessResultOperator(
        task_id="put",
        job_id="{{ dag_run.conf['job']['job_id'] }}",
        continuation_token="{{ dag_run.conf.get('token') }}",
        output_variables="{{ dag_run.conf.get('variables') }}",
    )

with DAG("put_custom_failure", schedule=None):
    PutJobFailureResultOperator(
        task_id="put", job="{{ dag_run.conf['job'] }}", message="No.", failure_type="PermissionError"
    )

with DAG("unrenderable_result", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    work(claim.output)
    finish_job(claim, execution_details={"summary": "{{ ti.xcom_pull('nowhere')['summary'] }}"})

with DAG("work_between_setup_and_teardown", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")

    @setup
    def build_up(**context: Any) -> dict[str, Any]:
        return {"summary": do_work(context["dag_run"].conf.get("set_up", "Built up."))}

    @teardown
    def clean_up() -> None:
        """Clean up behind the work."""

    built, worked, cleaned = build_up(), work(claim.output), clean_up()
    claim >> built >> worked >> cleaned
    built >> cleaned
    finish_job(claim, execution_details=built)

with DAG("summary_from_elsewhere", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")

    @task
    def elsewhere() -> dict[str, Any]:
        return {"summary": "From elsewhere."}

    work(claim.output)
    finish_job(claim, execution_details=elsewhere())

with DAG("values_in_our_own_classes", schedule=None):
    claim = CodePipelineClaimJobOperator(
        task_id="claim",
        job=OfferedJob("{{ dag_run.conf['job']['job_id'] }}", "{{ dag_run.conf['job']['client_id'] }}"),
    )
    finish_job(
        claim,
        current_revision=CurrentRevision("{{ run_id }}", "{{ dag.dag_id }}"),
        execution_details=ExecutionDetails("Run {{ run_id }}.", "{{ run_id }}", 100),
    )

with DAG("two_claims", schedule=None):
    first = CodePipelineClaimJobOperator(task_id="first", job="{{ dag_run.conf['jobs'][0] }}")
    second = CodePipelineClaimJobOperator(task_id="second", job="{{ dag_run.conf['jobs'][1] }}")
    first >> second
    finish_job(second, task_id="finish_second")
    finish_job(first, task_id="finish_first")

with DAG("two_claims_one_work", schedule=None):
    first = CodePipelineClaimJobOperator(task_id="first", job="{{ dag_run.conf['jobs'][0] }}")
    second = CodePipelineClaimJobOperator(task_id="second", job="{{ dag_run.conf['jobs'][1] }}")

    @task
    def end_first(job: dict[str, Any]) -> None:
        """Do what somebody else might: end the job beside the finishing task."""
        CodePipelineHook().fail(job, message="ended elsewhere")

    [first, second] >> end_first(first.output)
    finish_job(first, task_id="finish_first")
    finish_job(second, task_id="finish_second")

with DAG("details_in_xcom", schedule=None):

    @task
    def details(**context: Any) -> Any:
        return CodePipelineHook().details(context["dag_run"].conf["job"])

    details()

with DAG("finish_without_claim_before_it", schedule=None):
    claim = CodePipelineClaimJobOperator(
        task_id="claim", job="{{ dag_run.conf['job'] }}", finished_elsewhere=True
    )
    CodePipelineFinishJobOperator(task_id="finish", claim_task_id="claim") >> claim

with DAG("finish_is_retried_at_once", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    work(claim.output)
    finish_job(claim).retry_delay = timedelta(0)


@dag(schedule=None, render_template_as_native_obj=True, on_failure_callback=CodePipelineJobFailureNotifier())
def many_jobs() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    @task
    def before() -> None:
        """Run once, before all."""

    @task_group
    def handle(job: Any) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        work(claim.output)
        finish_job(claim)

    before() >> handle.expand(job=jobs())


@dag(schedule=None, render_template_as_native_obj=True)
def many_jobs_built() -> None:
    """Work whose name comes before the claim's: Airflow expands it only after that."""

    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    @task_group
    def handle(job: Any) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        work.override(task_id="build")(claim.output)
        finish_job(claim)

    handle.expand(job=jobs())


@dag(schedule=None, render_template_as_native_obj=True)
def many_jobs_in_inner_groups() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    @task_group
    def handle(job: Any) -> None:
        with TaskGroup("begin"):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        with TaskGroup("inner"), TaskGroup("innermost"):
            work(claim.output)
        finish_job(claim)

    handle.expand(job=jobs())


NOTIFIED = {"on_failure_callback": CodePipelineJobFailureNotifier("Task {{ ti.task_id }} broke.")}


for dag_id, finish in (("callbacks_of_tasks_alone", False), ("callbacks_of_tasks_beside_finish", True)):
    with DAG(dag_id, schedule=None, default_args=NOTIFIED) as notified:
        globals()[dag_id] = notified

        @task
        def told_jobs(**context: Any) -> list[dict[str, Any]]:
            return context["dag_run"].conf["jobs"]

        @task_group(group_id="handle")
        def handle_each(job: Any, finish: bool) -> None:
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job, finished_elsewhere=not finish)
            work(claim.output)
            if finish:
                finish_job(claim)

        handle_each.partial(finish=finish).expand(job=told_jobs())


@dag(schedule=None, render_template_as_native_obj=True)
def mapped_work() -> None:
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")

    @task
    def parts(**context: Any) -> list[str]:
        return context["dag_run"].conf["parts"]

    @task
    def part(how: str) -> str:
        return do_work(how)

    todo = parts()
    claim >> todo
    part.expand(how=todo)
    finish_job(claim)


@task
def job(**context: Any) -> dict[str, Any]:
    return context["dag_run"].conf


with DAG("one_call_each", schedule=None, render_template_as_native_obj=True):
    job() >> PutThirdPartyJobSuccessResultOperator(
        task_id="succeed",
        job_id="{{ dag_run.conf['job_id'] }}",
        client_id="{{ dag_run.conf['client_id'] }}",
        current_revision="{{ dag_run.conf.get('revision') }}",
        continuation_token="{{ dag_run.conf.get('token') }}",
        execution_details="{{ dag_run.conf.get('details') }}",
    )

with DAG("one_call_each_failure", schedule=None, render_template_as_native_obj=True):
    job() >> PutThirdPartyJobFailureResultOperator(
        task_id="fail",
        job="{{ dag_run.conf }}",
        message="{{ dag_run.conf.get('message', 'It broke.') }}",
        failure_type="{{ dag_run.conf.get('failure_type', 'JobFailed') }}",
        external_execution_id="{{ dag_run.conf.get('execution_id') }}",
    )


class ImpatientClaim(CodePipelineClaimJobOperator):
    """Gives up at the first answer that is lost."""

    @cached_property
    def hook(self) -> Any:
        hook = CodePipelineHook()
        hook.retry_deadline = 0
        return hook


with DAG("impatient", schedule=None, render_template_as_native_obj=True):
    claim = ImpatientClaim(task_id="claim", job="{{ dag_run.conf['job'] }}")
    work(claim.output)
    finish_job(claim)

with DAG("puts_behind_a_claim_that_is_left", schedule=None, render_template_as_native_obj=True):
    claim = ImpatientClaim(task_id="claim", job="{{ dag_run.conf['job'] }}", unknown_claim="leave")
    work(claim.output) >> PutThirdPartyJobFailureResultOperator(
        task_id="put", job="{{ dag_run.conf['job'] }}", message="It broke.", trigger_rule="all_done"
    )


for dag_id, choice in (
    ("claim_only", "assume_ours"),
    ("claim_only_assume_ours", "assume_ours"),
    ("claim_only_leave", "leave"),
):
    with DAG(
        dag_id, schedule=None, render_template_as_native_obj=True, params={"who": "somebody"}
    ) as globals()[dag_id]:
        CodePipelineClaimJobOperator(
            task_id="claim",
            job="{{ dag_run.conf['job'] }}",
            unknown_claim=choice,
            finished_elsewhere=True,
        )

with DAG("claim_and_put", schedule=None, render_template_as_native_obj=True) as claim_and_put:
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    PutThirdPartyJobSuccessResultOperator(task_id="put", job=claim.output)

with DAG("claim_and_put_failure_and_finish", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    PutThirdPartyJobFailureResultOperator(task_id="put", job=claim.output, message="It broke.")
    finish_job(claim)

with DAG("claim_and_put_twice", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    PutThirdPartyJobSuccessResultOperator(
        task_id="put",
        job=claim.output,
        continuation_token="step-2",
    ) >> PutThirdPartyJobFailureResultOperator(task_id="put_again", job=claim.output, message="It broke.")

with DAG("put_whatever_became_of_the_claim", schedule=None, render_template_as_native_obj=True):
    CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}") >> [
        PutThirdPartyJobSuccessResultOperator(
            task_id="succeed", job="{{ dag_run.conf['job'] }}", trigger_rule="all_done"
        ),
        PutThirdPartyJobFailureResultOperator(
            task_id="fail", job="{{ dag_run.conf['job'] }}", message="m", trigger_rule="all_done"
        ),
    ]

with DAG("claim_after_another_task", schedule=None, render_template_as_native_obj=True):

    @task
    def some_job(**context: Any) -> dict[str, Any]:
        return context["dag_run"].conf["job"]

    claim = CodePipelineClaimJobOperator(task_id="claim", job=some_job(), retries=1, retry_delay=0)
    finish_job(claim)

with DAG("two_results_behind_one_task", schedule=None, render_template_as_native_obj=True):
    job() >> [
        PutThirdPartyJobSuccessResultOperator(
            task_id=f"put_{index}", job=f"{{{{ dag_run.conf['jobs'][{index}] }}}}"
        )
        for index in range(2)
    ]

with DAG("put_first", schedule=None, render_template_as_native_obj=True):
    PutThirdPartyJobSuccessResultOperator(
        task_id="put", job="{{ dag_run.conf['job'] }}", retries=1, retry_delay=0
    )

with DAG("dispatcher", schedule=None):

    @task
    def jobs_of_the_conf() -> list[dict[str, Any]]:
        return offered_jobs()

    dispatch_jobs(jobs_of_the_conf(), "claim_only", conf={"greeting": "{{ dag.dag_id }}"})

with DAG("filtered_dispatcher", schedule=None):

    @task
    def none_for_this_team() -> None:
        pass

    dispatch_jobs(none_for_this_team(), "claim_only")

with DAG("own_dispatcher", schedule=None):
    dispatch_jobs(None, "{{ dag_run.conf.get('dag', 'claim_only') }}")

with DAG("native_dispatcher", schedule=None, render_template_as_native_obj=True):
    dispatch_jobs(jobs_of_the_conf(), "claim_only")

with DAG(
    "claims_by_expand_kwargs",
    schedule=None,
    render_template_as_native_obj=True,
    default_args={"region_name": "{{ 'us-east-1' }}"},
):
    CodePipelineClaimJobOperator.partial(task_id="claim", aws_conn_id="{{ 'aws_default' }}").expand_kwargs(
        jobs_of_the_conf().map(lambda job: {"job": job})
    )

    @task.codepipeline_job
    def work_on_one(job: Any, name: str) -> str:
        return name

    work_on_one.partial(name="{{ 'rendered' }}").expand_kwargs(
        jobs_of_the_conf().map(lambda job: {"job": job})
    )

with DAG("notify", schedule=None):

    @task
    def notify(**context: Any) -> None:
        conf = context["dag_run"].conf
        notifier = CodePipelineJobFailureNotifier(**conf["context"].pop("notifier", {}))
        notifier({"dag": DAGS[conf["dag_id"]], "run_id": conf["run_id"], **conf["context"]})

    notify()


@dag(schedule=None)
def mapped_claims() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    CodePipelineClaimJobOperator.partial(task_id="claim", finished_elsewhere=True).expand(job=jobs())


@dag(schedule=None)
def mapped_results() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    PutThirdPartyJobSuccessResultOperator.partial(
        task_id="succeed", execution_details={"percentComplete": 100}, retries=1, retry_delay=0
    ).expand(job=jobs())


@dag(schedule=None)
def mapped_claims_and_results() -> None:
    @task
    def jobs(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["jobs"]

    claims = CodePipelineClaimJobOperator.partial(task_id="claim", finished_elsewhere=True).expand(job=jobs())
    PutThirdPartyJobSuccessResultOperator.partial(task_id="succeed", retries=1, retry_delay=0).expand(
        job=claims.output
    )


for how in ("poke", "reschedule", "deferrable"):
    with DAG(f"sensor_{how}", schedule=None):
        CodePipelineJobSensor(
            task_id="wait",
            action_type="{{ dag_run.conf['action_type'] }}",
            max_batch_size="{{ dag_run.conf.get('max_batch_size', 10) }}",
            query_param="{{ dag_run.conf.get('query_param') }}",
            poke_interval=0.2,
            timeout=1,
            deferrable=how == "deferrable",
            mode="poke" if how == "deferrable" else how,
        )

many = many_jobs()
many_built = many_jobs_built()
many_in_groups = many_jobs_in_inner_groups()
mapped = mapped_work()
claims = mapped_claims()
results = mapped_results()
both = mapped_claims_and_results()

DAGS = {found.dag_id: found for found in list(globals().values()) if isinstance(found, DAG)}
