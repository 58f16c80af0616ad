# SPDX-License-Identifier: Apache-2.0
"""A tar is unpacked at a cost that grows with what is read, whatever its headers say."""

from __future__ import annotations

import gzip
import os
import tarfile

import pytest
from archive_files import file, make_tar
from step_count import Steps
from tar_files import block, record

from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.exceptions import ArtifactError

END = bytes(1024)


def header(name="x", kind=tarfile.REGTYPE, size=0, **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def extended(kind, content):
    return header(kind=kind, size=len(content)) + block(content)


def sparse(size, pieces, content):
    """Return a sparse file in each of PAX's forms, 1.0 as macOS makes it."""
    numbers = [number for piece in pieces for number in piece]
    listed = b"".join(
        record(b"GNU.sparse.offset", b"%d" % offset) + record(b"GNU.sparse.numbytes", b"%d" % number)
        for offset, number in pieces
    )
    mapped = block("".join(f"{number}\n" for number in [len(pieces), *numbers]).encode())
    version = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")
    named = record(b"GNU.sparse.name", b"holes")
    old = bytearray(header("holes", tarfile.GNUTYPE_SPARSE, len(content)))
    for at, piece in enumerate(pieces[:4]):
        old[386 + 24 * at : 410 + 24 * at] = b"%011o\0%011o\0" % piece
    old[483:495] = b"%011o\0" % size
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    real = b"%d" % size
    return {
        "GNU": bytes(old) + block(content),
        "0.0": extended(b"x", record(b"GNU.sparse.size", real) + listed)
        + header("holes", size=len(content))
        + block(content),
        "0.1": extended(
            b"x",
            record(b"GNU.sparse.size", real)
            + record(b"GNU.sparse.map", ",".join(map(str, numbers)).encode()),
        )
        + header("holes", size=len(content))
        + block(content),
        "1.0": extended(b"x", version + named + record(b"GNU.sparse.realsize", real))
        + header("GNUSparseFile.0/holes", size=len(mapped) + len(content))
        + mapped
        + block(content),
    }


FORMS = list(sparse(0, [], b""))


@pytest.mark.parametrize("form", FORMS)
def test_a_file_with_holes_is_unpacked(tmp_path, unpack, form):
    content = sparse(3_000_000, [(1_000_000, 3), (2_000_000, 600)], b"abc" + b"d" * 600)[form]
    found = unpack(content + make_tar([file("after")]))
    expected = bytearray(3_000_000)
    expected[1_000_000:1_000_003], expected[2_000_000:2_000_600] = b"abc", b"d" * 600
    assert found == {"holes": bytes(expected), "after": b"x"}
    assert os.stat(tmp_path / "out" / "target" / "holes").st_blocks * 512 < 200_000


@pytest.mark.parametrize("form", FORMS)
def test_a_file_with_holes_counts_with_its_full_size(refused, form):
    content = sparse(10**9, [(10, 3)], b"abc")[form] + END
    assert "unpacks to more than max_bytes (999999999)" in refused(
        content, limits=ArchiveLimits(max_bytes=10**9 - 1, max_ratio=10**9)
    )
    assert "max_ratio" in refused(content)


WRONG_MAPS = {
    "overlaps": [(10, 3), (12, 3)],
    "goes back": [(10, 3), (5, 3)],
    "beyond the end": [(1998, 3)],
    "needs more than there is": [(10, 3), (20, 1000)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pieces", WRONG_MAPS.values(), ids=WRONG_MAPS)
def test_a_wrong_map_of_holes_is_broken(refused, form, pieces):
    refused(sparse(2000, pieces, b"abc")[form] + END, ArtifactError)


def test_pieces_of_a_sparse_file_count(refused):
    content = sparse(9000, [(n, 0) for n in range(2000)], b"")["1.0"] + END
    assert "more headers and other fields than max_members (10)" in refused(
        content, limits=ArchiveLimits(max_members=10)
    )


def test_a_global_header_makes_no_file_sparse(refused):
    content = extended(b"g", record(b"GNU.sparse.map", b"0,0")) + header() + END
    assert "makes all of its files sparse" in refused(content)


LABEL, FOLDER = header("label", b"V"), header("d", tarfile.DIRTYPE)


@pytest.mark.parametrize("entry", [LABEL, FOLDER, header("d", b"D")], ids=["label", "folder", "dump"])
def test_an_entry_that_makes_nothing_new_counts(unpack, refused, entry):
    limits = ArchiveLimits(max_members=10)
    assert "more entries than max_members (10)" in refused(entry * 11 + END, limits=limits)
    unpack(entry * 10 + END, limits=limits)


EXTENSIONS = {
    "records": extended(b"x", record(b"a", b"b") * 30) + header("d", tarfile.DIRTYPE),
    "global headers": extended(b"g", record(b"a", b"b")) * 20 + FOLDER,
    "long names": extended(tarfile.GNUTYPE_LONGNAME, b"d\0") * 20 + FOLDER,
    "long links": extended(tarfile.GNUTYPE_LONGLINK, b"d\0") * 20 + FOLDER,
}


@pytest.mark.parametrize("entry", EXTENSIONS.values(), ids=EXTENSIONS)
def test_headers_count(refused, entry):
    limits = ArchiveLimits(max_members=100)
    assert "more headers and other fields than max_members" in refused(entry * 100 + END, limits=limits)


RECORDS = {
    "too short": b"2 " * 1000 + b"=",
    "without a name": b"6 abc\n",
    "beyond the end": b"99999 a=b\n",
    "followed by something": record(b"a", b"b") + b"x",
    "no length": b" a=b\n",
    "of length 0": b"0 a=b\n",
}


@pytest.mark.parametrize("kind", [b"x", b"g", b"X"])
@pytest.mark.parametrize("content", RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_no_record_is_refused(refused, kind, content):
    assert "has an invalid header" in refused(extended(kind, content) + header() + END)


@pytest.mark.parametrize("size", [502, 511, 512, 513])
def test_a_header_of_any_length_is_read(unpack, size):
    name = b"n" * 100
    content = record(b"path", name)
    content += record(b"comment", b"c" * (size - len(content) - 13)) if size != 502 else b""
    assert unpack(extended(b"x", content) + header("short") + END) == {name.decode(): b""}


def test_a_global_header_costs_little_for_each_member(refused):
    """A name of 100 kB is not split for each of them."""
    content = extended(b"g", record(b"path", b"a/" * 50_000)) + header() * 100 + END
    with Steps() as steps:
        refused(content)
    assert steps.count < 50_000


@pytest.mark.parametrize("entry", [LABEL, FOLDER], ids=["label", "folder"])
def test_the_cost_of_entries_is_linear(unpack, entry):
    counts = []
    for number in (1000, 2000):
        with Steps() as steps:
            unpack(gzip.compress(entry * number + END), replace=True)
        counts.append(steps.count)
    assert counts[1] < 2.1 * counts[0]


@pytest.mark.parametrize("name", [b"a\\x2db", b"B::Op.3pm", b"C:\\x", b"\xe9t\xe9", "日本語".encode()])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_of_linux_is_taken_as_it_is(tmp_path, unpack, name, form):
    info = tarfile.TarInfo(os.fsdecode(name))
    link = tarfile.TarInfo("l")
    link.type, link.linkname = tarfile.SYMTYPE, os.fsdecode(name)
    unpack(info.tobuf(form, "utf-8", "surrogateescape") + link.tobuf(form, "utf-8", "surrogateescape") + END)
    top = os.fsencode(tmp_path / "out" / "target")
    assert set(os.listdir(top)) == {name, b"l"}
    assert os.readlink(top + b"/l") == name


def test_a_size_in_base_256_is_read(unpack):
    info = tarfile.TarInfo("a")
    info.size = 1
    whole = bytearray(info.tobuf(tarfile.GNU_FORMAT))

    def sized(size):
        whole[124:136] = (
            b"\x80" + size.to_bytes(11, "big") if size >= 0 else size.to_bytes(12, "big", signed=True)
        )
        whole[148:156] = b" " * 8
        whole[148:156] = b"%06o\0 " % sum(whole)
        return bytes(whole)

    for size in (2**80, -1):
        # It depends on Python who notices.
        with pytest.raises(ArtifactError):
            unpack(sized(size) + block(b"x") + END)
    assert unpack(sized(1) + block(b"x") + END) == {"a": b"x"}


def test_a_header_of_many_megabytes_is_refused_and_said(unpack, refused):
    long = extended(b"x", record(b"comment", b"c" * 2**21)) + header() + END
    assert "a header of more than 2 MiB (a name, attributes, or the map" in refused(gzip.compress(long))
    assert unpack(extended(b"x", record(b"comment", b"c" * 2**20)) + header("a") + END) == {"a": b""}
