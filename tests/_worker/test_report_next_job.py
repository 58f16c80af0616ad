# SPDX-License-Identifier: Apache-2.0
"""How the result of an action's next job is put, if its claim is unknown: no other run claims such a job."""

from __future__ import annotations

from contextlib import suppress

import pytest
from record_memory import RecordMemory
from reported_job import FAILURE, JOB, SUCCESS, Hook, own, recorded

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner.exceptions import JobNotFound, JobNotInProgress


def test_the_refusal_of_an_uncertain_next_job_is_recorded_once():
    """If nobody has claimed it, it is offered again to this run, which waits from the first refusal on."""
    memory = RecordMemory()
    hook = Hook(memory, JobNotInProgress("m"))
    for _ in range(2):
        with pytest.raises(JobNotInProgress):
            report.put_once(hook, memory, SUCCESS, certain=False, is_next=True)
    assert memory.history == ["intended", "refused"]


@pytest.mark.parametrize("before", [(), (recorded("refused", FAILURE),)], ids=["first", "again"])
def test_a_next_job_that_is_forgotten_is_left(before):
    """It has ended, so it is not offered again, and nothing more is sent."""
    memory = RecordMemory(*before)
    hook = Hook(memory, JobNotFound("m"))
    with pytest.raises(JobNotFound):
        report.put_once(hook, memory, FAILURE, certain=False, is_next=True)
    assert own(memory) == recorded("left", FAILURE)
    with pytest.raises(JobNotInProgress, match="nothing more is sent"):
        report.put_once(hook, memory, FAILURE, certain=False, is_next=True)
    assert hook.puts == [FAILURE]


def test_an_intended_result_of_a_forgotten_job_is_not_known():
    """The customer may have stopped the pipeline before it could be put."""
    memory = RecordMemory(recorded("intended", SUCCESS))
    with pytest.raises(JobNotFound):
        report.put_once(Hook(memory, JobNotFound("m")), memory, FAILURE, certain=False, is_next=True)
    assert own(memory) == recorded("left", SUCCESS)


def test_a_forgotten_next_job_that_was_to_go_on_is_awaited():
    """The answer of an earlier try may have been lost, so the job after it may come."""
    call = requests.success(JOB, continuation_token=TaskInstanceRef("dag", "run", "task").token)
    memory = RecordMemory(recorded("refused", call))
    with pytest.raises(JobNotFound):
        report.put_once(Hook(memory, JobNotFound("m")), memory, call, certain=False, is_next=True)
    assert own(memory) == recorded("refused", call)


def test_a_call_that_another_task_left_begins_no_wait_anew():
    """It is repeated each time. The wait for an offer goes on from the first refusal all the same."""
    memory = RecordMemory(recorded("refused", SUCCESS))
    first = own(memory).at
    memory.beside("other", recorded("intended", FAILURE))
    for _ in range(2):
        hook = Hook(memory, JobNotInProgress("m"))
        with pytest.raises(JobNotInProgress):
            report.put_once(hook, memory, SUCCESS, certain=False, is_next=True)
        assert hook.puts == [FAILURE]
        assert own(memory) == recorded("refused", FAILURE)
        assert own(memory).at == first


@pytest.mark.parametrize(("certain", "put"), [(False, FAILURE), (True, SUCCESS)])
def test_a_refused_result_of_an_unclaimed_next_job_binds_none(certain, put):
    """The work may have come to another end since. The wait for an offer goes on from the first refusal."""
    memory = RecordMemory(recorded("refused", SUCCESS))
    first = own(memory).at
    hook = Hook(memory, KeyboardInterrupt())
    with suppress(KeyboardInterrupt):
        report.put_once(hook, memory, FAILURE, certain=certain, is_next=True)
    assert hook.puts == [put]
    assert own(memory) == recorded("refused", put)
    assert own(memory).at == first
