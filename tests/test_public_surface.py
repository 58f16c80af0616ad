# SPDX-License-Identifier: Apache-2.0
"""
The names that users depend on, frozen.

They lie in users' DAGs and, which no release can change, in their databases: a trigger's class and kwargs in
the rows of deferred tasks, its event's keys in what the triggerer stores, XCom keys and the shapes under them
in the XCom of running DAGs, the connection type in their connections, template fields in serialized DAGs. So
a change here is a change of the major version, or comes with a way to read what the former version wrote.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from datetime import timedelta
from typing import Any

import pytest

import airflow_codepipeline_partner
from airflow_codepipeline_partner import (
    artifacts,
    assets,
    client_tokens,
    decorators,
    emulator,
    exceptions,
    hooks,
    jobs,
    links,
    notifications,
    operators,
    provider_info,
    sensors,
    triggers,
)
from airflow_codepipeline_partner._protocol import claims, requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import record_store, records
from airflow_codepipeline_partner.decorators import codepipeline_job

NEEDED = inspect.Parameter.empty
TEMPLATE = "codepipeline_client_{client_id}"
#: On every operator, sensor, trigger and notifier.
AWS = {
    "aws_conn_id": "aws_default",
    "region_name": None,
    "verify": None,
    "botocore_config": None,
    "client_conn_id_template": TEMPLATE,
}
JOB = {"job": None, "job_id": None, "client_id": None}

#: Callable → its parameters with their defaults, in order where they may be positional.
SIGNATURES: dict[Any, dict[str, Any]] = {
    jobs.ActionType: {"category": NEEDED, "provider": NEEDED, "version": "1", "owner": "ThirdParty"},
    jobs.OfferedJob: {
        "job_id": NEEDED,
        "client_id": None,
        "action_type": None,
        "nonce": None,
        "query_param": None,
        "_is_token_known": False,
        "continuation_token": None,
    },
    jobs.CurrentRevision: {
        "revision": NEEDED,
        "change_identifier": NEEDED,
        "created": None,
        "revision_summary": None,
    },
    jobs.ExecutionDetails: {"summary": None, "external_execution_id": None, "percent_complete": None},
    jobs.FailureDetails: {"message": NEEDED, "type": "JobFailed", "external_execution_id": None},
    jobs.Artifact: {"name": NEEDED, "revision": None, "bucket": None, "key": None},
    hooks.CodePipelineHook: {
        "aws_conn_id": "aws_default",
        "region_name": None,
        "verify": None,
        "config": None,
        "client_conn_id_template": TEMPLATE,
        "retry_deadline": 300,
        "clock": time.monotonic,
        "sleep": time.sleep,
    },
    hooks.CodePipelineHook.poll: {"action_type": NEEDED, "max_batch_size": 10, "query_param": None},
    hooks.CodePipelineHook.claim: {"job": NEEDED, "unknown_claim": "assume_ours"},
    hooks.CodePipelineHook.details: {"job": NEEDED},
    hooks.CodePipelineHook.succeed: {
        "job": NEEDED,
        "current_revision": None,
        "continuation_token": None,
        "execution_details": None,
        "output_variables": None,
    },
    hooks.CodePipelineHook.fail: {
        "job": NEEDED,
        "message": NEEDED,
        "failure_type": "JobFailed",
        "external_execution_id": None,
    },
    hooks.CodePipelineHook.client_token: {"client_id": NEEDED},
    operators.PutThirdPartyJobSuccessResultOperator: {
        "current_revision": None,
        "continuation_token": None,
        "execution_details": None,
        **JOB,
        **AWS,
    },
    operators.PutThirdPartyJobFailureResultOperator: {
        "message": NEEDED,
        "failure_type": "JobFailed",
        "external_execution_id": None,
        **JOB,
        **AWS,
    },
    operators.PutJobSuccessResultOperator: {
        "current_revision": None,
        "continuation_token": None,
        "execution_details": None,
        "output_variables": None,
        "job": None,
        "job_id": None,
        **AWS,
    },
    operators.PutJobFailureResultOperator: {
        "message": NEEDED,
        "failure_type": "JobFailed",
        "external_execution_id": None,
        "job": None,
        "job_id": None,
        **AWS,
    },
    operators.CodePipelineClaimJobOperator: {"job": NEEDED, "unknown_claim": "assume_ours", **AWS},
    operators.CodePipelineFinishJobOperator: {
        "claim_task_id": NEEDED,
        "job": None,
        "unknown_claim": "assume_ours",
        "current_revision": None,
        "execution_details": None,
        "output_variables": None,
        "failure_message": None,
        "failure_type": "JobFailed",
        **AWS,
    },
    operators.CodePipelineContinueJobOperator: {
        "job": NEEDED,
        "execution_details": None,
        "current_revision": None,
        "poll_interval": 30,
        "timeout": 3600.0,
        **AWS,
    },
    operators.CodePipelineDownloadArtifactsOperator: {
        "job": NEEDED,
        "destination": NEEDED,
        "artifacts": None,
        "storage_conn_id": None,
        "extract": False,
        "archive_format": None,
        "limits": None,
        **AWS,
    },
    operators.CodePipelineUploadArtifactsOperator: {
        "job": NEEDED,
        "artifacts": NEEDED,
        "storage_conn_id": None,
        "archive_format": "zip",
        **AWS,
    },
    artifacts.ArchiveLimits: {"max_members": 200_000, "max_bytes": 16 * 1024**3, "max_ratio": 200},
    artifacts.Workspace: {
        "job": NEEDED,
        "hook": None,
        "limits": None,
        "parent": None,
        "failed_uploads": None,
    },
    artifacts.Workspace.download: {"name": None},
    artifacts.Workspace.extract: {"name": None, "into": None, "archive_format": None, "replace": False},
    artifacts.Workspace.pack: {"folder": NEEDED, "name": None, "archive_format": "zip"},
    artifacts.Workspace.upload: {"name": NEEDED, "source": NEEDED, "archive_format": "zip"},
    decorators.JobInProgress.workspace: {"limits": None, "parent": None},
    operators.finish_job: {
        "claim": NEEDED,
        "task_id": "finish_job",
        "current_revision": None,
        "execution_details": None,
        "output_variables": None,
        "failure_message": None,
        "failure_type": "JobFailed",
    },
    exceptions.JobFailure: {"message": NEEDED, "failure_type": "JobFailed", "job_id": None},
    decorators.codepipeline_job_task: {"python_callable": None},
    codepipeline_job._CodePipelineJobDecoratedOperator: {
        "python_callable": NEEDED,
        "op_args": None,
        "op_kwargs": None,
        "unknown_claim": "assume_ours",
        **AWS,
    },
    decorators.Completion: {"execution_details": None, "output_variables": None},
    decorators.Continuation: {"token": NEEDED, "execution_details": None},
    decorators.JobInProgress.progress: {"percent": None, "summary": None},
    decorators.JobInProgress.details: {},
    assets.codepipeline_jobs: {
        "name": NEEDED,
        "action_type": NEEDED,
        "max_batch_size": 10,
        "poll_interval": 30,
        "query_param": None,
        **AWS,
    },
    assets.offered_jobs: {"context": None},
    assets.dispatch_jobs: {
        "jobs": NEEDED,
        "trigger_dag_id": NEEDED,
        "task_id": "dispatch_jobs",
        "conf": None,
    },
    sensors.CodePipelineJobSensor: {
        "action_type": NEEDED,
        "max_batch_size": 10,
        "query_param": None,
        "poke_interval": 30,
        "deferrable": None,
        **AWS,
    },
    sensors.CodePipelineJobProgressSensor: {
        "job": NEEDED,
        "progress": NEEDED,
        "op_kwargs": None,
        "job_timeout": 3600,
        "progress_interval": None,
        "poke_interval": 60,
        "poll_interval": 30,
        "continuation_timeout": 3600.0,
        **AWS,
    },
    triggers.CodePipelineContinuationTrigger: {
        "client_id": NEEDED,
        "continuation_token": NEEDED,
        "timeout_deadline": NEEDED,
        "doubtful_job_id": None,
        "action_type": NEEDED,
        "max_batch_size": 10,
        "poll_interval": 30,
        "retry_deadline": 300,
        "query_param": None,
        **AWS,
    },
    triggers.CodePipelineJobTrigger: {
        "action_type": NEEDED,
        "max_batch_size": 10,
        "poll_interval": 30,
        "timeout_deadline": None,
        "retry_deadline": 300,
        "query_param": None,
        **AWS,
    },
    notifications.CodePipelineJobFailureNotifier: {"message": None, "failure_type": "JobFailed", **AWS},
}


def parameters_of(function: Any) -> dict[str, Any]:
    """The parameters of a function, or of a class and those of ours that it inherits from, with defaults."""
    found: dict[str, Any] = {}
    functions = [function]
    if isinstance(function, type):
        own = "airflow_codepipeline_partner"
        functions = [cls.__init__ for cls in function.__mro__ if cls.__module__.startswith(own)]
    for each in functions:
        for name, parameter in inspect.signature(each).parameters.items():
            named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if named and name not in ("self", "args"):
                found.setdefault(name, parameter.default)
    return found


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_a_signature_is_as_it_was(function):
    assert parameters_of(function) == SIGNATURES[function]


@pytest.mark.parametrize(
    "function", [each for each in SIGNATURES if each.__module__.endswith((".jobs", ".results", ".hooks"))]
)
def test_what_may_be_given_by_position_keeps_its_place(function):
    assert list(parameters_of(function)) == list(SIGNATURES[function])


@pytest.mark.parametrize("function", [hooks.CodePipelineHook.succeed, hooks.CodePipelineHook.fail])
def test_what_a_result_tells_is_given_by_name(function):
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    assert kinds[2:] == [inspect.Parameter.KEYWORD_ONLY] * len(kinds[2:])


@pytest.mark.parametrize(
    "operator",
    [
        operators.PutThirdPartyJobSuccessResultOperator,
        operators.PutThirdPartyJobFailureResultOperator,
        operators.PutJobSuccessResultOperator,
        operators.PutJobFailureResultOperator,
        operators.CodePipelineClaimJobOperator,
        operators.CodePipelineFinishJobOperator,
        operators.CodePipelineContinueJobOperator,
        operators.CodePipelineDownloadArtifactsOperator,
        operators.CodePipelineUploadArtifactsOperator,
        sensors.CodePipelineJobProgressSensor,
        codepipeline_job._CodePipelineJobDecoratedOperator,
        sensors.CodePipelineJobSensor,
    ],
)
def test_no_operator_takes_a_client_token_or_a_nonce(operator):
    # A literal argument lies in clear in the serialized DAG.
    assert {"client_token", "nonce", "token"}.isdisjoint(parameters_of(operator))


TEMPLATED = {
    operators.PutThirdPartyJobSuccessResultOperator: {
        "job",
        "job_id",
        "client_id",
        "current_revision",
        "continuation_token",
        "execution_details",
    },
    operators.PutThirdPartyJobFailureResultOperator: {
        "job",
        "job_id",
        "client_id",
        "message",
        "failure_type",
        "external_execution_id",
    },
    operators.PutJobSuccessResultOperator: {
        "job",
        "job_id",
        "current_revision",
        "continuation_token",
        "execution_details",
        "output_variables",
    },
    operators.PutJobFailureResultOperator: {
        "job",
        "job_id",
        "message",
        "failure_type",
        "external_execution_id",
    },
    operators.CodePipelineClaimJobOperator: {"job"},
    operators.CodePipelineContinueJobOperator: {"job", "execution_details", "current_revision"},
    operators.CodePipelineDownloadArtifactsOperator: {"job", "destination", "artifacts", "storage_conn_id"},
    operators.CodePipelineUploadArtifactsOperator: {"job", "artifacts", "storage_conn_id"},
    sensors.CodePipelineJobProgressSensor: {"job", "op_kwargs", "job_timeout", "progress_interval"},
    operators.CodePipelineFinishJobOperator: {
        "current_revision",
        "execution_details",
        "output_variables",
        "failure_message",
        "failure_type",
    },
    codepipeline_job._CodePipelineJobDecoratedOperator: {"op_args", "op_kwargs"},
    sensors.CodePipelineJobSensor: {"action_type", "max_batch_size", "query_param"},
    notifications.CodePipelineJobFailureNotifier: {"message", "failure_type"},
}


@pytest.mark.parametrize("cls", TEMPLATED, ids=lambda cls: cls.__name__)
def test_what_is_templated_stays_templated(cls):
    assert set(cls.template_fields) == TEMPLATED[cls] | (set(AWS) - {"botocore_config"})


def test_the_package_has_a_version_and_no_more():
    public = {name for name in vars(airflow_codepipeline_partner) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(airflow_codepipeline_partner, name))}
    assert public == modules
    assert airflow_codepipeline_partner.__version__


PUBLIC = {
    decorators: {"Completion", "Continuation", "JobInProgress", "codepipeline_job_task"},
    jobs: {
        "CUSTOM",
        "THIRD_PARTY",
        "ActionType",
        "Artifact",
        "ClaimedJob",
        "CurrentRevision",
        "ExecutionDetails",
        "FailureDetails",
        "JobDetails",
        "OfferedJob",
    },
    operators: {
        "CodePipelineClaimJobOperator",
        "CodePipelineFinishJobOperator",
        "CodePipelineContinueJobOperator",
        "CodePipelineDownloadArtifactsOperator",
        "PutJobFailureResultOperator",
        "PutJobSuccessResultOperator",
        "PutThirdPartyJobFailureResultOperator",
        "PutThirdPartyJobSuccessResultOperator",
        "CodePipelineUploadArtifactsOperator",
        "finish_job",
    },
    artifacts: {"ArchiveFormat", "ArchiveLimits", "Workspace"},
    emulator: {
        "Clock",
        "ControlError",
        "Customer",
        "Emulator",
        "JobSnapshot",
        "Ledger",
        "LedgerEntry",
        "Settings",
    },
}


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_module_exports_what_it_did(module):
    assert set(module.__all__) == PUBLIC[module]
    assert all(hasattr(module, name) for name in module.__all__)


def test_the_names_of_the_errors_are_as_they_were():
    # Exceptions are pickled on their way between processes, and are named in trigger events.
    assert {name for name, value in vars(exceptions).items() if inspect.isclass(value)} - {"Any"} == {
        "ActionTypeNotFound",
        "ArtifactError",
        "ClientConnectionError",
        "CodePipelineError",
        "CodePipelineProviderError",
        "InvalidClientToken",
        "InvalidInput",
        "InvalidJobReference",
        "InvalidNonce",
        "JobFailure",
        "JobNotFound",
        "JobNotInProgress",
        "NextJobNotOffered",
        "LimitExceeded",
        "RequestRefused",
        "ServiceUnavailable",
        "UnsafeArchive",
    }


def test_a_job_in_progress_has_the_members_that_it_had():
    assert {name for name in vars(decorators.JobInProgress) if not name.startswith("_")} == {
        "configuration",
        "continuation_token",
        "current_revision",
        "details",
        "hook",
        "job",
        "job_id",
        "progress",
        "serialize",
        "workspace",
    }


def test_the_task_decorator_has_the_name_that_it_had():
    [registered] = provider_info.get_provider_info()["task-decorators"]
    assert registered["name"] == "codepipeline_job"


def test_the_values_have_the_members_that_they_had():
    def members(cls: Any) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]

    reference = [
        "continuation_token",
        "pipeline_name",
        "stage_name",
        "action_name",
        "action_execution_id",
        "account_id",
        "pipeline_arn",
        "pipeline_execution_id",
        "input_artifacts",
        "output_artifacts",
    ]
    assert members(jobs.ClaimedJob) == ["job", "certain", *reference]
    assert set(members(jobs.JobDetails)) == {
        "job_id",
        "nonce",
        "configuration",
        "artifact_credentials",
        "encryption_key",
        *reference,
    }


# What lies in the database.

AWS_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
OFFERED = jobs.OfferedJob("j", "c", jobs.ActionType("Deploy", "Example"))
OFFERED_XCOM = {"job_id": "j", "client_id": "c", "action_type": AWS_TYPE}


def test_the_connection_type_and_the_ids_of_connections_are_as_they_were():
    [registered] = provider_info.get_provider_info()["connection-types"]
    assert registered["connection-type"] == "codepipeline_partner_client"
    assert client_tokens.ClientTokenHook.conn_type == "codepipeline_partner_client"
    assert client_tokens.DEFAULT_TEMPLATE == TEMPLATE
    assert client_tokens.ClientTokenHook.for_client("a-b").client_conn_id == "codepipeline_client_a_b"


def test_a_trigger_is_stored_as_it_was():
    trigger = triggers.CodePipelineJobTrigger(AWS_TYPE)
    assert trigger.serialize() == (
        "airflow_codepipeline_partner.triggers.CodePipelineJobTrigger",
        {
            "action_type": AWS_TYPE,
            "max_batch_size": 10,
            "poll_interval": 30,
            "timeout_deadline": None,
            "retry_deadline": 300,
            "query_param": None,
            **AWS,
        },
    )
    path, kwargs = trigger.serialize()
    assert triggers.CodePipelineJobTrigger(**kwargs).serialize() == (path, kwargs)


def test_the_trigger_for_an_actions_next_job_is_stored_as_it_was():
    named = {"client_id": "c", "continuation_token": "t", "timeout_deadline": 4e9}
    path, kwargs = triggers.CodePipelineContinuationTrigger(action_type=AWS_TYPE, **named).serialize()
    assert path == "airflow_codepipeline_partner.triggers.CodePipelineContinuationTrigger"
    assert kwargs == {
        "action_type": AWS_TYPE,
        "max_batch_size": 10,
        "poll_interval": 30,
        "retry_deadline": 300,
        "query_param": None,
        "doubtful_job_id": None,
        **named,
        **AWS,
    }
    assert triggers.CodePipelineContinuationTrigger(**kwargs).serialize() == (path, kwargs)


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        (triggers.event("offered", [OFFERED]), {"status": "offered", "jobs": [OFFERED_XCOM], "error": None}),
        (triggers.event("timeout"), {"status": "timeout", "jobs": [], "error": None}),
        (triggers.event("error", error="Why."), {"status": "error", "jobs": [], "error": "Why."}),
    ],
    ids=["offered", "timeout", "error"],
)
def test_a_triggers_event_has_the_keys_that_it_had(event, payload):
    assert event.payload == payload


def test_the_names_under_which_deferred_tasks_go_on_are_as_they_were():
    assert callable(sensors.CodePipelineJobSensor.execute_complete)
    assert callable(operators.CodePipelineContinueJobOperator.execute_complete)
    assert callable(operators.CodePipelineFinishJobOperator.execute_next_job)
    assert callable(operators.CodePipelineFinishJobOperator.execute_again)
    assert callable(sensors.CodePipelineJobProgressSensor.execute_again)
    assert callable(sensors.CodePipelineJobProgressSensor.execute_complete)


def test_the_keys_of_the_records_are_as_they_were():
    assert records.CLAIM_KEY == "codepipeline_claim"
    assert records.RESULT_KEY == "codepipeline_result"


@pytest.mark.parametrize("state", ["intent", "claimed", "unknown", "lost", "refused"])
def test_a_claim_is_recorded_as_it_was(state):
    record = records.ClaimRecord(claims.ClaimState(state), jobs.ClaimedJob(OFFERED))
    written = record.to_xcom()
    assert written.pop("at")
    assert written == {
        **OFFERED_XCOM,
        "certain": True,
        "continuation_token": None,
        "pipeline_name": None,
        "stage_name": None,
        "action_name": None,
        "action_execution_id": None,
        "input_artifacts": [],
        "output_artifacts": [],
        "state": state,
    }
    assert records.ClaimRecord.from_xcom(record.to_xcom()) == record


def test_a_custom_jobs_claim_is_recorded_as_it_was():
    kind = jobs.ActionType("Build", "Own", owner="Custom")
    job = jobs.OfferedJob("j", None, kind, "3", {"Project": "shop"})
    claimed = jobs.ClaimedJob(job, account_id="1", pipeline_arn="arn", pipeline_execution_id="e")
    written = records.ClaimRecord(claims.ClaimState.CLAIMED, claimed).to_xcom()
    assert {
        name: written[name] for name in ("job_id", "client_id", "action_type", "nonce", "query_param")
    } == {
        "job_id": "j",
        "client_id": None,
        "action_type": {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"},
        "nonce": "3",
        "query_param": {"Project": "shop"},
    }
    assert (written["account_id"], written["pipeline_arn"], written["pipeline_execution_id"]) == (
        "1",
        "arn",
        "e",
    )
    assert records.ClaimRecord.from_xcom(written).job == claimed


def test_these_are_all_the_states_of_a_claim():
    assert [str(state) for state in claims.ClaimState] == [
        "intent",
        "claimed",
        "unknown",
        "lost",
        "refused",
    ]


@pytest.mark.parametrize("state", ["intended", "done"])
@pytest.mark.parametrize(
    ("call", "result"),
    [
        (requests.success(OFFERED), "success"),
        (requests.success(OFFERED, continuation_token="t"), "continue"),
        (requests.failure(OFFERED, message="m"), "failure"),
    ],
    ids=["success", "continue", "failure"],
)
def test_a_result_is_recorded_as_it_was(monkeypatch, state, call, result):
    written: dict[str, Any] = {}
    monkeypatch.setattr(
        record_store.RecordStore, "write", lambda self, key, value: written.update({key: value})
    )
    monkeypatch.setattr(record_store.RecordStore, "read", lambda self, key: written.get(key))
    place = record_store.RecordStore(TaskInstanceRef("dag", "run", "task"))
    place.write_result(state, call)
    record = written["codepipeline_result"]
    assert record["at"]
    assert {key: value for key, value in record.items() if key != "at"} == {
        "state": state,
        "result": result,
        "job_id": "j",
        "call": call.arguments,
    }
    assert place.read_result("j").call(OFFERED) == call
    assert place.read_result("another") is None


def test_the_links_name_and_the_choices_for_an_unknown_claim_are_as_they_were():
    assert links.CodePipelineLink.name == "CodePipeline"
    assert claims.UNKNOWN_CLAIM_CHOICES == ("assume_ours", "leave")


def test_a_sensor_may_be_told_its_interval_as_a_duration():
    sensor = sensors.CodePipelineJobSensor(
        task_id="wait", action_type=AWS_TYPE, poke_interval=timedelta(seconds=5)
    )
    assert sensor.poke_interval == 5


# The emulator, which users' own tests drive.

EMULATOR = {
    "add_customer": {"client_id": None, "client_token": None},
    "rotate_token": {"client_id": NEEDED, "client_token": None, "overlap": None},
    "add_pipeline": {
        "name": NEEDED,
        "client_id": None,
        "action_type": AWS_TYPE,
        "configuration": None,
        "secret_configuration_keys": (),
        "input_artifacts": ("SourceOutput",),
        "output_artifacts": (),
        "stage_name": "Partner",
        "action_name": "Partner",
        "encryption_key": None,
        "job_timeout": None,
        "execution_url_template": None,
        "bucket": None,
    },
    "start_execution": {
        "name": NEEDED,
        "artifacts": None,
        "trigger": "start_execution",
        "variables": None,
    },
    "add_action_type": {"action_type": NEEDED, "secret_configuration_keys": ()},
    "advance": {"seconds": NEEDED},
    "inject": {
        "kind": NEEDED,
        "operation": None,
        "times": 1,
        "probability": None,
        "seed": None,
        "job_id": None,
        "client_id": None,
    },
}


@pytest.mark.parametrize("name", EMULATOR)
def test_the_emulator_is_driven_as_it_was(name):
    assert parameters_of(getattr(emulator.Emulator, name)) == EMULATOR[name]


def test_the_emulator_is_a_context_manager_with_a_url_and_a_ledger():
    for name in ("url", "ledger", "__enter__", "__exit__", "start", "stop", "jobs", "pipeline_state"):
        assert hasattr(emulator.Emulator, name)
