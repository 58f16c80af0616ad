# SPDX-License-Identifier: Apache-2.0
"""The table of a job's states."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.emulator.model.jobs import TRANSITIONS, JobEvent, JobStatus


def test_nothing_leads_out_of_an_ended_state():
    ended = {status for status in JobStatus if status.ended}
    assert ended == {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.WITHDRAWN}
    assert not [key for key in TRANSITIONS if key[0] in ended]
    assert {event for _, event in TRANSITIONS} == set(JobEvent)


def test_a_job_refuses_what_the_table_does_not_have(world):
    w = world()
    w.start()
    [job] = w.emu.state.jobs.values()
    with pytest.raises(ValueError, match="Queued cannot SUCCEED"):
        w.emu.runner.jobs.apply(job, JobEvent.SUCCEED, 0)
