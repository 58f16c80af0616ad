# SPDX-License-Identifier: Apache-2.0
"""A stream goes on after the connection was cut; the log shows how a transfer goes."""

from __future__ import annotations

import io

import pytest
from artifact_jobs import LARGE, refused
from botocore.exceptions import FlexibleChecksumError

from airflow_codepipeline_partner.artifacts import Workspace, transfer
from airflow_codepipeline_partner.artifacts.transfer import MAX_RESUMPTIONS, ResumedStream


@pytest.mark.usefixtures("leaving_sockets")
def test_a_stream_goes_on_where_it_was_cut(world):
    job = world.claim(LARGE)
    with Workspace(job, world.hook) as workspace:
        storage = workspace._storage
        world.emulator.inject("cut_body", after_bytes=3_000_001, times=2)
        with storage.open(storage.find_input()) as stream:
            assert stream.size == len(LARGE)
            assert stream.read() == LARGE
    assert [call.details["bytes"] for call in world.calls("GetObject")] == [
        len(LARGE),
        len(LARGE) - 3_000_001,
        len(LARGE) - 6_000_002,
    ]


@pytest.mark.usefixtures("leaving_sockets")
def test_a_stream_that_is_always_cut_is_named(world):
    job = world.claim(LARGE)
    with Workspace(job, world.hook) as workspace:
        storage = workspace._storage
        world.emulator.inject("cut_body", after_bytes=10, times=None)
        with storage.open(storage.find_input()) as stream:
            refused(r"Source .* cut 6", stream.read)
    assert len(world.calls("GetObject")) == MAX_RESUMPTIONS + 1


def test_a_stream_must_have_the_content_of_its_checksum(world):
    class Body(io.BytesIO):
        """Tells at its end that the checksum is wrong, as botocore's does."""

        def read(self, size=-1):
            data = super().read(size)
            if not data:
                raise FlexibleChecksumError(error_msg="wrong")
            return data

    answer = {"ContentLength": 7, "ETag": "e", "Body": Body(b"content")}
    stream = ResumedStream(lambda **how: answer, "Source", transfer.TransferLog("Reading"))
    assert refused(
        "Source could not be read: the content does not match S3's checksum", stream.read
    ).retryable


def test_a_long_transfer_is_logged_now_and_again(fake_time, caplog):
    caplog.set_level("INFO", logger=transfer.__name__)
    said = transfer.TransferLog("Uploading", 10 * 1024**2, fake_time.clock)
    for _ in range(20):
        fake_time.now += 1
        said(1024**2 // 2)
    said.end()
    assert [record.getMessage() for record in caplog.records] == [
        "Uploading: 2.5 MiB of 10.0 MiB (25 %) in 5.0 s, 0.5 MiB/s",
        "Uploading: 5.0 MiB of 10.0 MiB (50 %) in 10.0 s, 0.5 MiB/s",
        "Uploading: 7.5 MiB of 10.0 MiB (75 %) in 15.0 s, 0.5 MiB/s",
        "Uploading: 10.0 MiB of 10.0 MiB (100 %) in 20.0 s, 0.5 MiB/s",
        "Uploading: done, 10.0 MiB of 10.0 MiB (100 %) in 20.0 s, 0.5 MiB/s",
    ]


def test_transfers_of_unknown_size_and_of_nothing_are_logged(fake_time, caplog):
    caplog.set_level("INFO", logger=transfer.__name__)
    unknown = transfer.TransferLog("Reading", None, fake_time.clock)
    fake_time.now += 1
    unknown(100)
    unknown.end()
    transfer.TransferLog("Uploading", 0, fake_time.clock).end()
    assert [record.getMessage() for record in caplog.records] == [
        "Reading: done, 100 bytes in 1.0 s, 100 bytes/s",
        "Uploading: done, 0 bytes of 0 bytes in 0.0 s, 0 bytes/s",
    ]
