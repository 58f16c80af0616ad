# SPDX-License-Identifier: Apache-2.0
"""The emulator's own use of moto's S3."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.emulator import ControlError


@pytest.fixture
def store(start_emulator):
    store = start_emulator().store
    store.reset()
    return store


def test_an_object_is_put_and_got(store):
    store.ensure_bucket("store")
    store.ensure_bucket("store")
    assert not store.exists("store", "a/ä")
    store.put("store", "a/ä", b"zip")
    assert store.exists("store", "a/ä")
    found = store.get("store", "a/ä")
    assert (found.body, found.version_id) == (b"zip", None)
    assert "zip" not in repr(found)


@pytest.mark.parametrize(
    ("bucket", "key"), [("store", "none"), ("none", "key"), ("store", ""), ("moto-api", "data.json")]
)
def test_what_is_no_object_is_not_got(store, bucket, key):
    store.ensure_bucket("store")
    assert store.get(bucket, key) is None


def test_a_version_is_got_by_its_id(store, start_emulator, client):
    s3 = client("s3", start_emulator())
    store.ensure_bucket("store")
    s3.put_bucket_versioning(Bucket="store", VersioningConfiguration={"Status": "Enabled"})
    store.put("store", "key", b"old")
    version = store.get("store", "key").version_id
    store.put("store", "key", b"new")
    assert store.get("store", "key").body == b"new"
    assert store.get("store", "key", version).body == b"old"


def test_a_refusal_of_moto_is_an_error(store):
    with pytest.raises(ControlError, match="moto answered 404 to PUT /none/key"):
        store.put("none", "key", b"zip")
