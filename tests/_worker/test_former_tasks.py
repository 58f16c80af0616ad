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
from airflow_codepipeline_partner._worker.former_tasks import end_jobs_of_former_tasks
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import JobNotInProgress
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob

JOB = OfferedJob("job", "client")


class Hook:
    """Takes each result, or says that the job has ended."""

    def __init__(self, ended=False):
        self.ended = ended
        self.sent = []

    def send_result(self, call):
        self.sent.append(requests.result_of(call))
        if self.ended:
            raise JobNotInProgress("It has ended.", job_id="job")

    def status_of_ended(self, job):
        return None


def end(hook, dag_has=("finish",)):
    """Have the finishing task of a run look, which had the task "former" before."""
    with DAG("d", schedule=None) as dag:
        for task_id in dag_has:
            BaseOperator(task_id=task_id)
    names = {"dag_id": "d", "run_id": "r", "task_id": "finish", "map_index": -1}
    states = {"former": "success", "finish": "running"}
    ti = SimpleNamespace(**names, get_task_states=lambda dag_id, run_ids: {"r": states})
    end_jobs_of_former_tasks(hook, {"ti": ti, "dag": dag})


def claimed(state=ClaimState.CLAIMED):
    store = RecordStore(TaskInstanceRef("d", "r", "former"))
    store.write_claim(ClaimRecord(state, ClaimedJob(JOB)))
    return store


@pytest.mark.parametrize("ended", [False, True])
def test_the_job_of_a_task_that_is_gone_is_ended(xcom, ended):
    claimed()
    hook = Hook(ended)
    with pytest.raises(AirflowFailException, match=r"is no longer there\. Ended: job job\."):
        end(hook)
    assert hook.sent == ["failure"]


def test_a_job_that_has_its_result_or_was_not_won_is_left(xcom):
    claimed().write_result(ResultRecord.of_call("done", requests.success(JOB)))
    end(Hook())
    claimed(ClaimState.LOST)
    xcom.pop((-1, "codepipeline_result"))
    hook = Hook()
    end(hook)
    assert hook.sent == []


def test_the_job_of_a_task_that_is_there_is_its_own_affair(xcom):
    claimed()
    hook = Hook()
    end(hook, dag_has=("finish", "former"))
    assert hook.sent == []
