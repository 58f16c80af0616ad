# SPDX-License-Identifier: Apache-2.0
"""How the two job protocols differ; the owner of the action type decides."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
)
from airflow_codepipeline_partner.jobs import (
    ActionType,
    OfferedJob,
)

TYPE = ActionType("Deploy", "Example", "2")
JOB = OfferedJob("job-1", "client-1", TYPE)
CUSTOM_TYPE = ActionType("Build", "Own", owner="Custom")
CUSTOM_JOB = OfferedJob("job-2", None, CUSTOM_TYPE, "3")


@pytest.mark.parametrize(
    ("compose", "of_partner", "of_account"),
    [
        (lambda job: requests.poll(job.action_type, 1), "PollForThirdPartyJobs", "PollForJobs"),
        (requests.details, "GetThirdPartyJobDetails", "GetJobDetails"),
        (requests.acknowledge, "AcknowledgeThirdPartyJob", "AcknowledgeJob"),
        (requests.success, "PutThirdPartyJobSuccessResult", "PutJobSuccessResult"),
        (
            lambda job: requests.failure(job, message="m"),
            "PutThirdPartyJobFailureResult",
            "PutJobFailureResult",
        ),
    ],
)
def test_the_owner_of_the_action_type_decides_which_api_is_called(compose, of_partner, of_account):
    assert compose(JOB).operation == of_partner
    assert compose(CUSTOM_JOB).operation == of_account


@pytest.mark.parametrize(
    "compose",
    [
        lambda job: requests.poll(job.action_type, 1),
        requests.details,
        requests.acknowledge,
        requests.success,
        lambda job: requests.failure(job, message="m"),
    ],
    ids=["poll", "details", "acknowledge", "success", "failure"],
)
def test_jobs_of_awss_own_actions_are_refused_with_clear_text(compose):
    job = OfferedJob("j", None, ActionType("Build", "Own", owner="AWS"), "3")
    with pytest.raises(InvalidInput) as refusal:
        compose(job)
    text = str(refusal.value)
    assert "Jobs of owner AWS are not served" in text
    assert "ThirdParty, Custom" in text
    assert "category Build, owner AWS, provider Own, version 1" in text


def test_a_job_whose_action_type_is_not_known_is_a_partners():
    assert requests.details(OfferedJob("j", "c")).operation == "GetThirdPartyJobDetails"
