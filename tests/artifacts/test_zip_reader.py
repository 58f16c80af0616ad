# SPDX-License-Identifier: Apache-2.0
"""A zip is unpacked at a cost that grows with what is read, whatever its lists say."""

from __future__ import annotations

import stat

import pytest
from step_count import Steps
from zip_files import UTF8, Member, field, unicode_path, zip_of

from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.exceptions import ArtifactError


@pytest.mark.parametrize("deflates", [False, True])
@pytest.mark.parametrize("has_descriptor", [False, True])
@pytest.mark.parametrize("is_zip64", [False, True])
def test_what_archivers_write_is_read(unpack, deflates, has_descriptor, is_zip64):
    how = {"deflates": deflates, "has_descriptor": has_descriptor, "is_zip64": is_zip64}
    members = [Member(b"a", b"1" * 1000, **how), Member(b"b", b"", **how), Member(b"c/d", b"2" * 99, **how)]
    found = unpack(zip_of(*members, comment=b"made by a test", before=b"PK\x03\x04"))
    assert found == {"a": b"1" * 1000, "b": b"", "c": None, "c/d": b"2" * 99}


def test_fields_and_gaps_of_alignment_are_no_trouble(unpack):
    aligned = field(0xD935, bytes(4000))
    content = zip_of(*(Member(name, local_extra=aligned, comment=b"c" * 60_000) for name in (b"a", b"b")))
    assert unpack(content) == {"a": b"x", "b": b"x"}


@pytest.mark.parametrize("mode", [0, stat.S_IFLNK | 0o777])
def test_entries_that_share_bytes_are_refused(refused, mode):
    """Each would be read again and again: the second lies within the first."""
    inner = zip_of(Member(b"b", b"x" * 100, mode=mode))
    content = zip_of(Member(b"a", inner, mode=mode), Member(b"b", b"x" * 100, mode=mode, offset=31))
    assert "'a', which shares its bytes with another entry" in refused(content)


def test_entries_at_the_same_place_are_refused(refused):
    """Fields of Unicode Path may tell their names apart."""
    first = Member(b"a", b"x" * 100)
    second = Member(b"a", b"x" * 100, extra=unicode_path(b"b", b"a"), offset=0)
    assert "'a', which shares its bytes with another entry" in refused(zip_of(first, second))


def test_a_folder_with_content_is_refused(refused):
    assert "'a/', which is a folder that has content" in refused(zip_of(Member(b"a/", b"lost")))


def test_a_name_that_is_not_in_utf8_as_it_says_is_named(refused):
    assert "a name that is not in the encoding that the archive says" in refused(
        zip_of(Member(b"t\xe9t.txt", flags=UTF8))
    )


def test_a_zip_that_was_to_be_split_is_read(unpack):
    assert unpack(zip_of(Member(b"a", offset=4), before=b"PK00")) == {"a": b"x"}


def test_an_entry_that_ends_behind_the_zip_is_refused(refused):
    content = bytearray(zip_of(Member(b"a")))
    at = content.index(b"PK\1\2") + 20
    content[at : at + 4] = b"\xff\xff\xff\x0f"
    assert "shares its bytes" in refused(bytes(content))


def test_an_entry_of_many_fields_is_refused(refused):
    many = field(0x9999, b"") * 65
    assert "more than 64 fields" in refused(zip_of(Member(b"a", extra=many)))
    assert "more than 64 fields" in refused(zip_of(*(Member(b"%d" % n, extra=many) for n in range(2000))))


def test_long_fields_are_not_many(unpack):
    assert unpack(zip_of(Member(b"a", extra=field(0x9999, bytes(60_000))))) == {"a": b"x"}


def test_folders_that_repeat_count(unpack, refused):
    folders = [Member(b"d/", b"")] * 11
    assert "max_members (10)" in refused(zip_of(*folders), limits=ArchiveLimits(max_members=10))
    assert unpack(zip_of(*folders[1:]), limits=ArchiveLimits(max_members=10)) == {"d": None}


def test_a_list_is_not_longer_than_its_names_may_be(refused):
    content = zip_of(*(Member(b"%d" % n, comment=b"c" * 60_000) for n in range(10)))
    assert "max_members (100)" in refused(content, limits=ArchiveLimits(max_members=100))


def test_the_cost_of_entries_is_linear(unpack):
    counts = []
    for number in (1000, 2000):
        with Steps() as steps:
            unpack(zip_of(*(Member(b"d/", b"") for _ in range(number))), replace=True)
        counts.append(steps.count)
    assert counts[1] < 2.1 * counts[0]


@pytest.mark.parametrize("end", [b"", b"PK\5\6", b"PK\5\6" * 10_000], ids=len)
def test_a_zip_without_an_end_is_broken(refused, end):
    refused(zip_of(Member(b"a"))[:40] + end, ArtifactError)
