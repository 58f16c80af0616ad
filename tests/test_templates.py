# SPDX-License-Identifier: Apache-2.0
"""What templates render to: texts stay texts, in a DAG with native rendering and without it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from types import SimpleNamespace

import jinja2
import pytest
from airflow.sdk import DAG
from jinja2.sandbox import SandboxedEnvironment, SecurityError
from markupsafe import Markup
from support import ACTION_TYPE, REPO

from airflow_codepipeline_partner import operators, sensors
from airflow_codepipeline_partner._templates import text_environment
from airflow_codepipeline_partner.decorators.codepipeline_job import _CodePipelineJobDecoratedOperator
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier

JOB = {"job_id": "j", "client_id": "c"}
PIPELINE = {"pipeline_name": "p"}
STAGE = {**PIPELINE, "stage_name": "s"}
EXECUTION = "00000000-0000-4000-8000-000000000000"
KINDS = [
    (operators.CodePipelineClaimJobOperator, {"job": JOB}),
    (operators.CodePipelineContinueJobOperator, {"job": JOB}),
    (operators.CodePipelineFinishJobOperator, {"claim_task_id": "claim"}),
    (operators.CodePipelineDownloadArtifactsOperator, {"job": JOB, "destination": "/d"}),
    (operators.CodePipelineUploadArtifactsOperator, {"job": JOB, "artifacts": {"A": "/a"}}),
    (operators.PutJobFailureResultOperator, {"job_id": "j", "message": "m"}),
    (operators.PutJobSuccessResultOperator, {"job_id": "j"}),
    (operators.PutThirdPartyJobFailureResultOperator, {"job": JOB, "message": "m"}),
    (operators.PutThirdPartyJobSuccessResultOperator, {"job": JOB}),
    (operators.CodePipelineStartPipelineOperator, PIPELINE),
    (operators.CodePipelineStopPipelineOperator, {**PIPELINE, "execution_id": EXECUTION}),
    (operators.CodePipelineRetryStageOperator, {**STAGE, "execution_id": EXECUTION}),
    (operators.CodePipelineRollbackStageOperator, {**STAGE, "target_execution_id": EXECUTION}),
    (operators.CodePipelinePutApprovalResultOperator, {**STAGE, "action_name": "a"}),
    (operators.CodePipelineStageTransitionOperator, {**STAGE, "enabled": False, "reason": "r"}),
    (
        operators.CodePipelineOverrideStageConditionOperator,
        {**STAGE, "execution_id": EXECUTION, "condition_type": "ON_SUCCESS"},
    ),
    (operators.CodePipelinePutActionRevisionOperator, {**STAGE, "action_name": "a", "revision_id": "1"}),
    (sensors.CodePipelineExecutionSensor, {**PIPELINE, "execution_id": EXECUTION}),
    (sensors.CodePipelineJobSensor, {"action_type": ACTION_TYPE}),
    (sensors.CodePipelineJobProgressSensor, {"job": JOB, "progress": print}),
]
#: What Python would read as something else.
TEXTS = ["1.10", "1234e56", "1_000", "0x1f", "True", "None", "007", "'v1'", '{"page": 1}', "[1]", " 1", "1\n"]
#: What a template gives → what it renders to, if it is that one expression.
VALUES = [
    (None, None),
    ({"revision": "1.10"}, {"revision": "1.10"}),
    (["1.10"], ["1.10"]),
    (b"1.10", b"1.10"),
    (1.1, "1.1"),
    (True, "True"),
    (7, "7"),
    (Markup("<a>"), "<a>"),
    (Decimal("1.10"), "1.10"),
    (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31 00:00:00+00:00"),
    (PurePosixPath("/a"), "/a"),
]


def are_all_kinds_here():
    public = {getattr(module, name) for module in (operators, sensors) for name in module.__all__}
    return {kind for kind in public if hasattr(kind, "template_fields")} == {kind for kind, _ in KINDS}


def rendered(task, given, **known):
    """Give a task fields, or its continuation token, and return what they render to."""
    fields = given if isinstance(given, dict) and "k" not in given else {"continuation_token": given}
    for name, value in fields.items():
        setattr(task, name, value)
    known["ti"] = SimpleNamespace(try_number=1)
    task.render_template_fields(known, task.get_dag().get_template_env())
    found = {name: getattr(task, name) for name in fields}
    return found if fields is given else found["continuation_token"]


@pytest.fixture(params=[True, False], ids=["native", "plain"])
def dag(request):
    return DAG("d", schedule=None, render_template_as_native_obj=request.param)


def test_every_operator_and_sensor_is_tried():
    assert are_all_kinds_here()


@pytest.mark.parametrize(("kind", "given"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_text_stays_a_text_in_every_field(dag, kind, given):
    task = kind(task_id="t", dag=dag, **given)
    fields = [name for name in kind.template_fields if name != "op_kwargs"]
    for text in TEXTS:
        for template, expected in (
            ("{{ x }}", text),
            ("{{ x }}{{ y }}", text),
            ({"k": ["{{ x }}"]}, {"k": [text]}),
        ):
            assert rendered(task, dict.fromkeys(fields, template), x=text, y="") == dict.fromkeys(
                fields, expected
            )


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_without_expressions_stays_too(dag, text):
    task = operators.PutJobSuccessResultOperator(task_id="t", dag=dag, job_id="j")
    # Jinja itself takes one newline from the end.
    assert rendered(task, text) == text.removesuffix("\n")


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_other_values_of_an_expression(dag, value, expected):
    task = operators.PutJobSuccessResultOperator(task_id="t", dag=dag, job_id="j")
    found = rendered(task, "{{ x }}", x=value)
    assert (found, type(found)) == (expected, type(expected))
    if not isinstance(value, bytes | dict | list):
        assert rendered(task, "v{{ x }}", x=value) == f"v{value}"


def test_literals_of_a_template_are_texts(dag):
    task = operators.PutJobSuccessResultOperator(task_id="t", dag=dag, job_id="j")
    assert rendered(task, "{{ '1.10' }}") == "1.10"
    assert rendered(task, "{% if x %}{{ '0x1f' }}{% endif %}", x=1) == "0x1f"
    assert rendered(task, "{{ [1, 2] | join('.') }}") == "1.2"
    assert rendered(task, "{# nothing #}") == ""
    assert rendered(task, "{{ none }}") is None
    assert rendered(task, "{{ 'a' if false else none }}") is None
    assert rendered(task, "{{ ['1.10'] }}") == ["1.10"]
    assert rendered(task, "v{{ none }}") == "vNone"


def test_what_is_undefined_is_an_error(dag):
    task = operators.PutJobSuccessResultOperator(task_id="t", dag=dag, job_id="j")
    for template in ("{{ missing }}", "v{{ missing }}", "{{ known.missing }}"):
        with pytest.raises(jinja2.UndefinedError):
            rendered(task, template, known={})


def test_macros_and_filters_of_the_dag_are_known():
    dag = DAG("d", schedule=None, user_defined_macros={"v": "1.10"}, user_defined_filters={"same": str})
    task = operators.PutJobSuccessResultOperator(task_id="t", dag=dag, job_id="j")
    assert rendered(task, "{{ v | same }}") == "1.10"
    assert rendered(task, "{{ v }}", v="of the context") == "of the context"


def test_the_sandbox_stays_where_airflow_has_it():
    dag = DAG("d", schedule=None)
    task = operators.PutJobSuccessResultOperator(task_id="t", dag=dag, job_id="j")
    sandboxed = text_environment(SandboxedEnvironment(undefined=jinja2.StrictUndefined))
    task.continuation_token = "{{ x.__class__ }}"
    with pytest.raises(SecurityError):
        task.render_template_fields({"x": ""}, sandboxed)


def test_the_authors_functions_get_what_the_dag_says():
    for is_native, expected in ((True, 1.1), (False, "1.10")):
        dag = DAG("d", schedule=None, render_template_as_native_obj=is_native)
        task = sensors.CodePipelineJobProgressSensor(task_id="t", dag=dag, job=JOB, progress=print)
        assert rendered(task, {"op_kwargs": {"k": "{{ x }}"}}, x="1.10") == {"op_kwargs": {"k": expected}}


def test_what_expand_kwargs_takes_from_a_result_is_not_rendered(run_dag, monkeypatch):
    seen = []
    for kind, name in (
        (operators.CodePipelineClaimJobOperator, "job"),
        (_CodePipelineJobDecoratedOperator, "op_kwargs"),
    ):

        def execute(self, context, name=name):
            seen.append((self.region_name, getattr(self, name)))

        monkeypatch.setattr(kind, "execute", execute)
    job = {"job_id": "{{ 7 * 7 }}", "client_id": "1e5"}
    run = run_dag("claims_by_expand_kwargs", jobs=[job])
    assert run.state == "success"
    assert {region for region, _ in seen} == {"us-east-1"}
    [claimed, arguments] = sorted((given for _, given in seen), key=lambda given: "name" in given)
    assert {**job, **claimed} == claimed
    assert {**arguments["job"], **job} == arguments["job"]
    assert arguments["name"] == "rendered"


def test_the_notifier_renders_texts(dag):
    for text in TEXTS:
        notifier = CodePipelineJobFailureNotifier(message="{{ x }}", failure_type="{{ x }}")
        notifier.render_template_fields({"dag": dag, "x": text})
        assert (notifier.message, notifier.failure_type) == (text, text)


def test_no_document_asks_for_native_rendering():
    for path in [REPO / "README.md", *(REPO / "docs").rglob("*.md"), *(REPO / "example_dags").glob("*.py")]:
        assert "render_template_as_native_obj=True" not in path.read_text(encoding="utf-8"), path.name


class _WithACommand(sensors.CodePipelineJobSensor):
    """A user's subclass, with a field of its own."""

    template_fields = (*sensors.CodePipelineJobSensor.template_fields, "command")

    def __init__(self, *, command, **kwargs):
        super().__init__(**kwargs)
        self.command = command


def test_the_own_fields_of_a_subclass_are_as_the_dag_says(dag):
    task = _WithACommand(task_id="t", dag=dag, action_type=ACTION_TYPE, command="")
    native = dag.render_template_as_native_obj
    assert rendered(task, {"command": "{{ x }}", "region_name": "{{ x }}"}, x="1.10") == {
        "command": 1.1 if native else "1.10",
        "region_name": "1.10",
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "The Airflow DAG d could not complete this action."),
        ("", "The Airflow DAG d could not complete this action."),
        (["a", 1.5], "['a', 1.5]"),
        ({"code": 7}, "{'code': 7}"),
        (7, "7"),
    ],
)
def test_a_failure_is_put_whatever_its_message_is(dag, value, message):
    task = operators.PutJobFailureResultOperator(task_id="t", dag=dag, job_id="j", message="{{ x }}")
    rendered(task, {"message": "{{ x }}"}, x=value)
    call = task.compose(task.named_job(), "d", "r")
    assert call.arguments["failureDetails"]["message"] == message
