# SPDX-License-Identifier: Apache-2.0
"""
The emulator's clients of other makers: the AWS SDKs for JavaScript and Go, and the AWS CLI.

``make test-clients`` installs the first and the last, and runs this. All take the same lists of calls: a
whole story of a custom action, and one of a partner's.
"""

from __future__ import annotations

import functools
import json
import re

import boto3
import pytest
from clients.programs import HERE, VENV, found, run
from declaring import CUSTOM_TYPE, S3, TRUST

from airflow_codepipeline_partner.emulator import Emulator, Settings

AWS_CLI = VENV / "aws-cli" / "bin" / "aws"
PARTNER = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
ADMIN = {"aws_access_key_id": "AKIAADMIN", "aws_secret_access_key": "any", "region_name": "us-east-1"}


class Sdk:
    """An AWS SDK, one process for a whole list of calls."""

    def __init__(self, url):
        self.url = url

    def make(self, calls):
        done = run(*self.command(), self.url, json.dumps(calls))
        answered = [json.loads(line) for line in done.stdout.splitlines()]
        assert all(each["modelled"] for each in answered if "error" in each), answered
        return [(each["operation"], each.get("error", each.get("answer"))) for each in answered]


class NodeSdk(Sdk):
    """The AWS SDK for JavaScript."""

    def command(self):
        return found("node", "nodejs"), str(HERE / "worker.mjs")


class GoSdk(Sdk):
    """The AWS SDK for Go 2, as Debian has it."""

    GO_PATH = "/usr/share/gocode"
    PACKAGES = "golang-go golang-github-aws-aws-sdk-go-v2-dev"

    def command(self):
        return (self.built(),)

    @classmethod
    @functools.cache
    def built(cls):
        go, program = found("go", cls.PACKAGES), VENV / "go" / "worker"
        found(f"{cls.GO_PATH}/src/github.com/aws/aws-sdk-go-v2/service/codepipeline", cls.PACKAGES)
        settings = {"GO111MODULE": "off", "GOPATH": cls.GO_PATH, "GOCACHE": str(VENV / "go" / "cache")}
        run(go, "build", "-o", str(program), str(HERE / "worker.go"), timeout=600, **settings)
        return str(program)


class AwsCli:
    """The AWS CLI, a process for each call."""

    def __init__(self, url):
        self.url = url
        self.kept = {}

    def make(self, calls):
        return [(operation, self._call(operation, *rest)) for operation, *rest in calls]

    def _call(self, operation, request, keep=()):
        command = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", operation).lower()
        where = ["--endpoint-url", self.url, "--region", "us-east-1", "--output", "json"]
        done = run(
            *[
                AWS_CLI,
                "codepipeline",
                command,
                *where,
                "--cli-input-json",
                json.dumps(self._filled(request)),
            ],
            check=False,
            AWS_ACCESS_KEY_ID="AKIAWORKER",
            AWS_SECRET_ACCESS_KEY="any",
            AWS_MAX_ATTEMPTS="1",
        )
        if done.returncode != 0:
            error = re.search(r"An error occurred \((\w+)\)", done.stderr)
            assert error, done.stderr
            return error[1]
        answer = json.loads(done.stdout or "{}")
        for name, path in dict(keep).items():
            inner = answer
            for part in path.split("."):
                inner = inner[int(part) if isinstance(inner, list) else part]
            self.kept[name] = inner
        return answer

    def _filled(self, value):
        if isinstance(value, str) and value.startswith("$"):
            return self.kept[value[1:]]
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, dict):
            return {name: self._filled(inner) for name, inner in value.items()}
        return value


@pytest.fixture(params=[NodeSdk, GoSdk, AwsCli])
def make_calls(request):
    """Return a function that has a client do calls, on an emulator with all that a pipeline needs."""
    with Emulator(settings=Settings(continuation_delay=0)) as emulator:
        emulator.reset()
        iam = boto3.client("iam", endpoint_url=emulator.url, **ADMIN)
        role = iam.create_role(RoleName="pipelines", AssumeRolePolicyDocument=TRUST)["Role"]
        s3 = boto3.client("s3", endpoint_url=emulator.url, **ADMIN)
        s3.create_bucket(Bucket="sources")
        s3.put_object(Bucket="sources", Key="app.zip", Body=b"the source")

        def run(calls):
            return request.param(emulator.url).make(calls)

        run.emulator, run.role = emulator, role["Arn"]
        yield run


def pipeline(role, *actions):
    source = {
        "name": "Fetch",
        "actionTypeId": S3,
        "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"},
        "outputArtifacts": [{"name": "App"}],
    }
    return {
        "name": "shop",
        "roleArn": role,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [source]},
            *({"name": action["name"], "actions": [action]} for action in actions),
        ],
    }


PROPERTY = {"required": True, "key": True, "secret": False}
COUNTS = {"minimumCount": 0, "maximumCount": 5}
JOB = {"jobId": "$job"}
POLL = {"actionTypeId": CUSTOM_TYPE, "maxBatchSize": 1, "queryParam": {"Project": "shop"}}


def test_a_custom_action_from_its_type_to_its_output_variables(make_calls):
    build = {
        "name": "Build",
        "actionTypeId": CUSTOM_TYPE,
        "configuration": {"Project": "shop"},
        "inputArtifacts": [{"name": "App"}],
        "namespace": "Built",
    }
    check = {"name": "Check", "actionTypeId": CUSTOM_TYPE, "configuration": {"Project": "#{Built.Digest}"}}
    kept_job = {"job": "jobs.0.id", "nonce": "jobs.0.nonce"}
    named = {"pipelineName": "shop"}
    answered = make_calls(
        [
            (
                "CreateCustomActionType",
                {name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")}
                | {
                    "inputArtifactDetails": COUNTS,
                    "outputArtifactDetails": COUNTS,
                    "configurationProperties": [{"name": "Project", "queryable": True} | PROPERTY],
                },
            ),
            ("ListActionTypes", {"actionOwnerFilter": "Custom"}),
            ("CreatePipeline", {"pipeline": pipeline(make_calls.role, build, check)}),
            ("UpdatePipeline", {"pipeline": pipeline(make_calls.role, build, check)}),
            ("GetPipeline", {"name": "shop"}),
            ("ListPipelines", {}),
            ("StartPipelineExecution", {"name": "shop"}, {"run": "pipelineExecutionId"}),
            ("PollForJobs", {**POLL, "queryParam": {"Project": "other"}}),
            ("PollForJobs", {"actionTypeId": CUSTOM_TYPE, "maxBatchSize": 1}),
            ("PollForJobs", POLL, kept_job),
            ("GetJobDetails", JOB),
            ("AcknowledgeJob", {**JOB, "nonce": "0"}),
            ("AcknowledgeJob", {**JOB, "nonce": "$nonce"}),
            ("PutJobSuccessResult", {**JOB, "continuationToken": "next"}),
            ("PutJobSuccessResult", JOB),
            ("PollForJobs", POLL, kept_job),
            ("AcknowledgeJob", {**JOB, "nonce": "$nonce"}),
            (
                "PutJobSuccessResult",
                {
                    **JOB,
                    "outputVariables": {"Digest": "0f3a"},
                    "executionDetails": {"summary": "Built.", "percentComplete": 100},
                },
            ),
            ("PollForJobs", {**POLL, "queryParam": {"Project": "0f3a"}}, kept_job),
            ("AcknowledgeJob", {**JOB, "nonce": "$nonce"}),
            ("PutJobFailureResult", {**JOB, "failureDetails": {"type": "JobFailed", "message": "no"}}),
            ("GetPipelineState", {"name": "shop"}),
            ("ListActionExecutions", named),
            ("ListPipelineExecutions", named),
            ("StopPipelineExecution", {**named, "pipelineExecutionId": "$run"}),
            ("GetPipelineExecution", {**named, "pipelineExecutionId": "$run"}),
            ("DeletePipeline", {"name": "shop"}),
            (
                "DeleteCustomActionType",
                {name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")},
            ),
            ("PollForJobs", POLL),
        ]
    )
    answers = [answer for _, answer in answered]
    updated, shown, listed = answers[3:6]
    assert updated["pipeline"]["version"] == shown["pipeline"]["version"] == 2
    assert [each["name"] for each in listed["pipelines"]] == ["shop"]
    assert shown["metadata"]["created"] == listed["pipelines"][0]["created"]
    del answers[3:6]
    assert answers[0]["actionType"]["id"] == CUSTOM_TYPE
    assert [each["id"] for each in answers[1]["actionTypes"]] == [CUSTOM_TYPE]
    assert answers[2]["pipeline"]["version"] == 1
    assert answers[4].get("jobs") == []
    assert answers[5] == "ValidationException"
    [job] = answers[6]["jobs"]
    assert job["data"]["actionConfiguration"]["configuration"] == {"Project": "shop"}
    assert job["data"]["inputArtifacts"][0]["name"] == "App"
    assert answers[7]["jobDetails"]["id"] == job["id"]
    assert answers[8:10] == ["InvalidNonceException", {"status": "InProgress"}]
    assert answers[10:12] == [{}, "InvalidJobStateException"]
    assert answers[12]["jobs"][0]["data"]["continuationToken"] == "next"
    assert answers[14] == {}
    assert answers[15]["jobs"][0]["data"]["pipelineContext"]["stage"]["name"] == "Check"
    stages = answers[18]["stageStates"]
    assert [stage["latestExecution"]["status"] for stage in stages] == ["Succeeded", "Succeeded", "Failed"]
    assert stages[1]["actionStates"][0]["latestExecution"]["percentComplete"] == 100
    listed = answers[19]["actionExecutionDetails"]
    assert [each["actionName"] for each in listed] == ["Check", "Build", "Fetch"]
    assert listed[1]["output"]["outputVariables"] == {"Digest": "0f3a"}
    assert answers[20]["pipelineExecutionSummaries"][0]["status"] == "Failed"
    assert answers[21] == "PipelineExecutionNotStoppableException"
    assert answers[22]["pipelineExecution"]["status"] == "Failed"
    assert answers[25] == "ActionTypeNotFoundException"


def test_a_partners_action_from_the_poll_to_the_result(make_calls):
    customer = make_calls.emulator.add_customer()
    make_calls.emulator.add_action_type(PARTNER)
    deploy = {"name": "Deploy", "actionTypeId": PARTNER, "inputArtifacts": [{"name": "App"}]}
    job = JOB | {"clientToken": customer.client_token}
    poll = {"actionTypeId": PARTNER, "maxBatchSize": 1}
    answered = make_calls(
        [
            ("CreatePipeline", {"pipeline": pipeline(make_calls.role, deploy)}),
            ("StartPipelineExecution", {"name": "shop"}),
            ("PollForThirdPartyJobs", poll, {"job": "jobs.0.jobId"}),
            ("GetThirdPartyJobDetails", JOB | {"clientToken": "another's"}),
            ("GetThirdPartyJobDetails", job, {"nonce": "jobDetails.nonce"}),
            ("AcknowledgeThirdPartyJob", {**job, "nonce": "$nonce"}),
            ("PutThirdPartyJobSuccessResult", {**job, "continuationToken": "next"}),
            ("PollForThirdPartyJobs", poll, {"job": "jobs.0.jobId"}),
            ("GetThirdPartyJobDetails", job, {"nonce": "jobDetails.nonce"}),
            ("AcknowledgeThirdPartyJob", {**job, "nonce": "$nonce"}),
            ("PutThirdPartyJobSuccessResult", job),
            (
                "PutThirdPartyJobFailureResult",
                {**job, "failureDetails": {"type": "JobFailed", "message": "no"}},
            ),
            ("GetPipelineState", {"name": "shop"}),
        ]
    )
    answers = [answer for _, answer in answered]
    assert answers[2]["jobs"][0]["clientId"] == customer.client_id
    assert answers[3] == "InvalidClientTokenException"
    assert answers[4]["jobDetails"]["data"]["inputArtifacts"][0]["name"] == "App"
    assert answers[5] == {"status": "InProgress"}
    assert answers[8]["jobDetails"]["data"]["continuationToken"] == "next"
    assert answers[10:12] == [{}, "InvalidJobStateException"]
    states = [stage["latestExecution"]["status"] for stage in answers[12]["stageStates"]]
    assert states == ["Succeeded", "Succeeded"]


@pytest.mark.parametrize("make_calls", [GoSdk], indirect=True)
def test_a_paginator_walks_through_all_pages(make_calls):
    make_calls.emulator.add_customer()
    make_calls.emulator.add_action_type(PARTNER)
    deploy = {"name": "Deploy", "actionTypeId": PARTNER, "inputArtifacts": [{"name": "App"}]}
    named = {"pipelineName": "shop"}
    answered = make_calls(
        [
            ("CreatePipeline", {"pipeline": pipeline(make_calls.role, deploy)}),
            *[("StartPipelineExecution", {"name": "shop"})] * 3,
            ("ListPipelineExecutionsPages", {**named, "maxResults": 2}),
            ("ListActionExecutionsPages", {**named, "maxResults": 2}),
            ("ListActionTypesPages", {"actionOwnerFilter": "ThirdParty"}),
            ("ListPipelineExecutionsPages", {"pipelineName": "none"}),
        ]
    )
    started = [answer["pipelineExecutionId"] for _, answer in answered[1:4]]
    executions, actions, types, none = (answer for _, answer in answered[4:])
    sizes = [len(page["pipelineExecutionSummaries"]) for page in executions]
    walked = [
        each["pipelineExecutionId"] for page in executions for each in page["pipelineExecutionSummaries"]
    ]
    assert (sizes, sorted(walked)) == ([2, 1], sorted(started))
    assert sum(len(page["actionExecutionDetails"]) for page in actions) >= len(actions) > 1
    assert [each["id"] for page in types for each in page["actionTypes"]] == [PARTNER]
    assert none == "PipelineNotFoundException"
