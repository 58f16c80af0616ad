# SPDX-License-Identifier: Apache-2.0
"""A success without all the output artifacts is noticed before it is reported."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from artifact_jobs import zipped
from support import ACTION_TYPE, action_state, results_of

from airflow_codepipeline_partner._worker import output_artifacts
from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput
from airflow_codepipeline_partner.jobs import Artifact, ClaimedJob, OfferedJob
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineFinishJobOperator,
    CodePipelineUploadArtifactsOperator,
    PutJobSuccessResultOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)

WARNING = "no task uploaded these output artifacts with this package: {}."


@pytest.fixture
def offer_builds(emulator, customer, make_hook):
    """Offer jobs with two output artifacts, or those that are named."""

    def offer(*outputs, count=1):
        for number in range(count):
            name = f"build{number}"
            emulator.add_pipeline(
                name,
                client_id=customer.client_id,
                action_type=ACTION_TYPE,
                input_artifacts=["Source"],
                output_artifacts=list(outputs),
            )
            emulator.start_execution(name, {"Source": zipped({"a": "b"})})
        return [job.to_xcom() for job in make_hook().poll(ACTION_TYPE)]

    return offer


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(output_artifacts.log, "warning", lambda text, *values: said.append(text % values))
    return said


@pytest.mark.parametrize(
    "dag_id", ["outputs_warn", "outputs_of_a_function_warn", "outputs_before_a_put_warn"]
)
@pytest.mark.parametrize(("made", "missing"), [(["Built"], "Tested"), ([], "Built, Tested")])
def test_the_log_names_what_is_missing(emulator, offer_builds, run_dag, warnings, dag_id, made, missing):
    [job] = offer_builds("Built", "Tested")
    assert run_dag(dag_id, job=job, names=made).state == "success"
    assert results_of(emulator, job) == ["success"]
    [warning] = warnings
    assert WARNING.format(missing) in warning


@pytest.mark.parametrize(
    "dag_id", ["outputs_fail", "outputs_of_a_function_fail", "outputs_before_a_put_fail"]
)
def test_nothing_is_said_if_all_were_made(emulator, offer_builds, run_dag, warnings, dag_id):
    [job] = offer_builds("Built", "Tested")
    assert run_dag(dag_id, job=job, names=["Built", "Tested"]).state == "success"
    assert results_of(emulator, job) == ["success"]
    assert warnings == []


@pytest.mark.parametrize("dag_id", ["outputs_fail", "outputs_of_a_function_fail"])
def test_the_customer_reads_what_is_missing(emulator, offer_builds, run_dag, dag_id):
    [job] = offer_builds("Built", "Tested")
    assert run_dag(dag_id, job=job, names=["Tested"]).state == "failed"
    assert results_of(emulator, job) == ["failure"]
    message = action_state(emulator, "build0")["errorDetails"]["message"]
    assert "it has not uploaded the output artifacts: Built." in message
    assert "own words" not in message


def test_a_put_of_success_fails_before_it_is_sent(emulator, offer_builds, run_dag):
    [job] = offer_builds("Built")
    run = run_dag("outputs_before_a_put_fail", job=job, names=[])
    assert (run.state, run.states["put"]) == ("failed", "failed")
    assert results_of(emulator, job) == ["failure"]


@pytest.mark.parametrize("dag_id", ["outputs_ignore", "outputs_of_a_function_ignore", "outputs_warn"])
def test_nothing_is_looked_for_if_nothing_is_expected(offer_builds, run_dag, warnings, monkeypatch, dag_id):
    monkeypatch.setattr(output_artifacts, "uploaded_in_run", None)
    [job] = offer_builds() if dag_id == "outputs_warn" else offer_builds("Built")
    assert run_dag(dag_id, job=job, names=[]).state == "success"
    assert warnings == []


def test_what_the_operator_uploads_counts(offer_builds, run_dag, tmp_path):
    (tmp_path / "f").write_text("made")
    [job] = offer_builds("Built", "Tested")
    sources = dict.fromkeys(("Built", "Tested"), str(tmp_path / "f"))
    assert run_dag("outputs_of_an_operator", job=job, sources=sources).state == "success"


def test_what_was_uploaded_before_a_deferral_counts(emulator, offer_builds, run_dag):
    [job] = offer_builds("Built", "Tested")
    assert run_dag("outputs_around_a_deferral", job=job).state == "success"
    assert results_of(emulator, job) == ["success"]


def test_in_a_mapped_group_each_job_has_its_own(emulator, offer_builds, run_dag):
    first, second = offer_builds("Built", count=2)
    run_dag("outputs_of_a_group", jobs=[first, second])
    assert results_of(emulator, first) == ["success"]
    assert results_of(emulator, second) == ["failure"]


def test_an_upload_that_cannot_be_recorded_is_made_all_the_same(
    emulator, offer_builds, run_dag, warnings, monkeypatch
):
    class Broken:
        @staticmethod
        def of(ti):
            raise OSError("no database")

    monkeypatch.setattr(output_artifacts, "RecordStore", Broken)
    [job] = offer_builds("Built")
    run_dag("outputs_warn", job=job, names=["Built"])
    assert results_of(emulator, job) == ["success"]
    assert warnings == ["What this task has uploaded is not recorded: OSError.", *warnings[1:]]


@pytest.mark.parametrize(
    "dag_id",
    ["outputs_warn", "outputs_of_a_function_warn", "outputs_before_a_put_warn", "outputs_of_a_function_fail"],
)
def test_records_that_cannot_be_read_fail_no_job(
    emulator, offer_builds, run_dag, warnings, monkeypatch, dag_id
):
    def fail(*given):
        raise OSError("no database")

    monkeypatch.setattr(output_artifacts, "uploaded_in_run", fail)
    [job] = offer_builds("Built")
    assert run_dag(dag_id, job=job, names=[]).state == "success"
    assert results_of(emulator, job) == ["success"]
    if dag_id.endswith("warn"):
        assert warnings == ["The records of uploads cannot be read: OSError."]


def test_an_upload_without_a_record_is_tried_again_if_it_counts(emulator, offer_builds, run_dag, monkeypatch):
    def fail(*given):
        raise OSError("no database")

    monkeypatch.setattr(output_artifacts.RecordStore, "write", fail)
    with pytest.raises(ArtifactError, match="not recorded: OSError") as error:
        record_in("outputs_fail", "Built")
    assert error.value.retryable
    record_in("outputs_warn", "Built")


def record_in(dag_id, *names):
    """Record uploads in a task of a DAG."""
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.execution_time.context import set_current_context

    dag = SimpleNamespace(
        tasks=[SimpleNamespace(is_mapped=False, missing_outputs=dag_id.removeprefix("outputs_"))]
    )
    ti = SimpleNamespace(dag_id=dag_id, run_id="r", task_id="t", map_index=-1, try_number=1)
    ti._ti_context_from_server = SimpleNamespace(next_method=None)
    with set_current_context(Context(ti=ti, dag=dag)):
        output_artifacts.record_uploads("j", names)


def test_uploads_by_the_first_job_count_for_the_next_one(emulator, offer_builds, run_dag):
    emulator.configure(continuation_delay=0)
    [job] = offer_builds("Built")
    assert run_dag("outputs_in_the_next_job", job=job, names=["Built"]).state == "success"
    assert results_of(emulator, {"job_id": emulator.jobs()[-1].job_id}) == ["success"]


def test_uploads_of_two_threads_are_recorded_both(monkeypatch):
    written, is_second = {}, threading.Event()

    def write(store, key, value):
        """Let another thread's record overtake the first one."""
        known = json.dumps(value)
        if "Tested" in known:
            is_second.set()
        else:
            is_second.wait(0.3)
        written[key] = known

    monkeypatch.setattr(output_artifacts.RecordStore, "write", write)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(record_in, "outputs_of_threads", "Built")
        second = pool.submit(record_in, "outputs_of_threads", "Tested")
        first.result()
        second.result()
    assert {name for known in written.values() for name in json.loads(known)["j"]} == {"Built", "Tested"}


def test_between_two_jobs_an_upload_may_be_tried_again(emulator, offer_builds, run_dag):
    emulator.configure(continuation_delay=0)
    [job] = offer_builds("Built")
    run = run_dag("outputs_between_two_jobs", job=job)
    assert run.states["go_on"] == "failed"
    message = action_state(emulator, "build0")["errorDetails"]["message"]
    assert "goes on in a next job, which is not claimed yet" in message


@pytest.mark.parametrize("report", ["function", "put"])
def test_a_strict_finish_job_behind_another_report_is_refused(report):
    """The other one would report the success first."""
    with DAG("d", schedule=None):
        job = {"job_id": "j", "client_id": "c"}
        if report == "function":

            @task.codepipeline_job
            def build(job): ...

            first = build(job)
            finish = finish_job(first, missing_outputs="fail")
        else:
            first = CodePipelineClaimJobOperator(task_id="claim", job=job)
            put = PutThirdPartyJobSuccessResultOperator(task_id="put", job=first.output)
            finish = finish_job(first, missing_outputs="fail")
    with pytest.raises(InvalidInput, match=r"has no effect, since (build|put) reports"):
        finish.prepare_template()
    if report == "put":
        put.missing_outputs = "fail"
        finish.prepare_template()


@pytest.mark.parametrize("why", ["another job", "a branch", "a token"])
def test_what_may_not_report_the_success_is_no_matter(why):
    job = {"job_id": "j", "client_id": "c"}
    with DAG("d", schedule=None):
        first = CodePipelineClaimJobOperator(task_id="first", job=job, finished_elsewhere=True)
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)

        @task.short_circuit
        def gate(): ...

        token = "{{ dag_run.conf.get('token') }}" if why == "a token" else None
        put = PutThirdPartyJobSuccessResultOperator(
            task_id="put", job=(first if why == "another job" else claim).output, continuation_token=token
        )
        if why == "a branch":
            claim >> gate() >> put
        done = EmptyOperator(task_id="done", trigger_rule="none_failed")
        [claim, put] >> done
        finish = finish_job(claim, missing_outputs="fail")
    finish.prepare_template()


@pytest.mark.parametrize("where", ["teardown", "failed_teardown", "short_circuit"])
def test_an_upload_counts_in_any_task_before_the_report(emulator, offer_builds, run_dag, where):
    [job] = offer_builds("Built")
    assert run_dag(f"outputs_of_a_{where}", job=job).state == "success"
    assert results_of(emulator, job) == ["success"]


def test_an_upload_counts_in_a_task_that_skipped_itself_then(emulator, offer_builds, run_dag):
    [job] = offer_builds("Built")
    assert run_dag("outputs_before_a_skip", job=job).state == "success"
    assert results_of(emulator, job) == ["success"]


def test_an_action_that_goes_on_in_another_run_is_no_failure(warnings, monkeypatch):
    """The run before may have uploaded the artifact."""
    monkeypatch.setattr(output_artifacts, "uploaded_in_run", lambda *given: set())
    job = ClaimedJob(
        OfferedJob("j", "c"), continuation_token="by the author", output_artifacts=(Artifact("Built"),)
    )
    context = {"dag": None, "ti": SimpleNamespace(dag_id="d", run_id="r")}
    output_artifacts.check_outputs(context, job, [], "fail")
    assert len(warnings) == 1
    with pytest.raises(ArtifactError, match="Built"):
        output_artifacts.check_outputs(context, job, [], "fail", former_job_ids=["i"])
    with pytest.raises(ArtifactError, match="Built"):
        output_artifacts.check_outputs(context, replace(job, continuation_token=None), [], "fail")


@pytest.mark.parametrize(("choice", "looks"), [("warn", output_artifacts.MAX_LOOKS), ("fail", 3000)])
def test_a_warning_looks_at_some_tasks_of_a_large_dag(warnings, monkeypatch, choice, looks):
    looked = []
    monkeypatch.setattr(output_artifacts, "values_of", lambda key, **of: looked.append(of["task_id"]) or [])
    plain = SimpleNamespace(is_mapped=False)
    upload = CodePipelineUploadArtifactsOperator(
        task_id="upload", job={"job_id": "j", "client_id": "c"}, artifacts={"Built": "/f"}
    )
    tasks = {**{f"task{number:04}": plain for number in range(2999)}, "upload": upload}
    context = {"dag": SimpleNamespace(get_task=tasks.get), "ti": SimpleNamespace(dag_id="d", run_id="r")}
    job = ClaimedJob(OfferedJob("j", "c"), output_artifacts=(Artifact("Built"),))
    with suppress(ArtifactError):
        output_artifacts.check_outputs(context, job, list(tasks), choice)
    assert len(looked) == looks
    assert looked[0] == "upload"


@pytest.mark.parametrize("value", ["", "Warn", None, True])
def test_another_choice_is_refused(value):
    with pytest.raises(InvalidInput, match=r"missing_outputs .*warn"):
        CodePipelineFinishJobOperator(task_id="finish", claim_task_id="claim", missing_outputs=value)
    with pytest.raises(InvalidInput, match=r"missing_outputs .*warn"):
        PutJobSuccessResultOperator(task_id="put", job_id="j", missing_outputs=value)
