# SPDX-License-Identifier: Apache-2.0
"""Pipelines of several stages whose actions Airflow does, made by CreatePipeline."""

from __future__ import annotations

import io
import zipfile

import pytest
from declaring import S3, TRUST, action, stage
from support import ACTION_TYPE, CUSTOM_TYPE, admin_client


@pytest.fixture
def hook(make_hook, emulator, customer):
    emulator.reset()
    emulator.add_customer(customer.client_id, customer.client_token)
    emulator.add_action_type(ACTION_TYPE)
    return make_hook()


@pytest.fixture
def shop(emulator, hook):
    """The pipeline ``shop``: a source, two custom actions (one gets the other's variable), a partner's."""
    client, s3, iam = (admin_client(emulator, name) for name in ("codepipeline", "s3", "iam"))
    role = iam.create_role(RoleName="pipelines", AssumeRolePolicyDocument=TRUST)["Role"]
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("one.txt", "1")
        archive.writestr("two.txt", "2")
    s3.create_bucket(Bucket="sources")
    s3.put_object(Bucket="sources", Key="shop.zip", Body=body.getvalue())
    usual = {"required": False, "key": False, "secret": False}
    counts = {"minimumCount": 0, "maximumCount": 1}
    client.create_custom_action_type(
        **{name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")},
        configurationProperties=[{"name": "Target"} | usual, {"name": "ApiKey"} | usual | {"secret": True}],
        inputArtifactDetails=counts,
        outputArtifactDetails=counts,
    )

    source = {"S3Bucket": "sources", "S3ObjectKey": "shop.zip"}
    target = {"Target": "#{Build.Files} files, #{Build.Digest}"}
    client.create_pipeline(
        pipeline={
            "name": "shop",
            "roleArn": role["Arn"],
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [
                stage("Source", action("Fetch", S3, outputs=["App"], configuration=source)),
                stage("Build", action("Build", CUSTOM_TYPE, ["App"], ["Built"], namespace="Build")),
                stage("Again", action("Again", CUSTOM_TYPE, ["Built"], ["Twice"], configuration=target)),
                stage("Deploy", action("Deploy", ACTION_TYPE, ["Twice"])),
            ],
        }
    )
    return client


def test_airflow_does_one_stage_after_the_other(emulator, hook, shop, run_dag):
    execution_id = shop.start_pipeline_execution(name="shop")["pipelineExecutionId"]
    said = []
    for action_type, dag_id in (
        (CUSTOM_TYPE, "example_build_with_output_variables"),
        (CUSTOM_TYPE, "example_build_with_output_variables"),
        (ACTION_TYPE, "one_job_assume_ours_0_retries"),
    ):
        [job] = hook.poll(action_type, max_batch_size=10)
        said.append(hook.details(job).configuration)
        conf = job.to_xcom() if dag_id == "example_build_with_output_variables" else {"job": job.to_xcom()}
        assert run_dag(dag_id, **conf).state == "success"
    shown = shop.get_pipeline_execution(pipelineName="shop", pipelineExecutionId=execution_id)
    assert shown["pipelineExecution"]["status"] == "Succeeded"
    runs = shop.list_action_executions(pipelineName="shop")["actionExecutionDetails"][::-1]
    assert [run["actionName"] for run in runs] == ["Fetch", "Build", "Again", "Deploy"]
    built = runs[1]["output"]["outputVariables"]
    assert built["Files"] == "2"
    assert said[:2] == [{}, {"Target": f"2 files, {built['Digest']}"}]
    # The second built the very same from what the first had built.
    assert runs[2]["output"]["outputVariables"] == built
