# SPDX-License-Identifier: Apache-2.0
"""
What version 0.1.0 wrote before its modules were moved is read as before.

A run that is on its way while the package is upgraded has such records in its XCom, and such rows in
Airflow's database. The samples are what that version wrote, literally: no code of the package makes them.
"""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace

import pytest
from record_memory import context_of_lone_task

from airflow_codepipeline_partner import exceptions, operators, sensors
from airflow_codepipeline_partner._compat import AirflowSensorTimeout
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import (
    claim_checkpoint,
    copies,
    failures,
    record_search,
    record_store,
    records,
    result_checkpoint,
)
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.jobs import ActionType, Artifact, ClaimedJob, FailureDetails, OfferedJob

AT = "2026-01-31T12:00:00.123456+00:00"
TOKEN = (
    '{"airflow_codepipeline_partner":1,"dag_id":"dag","run_id":"manual__2026-01-31T12:00:00+00:00",'
    '"task_id":"go_on","map_index":-1}'
)
WAITING = TaskInstanceRef("dag", "manual__2026-01-31T12:00:00+00:00", "go_on")

# XCom codepipeline_claim.

PARTNER_CLAIM = {
    "job_id": "job-2",
    "client_id": "client-1",
    "action_type": {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
    "certain": True,
    "continuation_token": TOKEN,
    "pipeline_name": "pipe",
    "stage_name": "Partner",
    "action_name": "Act",
    "action_execution_id": "exec-1",
    "input_artifacts": [{"name": "Source", "revision": "rev", "bucket": "bucket", "key": "pipe/Source/abc"}],
    "output_artifacts": [{"name": "Out", "revision": None, "bucket": "bucket", "key": "pipe/Out/abc"}],
    "state": "claimed",
    "at": AT,
}
CUSTOM_CLAIM = {
    "job_id": "job-4",
    "client_id": None,
    "action_type": {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"},
    "nonce": "3",
    "query_param": {"Project": "shop"},
    "certain": True,
    "continuation_token": None,
    "pipeline_name": "own",
    "stage_name": "Build",
    "action_name": "Act",
    "action_execution_id": "exec-2",
    "account_id": "111111111111",
    "pipeline_arn": "arn:aws:codepipeline:us-east-1:111111111111:own",
    "pipeline_execution_id": "pipe-exec-1",
    "input_artifacts": [{"name": "Source", "revision": "rev", "bucket": "bucket", "key": "pipe/Source/abc"}],
    "output_artifacts": [],
    "state": "claimed",
    "at": AT,
}
PARTNER_JOB = OfferedJob("job-2", "client-1", ActionType("Deploy", "Example"))
CUSTOM_JOB = OfferedJob("job-4", None, ActionType("Build", "Own", owner="Custom"), "3", {"Project": "shop"})
SOURCE = Artifact("Source", "rev", "bucket", "pipe/Source/abc")
CLAIMED = {
    "partner": ClaimedJob(
        PARTNER_JOB,
        continuation_token=TOKEN,
        pipeline_name="pipe",
        stage_name="Partner",
        action_name="Act",
        action_execution_id="exec-1",
        input_artifacts=(SOURCE,),
        output_artifacts=(Artifact("Out", None, "bucket", "pipe/Out/abc"),),
    ),
    "custom": ClaimedJob(
        CUSTOM_JOB,
        pipeline_name="own",
        stage_name="Build",
        action_name="Act",
        action_execution_id="exec-2",
        account_id="111111111111",
        pipeline_arn="arn:aws:codepipeline:us-east-1:111111111111:own",
        pipeline_execution_id="pipe-exec-1",
        input_artifacts=(SOURCE,),
    ),
}
CLAIMS = {"partner": PARTNER_CLAIM, "custom": CUSTOM_CLAIM}
#: State → whether the job counts as ours if an unknown claim is assumed to be, and if it is left.
STATES = {
    "intent": (True, False),
    "claimed": (True, True),
    "unknown": (True, False),
    "lost": (False, False),
    "refused": (False, False),
}


@pytest.mark.parametrize("former", [None, ["job-0", "job-1"]], ids=["first-job", "later-job"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("whose", CLAIMS)
def test_an_old_claim_is_read_and_written_as_before(whose, state, former):
    written = {**CLAIMS[whose], "state": state, **({"former_job_ids": former} if former else {})}
    record = ClaimRecord.from_xcom(written)
    assert record.job == CLAIMED[whose]
    assert record.state == state
    assert record.former_job_ids == tuple(former or ())
    assert record.at == datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert record.is_certain is (state == "claimed")
    assert (record.counts_as_ours("assume_ours"), record.counts_as_ours("leave")) == STATES[state]
    assert record.is_about(written["job_id"])
    assert record.is_about("job-1") is bool(former)
    assert record.to_xcom() == written


@pytest.mark.parametrize("whose", CLAIMS)
def test_an_old_claim_of_an_unknown_state_stays_uncertain(whose):
    written = {**CLAIMS[whose], "state": "unknown", "certain": False}
    record = ClaimRecord.from_xcom(written)
    assert not record.job.certain
    assert record.to_xcom() == written


# XCom codepipeline_result.

REVISION = {
    "revision": "r1",
    "changeIdentifier": "c1",
    "created": "2026-01-31T12:00:00+00:00",
    "revisionSummary": "What changed",
}
DETAILS = {"summary": "Done.", "externalExecutionId": "dag/runs/r", "percentComplete": 100}
#: Result → what was put, and the operations for a partner's job and for a custom one.
RESULTS = {
    "success": (
        {"currentRevision": REVISION, "executionDetails": DETAILS},
        ("PutThirdPartyJobSuccessResult", "PutJobSuccessResult"),
    ),
    "continue": ({"continuationToken": TOKEN}, ("PutThirdPartyJobSuccessResult", "PutJobSuccessResult")),
    "failure": (
        {"failureDetails": {"type": "JobFailed", "message": "No."}},
        ("PutThirdPartyJobFailureResult", "PutJobFailureResult"),
    ),
}


@pytest.mark.parametrize("state", ["intended", "done", "refused"])
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("job", [PARTNER_JOB, CUSTOM_JOB], ids=["partner", "custom"])
def test_an_old_result_is_read_and_put_as_before(job, result, state):
    put, operations = RESULTS[result]
    call = {"jobId": job.job_id, **put}
    written = {"state": state, "result": result, "job_id": job.job_id, "call": call, "at": AT}
    record = ResultRecord.of_job(job.job_id, written)
    assert (record.state, record.result, record.job_id) == (state, result, job.job_id)
    again = record.call(job)
    assert (again.operation, again.arguments, again.job) == (operations[job is CUSTOM_JOB], call, job)
    waits = result == "continue" and state != "refused"
    assert record.awaited_by == (WAITING if waits else None)
    assert record.to_xcom() == written
    assert ResultRecord.of_job("another", written) is None


def test_an_old_result_with_output_variables_is_put_as_before():
    call = {"jobId": "job-4", "outputVariables": {"Url": "https://shop.example"}}
    written = {"state": "intended", "result": "success", "job_id": "job-4", "call": call, "at": AT}
    assert ResultRecord.from_xcom(written).call(CUSTOM_JOB).arguments == call


class OldXCom:
    """Holds what lies in Airflow's table: (task, key) → the values, by map index."""

    held: dict[tuple[str, str], list] = {}  # noqa: RUF012 - each test sets its own

    @classmethod
    def get_all(cls, *, key, task_id, **names):
        return cls.held.get((task_id, key), [])

    @classmethod
    def get_one(cls, *, key, task_id, map_index, **names):
        return (cls.held.get((task_id, key)) or [None])[map_index]


@pytest.fixture
def old_xcom(monkeypatch):
    monkeypatch.setattr(OldXCom, "held", {})
    monkeypatch.setattr(record_store, "XCom", OldXCom)
    return OldXCom.held


def test_a_mapped_task_without_a_result_yet_has_none(old_xcom):
    # A mapped task began with this, since Airflow logs an error for each look at what is not there.
    old_xcom["claim", "codepipeline_result"] = [{"job_id": None}]
    old_xcom["claim", "codepipeline_claim"] = [PARTNER_CLAIM]
    assert RecordStore(TaskInstanceRef("dag", "run", "claim", 0)).read_result("job-2") is None
    [(claim, results)] = record_search.records_of_run("dag", "run", "claim")
    assert (claim.job, results.best) == (CLAIMED["partner"], None)


def test_the_records_of_an_old_run_are_found_together(old_xcom):
    done = {"state": "done", "result": "success", "job_id": "job-4", "call": {"jobId": "job-4"}, "at": AT}
    old_xcom["claim", "codepipeline_claim"] = [PARTNER_CLAIM, CUSTOM_CLAIM]
    old_xcom["claim", "codepipeline_result"] = [{"job_id": None}, done]
    found = list(record_search.records_of_run("dag", "run", "claim"))
    assert [(claim.job.job_id, [result.state for result in results.others]) for claim, results in found] == [
        ("job-2", []),
        ("job-4", ["done"]),
    ]


def test_a_result_beside_others_lies_under_its_jobs_key(old_xcom):
    done = {"state": "done", "result": "success", "job_id": "job-4", "call": {"jobId": "job-4"}, "at": AT}
    old_xcom["before", "codepipeline_result_job-4"] = [done]
    store = RecordStore(TaskInstanceRef("dag", "run", "before"), shared=True)
    assert store.read_result("job-4").state == "done"
    assert store.read_result("job-2") is None


def checkpoint_context(task_state):
    return context_of_lone_task(task_state, task_id="work", try_number=2, max_tries=3)


@pytest.fixture
def old_checkpoint(monkeypatch, old_xcom):
    """What the old version kept for a retry, under its keys; the new one reads it."""
    kept: dict[str, dict] = {}
    store = SimpleNamespace(get=kept.get, set=kept.__setitem__)
    monkeypatch.setattr(copies, "task_state_store", lambda context: store)
    monkeypatch.setattr(OldXCom, "set", lambda **written: None, raising=False)
    return kept


@pytest.mark.parametrize(("ended", "is_known"), [({}, True), ({"ended": 3}, True), ({"ended": 1}, False)])
def test_an_old_checkpoint_of_a_claim_is_read(old_checkpoint, ended, is_known):
    """It is known, unless a user has cleared the task since, by which its tries were raised."""
    old_checkpoint["codepipeline_claim"] = {**PARTNER_CLAIM, **ended}
    earlier = claim_checkpoint.ClaimCheckpoint(checkpoint_context(old_checkpoint)).recall("job-2")
    assert earlier.record.is_certain
    assert earlier.record.job == CLAIMED["partner"]
    assert earlier.was_cleared is not is_known


@pytest.mark.parametrize("withdrawn", [{}, {"withdrawn": True}])
def test_an_old_checkpoint_of_a_result_is_read(old_checkpoint, withdrawn):
    old_checkpoint["codepipeline_result"] = {
        "state": "intended",
        "result": "success",
        "job_id": "job-2",
        "call": {"jobId": "job-2"},
        "at": AT,
        **withdrawn,
    }
    checkpoint = result_checkpoint.ResultCheckpoint(checkpoint_context(old_checkpoint))
    assert (checkpoint.read_results("job-2").own is None) is bool(withdrawn)
    assert checkpoint.result_of_earlier_try(PARTNER_JOB).arguments == {"jobId": "job-2"}


def test_an_old_checkpoint_in_a_neighbours_xcom_is_read(old_xcom, monkeypatch):
    """Before Airflow 3.3 it lies there under the name and map index of the task whose it is."""
    old_xcom["before", "codepipeline_claim_work_-1"] = [PARTNER_CLAIM]
    beside = RecordStore(TaskInstanceRef("dag", "run", "before"))
    monkeypatch.setattr(copies, "task_state_store", lambda context: None)
    monkeypatch.setattr(copies, "adjacent_task", lambda dag, own: beside)
    assert claim_checkpoint.ClaimCheckpoint(checkpoint_context(None)).recall("job-2").record.is_certain


def test_what_an_old_task_recorded_of_its_failure_is_read(old_xcom, monkeypatch):
    old_xcom["build", "codepipeline_failure"] = [{"message": "The key is wrong.", "type": "PermissionError"}]
    monkeypatch.setattr(failures, "matching_instance", lambda task, own, other: other)

    class Dag:
        def get_task(self, task_id):
            return TaskInstanceRef("dag", "run", task_id)

    context = {"ti": TaskInstanceRef("dag", "run", "finish"), "task": None, "dag": Dag()}
    states = {"build": ["failed"], "claim": ["success"]}
    assert failures.FAILURE_KEY == "codepipeline_failure"
    assert failures.recorded_failure(context, states) == FailureDetails(
        "The key is wrong.", "PermissionError"
    )


def test_the_records_lie_under_the_old_keys():
    assert (records.CLAIM_KEY, records.RESULT_KEY) == ("codepipeline_claim", "codepipeline_result")


# The rows of triggers.

TRIGGERS = {
    "sensor": (
        "airflow_codepipeline_partner.triggers.CodePipelineJobTrigger",
        {
            "action_type": {
                "category": "Deploy",
                "owner": "ThirdParty",
                "provider": "Example",
                "version": "1",
            },
            "max_batch_size": 10,
            "poll_interval": 30,
            "timeout_deadline": 1769860800.5,
            "retry_deadline": 300,
            "query_param": None,
            "aws_conn_id": "aws_default",
            "region_name": None,
            "verify": None,
            "botocore_config": None,
            "client_conn_id_template": "codepipeline_client_{client_id}",
        },
    ),
    "watcher": (
        "airflow_codepipeline_partner.triggers.CodePipelineJobTrigger",
        {
            "action_type": {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"},
            "max_batch_size": 3,
            "poll_interval": 12.5,
            "timeout_deadline": None,
            "retry_deadline": 300,
            "query_param": {"Project": "shop"},
            "aws_conn_id": "mine",
            "region_name": "eu-west-1",
            "verify": False,
            "botocore_config": {"read_timeout": 7},
            "client_conn_id_template": "codepipeline_client_{client_id}",
        },
    ),
    "next-job": (
        "airflow_codepipeline_partner.triggers.CodePipelineContinuationTrigger",
        {
            "action_type": {
                "category": "Deploy",
                "owner": "ThirdParty",
                "provider": "Example",
                "version": "1",
            },
            "max_batch_size": 10,
            "poll_interval": 30,
            "timeout_deadline": 1769860800.5,
            "retry_deadline": 300,
            "query_param": None,
            "aws_conn_id": "aws_default",
            "region_name": None,
            "verify": None,
            "botocore_config": None,
            "client_conn_id_template": "codepipeline_client_{client_id}",
            "client_id": "client-1",
            "continuation_token": TOKEN,
            "doubtful_job_id": "job-1",
        },
    ),
}


@pytest.mark.parametrize("row", TRIGGERS)
def test_an_old_trigger_is_made_from_its_row(row):
    path, kwargs = TRIGGERS[row]
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name)(**kwargs).serialize() == (path, kwargs)


#: Operator or sensor → the methods in which its deferred tasks go on, and with what besides the event.
RESUMED = {
    operators.CodePipelineContinueJobOperator: {"execute_complete": {}},
    operators.CodePipelineFinishJobOperator: {"execute_next_job": {}, "execute_again": {}},
    operators.PutJobFailureResultOperator: {"execute_complete": {}},
    operators.PutJobSuccessResultOperator: {"execute_complete": {}},
    operators.PutThirdPartyJobFailureResultOperator: {"execute_complete": {}},
    operators.PutThirdPartyJobSuccessResultOperator: {"execute_complete": {}},
    sensors.CodePipelineJobSensor: {"execute_complete": {}},
    sensors.CodePipelineJobProgressSensor: {
        "execute_complete": {"deadline": 1769860800.5},
        "execute_again": {"deadline": 1769860800.5},
    },
}
EVENTS = [
    {
        "status": "offered",
        "jobs": [
            {
                "job_id": "job-2",
                "client_id": "client-1",
                "action_type": {
                    "category": "Deploy",
                    "owner": "ThirdParty",
                    "provider": "Example",
                    "version": "1",
                },
            },
            {
                "job_id": "job-4",
                "client_id": None,
                "action_type": {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"},
                "nonce": "3",
                "query_param": {"Project": "shop"},
            },
        ],
        "error": None,
    },
    {"status": "timeout", "jobs": [], "error": None},
    {"status": "error", "jobs": [], "error": "ServiceUnavailable: No poll was answered in 300 s."},
]


@pytest.mark.parametrize(
    ("cls", "method"),
    [(cls, method) for cls, methods in RESUMED.items() for method in methods],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_old_deferred_task_resumes_in_its_method(cls, method):
    signature = inspect.signature(getattr(cls, method))
    for event in (EVENTS[0], None):
        signature.bind("self", "context", event=event, **RESUMED[cls][method])
        if method != "execute_again" and cls is not sensors.CodePipelineJobSensor:
            signature.bind("self", "context", event=event, **RESUMED[cls][method], at_least=1769860800.5)
    # What was deferred without more arguments, and what dag.test() keeps of a deferral.
    signature.bind("self", "context", event=EVENTS[0])


def resume_sensor(event):
    action_type = {"category": "Deploy", "provider": "Example"}
    waiting = sensors.CodePipelineJobSensor(task_id="wait", action_type=action_type)
    return waiting.execute_complete({}, event=event)


def test_an_old_offer_is_returned_by_the_sensor():
    assert resume_sensor(EVENTS[0]) == EVENTS[0]["jobs"]
    assert [OfferedJob.from_value(job) for job in EVENTS[0]["jobs"]] == [PARTNER_JOB, CUSTOM_JOB]


def test_an_old_timeout_is_raised_by_the_sensor():
    with pytest.raises(AirflowSensorTimeout):
        resume_sensor(EVENTS[1])


def test_an_old_error_is_raised_by_the_sensor():
    with pytest.raises(exceptions.ServiceUnavailable, match=r"^No poll was answered in 300 s\.$"):
        resume_sensor(EVENTS[2])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ServiceUnavailable: No: nothing.", exceptions.ServiceUnavailable),
        ("ActionTypeNotFound: No: nothing.", exceptions.ActionTypeNotFound),
        ("RequestRefused: No: nothing.", exceptions.RequestRefused),
        ("ClientConnectionError: No: nothing.", exceptions.ClientConnectionError),
        # The name of the base class until it was renamed.
        ("CodePipelinePartnerError: No: nothing.", exceptions.CodePipelineProviderError),
        ("NeverHeardOf: No: nothing.", exceptions.CodePipelineError),
    ],
)
def test_the_text_of_an_old_error_is_an_error_again(text, kind):
    error = exceptions.from_description(text)
    assert isinstance(error, kind)
    assert str(error).endswith("No: nothing.")
    assert error.retryable is (kind in (exceptions.ServiceUnavailable, exceptions.RequestRefused))


@pytest.mark.parametrize("state", ["intended", "refused"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"result": "success", "call": {}},
        {"result": "success", "call": {"jobId": "another"}},
        {"result": "failure", "call": {"jobId": "job-4"}},
        {"result": "success", "call": {"jobId": "job-4", "failureDetails": {"message": "No."}}},
    ],
    ids=str,
)
def test_a_result_whose_call_is_another_is_left_out(wrong, state):
    """It would be put on a job that is not its own, or end this one otherwise."""
    written = {"state": state, "job_id": "job-4", "at": AT, **wrong}
    assert ResultRecord.of_job("job-4", written) is None
