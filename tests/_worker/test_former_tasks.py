# SPDX-License-Identifier: Apache-2.0
"""A DAG that is changed while a run is at work: the claiming task is gone, and its job is not forgotten."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import former_tasks
from airflow_codepipeline_partner._worker.former_tasks import end_jobs_of_former_tasks
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import ClientConnectionError, JobNotInProgress
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator

JOB = OfferedJob("job", "client")


class Hook:
    """Takes each result, or says that the job has ended."""

    def __init__(self, ended=False, without_token=(), kind=ClientConnectionError):
        self.ended = ended
        self.kind = kind
        self.without_token = without_token
        self.sent = []

    def send_result(self, call):
        if call.job.client_id in self.without_token:
            raise self.kind("There is no client token.")
        self.sent.append(requests.result_of(call))
        if self.ended:
            raise JobNotInProgress("It has ended.", job_id="job")

    def status_of_ended(self, job):
        return None


def end(hook, dag_has=("finish",), former=("former",), claiming=(), mapped=()):
    """Have the finishing task of a run look, which had other tasks before."""
    with DAG("d", schedule=None) as dag:
        for task_id in dag_has:
            BaseOperator(task_id=task_id)
        for task_id in claiming:
            CodePipelineClaimJobOperator(task_id=task_id, job=JOB.to_xcom())
        for task_id in mapped:
            CodePipelineClaimJobOperator.partial(task_id=task_id).expand(job=[JOB.to_xcom()])
    names = {"dag_id": "d", "run_id": "r", "task_id": "finish", "map_index": -1}
    states = {**dict.fromkeys(former, "success"), "finish": "running"}
    ti = SimpleNamespace(**names, get_task_states=lambda dag_id, run_ids: {"r": states})
    end_jobs_of_former_tasks(hook, {"ti": ti, "dag": dag})


def claimed(state=ClaimState.CLAIMED):
    store = RecordStore(TaskInstanceRef("d", "r", "former"))
    store.write_claim(ClaimRecord(state, ClaimedJob(JOB)))
    return store


def test_a_job_that_has_its_result_or_was_not_won_is_left(xcom):
    claimed().write_result(ResultRecord.of_call("done", requests.success(JOB)))
    end(Hook())
    claimed(ClaimState.LOST)
    xcom.pop((-1, "codepipeline_result"))
    hook = Hook()
    end(hook)
    assert hook.sent == []


@pytest.mark.parametrize("writer", ["", "finish"], ids=["only one reports", "several report"])
def test_what_was_intended_before_the_change_is_put(xcom, writer):
    claimed()
    before = RecordStore(TaskInstanceRef("d", "r", "former"), writer=writer, writers=("finish", "watch"))
    before.write_result(ResultRecord.of_call("intended", requests.success(JOB)))
    hook = Hook()
    with pytest.raises(AirflowFailException, match="Ended: job job"):
        end(hook)
    assert hook.sent == ["success"]


@pytest.fixture
def claims(xcom, monkeypatch):
    """Former tasks and the jobs that they claimed, without a result."""
    held = {}

    def records_of_run(dag_id, run_id, task_id, writers=()):
        if task_id in held:
            yield ClaimRecord(ClaimState.CLAIMED, ClaimedJob(held[task_id])), Results()

    monkeypatch.setattr(former_tasks, "records_of_run", records_of_run)
    return held


def test_where_no_task_is_gone_no_record_is_read(monkeypatch):
    """Each finishing task looks, also in a DAG of thousands of tasks."""
    read = []
    monkeypatch.setattr(former_tasks, "records_of_run", lambda *about: read.append(about) or ())
    there = ("my_work", "finish_job", "work_12")
    end(Hook(), dag_has=("finish", "work", *there), former=there)
    assert read == []


@pytest.mark.parametrize("ended", [False, True])
def test_the_job_of_a_task_that_is_gone_is_ended(claims, ended):
    claims["former"] = JOB
    hook = Hook(ended)
    with pytest.raises(AirflowFailException, match=r"is no longer there\. Ended: job job\."):
        end(hook)
    assert hook.sent == ["failure"]


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("claim", {"claiming": ["claim"]}),
        # The first of its instances.
        ("claim_0", {"mapped": ["claim"]}),
    ],
)
def test_the_job_of_a_task_that_is_there_is_its_own_affair(claims, name, there):
    claims[name] = JOB
    hook = Hook()
    end(hook, former=[name], **there)
    assert hook.sent == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("claim_job", {"claiming": ["claim"]}),
        ("claim_1", {"claiming": ["claim"]}),
    ],
)
def test_the_job_of_a_claim_that_was_renamed_is_ended(claims, name, there):
    claims[name] = JOB
    hook = Hook()
    with pytest.raises(AirflowFailException):
        end(hook, former=[name, "claim"], **there)
    assert hook.sent == ["failure"]


@pytest.mark.parametrize("kind", [ClientConnectionError, KeyError])
def test_one_customers_trouble_keeps_no_other_job_open(claims, kind):
    claims.update({f"former_{name}": OfferedJob(name, f"client-{name}") for name in "ab"})
    hook = Hook(without_token=("client-a",), kind=kind)
    with pytest.raises(kind):
        end(hook, former=sorted(claims))
    assert hook.sent == ["failure"]
