# SPDX-License-Identifier: Apache-2.0
"""The public face of the values: they cannot be changed."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.jobs import (
    ActionType,
    Artifact,
    ClaimedJob,
    JobDetails,
    OfferedJob,
)

TYPE = ActionType("Deploy", "Example")
JOB = OfferedJob("job-1", "client-1", TYPE)
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


def test_details_cannot_be_stored():
    with pytest.raises(InvalidInput, match="job j hold secrets"):
        JobDetails("j").serialize()


@pytest.mark.parametrize("value", [TYPE, JOB, CLAIMED, IN, JobDetails("j")], ids=lambda v: type(v).__name__)
def test_a_value_is_frozen(value):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, "other")
