# SPDX-License-Identifier: Apache-2.0
"""Making and running pipelines in tests, as a user of boto3 does."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError

ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
CUSTOM_TYPE = {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"}
S3 = {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}
APPROVAL = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
CODE_DEPLOY = {"category": "Deploy", "owner": "AWS", "provider": "CodeDeploy", "version": "1"}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "codepipeline.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def code(call, *arguments, **options):
    with pytest.raises(ClientError) as error:
        call(*arguments, **options)
    return error.value.response["Error"]["Code"]


def message(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Message"]


def action(name, action_type=CUSTOM_TYPE, inputs=(), outputs=(), **more):
    return {
        "name": name,
        "actionTypeId": action_type,
        "inputArtifacts": [{"name": each} for each in inputs],
        "outputArtifacts": [{"name": each} for each in outputs],
        **more,
    }


def stage(name, *actions):
    return {"name": name, "actions": list(actions)}


def retry(m, execution_id, mode="FAILED_ACTIONS", stage_name="Build"):
    return {
        "pipelineName": "made",
        "stageName": stage_name,
        "pipelineExecutionId": execution_id,
        "retryMode": mode,
    }


class Declaring:
    """Make pipelines as a user of boto3 does."""

    def __init__(self, w, client):
        self.w, self.client = w, w.worker.client
        self.s3 = client("s3", w.emu)
        iam = client("iam", w.emu)
        self.role = iam.create_role(RoleName=f"r-{uuid.uuid4().hex}", AssumeRolePolicyDocument=TRUST)["Role"]
        self.s3.create_bucket(Bucket="sources")
        self.s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})
        self.s3.create_bucket(Bucket="artifacts")

    @property
    def source(self):
        configuration = {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}
        return stage(
            "Source", action("Fetch", S3, outputs=["App"], configuration=configuration, namespace="Src")
        )

    def declared(self, *stages, name="made", **more):
        return {
            "name": name,
            "roleArn": self.role["Arn"],
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": list(stages),
            **more,
        }

    def create(self, *stages, **more):
        return self.client.create_pipeline(pipeline=self.declared(*stages, **more))["pipeline"]

    def update(self, *stages, **more):
        return self.client.update_pipeline(pipeline=self.declared(*stages, **more))["pipeline"]

    def put_source(self, body=b"zip", key="app.zip"):
        return self.s3.put_object(Bucket="sources", Key=key, Body=body)

    def start(self, name="made", **more):
        return self.client.start_pipeline_execution(name=name, **more)["pipelineExecutionId"]

    def status(self, execution_id, name="made"):
        return self.client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution_id)[
            "pipelineExecution"
        ]["status"]

    def stages(self, name="made"):
        """Return the status of each stage's latest execution."""
        return {
            each["stageName"]: each.get("latestExecution", {}).get("status")
            for each in self.client.get_pipeline_state(name=name)["stageStates"]
        }

    def actions(self, name="made"):
        """Return the status of each action's latest execution."""
        return {
            state["actionName"]: state.get("latestExecution", {}).get("status")
            for each in self.client.get_pipeline_state(name=name)["stageStates"]
            for state in each["actionStates"]
        }

    def runs(self, execution_id=None, name="made"):
        """Return the executions of actions, the oldest first."""
        asked = {} if execution_id is None else {"filter": {"pipelineExecutionId": execution_id}}
        listed = self.client.list_action_executions(pipelineName=name, **asked)
        return listed["actionExecutionDetails"][::-1]

    def claim(self, **poll):
        [job] = self.w.worker.poll(1, **poll)
        assert self.w.worker.acknowledge(job["id"]) == "InProgress"
        return job

    def named(self, job):
        return job["data"]["pipelineContext"]["action"]["name"]
