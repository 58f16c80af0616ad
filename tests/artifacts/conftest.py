# SPDX-License-Identifier: Apache-2.0
"""What the tests of artifacts share."""

from __future__ import annotations

import gc
import os
import warnings

import pytest
from artifact_jobs import World, own_storage

from airflow_codepipeline_partner.artifacts.extract import extract
from airflow_codepipeline_partner.exceptions import UnsafeArchive


@pytest.fixture
def world(emulator, customer, make_hook, fake_time):
    emulator.configure(upload_encryption="refuse")
    return World(emulator, customer, make_hook(), fake_time)


@pytest.fixture
def signed_with(monkeypatch):
    """The access keys that requests to S3 are signed with."""
    import botocore.httpsession

    keys, send = [], botocore.httpsession.URLLib3Session.send

    def note(self, request):
        authorization = request.headers.get("Authorization", b"")
        text = authorization.decode() if isinstance(authorization, bytes) else authorization
        if "/s3/aws4_request" in text:
            keys.append(text.partition("Credential=")[2].partition("/")[0])
        return send(self, request)

    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", note)
    return keys


@pytest.fixture
def leaving_sockets():
    """The transfer manager leaves the bodies that were cut, with their sockets, to the garbage collection."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def unpack(tmp_path):
    """Unpack bytes, and return what lies in the folder then."""

    def run(content, **how):
        archive = tmp_path / "archive"
        archive.write_bytes(content)
        target = tmp_path / "out" / "target"
        extract(archive, target, artifact="Source", **how)
        return {
            path.relative_to(target).as_posix(): path.read_bytes() if path.is_file() else None
            for path in target.rglob("*")
        }

    return run


@pytest.fixture
def refused(tmp_path, unpack):
    """Check that an archive is refused whole, and return the error's text."""

    def run(content, kind=UnsafeArchive, **how):
        # Of the folder above only the names: in a long run it holds the folders of thousands of tests.
        outside, inside = set(os.listdir(tmp_path.parent)), set(tmp_path.rglob("*"))
        with pytest.raises(kind) as refusal:
            unpack(content, **how)
        assert type(refusal.value) is kind
        assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
        assert set(os.listdir(tmp_path.parent)) == outside
        assert set(tmp_path.rglob("*")) - inside <= {tmp_path / "archive", tmp_path / "out"}
        assert "Source" in str(refusal.value)
        return str(refusal.value)

    return run


@pytest.fixture
def own_s3(emulator, monkeypatch):
    """S3 of the user's own, in another account than the artifacts."""
    yield from own_storage(emulator, monkeypatch)
