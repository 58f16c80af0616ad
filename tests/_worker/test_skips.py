# SPDX-License-Identifier: Apache-2.0
"""Which skips the DAG explains, and which cut the work off."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, task, task_group
from support import ACTION_TYPE

from airflow_codepipeline_partner._worker import skips
from airflow_codepipeline_partner._worker.dag import states_before, tasks_of_job
from airflow_codepipeline_partner._worker.skips import tasks_cut_off
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

JOB = {"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}


@pytest.fixture
def records(monkeypatch):
    """What tasks have recorded: task id and key → value."""
    held = {}

    class Store:
        def __init__(self, ref):
            self.ref = ref

        def read(self, key):
            index = (self.ref.map_index,) if self.ref.map_index >= 0 else ()
            return held.get((self.ref.task_id, *index, key))

        def read_first(self, key):
            found = (value for name, value in held.items() if (name[0], name[-1]) == (self.ref.task_id, key))
            return next(found, None)

    monkeypatch.setattr(skips, "RecordStore", Store)
    return held


def cut_off(states, rule="all_success", *, late=False):
    """Judge ``claim >> first >> [side, last]``, ``side >> last``, where ``last`` has a trigger rule."""
    with DAG("d", schedule=None) as dag:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
        first, side = EmptyOperator(task_id="first"), EmptyOperator(task_id="side")
        last = EmptyOperator(task_id="last", trigger_rule=rule)
        if late:
            finish = finish_job(claim, allow_untied_tasks=True)
            claim >> first >> side >> last >> finish
        else:
            claim >> first >> side >> last
            finish = finish_job(claim)
        first >> last
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="finish_job", map_index=-1)
    known = {"claim": ["success"], **{task_id: [state] for task_id, state in states.items()}}
    return tasks_cut_off({"dag": dag, "task": finish, "ti": ti}, known, {"first", "side", "last"}, 0)


def test_a_skip_without_a_reason_cuts_the_work_off(records):
    assert cut_off({"first": "success", "side": "success", "last": "skipped"}) == ["last"]
    assert cut_off({"first": "skipped", "side": "skipped", "last": "skipped"}) == ["first"]


def test_a_task_that_skipped_itself_has_said_so(records):
    records["side", "codepipeline_skip"] = True
    assert cut_off({"first": "success", "side": "skipped", "last": "skipped"}) == []


@pytest.mark.parametrize(
    ("rule", "first", "is_explained"),
    [
        ("all_success", "success", True),
        ("none_skipped", "success", True),
        # They would have let it run.
        ("none_failed", "success", False),
        ("all_done", "success", False),
        ("none_failed_min_one_success", "success", False),
        ("one_success", "success", False),
        ("none_failed_min_one_success", "skipped", True),
        ("one_success", "skipped", True),
    ],
)
def test_a_skip_before_it_explains_a_skip_by_the_rule_alone(records, rule, first, is_explained):
    """An optional step was skipped; then somebody ended the run while the last one waited."""
    records["side", "codepipeline_skip"] = records["first", "codepipeline_skip"] = True
    states = {"first": first, "side": "skipped", "last": "skipped"}
    assert cut_off(states, rule) == ([] if is_explained else ["last"])


@pytest.mark.parametrize("rule", ["one_failed", "all_failed", "all_skipped"])
def test_a_rule_for_other_days_explains_its_skip(records, rule):
    assert cut_off({"first": "success", "side": "success", "last": "skipped"}, rule) == []


def test_a_task_that_could_leave_no_record_is_not_judged_by_it(records):
    """It was wired after finish_job was called, in a DAG that was not parsed by Airflow."""
    assert cut_off({"first": "success", "side": "success", "last": "skipped"}, late=True) == []


def context_in(dag, states):
    """Return context and states for a finishing task; ``states`` has those of each instance, by name."""
    dag.resolve_template_files()
    finish = dag.get_task("finish_job")

    def get_task_states(dag_id, task_ids, run_ids, map_index):
        found = {name: state for name, state in states.items() if name in task_ids}
        for name, state in states.items():
            task_id, _, index = name.rpartition("_")
            if task_id in task_ids and index.isdigit():
                found[name] = state
        return {"r": found}

    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="finish_job", map_index=-1, get_task_states=get_task_states
    )
    context = {"dag": dag, "task": finish, "ti": ti}
    return context, states_before(context, finish)


def cut_off_in(dag, states):
    """Judge all tasks of a job's DAG."""
    context, known = context_in(dag, states)
    return tasks_cut_off(context, known, tasks_of_job(dag, context["task"], "claim"), 0)


def empty(task_id, **more):
    return EmptyOperator(task_id=task_id, **more)


def a_claim():
    return CodePipelineClaimJobOperator(task_id="claim", job=JOB)


@pytest.mark.parametrize("kind", ["gate", "setup", "aside"])
def test_a_task_that_is_no_work_may_be_cut_off(records, kind):
    """The skip of the work after it is explained by it alone."""
    with DAG("d", schedule=None) as dag:
        claim, build, deploy = a_claim(), empty("build"), empty("deploy")
        claim >> build >> deploy
        if kind == "gate":
            build >> ShortCircuitOperator(task_id="between", python_callable=bool) >> deploy
        elif kind == "setup":
            build >> empty("between").as_setup() >> deploy
        else:
            empty("between") >> deploy
        finish_job(claim)
    states = {"claim": "success", "build": "success", "between": "skipped", "deploy": "skipped"}
    assert cut_off_in(dag, states) == ["between"]
    records["between", "codepipeline_skip"] = True
    assert cut_off_in(dag, states) == []


@pytest.mark.parametrize("rule", ["all_done", "none_failed"])
def test_the_skip_of_an_indirect_setup_explains_any_skip(records, rule):
    with DAG("d", schedule=None) as dag:
        claim = a_claim()
        made = empty("make").as_setup()
        collect = empty("collect", trigger_rule=rule)
        claim >> made >> empty("test") >> collect >> empty("remove").as_teardown(setups=[made])
        finish_job(claim)
    states = {"claim": "success", **dict.fromkeys(("make", "test", "collect", "remove"), "skipped")}
    records["make", "codepipeline_skip"] = True
    assert cut_off_in(dag, states) == []
    assert cut_off_in(dag, states | {"make": "success"}) == ["collect", "test"]


@pytest.mark.parametrize(("made", "is_explained"), [("skipped", True), ("success", False)])
def test_a_teardown_is_skipped_with_its_setup(records, made, is_explained):
    with DAG("d", schedule=None) as dag:
        claim, setup = a_claim(), empty("make").as_setup()
        remove = empty("remove").as_teardown(setups=[setup], on_failure_fail_dagrun=True)
        claim >> empty("deploy") >> setup >> empty("test") >> remove
        finish_job(claim)
    records["make", "codepipeline_skip"] = True
    states = {"claim": "success", "deploy": "success", "make": made, "test": made, "remove": "skipped"}
    assert cut_off_in(dag, states) == ([] if is_explained else ["remove"])


def over_a_list(kind):
    """Work that is expanded over what a task before it returns."""
    with DAG("d", schedule=None) as dag:
        claim = a_claim()

        @task
        def listed(job):
            """Return a list."""

        @task(trigger_rule="none_failed")
        def deploy(file):
            """Deploy a file."""

        if kind == "mapped":
            deploy.expand(file=listed.partial().expand(job=[1, 2]))
            claim >> dag.get_task("listed")
        else:
            found = listed(claim.output)
        if kind == "task":
            deploy.expand(file=found)
        elif kind == "group":

            @task_group(prefix_group_id=False)
            def each(file):
                deploy(file)

            each.expand(file=found)
        elif kind == "kwargs":
            deploy.expand_kwargs(found)
        elif kind == "zip":
            deploy.expand(file=found.map(str).zip(found))
        finish_job(claim)
    return dag


@pytest.mark.parametrize("kind", ["task", "group", "kwargs", "zip"])
@pytest.mark.parametrize(
    ("listed", "value", "is_explained"),
    [
        ("success", [], True),
        ("success", ["a"], False),
        # A user has marked it as a success before it returned anything.
        ("success", None, False),
        ("skipped", None, True),
    ],
)
def test_work_that_was_not_expanded_had_nothing_to_do(records, kind, listed, value, is_explained):
    """Or somebody ended the run before Airflow expanded it."""
    if value is not None:
        records["listed", "return_value"] = value
    records["listed", "codepipeline_skip"] = True
    states = {"claim": "success", "listed": listed, "deploy": "skipped"}
    assert cut_off_in(over_a_list(kind), states) == ([] if is_explained else ["deploy"])


@pytest.mark.parametrize(
    ("combined", "first", "second", "is_explained"),
    [
        ("concat", [], ["b"], False),
        ("concat", [], [], True),
        ("zip", [], ["b"], True),
        ("zip", ["a"], ["b"], False),
        ("zip, filled", [], ["b"], False),
        ("zip, filled", [], [], True),
        ("two arguments", ["a"], [], True),
        ("two arguments", ["a"], ["b"], False),
        # Airflow makes one instance for each element of a list, whatever that will be.
        ("a list of kwargs", [], [], False),
    ],
)
def test_lists_are_combined_as_airflow_does(records, combined, first, second, is_explained):
    with DAG("d", schedule=None) as dag:
        claim = a_claim()

        @task
        def listed(job):
            """Return a list."""

        @task(trigger_rule="none_failed")
        def deploy(file, other=None):
            """Deploy a file."""

        one, two = (listed.override(task_id=name)(claim.output) for name in ("one", "two"))
        if combined == "concat":
            deploy.expand(file=one.concat(two))
        elif combined == "zip":
            deploy.expand(file=one.zip(two))
        elif combined == "zip, filled":
            deploy.expand(file=one.zip(two, fillvalue=None))
        elif combined == "two arguments":
            deploy.expand(file=one, other=two)
        else:
            deploy.expand_kwargs([{"file": "a"}, one, two])
        finish_job(claim)
    records["one", "return_value"], records["two", "return_value"] = first, second
    states = {"claim": "success", "one": "success", "two": "success", "deploy": "skipped"}
    assert cut_off_in(dag, states) == ([] if is_explained else ["deploy"])


def test_instances_that_return_nothing_are_nothing_to_expand(records):
    states = {"claim": "success", "listed_0": "success", "listed_1": "success", "deploy": "skipped"}
    assert cut_off_in(over_a_list("mapped"), states) == []
    records["listed", 1, "return_value"] = "a"
    assert cut_off_in(over_a_list("mapped"), states) == ["deploy"]


@pytest.mark.parametrize(("error", "is_raised"), [("ImportError", False), ("AirflowRuntimeError", True)])
def test_what_cannot_be_read_was_something_to_expand(records, monkeypatch, error, is_raised):
    """Unless it is the server that cannot be asked."""

    def read_first(self, key):
        raise type(error, (Exception,), {})("read")

    monkeypatch.setattr(skips.RecordStore, "read_first", read_first)
    monkeypatch.setattr(skips._Run, "_skips", lambda *given: False)
    dag = over_a_list("task")
    run = skips._Run(*context_in(dag, {"claim": "success", "listed": "success", "deploy": "skipped"}))
    with pytest.raises(Exception, match="read") if is_raised else nullcontext():
        assert run._gave_nothing(dag.get_task("listed")) is False


def files(rule="all_success", gate=False):
    """A group mapped over the files of one job: ``convert >> upload``."""
    with DAG("d", schedule=None) as dag:
        claim = a_claim()

        @task_group
        def each(file):
            if gate:
                convert = ShortCircuitOperator(task_id="convert", python_callable=bool)
            else:
                convert = empty("convert")
            convert >> empty("upload", trigger_rule=rule)

        claim >> each.expand(file=["a", "b"]) >> empty("publish", trigger_rule="none_failed")
        finish_job(claim)
    return dag


def states_of_files(converted, uploaded, publish="success"):
    return {
        "claim": "success",
        **{f"each.convert_{index}": state for index, state in enumerate(converted)},
        **{f"each.upload_{index}": state for index, state in enumerate(uploaded)},
        "publish": publish,
    }


@pytest.mark.parametrize(
    ("converted", "uploaded", "is_explained"),
    [
        (("skipped", "success"), ("skipped", "success"), True),
        # The skip of one file explains nothing of the other.
        (("skipped", "success"), ("skipped", "skipped"), False),
        (("success", "success"), ("success", "skipped"), False),
    ],
)
@pytest.mark.parametrize("rule", ["all_success", "none_failed_min_one_success", "one_success"])
def test_each_instance_in_a_mapped_group_is_judged_alone(records, rule, converted, uploaded, is_explained):
    records["each.convert", 0, "codepipeline_skip"] = True
    found = cut_off_in(files(rule), states_of_files(converted, uploaded))
    assert found == ([] if is_explained else ["each.upload"])


def test_an_instance_follows_a_task_that_was_not_expanded(records):
    """A short circuit outside the group has skipped that one before it was expanded."""
    dag = files()
    gate = ShortCircuitOperator(task_id="gate", python_callable=bool, dag=dag)
    dag.get_task("claim") >> gate >> dag.get_task("each.convert")
    records["gate", "skipmixin_key"] = {"skipped": ["each.convert"]}
    states = states_of_files((), ("skipped", "skipped")) | {"gate": "success", "each.convert": "skipped"}
    assert cut_off_in(dag, states) == []
    records.clear()
    assert cut_off_in(dag, states) == ["each.convert"]


def test_a_decision_in_a_mapped_group_explains_what_it_names(records):
    dag = files("none_failed", gate=True)
    records["each.convert", 0, "skipmixin_key"] = {"skipped": ["each.upload"]}
    states = states_of_files(("success", "success"), ("skipped", "success"))
    assert cut_off_in(dag, states) == []
    assert cut_off_in(dag, states | {"each.upload_1": "skipped"}) == ["each.upload"]
    assert cut_off_in(dag, states | {"publish": "skipped"}) == ["publish"]
    records["each.convert", 1, "skipmixin_key"] = {"skipped": ["each.upload", "publish"]}
    assert cut_off_in(dag, states | {"publish": "skipped"}) == []


@pytest.mark.parametrize(
    ("rule", "before", "skips_it"),
    [
        ("all_success", ["success", "skipped"], True),
        # A teardown, say, has failed later.
        ("all_success", ["failed", "skipped"], True),
        ("one_success", ["skipped", "success"], False),
        ("one_success", ["skipped", "failed"], False),
        ("one_success", ["skipped", "skipped"], True),
        ("none_failed_min_one_success", ["skipped", "removed"], True),
        ("one_failed", ["success", "upstream_failed"], False),
        ("one_failed", ["success"], True),
        ("one_done", ["skipped", "upstream_failed"], True),
        ("one_done", ["skipped", "success"], False),
        ("all_failed", ["failed", "skipped"], True),
        ("all_failed", ["failed"], False),
        ("all_skipped", ["skipped", "success"], True),
        ("all_skipped", ["skipped"], False),
        ("none_skipped", ["skipped", "failed"], True),
        ("all_done_min_one_success", ["skipped", "success"], True),
        ("none_failed", ["skipped"], False),
        ("all_done", ["skipped"], False),
        ("always", ["skipped"], False),
    ],
)
def test_each_trigger_rule_skips_as_airflow_says(rule, before, skips_it):
    assert skips.skips_by_rule(rule, before) is skips_it
