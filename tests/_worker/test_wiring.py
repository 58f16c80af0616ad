# SPDX-License-Identifier: Apache-2.0
"""How claim, work and finish are wired is checked when the DAG is parsed."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk import DAG, BaseOperator, TaskGroup, task, task_group
from support import ACTION_TYPE

from airflow_codepipeline_partner._worker.dag import mapped_group_of, work_before
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)

JOB = {"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}


def parse(dag):
    """Do what Airflow does with a parsed DAG."""
    dag.resolve_template_files()


def refusal(dag):
    """Return why a DAG is refused when it is parsed; None if it is not."""
    try:
        parse(dag)
    except InvalidInput as error:
        return str(error)
    return None


def a_claim(task_id="claim", **parameters):
    return CodePipelineClaimJobOperator(task_id=task_id, job=JOB, **parameters)


@task.codepipeline_job
def function(job):
    """Work in a task that claims and reports itself."""


def work(task_id="work"):
    return BaseOperator(task_id=task_id)


def test_a_claim_that_no_task_finishes_is_refused():
    with DAG("d", schedule=None) as dag:
        a_claim() >> work()
    with pytest.raises(InvalidInput, match=r"Add finish_job\(claim\)"):
        parse(dag)


def test_a_callback_is_no_task_that_finishes():
    with DAG("d", schedule=None, on_failure_callback=CodePipelineJobFailureNotifier()) as dag:
        a_claim() >> work()
    with pytest.raises(InvalidInput, match="No task of the DAG d ends the job"):
        parse(dag)


def test_finishing_another_claims_job_is_not_enough():
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        other = CodePipelineClaimJobOperator(task_id="other", job=JOB)
        claim >> other >> work()
        finish_job(other)
    with pytest.raises(InvalidInput, match="the job that claim claims"):
        parse(dag)


def test_own_code_may_finish_the_job():
    with DAG("d", schedule=None) as dag:
        a_claim(finished_elsewhere=True) >> work()
    assert refusal(dag) is None


def test_an_operator_that_puts_the_result_finishes_the_job():
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        PutThirdPartyJobSuccessResultOperator(task_id="put", job=claim.output)
    assert refusal(dag) is None


def test_work_that_follows_the_claim_and_is_finished_passes():
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        work("before") >> claim >> work()
        finish_job(claim) >> work("after")
    assert refusal(dag) is None


@pytest.mark.parametrize("rule", ["all_done", "one_failed", "always", "one_success", "none_skipped"])
@pytest.mark.parametrize("is_function", [False, True])
def test_a_last_task_that_hides_a_failure_is_refused(rule, is_function):
    """Airflow judges a run by its last tasks alone."""
    with DAG("d", schedule=None) as dag:
        if is_function:
            last = function(JOB)
        else:
            claim = a_claim()
            claim >> work()
            last = finish_job(claim)
        last >> EmptyOperator(task_id="between") >> EmptyOperator(task_id="notify", trigger_rule=rule)
    with pytest.raises(
        InvalidInput, match=r"^notify may run after \w+ failed, and then the run would be a success"
    ):
        parse(dag)


@pytest.mark.parametrize("shape", ["stopped", "teardown", "watcher", "function and finish"])
def test_a_last_task_that_shows_a_failure_passes(shape):
    with DAG("d", schedule=None) as dag:
        claim = function(JOB) if shape == "function and finish" else a_claim()
        if shape == "function and finish":
            claim >> EmptyOperator(task_id="notify", trigger_rule="all_done")
        else:
            claim >> work()
        last = finish_job(claim)
        if shape == "stopped":
            last >> EmptyOperator(task_id="notify", trigger_rule="none_failed")
        elif shape == "teardown":
            last >> EmptyOperator(task_id="notify").as_teardown()
        elif shape == "watcher":
            last >> [EmptyOperator(task_id="notify", trigger_rule="all_done"), EmptyOperator(task_id="end")]
    assert refusal(dag) is None


@pytest.mark.parametrize("is_after_claim", [True, False])
def test_work_that_finish_does_not_wait_for_is_refused(is_after_claim):
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        finish_job(claim)
        late = work()
        if is_after_claim:
            claim >> late
    with pytest.raises(InvalidInput, match="does not wait for work, so it would report success"):
        parse(dag)


@pytest.mark.parametrize("is_after_work", [True, False])
def test_work_wired_after_finish_job_is_refused(is_after_work):
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        build = work("build")
        claim >> build
        finish_job(claim)
        late = work("deploy")
        (build if is_after_work else claim) >> late
    with pytest.raises(InvalidInput, match="does not wait for deploy, so it would report success"):
        parse(dag)


def test_tasks_after_the_group_of_the_work_are_no_work():
    """Airflow wires them to the work, since it takes no teardown for the end of a group."""
    with DAG("d", schedule=None) as dag:
        with TaskGroup("job") as group:
            claim = a_claim()
            claim >> work()
            finish_job(claim)
        group >> work("afterwards")
    assert refusal(dag) is None
    assert dag.get_task("afterwards").upstream_task_ids == {"job.work"}


def test_work_outside_the_group_of_finish_job_is_refused():
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        claim >> work("build")
        with TaskGroup("end"):
            finish_job(claim)
        claim >> work("deploy")
    with pytest.raises(InvalidInput, match="does not wait for deploy"):
        parse(dag)


def test_tasks_after_a_group_of_claim_and_finish_alone_pass():
    with DAG("d", schedule=None) as dag:
        with TaskGroup("job") as group:
            finish_job(a_claim())
        group >> work("afterwards")
    assert refusal(dag) is None


def test_the_work_of_a_further_claim_is_another_jobs():
    with DAG("d", schedule=None) as dag:
        first, second = a_claim("first"), a_claim("second")
        build, deploy = work("build"), work("deploy")
        first >> build
        finish_job(first, task_id="finish_first")
        build >> second >> deploy
        finish_job(second, task_id="finish_second")
    assert refusal(dag) is None


def test_a_function_has_reported_before_later_tasks():
    with DAG("d", schedule=None) as dag:
        done = function(JOB)
        finish_job(done)
        done >> work("tell_the_team")
    assert refusal(dag) is None


def test_a_function_ends_no_other_tasks_claim():
    """It would claim the job itself, and lose it."""
    with DAG("d", schedule=None) as dag:
        function(a_claim().output)
    with pytest.raises(InvalidInput, match="No task of the DAG d ends the job that claim claims"):
        parse(dag)


def test_an_operator_that_skips_without_a_flag_is_a_branch():
    class Choice(BaseOperator, SkipMixin):
        inherits_from_skipmixin = False

    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        choice = Choice(task_id="choice")
        claim >> choice >> work()
        choice >> finish_job(claim)
    assert work_before(dag, dag.get_task("finish_job"), "claim") == {"work"}
    with pytest.raises(InvalidInput, match="comes just after the branch choice"):
        parse(dag)


@pytest.mark.parametrize(("choose", "is_refused"), [(task.branch, True), (task.short_circuit, False)])
def test_a_branch_just_before_finish_job_is_refused(choose, is_refused):
    """It skips all if it chooses nothing, whatever the task's trigger rule."""
    with DAG("d", schedule=None) as dag:
        claim = a_claim()

        @choose(task_id="choose")
        def chosen(job):
            return None

        done = finish_job(chosen(claim.output) >> work() and claim)
        dag.get_task("choose") >> done
    if not is_refused:
        assert refusal(dag) is None
        return
    with pytest.raises(InvalidInput, match="comes just after the branch choose"):
        parse(dag)


@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("given", [{}, {"fail_on_reject": False}, {"fail_on_reject": True}])
def test_a_rejection_that_would_read_as_success_is_refused(given, is_mapped):
    hitl = pytest.importorskip("airflow.providers.standard.operators.hitl")
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        if is_mapped:
            approve = hitl.ApprovalOperator.partial(task_id="approve", **given).expand(subject=["Deploy?"])
        else:
            approve = hitl.ApprovalOperator(task_id="approve", subject="Deploy?", **given)
        claim >> approve >> work()
        finish_job(claim)
    if given.get("fail_on_reject"):
        assert refusal(dag) is None
        return
    with pytest.raises(InvalidInput, match="If somebody rejects approve"):
        parse(dag)


@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("rule", "is_of_all"),
    [
        ("one_failed", True),
        ("one_success", True),
        ("one_done", True),
        ("none_failed_min_one_success", True),
        ("none_failed", False),
        ("all_done", False),
        ("all_done_min_one_success", False),
    ],
)
def test_a_rule_that_airflow_judges_by_all_jobs_is_refused(rule, is_of_all, nested, is_mapped):
    """In a mapped group, it runs or does not run because of another customer's job."""
    with DAG("d", schedule=None) as dag:

        def handle(job):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
            if nested:
                with TaskGroup("inner"):
                    join = EmptyOperator(task_id="join", trigger_rule=rule)
            else:
                join = EmptyOperator(task_id="join", trigger_rule=rule)
            claim >> work() >> join
            finish_job(claim)

        if is_mapped:
            task_group(handle).expand(job=[JOB])
        else:
            handle(JOB)
    if is_mapped and is_of_all:
        with pytest.raises(InvalidInput, match=r"join and handle\.finish_job are in a mapped task group"):
            parse(dag)
    else:
        assert refusal(dag) is None


@pytest.mark.parametrize("how", ["direct", "partial", "details"])
def test_what_a_mapped_groups_work_needs_from_outside_passes(how):
    """It does not follow the claim, so it waits for no work."""

    @task
    def load():
        """Load what all of the work needs."""

    @task
    def build(job, config=None):
        """Do the work."""

    with DAG("d", schedule=None) as dag:
        config = load()

        @task_group
        def handle(job, given=None):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
            build(claim.output, {"direct": config, "partial": given, "details": None}[how])
            finish_job(claim, execution_details={"summary": config} if how == "details" else None)

        (handle.partial(given=config) if how == "partial" else handle).expand(job=[JOB])
    assert refusal(dag) is None


def test_tasks_that_are_no_work_are_allowed_on_request():
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        finish_job(claim, allow_untied_tasks=True)
        work("unrelated")
    assert refusal(dag) is None


def test_a_claim_alone_may_be_finished():
    with DAG("d", schedule=None) as dag:
        finish_job(a_claim())
    assert refusal(dag) is None


def test_only_tasks_of_the_same_mapped_group_count():
    with DAG("d", schedule=None) as dag:

        @task_group
        def handle(job):
            finish_job(CodePipelineClaimJobOperator(task_id="claim", job=job))

        handle.expand(job=[JOB])
        work("unrelated")
    assert refusal(dag) is None


def test_the_functions_own_task_is_its_work():
    with DAG("d", schedule=None) as dag:

        @task.codepipeline_job
        def deploy(job):
            pass

        finish_job(deploy(JOB))
        work("unrelated")
    assert refusal(dag) is None


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("is_mapped", [False, True])
def test_early_work_in_a_group_of_its_own_is_seen(outer, is_mapped):
    """Of one and the same group, Airflow hands out the object itself, or a proxy of it."""

    def body(job=JOB):
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        finish_job(claim)
        with TaskGroup("inner"):
            claim >> work()

    with DAG("d", schedule=None) as dag:
        if is_mapped:
            task_group(group_id="outer")(body).expand(job=[JOB])
        elif outer:
            with TaskGroup("outer"):
                body()
        else:
            body()
    with pytest.raises(InvalidInput, match=r"does not wait for (outer\.)?inner\.work"):
        parse(dag)


@pytest.mark.parametrize("inner", ["claim", "work", "finish", "all"])
def test_groups_in_a_mapped_group_may_hold_any_part_of_it(inner):
    def group_of(part):
        return TaskGroup(part) if inner == part else nullcontext()

    with DAG("d", schedule=None) as dag:

        @task_group
        def handle(job):
            with group_of("all"):
                with group_of("claim"):
                    claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
                with group_of("work"):
                    claim >> work()
                with group_of("finish"):
                    finish_job(claim)

        handle.expand(job=[JOB])
    assert refusal(dag) is None
    [finish] = [each for each in dag.tasks if each.task_id.endswith("finish_job")]
    assert len(finish.get_flat_relative_ids(upstream=True)) == 2
    assert {mapped_group_of(each) for each in dag.tasks} == {"handle"}


def test_work_outside_the_group_that_takes_its_claim_is_work():
    with DAG("d", schedule=None) as dag:
        with TaskGroup("codepipeline"):
            claim = a_claim()
            finish_job(claim)

        @task
        def deploy(job):
            """Work with the job."""

        deploy(claim.output)
    with pytest.raises(InvalidInput, match="does not wait for deploy"):
        parse(dag)


def test_a_result_of_another_claim_is_no_end():
    with DAG("d", schedule=None) as dag:
        first, second = a_claim("first"), a_claim("second")
        first >> work() >> second
        PutThirdPartyJobSuccessResultOperator(task_id="put", job=second.output)
    with pytest.raises(InvalidInput, match="ends the job that first claims"):
        parse(dag)


def test_the_job_of_a_result_may_be_known_later():
    """What else it is given says nothing of its job."""
    with DAG("d", schedule=None) as dag:
        first, second = a_claim("first", finished_elsewhere=True), a_claim("second")
        PutThirdPartyJobSuccessResultOperator(
            task_id="put",
            job="{{ ti.xcom_pull(task_ids='second') }}",
            execution_details={"summary": first.output},
        )
        second >> dag.get_task("put")
    assert refusal(dag) is None


def test_setup_and_teardown_alone_are_no_work():
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        made = work("make").as_setup()
        claim >> made >> work("remove").as_teardown(setups=[made])
        work("deploy")
        finish_job(claim)
    with pytest.raises(InvalidInput, match="does not wait for deploy"):
        parse(dag)
