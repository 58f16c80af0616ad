# SPDX-License-Identifier: Apache-2.0
"""A compressed file is read in bounded memory, and each of its streams counts."""

from __future__ import annotations

import bz2
import gzip
import logging
import lzma
import os
import tracemalloc

import pytest
from archive_files import file, make_tar
from step_count import Steps

from airflow_codepipeline_partner.artifacts import archive_guard, compression
from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.extract import format_of
from airflow_codepipeline_partner.exceptions import ArtifactError

PACK = {"tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


@pytest.mark.parametrize("kind", PACK)
def test_a_compressed_tar_is_unpacked(tmp_path, unpack, kind):
    noise = os.urandom(200_000)
    content = PACK[kind](make_tar([file("a/b", noise), file("zeros", bytes(300_000))]))
    assert unpack(content) == {"a": None, "a/b": noise, "zeros": bytes(300_000)}
    assert format_of(tmp_path / "archive") == kind


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("padding", [b"", bytes(4), bytes(100_000)], ids=len)
def test_streams_follow_each_other_and_zeros_are_padding(unpack, kind, padding):
    whole, pack = make_tar([file("a", b"1" * 5000)]), PACK[kind]
    content = padding.join([pack(whole[:700]), pack(b""), pack(whole[700:])]) + padding
    assert unpack(content) == {"a": b"1" * 5000}


@pytest.mark.parametrize("kind", PACK)
def test_a_cut_stream_is_broken(refused, kind):
    content = PACK[kind](make_tar([file("a", os.urandom(50_000))]))
    for length in (len(content) - 1, len(content) - 20, len(content) // 2, 20):
        assert "broken archive" in refused(content[:length], ArtifactError)


@pytest.mark.parametrize("kind", PACK)
def test_what_follows_a_stream_must_be_one(refused, kind):
    assert "broken archive" in refused(PACK[kind](make_tar([file("a")])) + b"no stream", ArtifactError)


@pytest.mark.parametrize("kind", PACK)
def test_damage_of_a_stream_is_broken_and_not_the_disks(refused, kind):
    content = bytearray(PACK[kind](make_tar([file("a", os.urandom(5000))])))
    content[len(content) // 2] ^= 1
    assert "broken archive" in refused(bytes(content), ArtifactError)


@pytest.mark.parametrize("kind", PACK)
def test_a_compressed_file_that_is_no_tar_stays_as_it_is(unpack, kind):
    assert unpack(PACK[kind](b"text")) == {"Source": PACK[kind](b"text")}


@pytest.mark.parametrize("text", [b"BZh, said the bee", b"BZh9 is a chess move"])
def test_a_text_is_not_taken_for_bzip2(unpack, text):
    assert unpack(text) == {"Source": text}


@pytest.mark.parametrize("kind", PACK)
def test_a_bomb_is_refused_by_its_ratio(refused, monkeypatch, kind):
    monkeypatch.setattr(archive_guard, "RATIO_FROM_BYTES", 100_000)
    assert "max_ratio" in refused(PACK[kind](make_tar([file("zeros", bytes(3_000_000))])))


@pytest.mark.parametrize("kind", PACK)
def test_streams_without_content_count(refused, kind):
    content = PACK[kind](make_tar([file("a")])) + PACK[kind](b"") * 2000
    assert "more headers and other fields than max_members (10)" in refused(
        content, limits=ArchiveLimits(max_members=10)
    )


@pytest.mark.parametrize("kind", PACK)
def test_streams_without_content_are_not_all_read_to_see_more(tmp_path, kind):
    (tmp_path / "f").write_bytes(PACK[kind](b"") * 20_000)
    with Steps() as steps:
        assert format_of(tmp_path / "f") == kind
    assert steps.count < 50_000


def test_a_header_without_an_end_costs_no_step_for_each_byte(refused):
    # Its field for a name goes on to the end.
    content = b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 1_000_000
    with Steps() as steps:
        refused(content, ArtifactError)
    assert steps.count < 50_000


def test_xz_may_not_use_all_memory(refused, monkeypatch):
    monkeypatch.setattr(compression, "MAX_XZ_BYTES", 1_000_000)
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**26}]
    content = lzma.compress(make_tar([file("a")]), filters=filters)
    assert "needs more than 0 MiB of memory to be decompressed" in (text := refused(content))
    assert "Compress it by xz -9 or less." in text


@pytest.mark.parametrize("kind", PACK)
def test_dense_content_is_not_held_in_memory(unpack, kind):
    content = PACK[kind](make_tar([file("zeros", bytes(20_000_000))]))
    tracemalloc.start()
    with pytest.raises(ArtifactError):
        unpack(content, limits=ArchiveLimits(max_bytes=19_000_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # xz keeps what it may refer to, 8 MiB by default.
    assert most < 12_000_000


NOT_UNPACKED = {"7z": b"7z\xbc\xaf\x27\x1c", "Zstandard": b"\x28\xb5\x2f\xfd", "RAR": b"Rar!\x1a\x07\1\0"}


@pytest.mark.parametrize(("name", "start"), NOT_UNPACKED.items())
def test_an_archive_that_is_not_unpacked_is_warned_of(unpack, caplog, name, start):
    with caplog.at_level(logging.WARNING):
        assert unpack(start + b"content") == {"Source": start + b"content"}
    assert f"Source is an archive that is not unpacked ({name})" in caplog.text


def test_nobody_is_warned_of_what_was_asked_for(unpack, caplog):
    with caplog.at_level(logging.WARNING):
        unpack(NOT_UNPACKED["7z"] + b"content", archive_format="raw")
        unpack(b"text", replace=True)
    assert caplog.text == ""
