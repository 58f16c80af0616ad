# SPDX-License-Identifier: Apache-2.0
"""What does not fit a custom job is refused before any call, and in the DAG already if it is known there."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task, task_group
from support import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner.assets import codepipeline_jobs
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
    LimitExceeded,
)
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
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

SECRET = "planted-secret-of-a-configuration"


@pytest.fixture
def own(emulator, aws_connection):
    """The pipeline ``own``, with a custom action."""
    emulator.add_pipeline(
        "own",
        action_type=CUSTOM_TYPE,
        configuration={"ApiKey": SECRET},
        secret_configuration_keys=("ApiKey",),
    )


@pytest.fixture
def hook(make_hook, own):
    return make_hook()


def calls(emulator):
    return [entry.operation for entry in emulator.ledger if entry.kind == "call"]


# What does not fit is refused before any call, and in the DAG already where it can be known there.

OF_AWS = {"job_id": "j", "action_type": {**CUSTOM_TYPE, "owner": "AWS"}}


def finish_claims_of(*action_types, in_group=False):
    """Finish what some sensors wait for, with output variables."""
    waits = [
        CodePipelineJobSensor(task_id=f"wait_{index}" if index else "wait", action_type=each)
        for index, each in enumerate(action_types)
    ]
    if in_group:

        @task_group
        def handle(job):
            claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
            finish_job(claim, output_variables={"Digest": "d"})

        handle.expand(job=waits[0].output)
        return
    offered = waits[0].output if len(waits) == 1 else waits[0].output.concat(waits[1].output)
    claim = CodePipelineClaimJobOperator(task_id="claim", job=offered)
    finish_job(claim, output_variables={"Digest": "d"})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda: CodePipelineJobSensor(task_id="t", action_type=ACTION_TYPE, query_param={"a": "b"}),
            "query_param is for custom action types",
        ),
        (
            lambda: CodePipelineJobSensor(task_id="t", action_type=CUSTOM_TYPE, query_param={"a": "v" * 51}),
            "The value of 'a' in query_param has 51 characters",
        ),
        (
            lambda: CodePipelineJobSensor(
                task_id="t", action_type=CUSTOM_TYPE, query_param={"a": "b", "c": "d"}
            ),
            "query_param has 2 entries",
        ),
        (
            lambda: CodePipelineJobSensor(task_id="t", action_type={**CUSTOM_TYPE, "owner": "AWS"}),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: CodePipelineJobTrigger(action_type=ACTION_TYPE, query_param={"a": "b"}),
            "query_param is for custom action types",
        ),
        (
            lambda: codepipeline_jobs("name", ACTION_TYPE, query_param={"a": "b"}),
            "query_param is for custom action types",
        ),
        (
            lambda: codepipeline_jobs("name", {**CUSTOM_TYPE, "owner": "AWS"}),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: PutJobSuccessResultOperator(
                task_id="t", job_id="j", output_variables={"a": "v" * 122_880}
            ),
            "122881 bytes",
        ),
        (
            lambda: PutJobSuccessResultOperator(
                task_id="t", job_id="j", output_variables={"a": "b"}, continuation_token="c"
            ),
            "exclude each other",
        ),
        (
            lambda: PutJobSuccessResultOperator(task_id="t", job={"job_id": "j", "client_id": "c"}),
            "Use PutThirdPartyJobSuccessResultOperator",
        ),
        (lambda: PutJobSuccessResultOperator(task_id="t"), "takes either job or job_id; neither was given"),
        (
            lambda: PutJobFailureResultOperator(task_id="t", job={"job_id": "j"}, job_id="j", message="m"),
            "takes either job or job_id; both was given",
        ),
        (
            lambda: PutJobSuccessResultOperator(
                task_id="t", job={"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}
            ),
            "Use PutThirdPartyJobSuccessResultOperator",
        ),
        (
            lambda: PutThirdPartyJobSuccessResultOperator(
                task_id="t", job={"job_id": "j", "action_type": CUSTOM_TYPE}
            ),
            "Use PutJobSuccessResultOperator",
        ),
        (
            lambda: finish_job(
                CodePipelineClaimJobOperator(task_id="claim", job="{{ x }}"), output_variables={"a b": "c"}
            ),
            "The name of output_variables number 1 (3 characters) must match",
        ),
        (
            lambda: finish_job(
                CodePipelineClaimJobOperator(task_id="claim", job={"job_id": "j", "client_id": "c"}),
                output_variables={"Digest": "{{ x }}"},
            ),
            "output_variables are for custom actions; the result of the job j (client c)",
        ),
        (
            lambda: finish_claims_of(ACTION_TYPE),
            "output_variables are for custom actions; wait waits for a partner's jobs",
        ),
        (
            lambda: finish_claims_of(ACTION_TYPE, in_group=True),
            "output_variables are for custom actions; wait waits for a partner's jobs",
        ),
        (
            lambda: CodePipelineClaimJobOperator(
                task_id="claim", job={"job_id": "j", "action_type": CUSTOM_TYPE}
            ),
            "CodePipelineClaimJobOperator claim: The custom job j needs nonce",
        ),
        (
            lambda: CodePipelineClaimJobOperator(task_id="claim", job=OF_AWS),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: PutJobSuccessResultOperator(task_id="put", job=OF_AWS),
            "Jobs of owner AWS are not served",
        ),
        (
            lambda: PutThirdPartyJobFailureResultOperator(task_id="put", job=OF_AWS, message="m"),
            "Jobs of owner AWS are not served",
        ),
    ],
)
def test_a_wrong_literal_is_refused_when_the_dag_is_parsed(make, why):
    with DAG("refused", schedule=None), pytest.raises(InvalidInput) as refusal:
        make()
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    "kinds", [[CUSTOM_TYPE], [ACTION_TYPE, CUSTOM_TYPE], ["{{ x }}"], [ACTION_TYPE, "{{ x }}"]]
)
def test_variables_are_taken_where_a_custom_job_may_be_claimed(kinds):
    with DAG("taken", schedule=None) as dag:
        finish_claims_of(*kinds)
    assert dag.get_task("finish_job").output_variables == {"Digest": "d"}


def test_variables_are_taken_if_the_job_is_not_the_sensors():
    with DAG("taken", schedule=None):
        wait = CodePipelineJobSensor(task_id="wait", action_type=ACTION_TYPE)

        @task
        def other(offered):
            return {"job_id": "j", "action_type": CUSTOM_TYPE, "nonce": "3"}

        claim = CodePipelineClaimJobOperator(task_id="claim", job=other(wait.output))
        finish_job(claim, output_variables={"Digest": "d"})
        later = CodePipelineClaimJobOperator(task_id="later", job="{{ dag_run.conf['job'] }}")
        claim >> later
        finishes = finish_job(later, task_id="finish_later", output_variables={"Digest": "d"})
    assert finishes.output_variables == {"Digest": "d"}
    assert wait.task_id in finishes.get_flat_relative_ids(upstream=True)


def test_a_finishing_task_of_ones_own_needs_no_job():
    with DAG("own", schedule=None):
        own = CodePipelineFinishJobOperator(task_id="fin", claim_task_id="claim", output_variables={"A": "1"})
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ x }}")
        finish = finish_job(claim, job=None, output_variables={"A": "1"})
    assert [(task.job, task.output_variables) for task in (own, finish)] == [(None, {"A": "1"})] * 2


def test_what_is_refused_names_the_task_once():
    with DAG("refused", schedule=None), pytest.raises(InvalidInput) as refusal:
        CodePipelineJobSensor(task_id="wait_here", action_type={**CUSTOM_TYPE, "owner": "AWS"})
    assert str(refusal.value).startswith("CodePipelineJobSensor wait_here: Jobs of owner AWS are not served")
    with DAG("refused", schedule=None), pytest.raises(InvalidInput) as refusal:
        PutJobSuccessResultOperator(task_id="put_here")
    assert str(refusal.value).count("put_here") == 1


def test_variables_that_are_known_later_are_not_checked_yet():
    with DAG("templated", schedule=None):
        PutJobSuccessResultOperator(task_id="a", job_id="j", output_variables="{{ x }}")
        PutJobSuccessResultOperator(task_id="b", job_id="j", output_variables={"Digest": "{{ x }}"})
        with pytest.raises(LimitExceeded):
            PutJobSuccessResultOperator(
                task_id="c", job_id="j", output_variables={"a b": "c", "Digest": "{{ x }}"}
            )


@pytest.mark.parametrize("name", ["value", "check", "query_param"])
def test_a_variable_may_have_any_name(name):
    with DAG("named", schedule=None):
        put = PutJobSuccessResultOperator(task_id="put", job_id="j", output_variables={name: "{{ x }}"})
    assert put.output_variables == {name: "{{ x }}"}


def test_a_query_may_be_known_later_in_part():
    with DAG("queried", schedule=None):
        sensor = CodePipelineJobSensor(
            task_id="t", action_type=CUSTOM_TYPE, query_param={"Dag": "{{ params.d }}"}
        )
    assert sensor.query_param == {"Dag": "{{ params.d }}"}


@pytest.mark.parametrize(
    ("poll", "why"),
    [
        (lambda hook: hook.poll(ACTION_TYPE, query_param={"a": "b"}), "query_param is for custom"),
        (lambda hook: hook.poll(CUSTOM_TYPE, query_param={"a": "b", "c": "d"}), "has 2 entries"),
        (lambda hook: hook.poll(CUSTOM_TYPE, query_param={"a": "v" * 51}), "has 51 characters"),
        (lambda hook: hook.poll({**CUSTOM_TYPE, "owner": "AWS"}), "Jobs of owner AWS are not served"),
        (
            lambda hook: hook.succeed({"job_id": "j", "client_id": "c"}, output_variables={"a": "b"}),
            "output_variables are for custom actions",
        ),
        (
            lambda hook: hook.details({"job_id": "j", "action_type": {**CUSTOM_TYPE, "owner": "AWS"}}),
            "Jobs of owner AWS are not served",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_call(emulator, hook, poll, why):
    with pytest.raises(InvalidInput, match=why):
        poll(hook)
    assert calls(emulator) == []
