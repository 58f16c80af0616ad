# SPDX-License-Identifier: Apache-2.0
"""A user's own storage, in S3 or elsewhere."""

from __future__ import annotations

import io

import pytest

from airflow_codepipeline_partner.artifacts import external_storage
from airflow_codepipeline_partner.artifacts.external_storage import external_object
from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput


def test_an_object_that_could_not_be_carried_whole_is_not_there(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(28, "No space left on device")
            return super().read(3)

    with pytest.raises(ArtifactError, match="Built could not be stored on the worker: No space"):
        external_object(f"file://{tmp_path}/below/f", None, "Built").write(Broken(b"content"))
    assert list((tmp_path / "below").iterdir()) == []


def test_an_upload_to_the_users_s3_that_breaks_leaves_nothing(own_s3, aws_connection):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise ArtifactError("cut")

    with pytest.raises(ArtifactError, match="cut"):
        external_object("s3://own/broken", "own_s3", "Built").write(io.BufferedReader(Broken()))
    assert "Contents" not in own_s3.list_objects_v2(Bucket="own", Prefix="broken")


@pytest.mark.parametrize("location", ["s3://", "s3://bucket", "s3://bucket/", "s3://bucket/folder/"])
def test_what_names_no_object_is_refused(location):
    with pytest.raises(InvalidInput, match="names no object in S3"):
        external_object(location, None, "Built")


def test_an_unheard_scheme_is_refused():
    with pytest.raises(InvalidInput, match="nonsense://"):
        external_object("nonsense://x/y", None, "Built")


def test_a_key_may_hold_what_urls_end_at():
    assert external_object("s3://c@b/a?b#c", None, "Built")._where == {"Bucket": "b", "Key": "a?b#c"}
    assert external_object("s3://c@b/k", "mine", "Built")._conn_id == "mine"
    assert external_object("s3://c@b/k", None, "Built")._conn_id == "c"
    assert external_object("s3://b/k", None, "Built")._conn_id == external_storage._DEFAULT_CONN_ID
