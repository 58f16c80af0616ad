# SPDX-License-Identifier: Apache-2.0
"""Each message of docs/troubleshooting.md is what a user reads who does it wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, task
from support import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelinePutApprovalResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor
from tests.docs.pages import page

PAGE = "docs/troubleshooting.md"
MESSAGES = re.findall(r"^### `(.+)`$", page(PAGE), re.MULTILINE)
JOB = {"job_id": "11111111-1111-1111-1111-111111111111", "action_type": CUSTOM_TYPE, "nonce": "1"}


class World:
    """An emulator with a custom action and a partner's, and a hook that asks it once."""

    def __init__(self, emulator, make_hook, monkeypatch, capsys, run_dag, store_token):
        self.emulator, self.make_hook, self.monkeypatch = emulator, make_hook, monkeypatch
        self.capsys, self.run_dag, self.store_token = capsys, run_dag, store_token
        self.customer = emulator.add_customer()
        emulator.add_pipeline("pipe", client_id=self.customer.client_id, action_type=ACTION_TYPE)
        emulator.add_pipeline("own", action_type=CUSTOM_TYPE)
        self.hook = make_hook(retry_deadline=0)

    def own_job(self):
        self.emulator.start_execution("own")
        [job] = self.hook.poll(CUSTOM_TYPE)
        return job

    def partners_job(self):
        self.emulator.start_execution("pipe")
        [job] = self.hook.poll(ACTION_TYPE)
        return job

    def refuse_polls(self, code):
        self.emulator.inject("error", operation="PollForJobs", code=code)
        self.hook.poll(CUSTOM_TYPE)

    def connected(self, extra, **more):
        held = {"conn_type": "aws", "extra": extra, **more}
        self.monkeypatch.setenv("AIRFLOW_CONN_THERE", json.dumps(held))
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
            self.monkeypatch.delenv(name, raising=False)
        self.monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        CodePipelineHook("there", retry_deadline=0).poll(CUSTOM_TYPE)


def parse(build):
    with DAG("d", schedule=None) as dag:
        build()
    dag.resolve_template_files()


def a_claim():
    return CodePipelineClaimJobOperator(task_id="claim", job=JOB)


def unfinished():
    a_claim() >> BaseOperator(task_id="work")


def finished_too_early():
    claim = a_claim()
    finish_job(claim)
    claim >> BaseOperator(task_id="work")


def mapped_by_itself():
    finish_job(CodePipelineClaimJobOperator.partial(task_id="claim").expand(job=[JOB]))


def branch_before_the_end():
    @task.branch
    def choose():
        return []

    claim = a_claim()
    branch = choose()
    claim >> branch >> EmptyOperator(task_id="work")
    branch >> finish_job(claim)


def ended_job(world):
    claimed = world.hook.claim(world.own_job())
    world.hook.succeed(claimed)
    world.hook.fail(claimed, message="Too late.")


def lost_claim(world):
    job = world.own_job()
    world.make_hook().claim(job)
    assert world.run_dag("claim_only", job=job.to_xcom()).states["claim"] == "skipped"
    raise RuntimeError(world.capsys.readouterr().out)


def wrong_token(world):
    world.store_token(world.customer, password="another-token")
    world.hook.claim(world.partners_job())


def no_approval(world):
    approve = CodePipelinePutApprovalResultOperator(
        task_id="approve", pipeline_name="own", stage_name="Partner", action_name="Partner"
    )
    ti = SimpleNamespace(dag_id="d", run_id="r", try_number=1, max_tries=0)
    approve.execute({"ti": ti, "dag_run": SimpleNamespace(start_date=None)})


def no_emulator(world):
    program = "import sys; sys.modules['moto'] = None; import airflow_codepipeline_partner.emulator"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    raise RuntimeError(done.stderr)


HERE = "http://127.0.0.1:9"
#: The begin of a message of the page → what a user does to read it.
WAYS = {
    "… ActionTypeNotFound": lambda world: world.hook.poll("Build/Custom/Unknown/1"),
    "… AccessDenied": lambda world: world.refuse_polls("AccessDeniedException"),
    "… UnrecognizedClient": lambda world: world.refuse_polls("UnrecognizedClientException"),
    "… queryParam": lambda world: world.hook.poll(CUSTOM_TYPE, query_param={"Dag": "shop"}),
    "… NoRegion": lambda world: world.connected({"endpoint_url": HERE}, login="a", password="b"),
    "… NoCredentials": lambda world: world.connected({"endpoint_url": HERE, "region_name": "us-east-1"}),
    "… got no answer": lambda world: world.connected(
        {"endpoint_url": HERE, "region_name": "us-east-1"}, login="a", password="b"
    ),
    "… must be a mapping with": lambda world: world.hook.poll("Airflow"),
    "… must be one of": lambda world: world.hook.poll("Builds/Custom/Airflow/1"),
    "There is no Airflow": lambda world: world.hook.claim(world.partners_job()),
    "… InvalidClientToken": wrong_token,
    "Another worker has the job": lost_claim,
    "A job must be": lambda world: world.hook.claim([world.own_job()]),
    "A job needs": lambda world: world.hook.claim({}),
    "… InvalidJobStateException: … its state is D": lambda world: world.hook.succeed(world.own_job()),
    "… InvalidJobStateException: … its state is S": ended_job,
    "… JobNotFound": lambda world: world.hook.succeed(JOB),
    "currentRevision": lambda world: world.hook.succeed(
        JOB, current_revision={"revision": "r" * 1501, "change_identifier": "c"}
    ),
    "executionDetails": lambda world: world.hook.succeed(JOB, execution_details={"summery": "Built."}),
    "output_variables": lambda world: world.hook.succeed(world.partners_job(), output_variables={"a": "b"}),
    "No task of the DAG": lambda world: parse(unfinished),
    "… does not wait": lambda world: parse(finished_too_early),
    "finish_job takes": lambda world: parse(mapped_by_itself),
    "… comes just": lambda world: parse(branch_before_the_end),
    "… has a wake_queue": lambda world: CodePipelineJobSensor(
        task_id="wait", action_type=CUSTOM_TYPE, wake_queue="https://sqs.us-east-1.amazonaws.com/1/started"
    ),
    "… PipelineNotFound": lambda world: world.hook.start_pipeline("unknown"),
    "No approval": no_approval,
    "… pip install": no_emulator,
}


def test_every_message_is_provoked_and_no_other():
    assert [way for way in WAYS if sum(message.startswith(way) for message in MESSAGES) != 1] == []
    assert len(WAYS) == len(MESSAGES)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.strip("… ").replace(" ", "-"))
def test_it_is_what_a_user_reads(
    way, emulator, aws_connection, make_hook, monkeypatch, capsys, run_dag, store_token
):
    world = World(emulator, make_hook, monkeypatch, capsys, run_dag, store_token)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - of many types, and the page has the text
        WAYS[way](world)
    [message] = [message for message in MESSAGES if message.startswith(way)]
    pieces = [re.escape(piece.strip()) for piece in message.split("…")]
    assert re.search(".*".join(pieces), str(raised.value), re.DOTALL), message
