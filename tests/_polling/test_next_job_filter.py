# SPDX-License-Identifier: Apache-2.0
"""Which task gets a job that continues an action."""

from __future__ import annotations

import pytest
from fake_codepipeline import jobs

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter

#: The job before the awaited one: None if its claim is known.
DOUBTFUL = [None, "job-1"]


def concerns(doubtful_job_id, job_id, token):
    """Return whether the task that waits for token-1 gets this job."""
    [job] = jobs(job_id)
    return NextJobFilter("client", "token-1", AwsParameters(), doubtful_job_id).concerns(job, token)


@pytest.mark.parametrize("doubtful_job_id", DOUBTFUL)
def test_the_job_with_the_awaited_token_is_the_tasks(doubtful_job_id):
    assert concerns(doubtful_job_id, "job-2", "token-1") is True


@pytest.mark.parametrize("doubtful_job_id", DOUBTFUL)
@pytest.mark.parametrize("token", ["token-2", None])
def test_a_job_with_another_token_or_none_is_not(doubtful_job_id, token):
    assert concerns(doubtful_job_id, "job-2", token) is False


@pytest.mark.parametrize("token", ["token-0", None])
def test_the_job_before_is_the_tasks_if_its_claim_is_unknown(token):
    """If it is offered again, nobody has claimed it."""
    assert concerns("job-1", "job-1", token) is True
    assert concerns(None, "job-1", token) is False


def test_a_job_with_one_of_several_tokens_is_the_tasks():
    [job] = jobs("job-2")
    awaited = NextJobFilter("client", "token-1", AwsParameters(), other_tokens=("token-2", "token-3"))
    assert [awaited.concerns(job, f"token-{number}") for number in range(1, 5)] == [True, True, True, False]
