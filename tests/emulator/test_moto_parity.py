# SPDX-License-Identifier: Apache-2.0
"""Of pipelines in which no worker has an action, moto's word is the emulator's."""

from __future__ import annotations

import json

import pytest
from declaring import CODE_DEPLOY, S3, TRUST, action, stage
from moto.server import ThreadedMotoServer

ARN = "arn:aws:codepipeline:us-east-1:123456789012:{}"
ROLE = "arn:aws:iam::123456789012:role/{}"


def declared(name="shop", **more):
    return {
        "pipeline": {
            "name": name,
            "roleArn": ROLE.format("pipelines"),
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [
                stage("Source", action("Fetch", S3, outputs=["App"], configuration={"S3Bucket": "b"})),
                stage("Deploy", action("Roll", CODE_DEPLOY, inputs=["App"], runOrder=2)),
            ],
        }
        | more
    }


TAGS = [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}]
CALLS = [
    ("ListPipelines", {}),
    ("GetPipeline", {"name": "shop"}),
    ("CreatePipeline", declared() | {"tags": TAGS}),
    ("CreatePipeline", declared("no-role", roleArn=ROLE.format("none"))),
    ("CreatePipeline", declared("no-trust", roleArn=ROLE.format("untrusting"))),
    ("CreatePipeline", declared("short", stages=[stage("Source", action("Fetch", S3))])),
    ("CreatePipeline", declared("odd", stages=[stage("Same"), stage("Same", action("A", CODE_DEPLOY))])),
    ("ListPipelines", {}),
    ("CreatePipeline", declared("many") | {"tags": [{"key": f"k{n}", "value": "v"} for n in range(51)]}),
    ("GetPipeline", {"name": "shop"}),
    ("UpdatePipeline", declared(executionMode="QUEUED", pipelineType="V2")),
    ("UpdatePipeline", declared("none")),
    ("GetPipeline", {"name": "shop"}),
    ("ListTagsForResource", {"resourceArn": ARN.format("shop")}),
    ("TagResource", {"resourceArn": ARN.format("shop"), "tags": [{"key": "c", "value": "3"}]}),
    ("TagResource", {"resourceArn": ARN.format("shop"), "tags": [{"key": "aws:x", "value": "3"}]}),
    ("UntagResource", {"resourceArn": ARN.format("shop"), "tagKeys": ["a", "none"]}),
    ("ListTagsForResource", {"resourceArn": ARN.format("shop")}),
    ("ListTagsForResource", {"resourceArn": ARN.format("none")}),
    ("DeletePipeline", {"name": "odd"}),
    ("DeletePipeline", {"name": "none"}),
    ("DeletePipeline", {"name": "shop"}),
    ("GetPipeline", {"name": "shop"}),
]


class Plain:
    """moto's own server, without the emulator before it."""

    def __init__(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())
        self.stop = self._server.stop


@pytest.fixture
def moto():
    plain = Plain()
    yield plain
    plain.stop()


def without_times(answer):
    if isinstance(answer, dict):
        return {
            name: without_times(inner) for name, inner in answer.items() if name not in ("created", "updated")
        }
    return [without_times(each) for each in answer] if isinstance(answer, list) else answer


def answers(server, client, http, signed_call):
    """Return what a server answers to all calls, one after another."""
    http(f"{server.url}/moto-api/reset", b"", method="POST")
    iam = client("iam", server)
    iam.create_role(RoleName="pipelines", AssumeRolePolicyDocument=TRUST)
    untrusting = TRUST.replace("codepipeline", "codebuild")
    iam.create_role(RoleName="untrusting", AssumeRolePolicyDocument=untrusting)
    said = []
    for operation, request in CALLS:
        status, answer, _ = signed_call(server, operation, json.loads(json.dumps(request)))
        said.append((operation, status, without_times(answer)))
    return said


def test_moto_and_the_emulator_answer_the_same(start_emulator, moto, client, http, signed_call):
    theirs = answers(moto, client, http, signed_call)
    ours = answers(start_emulator(), client, http, signed_call)
    assert [each[:2] for each in ours] == [each[:2] for each in theirs]
    for mine, yours in zip(ours, theirs, strict=True):
        assert mine == yours
    assert {status for _, status, _ in ours} == {200, 400}
