# SPDX-License-Identifier: Apache-2.0
"""How the two job protocols differ; the owner of the action type decides."""

from __future__ import annotations

import botocore.session
import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.dialects import DIALECTS
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
    InvalidJobReference,
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
def test_the_owner_decides_which_api_is_called(compose, of_partner, of_account):
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
    assert "Build/AWS/Own/1" in text


def test_a_job_whose_action_type_is_not_known_is_a_partners():
    assert requests.details(OfferedJob("j", "c")).operation == "GetThirdPartyJobDetails"


@pytest.mark.parametrize("name", ["poll", "details", "acknowledge", "success", "failure"])
@pytest.mark.parametrize("owner", sorted(DIALECTS))
def test_each_operation_of_a_dialect_is_one_of_the_service(owner, name):
    model = botocore.session.get_session().get_service_model("codepipeline")
    assert getattr(DIALECTS[owner], name) in model.operation_names


@pytest.mark.parametrize("owner", sorted(DIALECTS))
def test_a_dialect_is_what_the_service_model_says(owner):
    """Where the nonce and the id of an offered job are, and what a poll and a success may hold."""
    dialect = DIALECTS[owner]
    model = botocore.session.get_session().get_service_model("codepipeline")
    poll, success = model.operation_model(dialect.poll), model.operation_model(dialect.success)
    offered = poll.output_shape.members["jobs"].member.members
    assert dialect.offered_job_id in offered
    assert dialect.poll_gives_nonce is ("nonce" in offered)
    assert dialect.takes_query_param is ("queryParam" in poll.input_shape.members)
    assert dialect.takes_output_variables is ("outputVariables" in success.input_shape.members)


def test_a_custom_job_is_claimed_with_the_nonce_of_its_offer():
    kind = ActionType("Build", "Own", owner="Custom")
    job = OfferedJob("job-2", None, kind, "3")
    job.check_claimable()
    assert job.dialect is DIALECTS["Custom"]
    with pytest.raises(InvalidJobReference, match="needs nonce") as refusal:
        OfferedJob("job-2", None, kind).check_claimable()
    assert refusal.value.job_id == "job-2"


def test_a_partners_job_is_claimed_without_a_nonce():
    job = OfferedJob("job-1", "client-1")
    job.check_claimable()
    assert job.dialect is DIALECTS["ThirdParty"]
