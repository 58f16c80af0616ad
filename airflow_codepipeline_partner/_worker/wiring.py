# SPDX-License-Identifier: Apache-2.0
"""How claim, work and finish are wired in a DAG, checked when the DAG is parsed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from airflow_codepipeline_partner._base_operator import is_known_later
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._worker.callbacks import record_job_failure, record_skip
from airflow_codepipeline_partner._worker.dag import (
    ends_job_of,
    fails_run,
    is_marked,
    mapped_group_of,
    referenced_tasks,
    skips_others,
    tasks_of_job,
)
from airflow_codepipeline_partner.exceptions import InvalidInput

#: Trigger rules by which a task never runs after one that failed.
_STOPPED_BY_A_FAILURE = frozenset({"all_success", "none_failed", "none_failed_min_one_success"})
#: Trigger rules that Airflow judges, in a mapped task group, by the tasks of all instances, at least until
#: it has expanded the task.
_OF_ALL_INSTANCES = frozenset({"none_failed_min_one_success", "one_done", "one_failed", "one_success"})
#: Operators that can skip tasks, but no teardown.
_SPARES_TEARDOWNS = frozenset({"ShortCircuitOperator", "ApprovalOperator"})


def check_is_finished(claiming: Any, dag: Any) -> None:
    """
    Check that a task after a claiming task ends its job.

    :param claiming: The claiming task.
    :param dag: Its DAG, as a whole.
    :raises InvalidInput: No task does. Or the claim is mapped by itself: Airflow skips all that comes after
        it if one of its jobs is lost to another worker, and the others would have no end.
    """
    if claiming.is_mapped:
        raise InvalidInput(
            f"{claiming.task_id} is mapped by itself. If another worker won one of its jobs, Airflow would "
            "skip the work on all of them. Expand a task group of claim, work and finish_job. If your own "
            "code reports the results, give the claim finished_elsewhere=True."
        )
    after = (dag.get_task(task_id) for task_id in claiming.get_flat_relative_ids(upstream=False))
    if any(ends_job_of(task, claiming, dag) for task in after):
        return
    raise InvalidInput(
        f"No task of the DAG {dag.dag_id} ends the job that {claiming.task_id} claims, so CodePipeline would "
        f"wait until the job's timeout. Add finish_job({claiming.task_id}) after the work. If your own code "
        "reports the result, give the claim finished_elsewhere=True."
    )


def check_waits_for_work(finish: Any, claiming: Any, dag: Any) -> None:
    """
    Check that a finishing task waits for the work.

    It must wait for all tasks that follow the claim, except those that follow another claim, too, and only
    through that. If both are in one task group, only the tasks of the group count, and those that are given
    the claim's output. And if it waits for no work at all, no other task of the DAG may be tied to nothing.
    A claim that reports itself needs no check.

    :param finish: The finishing task.
    :param claiming: The claiming task.
    :param dag: Their DAG, as a whole.
    :raises InvalidInput: It does not, so it would report success before the work has run.
    """
    if is_marked(claiming, "puts_result"):
        return
    tied = finish.get_flat_relative_ids(upstream=True) | finish.get_flat_relative_ids(upstream=False)
    after_claim = claiming.get_flat_relative_ids(upstream=False)
    of_claim = _work_of(claiming, dag)
    shares_group = _is_in_group_of(finish, claiming)
    before = map(dag.get_task, tasks_of_job(dag, finish, claiming.task_id))
    waits_for_no_work = all(task.is_setup or task.is_teardown for task in before)
    group = mapped_group_of(finish)
    untied = sorted(
        task.task_id
        for task in dag.tasks
        if task.task_id not in {finish.task_id, *tied}
        and group in (None, mapped_group_of(task))
        and (
            waits_for_no_work
            if task.task_id not in after_claim
            else task.task_id in of_claim
            and not task.is_teardown
            and (
                not shares_group
                or _is_in_group_of(finish, task)
                or claiming.task_id in referenced_tasks(task)
            )
        )
    )
    foreign = sorted(
        task_id
        for task_id in tasks_of_job(dag, finish, claiming.task_id)
        # What does not follow the claim waits for no work.
        if group is not None and task_id in after_claim and mapped_group_of(dag.get_task(task_id)) != group
    )
    if foreign:
        raise InvalidInput(
            f"{', '.join(foreign[:10])} comes between the work on a job and {finish.task_id}, but is not in "
            "the mapped task group. It waits for the work on all jobs, so one customer's failure would be "
            "another's. Wire it behind the group instead."
        )
    if untied:
        raise InvalidInput(
            f"{finish.task_id} does not wait for {', '.join(untied[:10])}, so it would report success before "
            f"that has run. Wire the work after {claiming.task_id}, and then call finish_job. Tasks that are "
            f"no work of the job may follow {finish.task_id}, or give finish_job allow_untied_tasks=True."
        )


def _work_of(claiming: Any, dag: Any) -> set[str]:
    """Return the ids of the tasks that follow a claim by a way without another claim."""
    found: set[str] = set()
    left = list(claiming.downstream_task_ids)
    while left:
        task_id = left.pop()
        if task_id not in found and not is_marked(dag.get_task(task_id), "claims_job"):
            found.add(task_id)
            left.extend(dag.get_task(task_id).downstream_task_ids)
    return found


def _is_in_group_of(finish: Any, task: Any) -> bool:
    """Return whether a task is in the finishing task's group, or in a group inside it."""
    group = task.task_group
    # By their ids: of one and the same, Airflow hands out the object itself, or a proxy of it.
    while group is not None and group.group_id != finish.task_group.group_id:
        group = group.parent_group
    return group is not None


def check_shares_group(finish: Any, claiming: Any) -> None:
    """
    Check that each job has a finishing task of its own.

    :param finish: The finishing task.
    :param claiming: The claiming task.
    :raises InvalidInput: The claim is mapped by itself, or is in another mapped task group.
    """
    if claiming.is_mapped:
        raise InvalidInput(
            f"{claiming.task_id}, whose jobs {finish.task_id} is to end, is mapped by itself: expand a task "
            "group that holds claim, work and finish_job."
        )
    if mapped_group_of(finish) != mapped_group_of(claiming):
        raise InvalidInput(
            f"{finish.task_id} and {claiming.task_id} must be in the same mapped task group: call finish_job "
            "inside the group that holds the claim."
        )


def check_is_not_skipped(finish: Any, dag: Any) -> None:
    """
    Check that no task just before a finishing task may skip it, as a branch does that chooses nothing.

    :param finish: The finishing task.
    :param dag: Its DAG, as a whole.
    :raises InvalidInput: One may, and the job would have no end.
    """
    for task_id in sorted(finish.upstream_task_ids):
        before = dag.get_task(task_id)
        kind = before.operator_class if before.is_mapped else type(before)
        may_skip_it = _SPARES_TEARDOWNS.isdisjoint(each.__name__ for each in kind.__mro__)
        if skips_others(before) and may_skip_it:
            raise InvalidInput(
                f"{finish.task_id} comes just after the branch {task_id}, which may skip it: for instance, "
                "if it chooses nothing. Put an EmptyOperator in between, with the trigger rule none_failed."
            )


def check_judges_one_job(finish: Any, tasks: Iterable[Any]) -> None:
    """
    Check that, in a mapped task group, no task of a job depends on how the other jobs' tasks end.

    :param finish: The finishing task.
    :param tasks: The claim, and the tasks between it and the finishing task.
    :raises InvalidInput: One does. Another customer's failure would start it or keep it from running, and
        each job would wait for the slowest.
    """
    group = mapped_group_of(finish)
    if group is None:
        return
    names = sorted(
        task.task_id
        for task in tasks
        if _rule_of(task) in _OF_ALL_INSTANCES
        and any(mapped_group_of(task.dag.get_task(before)) == group for before in task.upstream_task_ids)
    )
    if names:
        raise InvalidInput(
            f"{', '.join(names[:10])} and {finish.task_id} are in a mapped task group, where Airflow judges "
            f"the trigger rules {', '.join(sorted(_OF_ALL_INSTANCES))} by the tasks of all jobs. So one "
            "customer's failure would be another's. Use none_failed, all_done or all_success, or one run for "
            "each job."
        )


def _rule_of(task: Any) -> str:
    """Return a task's trigger rule as a text."""
    return str(getattr(task.trigger_rule, "value", task.trigger_rule))


def check_rejections_fail(finish: Any, work: Iterable[Any]) -> None:
    """
    Check that the work fails if a person rejects it: else the customer would read success.

    :param finish: The finishing task.
    :param work: The tasks between the claim and it.
    :raises InvalidInput: An ``ApprovalOperator`` would only skip what follows, as if that were optional.
    """
    for task in work:
        kind = task.operator_class if task.is_mapped else type(task)
        given = task.partial_kwargs if task.is_mapped else vars(task)
        is_approval = any(each.__name__ == "ApprovalOperator" for each in kind.__mro__)
        if is_approval and not given.get("fail_on_reject"):
            raise InvalidInput(
                f"If somebody rejects {task.task_id}, it skips what follows, and {finish.task_id} would "
                "report success. Give it fail_on_reject=True. For a mere choice, use a branch."
            )


def check_is_looked_for(finish: Any, claiming: Any, work: Collection[Any]) -> None:
    """
    Check, when a DAG is parsed, that a finishing task's ``missing_outputs="fail"`` is not in vain.

    What may be mapped, skipped, or about another job is not checked.

    :param finish: The finishing task.
    :param claiming: The task that claims the job, or a function, which reports its success, too.
    :param work: The tasks between the two.
    :raises InvalidInput: A task reports the success first, and looks less strictly.
    """
    if finish.missing_outputs != "fail":
        return
    puts = [] if any(map(skips_others, work)) else [task for task in work if not task.is_mapped]
    # The jobs of these are the action's.
    sources = {claiming.task_id, *(task.task_id for task in work if is_marked(task, "claims_next_job"))}
    for task in (claiming, *puts):
        is_of_job = task is claiming or not sources.isdisjoint(referenced_tasks(task, {"job"}))
        is_last = getattr(task, "continuation_token", None) is None
        if getattr(task, "missing_outputs", "fail") != "fail" and is_last and is_of_job:
            raise InvalidInput(
                f'missing_outputs="fail" of {finish.task_id} has no effect, since {task.task_id} reports the '
                f"success before it. Give it to {task.task_id}, too."
            )


def check_fails_the_run(ending: Any, dag: Any) -> None:
    """
    Check that the run fails if a task that ends a job fails: then the job may have no result.

    Airflow judges a run by its last tasks alone. One that runs after a failure makes it a success, and its
    ``on_failure_callback`` is not called.

    :param ending: The task that ends a job.
    :param dag: Its DAG, as a whole.
    :raises InvalidInput: The run may succeed.
    """
    seen, left = {ending.task_id}, [ending]
    hiding: list[Any] = []
    while left:
        task = left.pop()
        after = [each for each in map(dag.get_task, task.downstream_task_ids) if _counts_for_the_run(each)]
        if not after and _counts_for_the_run(task):
            return
        for each in after:
            if each.task_id not in seen:
                seen.add(each.task_id)
                (left if _rule_of(each) in _STOPPED_BY_A_FAILURE else hiding).append(each)
    names = sorted(each.task_id for each in hiding)
    if not names:
        raise InvalidInput(
            f"{ending.task_id} is a teardown whose failure does not fail the run. Then the run would be a "
            "success, although the job may have no result: .as_teardown(on_failure_fail_dagrun=True)."
        )
    raise InvalidInput(
        f"{', '.join(names[:10])} may run after {ending.task_id} failed, and then the run would be a "
        "success, although the job may have no result. If it is to run in any case, make it a teardown "
        f"(.as_teardown()); or add a last task: {ending.task_id} >> EmptyOperator(task_id='end')."
    )


def _counts_for_the_run(task: Any) -> bool:
    """Return whether a failure of a task counts if nothing comes after it."""
    return not task.is_teardown or fails_run(task)


def check_offers_take_variables(claim: Any) -> None:
    """
    Check that a claim's job can be a custom job: its sensors do not all wait for partners' jobs.

    :raises InvalidInput: They do.
    """
    references = getattr(claim.job, "iter_references", None)
    sensors = [operator for operator, _ in references()] if references else []
    if not all(is_marked(sensor, "offers_jobs") and not sensor.is_mapped for sensor in sensors):
        return
    if any(is_known_later(sensor.action_type) for sensor in sensors):
        return
    kinds = [ActionType.from_value(sensor.action_type) for sensor in sensors]
    if kinds and not any(kind.dialect.takes_output_variables for kind in kinds):
        names = ", ".join(sorted({sensor.task_id for sensor in sensors}))
        raise InvalidInput(
            f"output_variables are for custom actions; {names} waits for a partner's jobs ({kinds[0]}), "
            "whose result has none."
        )


def observe(work: Any) -> None:
    """
    Have a task of the work record what its state does not say: that it skipped itself, or its JobFailure.

    :param work: The task, mapped or not.
    """
    observe_skip(work)
    work.on_failure_callback = with_callback(work.on_failure_callback, record_job_failure)


def observe_skip(task: Any) -> None:
    """
    Have a task record that it skipped itself.

    :param task: The task, mapped or not.
    """
    task.on_skipped_callback = with_callback(task.on_skipped_callback, record_skip)


def with_callback(given: Any, ours: Callable[[Any], object]) -> list[Any]:
    """Return a task's callbacks with the package's own first, as a list."""
    callbacks = list(given) if isinstance(given, list | tuple) else [given] if given else []
    # First: a slow callback of the user's may use up the time that Airflow gives them all.
    return callbacks if ours in callbacks else [ours, *callbacks]
