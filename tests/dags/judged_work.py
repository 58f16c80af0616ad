# SPDX-License-Identifier: Apache-2.0
"""Work of which parts are skipped, for one reason or another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

JOB = "{{ dag_run.conf['job'] }}"


def a_claim() -> CodePipelineClaimJobOperator:
    return CodePipelineClaimJobOperator(task_id="claim", job=JOB)


@task
def deploy(job: Any) -> str:
    return "deployed"


with DAG("skips_itself", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task
    def notify(done: str) -> None:
        raise AirflowSkipException("Nobody is to be notified.")

    notify(deploy(claim.output))
    finish_job(claim)

with DAG("short_circuited_last_step", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task.short_circuit
    def has_subscribers(done: str) -> bool:
        return False

    has_subscribers(deploy(claim.output)) >> EmptyOperator(task_id="notify") >> EmptyOperator(task_id="log")
    finish_job(claim)

with DAG("retried_beside_a_failure", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    # Its second try comes after finish_job could start, since the other one has failed by then.
    @task(task_id="deploy", retries=1, retry_delay=timedelta(seconds=1.5))
    def deploy_at_the_second_try(job: Any, **context: Any) -> None:
        if context["ti"].try_number == 1:
            raise ConnectionError("not yet")

    @task
    def check(job: Any) -> None:
        raise ValueError("it is wrong")

    [deploy_at_the_second_try(claim.output), check(claim.output)] >> EmptyOperator(task_id="notify")
    finish_job(claim)

with DAG("branched_work", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task.branch
    def choose(job: Any) -> str:
        return "fast"

    @task
    def fast() -> None:
        pass

    @task
    def slow() -> None:
        pass

    chosen = choose(claim.output)
    chosen >> [fast(), slow()] >> EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    finish_job(claim)

with DAG("gate_before_all_work", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task.short_circuit
    def is_wanted(job: Any) -> bool:
        return False

    is_wanted(claim.output) >> deploy.override(task_id="deploy")("x")
    finish_job(claim)

with DAG("cleaning_up_after_a_failure_only", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task(trigger_rule="one_failed")
    def roll_back() -> None:
        pass

    deploy(claim.output) >> roll_back()
    finish_job(claim)

with DAG("nothing_to_expand", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task
    def files(job: Any) -> list[str]:
        return []

    @task
    def purge(file: str) -> None:
        pass

    purge.expand(file=files(claim.output))
    finish_job(claim)

with DAG("worded_failure", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task
    def check(job: Any) -> None:
        raise JobFailure("The action's configuration names no Target.", "ConfigurationError")

    check(claim.output)
    finish_job(claim)

with DAG("worded_failure_of_one_part", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task
    def parts(job: Any) -> list[int]:
        return [1, 2, 3]

    @task
    def check_part(part: int) -> None:
        if part == 2:
            raise JobFailure("Part 2 has no target.", "ConfigurationError")

    check_part.expand(part=parts(claim.output))
    finish_job(claim)

with DAG("failure_without_a_red_run", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task
    def build(job: Any) -> None:
        raise RuntimeError("The customer's build is broken.")

    build(claim.output)
    finish_job(claim, fail_run=False)

with DAG("optional_step_between", schedule=None, render_template_as_native_obj=True):
    claim = a_claim()

    @task
    def prepare(job: Any) -> None:
        pass

    @task
    def optional() -> None:
        raise AirflowSkipException("Not wanted.")

    @task(trigger_rule="none_failed")
    def install() -> None:
        pass

    prepared = prepare(claim.output)
    prepared >> optional() >> install() << prepared
    finish_job(claim)
