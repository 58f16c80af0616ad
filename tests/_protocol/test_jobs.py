# SPDX-License-Identifier: Apache-2.0
"""Action types, offered jobs and claimed jobs: in every form, and back."""

from __future__ import annotations

import json

import pytest

from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference, LimitExceeded
from airflow_codepipeline_partner.jobs import (
    ActionType,
    Artifact,
    ClaimedJob,
    OfferedJob,
)

AWS_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
TYPE = ActionType("Deploy", "Example")
JOB = OfferedJob("job-1", "client-1", TYPE)
JOB_XCOM = {"job_id": "job-1", "client_id": "client-1", "action_type": AWS_TYPE}
IN = Artifact("Source", "rev", "bucket", "pipe/Source/abc")
OUT = Artifact("Out", None, "bucket", "pipe/Out/def")
CLAIMED = ClaimedJob(
    job=JOB,
    certain=False,
    continuation_token="step-2",
    pipeline_name="pipe",
    stage_name="Partner",
    action_name="Act",
    action_execution_id="exec-1",
    input_artifacts=(IN,),
    output_artifacts=(OUT,),
)
CLAIMED_XCOM = {
    "job_id": "job-1",
    "client_id": "client-1",
    "action_type": AWS_TYPE,
    "certain": False,
    "continuation_token": "step-2",
    "pipeline_name": "pipe",
    "stage_name": "Partner",
    "action_name": "Act",
    "action_execution_id": "exec-1",
    "input_artifacts": [{"name": "Source", "revision": "rev", "bucket": "bucket", "key": "pipe/Source/abc"}],
    "output_artifacts": [{"name": "Out", "revision": None, "bucket": "bucket", "key": "pipe/Out/def"}],
}


def forms(value):
    """A value as an object, as a mapping, as JSON and as Jinja renders it."""
    return [
        pytest.param(value, id="mapping"),
        pytest.param(json.dumps(value), id="json"),
        pytest.param(str(value), id="jinja"),
    ]


@pytest.mark.parametrize(
    "given", [TYPE, *forms(AWS_TYPE), *forms({"category": "Deploy", "provider": "Example"})]
)
def test_an_action_type_is_read_in_every_form_with_its_defaults(given):
    assert ActionType.from_value(given) == TYPE


def test_an_action_type_may_be_one_text():
    assert ActionType.from_value("Deploy/ThirdParty/Acme/1") == ActionType(
        "Deploy", "Acme", "1", "ThirdParty"
    )
    assert OfferedJob.from_value({"job_id": "j", "action_type": "Build/Custom/Own/2"}).owner == "Custom"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("deploy/ThirdParty/Acme/1", "not 'deploy'; did you mean 'Deploy'"),
        ("Deploy/Acme/ThirdParty/1", "actionTypeId.owner must be one of"),
        ("Deploy/ThirdParty//1", "actionTypeId.provider has 0 characters"),
        ("Deploy/ThirdParty/Acme", "category/owner/provider/version"),
    ],
)
def test_a_wrong_text_says_what_is_wrong(text, why):
    with pytest.raises(InvalidInput, match=why):
        ActionType.from_value(text)


def test_a_version_that_is_a_number_in_json_is_a_version():
    assert ActionType.from_value({**AWS_TYPE, "version": 2}).version == "2"
    assert ActionType("Deploy", "Example", 2).to_api()["version"] == "2"


def test_the_text_of_an_action_type_is_read_again():
    assert str(TYPE) == "Deploy/ThirdParty/Example/1"
    assert ActionType.from_value(str(TYPE)) == TYPE
    assert TYPE.to_api() == AWS_TYPE


@pytest.mark.parametrize("missing", ["category", "provider"])
def test_an_action_type_needs_category_and_provider(missing):
    given = {name: part for name, part in AWS_TYPE.items() if name != missing}
    with pytest.raises(InvalidInput, match=f"needs {missing}"):
        ActionType.from_value(given)
    with pytest.raises(InvalidInput, match=f"needs {missing}"):
        ActionType.from_value({**AWS_TYPE, missing: None})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("category", "deploy"),
        ("owner", "Nobody"),
        ("provider", "x" * 36),
        ("provider", "a b"),
        ("provider", ""),
        ("version", "x" * 10),
        ("version", True),
        ("version", None),
        ("version", 10**9),
    ],
)
def test_an_action_type_that_does_not_fit_is_refused_by_part(part, value):
    with pytest.raises(LimitExceeded) as refusal:
        ActionType.from_value({**AWS_TYPE, part: value})
    assert refusal.value.field == f"actionTypeId.{part}"


@pytest.mark.parametrize("given", [None, "planted", {"extra": "planted"}, {**AWS_TYPE, "extra": "planted"}])
def test_what_is_no_action_type_is_refused_without_showing_it(given):
    with pytest.raises(InvalidInput) as refusal:
        ActionType.from_value(given)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize("given", [JOB, CLAIMED, *forms(JOB_XCOM), *forms(CLAIMED_XCOM)])
def test_an_offered_job_is_read_in_every_form(given):
    """From a claimed job, too."""
    assert OfferedJob.from_value(given) == JOB


def test_an_offered_job_needs_no_more_than_its_two_ids():
    job = OfferedJob.from_value({"job_id": "job-1", "client_id": "client-1"})
    assert job == OfferedJob("job-1", "client-1")
    assert job.owner == "ThirdParty"


def test_an_offered_job_in_xcom_is_a_reference_and_json():
    assert JOB.to_xcom() == JOB_XCOM
    assert OfferedJob("j", "c").to_xcom() == {"job_id": "j", "client_id": "c", "action_type": None}
    assert OfferedJob.from_value(json.loads(json.dumps(JOB.to_xcom()))) == JOB


def test_only_a_custom_job_carries_a_nonce_and_needs_no_client():
    custom = ActionType("Build", "Own", owner="Custom")
    job = OfferedJob.from_value({"job_id": "j", "action_type": custom.to_api(), "nonce": "3"})
    assert job == OfferedJob("j", None, custom, "3")
    assert job.owner == "Custom"
    assert job.to_xcom() == {
        "job_id": "j",
        "client_id": None,
        "action_type": custom.to_api(),
        "nonce": "3",
    }


@pytest.mark.parametrize("given", [None, 7, "planted", "[]", ["planted"]])
def test_what_is_no_job_is_refused_and_the_way_out_is_named(given):
    with pytest.raises(InvalidJobReference, match="mapping with job_id and client_id") as refusal:
        OfferedJob.from_value(given)
    assert "planted" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "an empty mapping"),
        ({"jobId": "planted", "clientId": "planted"}, "the keys clientId, jobId"),
        ({"job_id": None, "client_id": "c"}, "the keys client_id, job_id"),
        ({"job_id": 7, "client_id": "c"}, "job_id is of type int"),
        ({f"k{i:02}": "planted" for i in range(50)}, "k00"),
    ],
)
def test_a_job_without_a_job_id_is_refused_by_its_keys(given, named):
    """Its values are not shown."""
    with pytest.raises(InvalidJobReference) as refusal:
        OfferedJob.from_value(given)
    text = str(refusal.value)
    assert "A job needs job_id and client_id" in text
    assert named in text
    assert "planted" not in text
    assert len(text) < 500
    # A run that was started by hand has no job in its conf.
    assert ("Was the run started by hand?" in text) == (not given.get("job_id"))


@pytest.mark.parametrize("client_id", [None, "", 7])
def test_a_partner_job_without_a_client_id_is_refused(client_id):
    with pytest.raises(InvalidJobReference, match="needs client_id") as refusal:
        OfferedJob.from_value({"job_id": "job-1", "client_id": client_id})
    assert refusal.value.job_id == "job-1"


@pytest.mark.parametrize("job_id", ["", "x" * 513])
def test_a_job_id_out_of_its_limits_is_refused(job_id):
    with pytest.raises(LimitExceeded) as refusal:
        OfferedJob.from_value({"job_id": job_id, "client_id": "c"})
    assert refusal.value.field == "jobId"


@pytest.mark.parametrize("given", [CLAIMED, *forms(CLAIMED_XCOM)])
def test_a_claimed_job_is_read_in_every_form(given):
    assert ClaimedJob.from_value(given) == CLAIMED


def test_a_claimed_job_in_xcom_has_exactly_these_keys():
    """And it survives JSON."""
    assert CLAIMED.to_xcom() == CLAIMED_XCOM
    assert list(CLAIMED.to_xcom()) == list(CLAIMED_XCOM)
    assert ClaimedJob.from_value(json.loads(json.dumps(CLAIMED.to_xcom()))) == CLAIMED


@pytest.mark.parametrize("given", [JOB, *forms(JOB_XCOM)])
def test_an_offered_job_is_a_claimed_job_with_less_known(given):
    claimed = ClaimedJob.from_value(given)
    assert claimed == ClaimedJob(JOB)
    assert claimed.certain
    assert (claimed.job_id, claimed.client_id) == ("job-1", "client-1")


@pytest.mark.parametrize("owner", ["ThirdParty", "Custom"])
def test_a_claimed_job_names_its_owner(owner):
    kind = ActionType("Build", "Example", owner=owner)
    claimed = ClaimedJob.from_value({"job_id": "j", "client_id": "c", "action_type": kind, "nonce": "3"})
    assert (claimed.owner, claimed.action_type) == (owner, kind)


def test_a_record_of_a_claim_is_a_claimed_job():
    record = {**CLAIMED_XCOM, "state": "claimed", "at": "2026-01-31T12:00:00+00:00"}
    assert ClaimedJob.from_value(record) == CLAIMED


@pytest.mark.parametrize("given", [None, "planted", {}, {"client_id": "c"}])
def test_what_is_no_claimed_job_is_refused(given):
    with pytest.raises(InvalidJobReference) as refusal:
        ClaimedJob.from_value(given)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize(
    "artifacts",
    [[{"name": "Source", "of_a_newer_version": 1}], [{}], ["planted"], "planted", [None], 7],
    ids=str,
)
def test_wrong_artifacts_of_a_claimed_job_are_our_error(artifacts):
    """They are read as artifacts, or refused with an error of this package."""
    refusal = None
    try:
        claimed = ClaimedJob.from_value({**JOB_XCOM, "input_artifacts": artifacts})
    except InvalidInput as error:
        refusal = str(error)
    if refusal is None:
        assert all(isinstance(artifact, Artifact) for artifact in claimed.input_artifacts)
    else:
        assert "planted" not in refusal
