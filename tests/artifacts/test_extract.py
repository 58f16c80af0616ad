# SPDX-License-Identifier: Apache-2.0
"""An archive of a stranger is unpacked whole, or not at all."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from archive_files import FIFO, KINDS, LINK, MAKE, file, make_tar, make_zip

from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveGuard
from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.extract import extract, format_of
from airflow_codepipeline_partner.exceptions import ArtifactError, UnsafeArchive


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_folders_are_unpacked_with_sane_modes(tmp_path, unpack, kind):
    content = MAKE[kind](
        [
            ("./", b"", stat.S_IFDIR | 0o755),
            ("./bin/", b"", stat.S_IFDIR | 0o1777),
            file("./bin/run", b"#!", 0o4711),
            file("secret", b"s", 0o000),
            file("a/b//c/./d", b"deep"),
            ("empty/", b"", stat.S_IFDIR | 0),
        ]
    )
    found = unpack(content)
    assert found == {
        "bin": None,
        "bin/run": b"#!",
        "secret": b"s",
        "a": None,
        "a/b": None,
        "a/b/c": None,
        "a/b/c/d": b"deep",
        "empty": None,
    }
    target = tmp_path / "out" / "target"
    umask = os.umask(0)
    os.umask(umask)
    modes = {name: stat.S_IMODE((target / name).stat().st_mode) for name in ("bin/run", "secret", "empty")}
    assert modes == {"bin/run": 0o755 & ~umask, "secret": 0o644 & ~umask, "empty": 0o755 & ~umask}
    assert stat.S_IMODE(target.stat().st_mode) == 0o755 & ~umask


@pytest.mark.parametrize("kind", KINDS)
def test_the_format_is_seen_and_told(tmp_path, kind):
    archive = tmp_path / "archive"
    archive.write_bytes(MAKE[kind]([file("a")]))
    assert format_of(archive) == kind
    assert extract(archive, tmp_path / "x", artifact="Source", archive_format=kind) == kind


@pytest.mark.parametrize(
    ("content", "is_format"),
    [
        (b"", "raw"),
        (b"plain text", "raw"),
        (gzip.compress(b"no tar"), "raw"),
        (bytes(10240), "tar"),
        (gzip.compress(bytes(10240)), "tar.gz"),
        (bytes(32768) + b"CD001", "raw"),
        (make_zip([]), "zip"),
        (b"MZ" + make_zip([file("a")]), "raw"),
        (b"\x1f\x8bbroken", "tar.gz"),
    ],
    ids=range(9),
)
def test_what_only_looks_like_an_archive_is_none(tmp_path, content, is_format):
    (tmp_path / "f").write_bytes(content)
    assert format_of(tmp_path / "f") == is_format


def test_a_raw_file_lies_in_the_folder_under_the_artifacts_name(unpack):
    assert unpack(b"plain") == {"Source": b"plain"}


def test_a_zip_can_be_had_as_it_is(unpack):
    content = make_zip([file("a")])
    assert unpack(content, archive_format="raw") == {"Source": content}


@pytest.mark.parametrize(
    ("content", "said", "found"),
    [
        (make_zip([file("a")]), "tar", "zip"),
        (b"plain", "zip", "no archive"),
        (make_tar([file("a")]), "tar.gz", "tar"),
    ],
    ids=["zip", "raw", "tar"],
)
def test_another_format_than_said_is_named(refused, content, said, found):
    text = refused(content, ArtifactError, archive_format=said)
    assert f"not a {said} archive" in text
    assert f"it is {found}" in text


def test_a_format_that_there_is_not_is_refused(unpack):
    with pytest.raises(
        ArtifactError, match=r"'rar' is not valid; use zip, tar, tar\.gz, tar\.bz2, tar\.xz, raw"
    ):
        unpack(b"x", archive_format="rar")


def test_what_gnu_tar_adds_to_a_backup_is_no_trouble(unpack):
    label, folder = tarfile.TarInfo("a label"), tarfile.TarInfo("folder")
    label.type, folder.type = b"V", b"D"
    content = label.tobuf() + folder.tobuf() + make_tar([file("folder/a")])
    assert unpack(content) == {"folder": None, "folder/a": b"x"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_is_refused(refused, kind):
    assert ascii("pipe") in refused(MAKE[kind]([file("a"), ("pipe", b"", FIFO)]))


def test_a_header_that_is_too_long_is_not_read(refused):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**31
    content = info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    assert "header" in refused(content)


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_python_unpacks_in_one_piece_is_refused(refused, how):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        archive.writestr("a", bytes(100))
    assert "another method than deflate" in refused(buffer.getvalue())


@pytest.mark.parametrize("says", [5, 10_000_000])
def test_a_link_that_is_longer_than_any_path_is_not_read_whole(refused, says):
    content = bytearray(make_zip([("l", b"a" * 10_000_000, LINK)]))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + at, says)
    tracemalloc.start()
    text = refused(bytes(content), ArtifactError if says == 5 else UnsafeArchive)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ascii("l") in text
    assert most < 2_000_000


def test_headers_that_hold_for_all_that_follows_are_few(refused):
    content = b"".join(
        tarfile.TarInfo.create_pax_global_header({f"key{number}": "value"}) for number in range(200)
    )
    assert "too many global headers" in refused(content + make_tar([file("a")]))


@pytest.mark.parametrize("name", ["mtime", "size", "GNU.sparse.map", "GNU.sparse.size"])
def test_a_number_of_many_digits_is_not_parsed(refused, name):
    digits = [("1" * 20_000), "1_" * 10_000 + "1"]
    for value in digits:
        content = tarfile.TarInfo.create_pax_global_header({name: value})
        assert f"a header in which '{name}' is not a number" in refused(content + make_tar([file("a")]))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["é" + "01" * 32, "0" * 240])
def test_digits_in_a_name_are_no_number(unpack, form, name):
    info = tarfile.TarInfo(name)
    info.pax_headers = {"SCHILY.xattr.user.digest": "7" * 77, "comment": "8" * 20_000}
    content = info.tobuf(form, "utf-8") + bytes(2 * tarfile.BLOCKSIZE)
    assert unpack(content) == {name: b""}


def test_a_long_value_in_a_global_header_is_refused(refused):
    """It would be read again for each member."""
    content = tarfile.TarInfo.create_pax_global_header({"comment": "c" * 5000})
    assert "has a global header that is too long" in refused(content + make_tar([file("a")]))


def test_an_encrypted_entry_is_refused(refused):
    content = bytearray(make_zip([file("a")]))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    assert "encrypted" in refused(bytes(content))


def test_an_entry_that_is_packed_in_an_unknown_way_is_refused(refused):
    content = bytearray(make_zip([file("a")]))
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.index(mark) + at, 97)
    assert ascii("a") in refused(bytes(content))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_entry_that_is_shorter_than_it_says_is_broken(refused, compression):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("a", b"short")
    content = bytearray(buffer.getvalue())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + at, 5000)
    assert ascii("a") in refused(bytes(content), ArtifactError)


@pytest.mark.parametrize("size", [1000, 20_000, 300_000])
def test_damage_within_a_gzip_is_found_by_its_checksum(refused, size):
    tar = bytearray(make_tar([file("a", os.urandom(size))]))
    good = gzip.compress(bytes(tar))
    tar[600] ^= 1
    # Another content, with the checksum of the first.
    assert "incorrect data check" in refused(gzip.compress(bytes(tar))[:-8] + good[-8:], ArtifactError)


def test_a_gzip_that_is_cut_behind_the_last_file_is_broken(refused):
    text = refused(MAKE["tar.gz"]([file("a", os.urandom(1000))])[:-20], ArtifactError)
    assert "end-of-stream" in text


def test_damaged_content_is_found_by_its_checksum(refused):
    content = make_zip([file("a", os.urandom(1000))])
    damaged = content[:200] + bytes([content[200] ^ 1]) + content[201:]
    assert ascii("a") in refused(damaged, ArtifactError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_archive_is_broken(refused, kind):
    content = MAKE[kind]([file("a", os.urandom(5000)), file("b", os.urandom(5000))])
    assert "broken archive" in refused(content[: len(content) // 2], ArtifactError)


def test_a_damaged_header_is_not_taken_for_the_end(refused):
    content = bytearray(make_tar([file("a"), file("b")]))
    content[1024] ^= 0xFF
    assert "does not end like a tar" in refused(bytes(content), ArtifactError)


@pytest.mark.parametrize("blocks", [2, 4])
def test_a_tar_that_is_cut_between_two_files_is_broken(refused, blocks):
    content = make_tar([file("a"), file("b"), file("c")])
    assert "does not end like a tar" in refused(content[: blocks * 512], ArtifactError)


def test_what_follows_the_end_of_a_tar_must_be_zeros(refused):
    assert "does not end like a tar" in refused(make_tar([file("a")]) + b"x" * 512, ArtifactError)


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_never_does_more_than_to_break_or_refuse(tmp_path, unpack, kind):
    chance = random.Random(7)  # noqa: S311 - to be the same each time
    whole = MAKE[kind]([file("a/b", b"1" * 700), ("l", b"a/b", LINK), file("c", b"2" * 300)])
    for number in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "archive").write_bytes(damaged)
        target = tmp_path / "out" / f"target{number}"
        try:
            extract(tmp_path / "archive", target, artifact="Source", limits=ArchiveLimits(max_bytes=10**6))
        except ArtifactError:
            assert not target.exists()
        else:
            for path in target.rglob("*"):
                assert path.resolve().is_relative_to(target.resolve())
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {name for name in left if not name.startswith("target")} == set()
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}


def test_a_target_that_is_not_empty_is_left_as_it_is(tmp_path, unpack):
    target = tmp_path / "out" / "target"
    target.mkdir(parents=True)
    (target / "mine").write_text("mine")
    with pytest.raises(ArtifactError, match="is not empty"):
        unpack(make_zip([file("a")]))
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_an_empty_target_is_filled(tmp_path, unpack):
    (tmp_path / "out" / "target").mkdir(parents=True)
    assert unpack(make_zip([file("a")])) == {"a": b"x"}


def test_the_former_folder_stays_if_it_cannot_be_replaced(tmp_path, unpack, monkeypatch):
    target = tmp_path / "out" / "target"
    target.mkdir(parents=True)
    (target / "mine").write_text("mine")
    rename = Path.rename

    def failing(self, to):
        if self.name.startswith(".target") and to == target and not self.name.endswith("-former"):
            raise OSError(5, "Input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ArtifactError, match="Input/output error"):
        unpack(make_zip([file("a")]), replace=True)
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")] == [
        "target",
        "target/mine",
    ]


@pytest.mark.parametrize("replace", [False, True])
def test_a_target_that_cannot_be_is_named(tmp_path, unpack, replace, monkeypatch):
    """Before anything is unpacked; and a retry is of no use."""
    out = tmp_path / "out"
    out.write_text("a file")
    with pytest.raises(ArtifactError, match="to target, which lies below a file") as refusal:
        unpack(make_zip([file("a")]), replace=replace)
    assert refusal.value.failure_type == "ConfigurationError"
    out.unlink()
    out.mkdir()
    (out / "folder").mkdir()
    (out / "target").symlink_to("folder")
    if replace:
        assert unpack(make_zip([file("a")]), replace=True) == {"a": b"x"}
        assert (out / "folder").is_dir()
    else:
        with pytest.raises(ArtifactError, match="to target, which is a link"):
            unpack(make_zip([file("a")]))
    monkeypatch.setattr("os.path.ismount", lambda path: str(path) == str(out / "target"))
    with pytest.raises(ArtifactError, match="to target, which is a mount point"):
        unpack(make_zip([file("a")]), replace=replace)


def test_an_archive_that_is_gone_or_a_folder_is_named(tmp_path):
    for archive in (tmp_path / "gone", tmp_path):
        with pytest.raises(ArtifactError, match="Source could not be read on the worker"):
            extract(archive, tmp_path / "target", artifact="Source")


def test_a_full_disk_is_named_and_nothing_is_left(refused, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArchiveGuard, "copy", full)
    text = refused(make_zip([file("a")]), ArtifactError)
    assert "could not be unpacked on the worker: No space left on device" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_takes_only_a_part_is_full(refused, monkeypatch, kind):
    add_file = ArchiveGuard.add_file

    class Nearly(io.FileIO):
        def write(self, data):
            return super().write(data[:-1])

    def nearly_full(self, *arguments):
        with add_file(self, *arguments) as file:
            return Nearly(os.dup(file.fileno()), "wb")

    monkeypatch.setattr(ArchiveGuard, "add_file", nearly_full)
    assert "No space left on device" in refused(MAKE[kind]([file("a", b"content")]), ArtifactError)
