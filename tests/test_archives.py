# SPDX-License-Identifier: Apache-2.0
"""An archive of a stranger is unpacked whole and inside its folder, or not at all."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import stat
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest

from airflow_codepipeline_partner.artifacts import archive_guard
from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveLimits
from airflow_codepipeline_partner.artifacts.extract import extract
from airflow_codepipeline_partner.artifacts.formats import format_of
from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput, UnsafeArchive

LINK, FIFO = stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644
KINDS = ("zip", "tar", "tar.gz")


def make_zip(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        # Of names that are there twice.
        warnings.simplefilter("ignore", UserWarning)
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            # ZipInfo itself would make slashes of backslashes on some systems, and cut at a zero byte.
            info.filename = info.orig_filename = name
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def make_tar(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, mode in entries:
            info = tarfile.TarInfo(name)
            info.mode = stat.S_IMODE(mode)
            if stat.S_ISLNK(mode):
                info.type, info.linkname = tarfile.SYMTYPE, content.decode()
            elif stat.S_ISFIFO(mode):
                info.type = tarfile.FIFOTYPE
            elif name.endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return buffer.getvalue()


MAKE = {"zip": make_zip, "tar": make_tar, "tar.gz": lambda entries: gzip.compress(make_tar(entries))}


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
        outside = set(tmp_path.parent.rglob("*"))
        with pytest.raises(kind) as refusal:
            unpack(content, **how)
        assert type(refusal.value) is kind
        assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
        assert set(tmp_path.parent.rglob("*")) - outside <= {tmp_path / "archive", tmp_path / "out"}
        assert "Source" in str(refusal.value)
        return str(refusal.value)

    return run


def file(name, content=b"x", mode=0o644):
    return (name, content, stat.S_IFREG | mode)


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
    assert f"no {said} archive" in text
    assert f"it is {found}" in text


def test_a_format_that_there_is_not_is_refused(unpack):
    with pytest.raises(ArtifactError, match=r"one of zip, tar, tar\.gz, raw, not 'rar'"):
        unpack(b"x", archive_format="rar")


NAMES = {
    "up": "../evil",
    "up later": "a/../../evil",
    "up and back": "a/../b",
    "absolute": "/etc/evil",
    "drive": "C:/evil",
    "drive without slash": "c:evil",
    "backslash": "..\\evil",
    "backslash inside": "a\\b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_path_that_leads_out_is_refused_whole_and_named(refused, kind, name):
    text = refused(MAKE[kind]([file("good"), file(name)]))
    assert ascii(name) in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_whose_path_leads_out_is_refused_too(refused, kind):
    text = refused(MAKE[kind]([("../evil/", b"", stat.S_IFDIR | 0o755)]))
    assert "'../evil" in text
    assert "has a path that leads out of it" in text


def test_what_follows_a_zero_byte_in_a_name_counts(refused):
    content = make_zip([file("good.txt_evil")]).replace(b"good.txt_evil", b"good.txt\0evil")
    assert ascii("good.txt\0evil") in refused(content)


LINKS = {
    "absolute": ("l", "/etc/passwd"),
    "up": ("l", "../outside"),
    "up from below": ("a/l", "../../outside"),
    "out and back in": ("l", "../target/a"),
    "drive": ("l", "C:/x"),
    "backslash": ("l", "..\\x"),
    "nothing": ("l", ""),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "leads_to"), LINKS.values(), ids=LINKS)
def test_a_link_that_leads_out_is_refused(refused, kind, name, leads_to):
    text = refused(MAKE[kind]([file("a/x"), (name, leads_to.encode(), LINK)]))
    assert f"{name!a}, which is a link that leads out" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_leads_out_through_another_is_refused(refused, kind):
    # By its text, the second leads to the folder itself.
    entries = [file("d/e/f"), ("d/up", b"..", LINK), ("evil", b"d/up/../..", LINK)]
    assert ascii("evil") in refused(MAKE[kind](entries))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("l", b"a", LINK), file("a/x"), file("l/y")], "'l/y', which lies below what is a file or a link"),
        ([("l", b"a", LINK), file("l")], "'l', which is there twice"),
        ([file("l"), ("l", b"a", LINK)], "'l', which is there twice"),
    ],
)
def test_nothing_is_written_through_a_link(refused, kind, entries, why):
    assert why in refused(MAKE[kind](entries))


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_stays_inside_is_made(tmp_path, unpack, kind):
    unpack(MAKE[kind]([("a/l", b"../b/x", LINK), file("b/x", b"content"), ("dangling", b"none", LINK)]))
    target = tmp_path / "out" / "target"
    assert os.readlink(target / "a" / "l") == "../b/x"
    assert (target / "a" / "l").read_bytes() == b"content"
    assert (target / "dangling").is_symlink()


def hard_link(leads_to, *before):
    buffer = io.BytesIO(make_tar(before))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        info = tarfile.TarInfo("hard")
        info.type, info.linkname = tarfile.LNKTYPE, leads_to
        archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("leads_to", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("../x", "leads out of it"),
        ("a/../../x", "leads out of it"),
        ("none", "'hard', which is a hard link to what is no file of it"),
        ("folder", "'hard', which is a hard link to what is no file of it"),
    ],
)
def test_a_hard_link_to_what_is_no_file_of_the_archive_is_refused(refused, leads_to, why):
    assert why in refused(hard_link(leads_to, file("folder/x"), ("l", b"folder/x", LINK)))


def test_a_hard_link_within_the_archive_is_a_copy(tmp_path, unpack):
    assert unpack(hard_link("./a", file("a", b"same")))["hard"] == b"same"
    assert (tmp_path / "out" / "target" / "a").stat().st_nlink == 1


def test_a_hard_link_to_a_link_is_a_link(tmp_path, unpack):
    unpack(hard_link("l", file("a", b"same"), ("l", b"a", LINK)))
    assert os.readlink(tmp_path / "out" / "target" / "hard") == "a"


def test_what_gnu_tar_adds_to_a_backup_is_no_trouble(unpack):
    label, folder = tarfile.TarInfo("a label"), tarfile.TarInfo("folder")
    label.type, folder.type = b"V", b"D"
    content = label.tobuf() + folder.tobuf() + make_tar([file("folder/a")])
    assert unpack(content) == {"folder": None, "folder/a": b"x"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_is_refused(refused, kind):
    assert ascii("pipe") in refused(MAKE[kind]([file("a"), ("pipe", b"", FIFO)]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a", "a//"), ("x", "a/", "a")], ids=str
)
def test_names_that_collide_are_refused(refused, kind, names):
    kinds = [stat.S_IFDIR if name.endswith("/") else stat.S_IFREG for name in names]
    text = refused(MAKE[kind]([(name, b"", mode) for name, mode in zip(names, kinds, strict=True)]))
    assert ("lies below what is a file" if names[-1] == "a/b" else "is there twice") in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_may_be_named_twice_and_after_what_is_in_it(unpack, kind):
    folder = ("a/", b"", stat.S_IFDIR | 0o755)
    assert unpack(MAKE[kind]([folder, file("a/b"), folder])) == {"a": None, "a/b": b"x"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_the_file_system_does_not_take_is_refused(refused, kind):
    assert "file system does not take" in refused(MAKE[kind]([file("x" * 256)]))
    assert "file system does not take" in refused(MAKE[kind]([file("d" * 256 + "/x")]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_limits_are_kept(unpack, refused, kind):
    content = MAKE[kind]([file("a/b", b"1" * 10), file("a/c", b"2" * 10)])
    assert "max_members (2)" in refused(content, limits=ArchiveLimits(max_members=2))
    assert "max_bytes (19)" in refused(content, limits=ArchiveLimits(max_bytes=19))
    enough = ArchiveLimits(max_members=3, max_bytes=20 if kind == "zip" else 20_000)
    assert len(unpack(content, limits=enough)) == 3


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_by_its_ratio(refused, monkeypatch, kind):
    content = MAKE[kind]([file("zeros", bytes(3_000_000))])
    monkeypatch.setattr(archive_guard, "RATIO_FROM_BYTES", 100_000)
    assert "max_ratio (200 bytes for each of its own)" in refused(content)


def test_what_is_small_may_be_dense(unpack):
    assert len(unpack(MAKE["zip"]([file("zeros", bytes(3_000_000))]))["zeros"]) == 3_000_000


def test_a_bomb_in_a_zip_is_refused_before_any_of_it_is_written(tmp_path, unpack, monkeypatch):
    written = []
    monkeypatch.setattr(archive_guard.ArchiveGuard, "add_file", lambda *arguments: written.append(arguments))
    content = make_zip([file("small"), file("zeros", bytes(1000))])
    with pytest.raises(UnsafeArchive):
        unpack(content, limits=ArchiveLimits(max_bytes=500))
    assert written == []


def test_hard_links_count(refused):
    content = hard_link("a", file("a", b"1" * 600_000))
    assert "max_bytes" in refused(content, limits=ArchiveLimits(max_bytes=1_000_000))


def test_a_header_that_is_longer_than_any_honest_one_is_not_read(refused):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**31
    content = info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    assert "header" in refused(content)


def sparse(size):
    info = tarfile.TarInfo("holes")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(size)}
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(2048)


@pytest.mark.parametrize("size", [10**12, 10, -(2**40)])
def test_a_file_with_holes_is_refused(refused, size):
    assert "a file with holes" in refused(sparse(size))


def test_a_file_smaller_than_nothing_does_not_make_room_for_others(tmp_path):
    tree = archive_guard.ArchiveGuard(tmp_path, "Source", ArchiveLimits(max_bytes=10), 10)
    with pytest.raises(UnsafeArchive, match="smaller than nothing"):
        tree.count(-(2**40), "a")


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_python_unpacks_in_one_piece_is_refused(refused, how):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        archive.writestr("a", bytes(100))
    assert "another way than by deflate" in refused(buffer.getvalue())


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


def test_a_zip_with_more_members_than_are_allowed_is_refused_before_they_are_read(refused, monkeypatch):
    content = make_zip([file(f"{number:060}") for number in range(4000)])
    monkeypatch.setattr(zipfile, "ZipInfo", None)
    text = refused(content, limits=ArchiveLimits(max_members=3999))
    assert "more entries than max_members (3999)" in text
    assert "max_members (5)" in refused(content, limits=ArchiveLimits(max_members=5))


def test_headers_that_hold_for_all_that_follows_are_few(refused):
    content = b"".join(
        tarfile.TarInfo.create_pax_global_header({f"key{number}": "value"}) for number in range(200)
    )
    assert "more headers" in refused(content + make_tar([file("a")]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_is_too_deep_is_refused(tmp_path, unpack, refused, kind):
    assert "200 folders" in refused(MAKE[kind]([file("a"), file("d/" * 201 + "f")]))
    assert len(unpack(MAKE[kind]([file("d/" * 200 + "f")]))) == 201


def test_a_header_of_digits_is_not_searched(refused):
    content = tarfile.TarInfo.create_pax_global_header({"comment": "1" * 20_000})
    assert "has a header that is none" in refused(content + make_tar([file("a")]))


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_not_longer_than_honest_ones(refused, kind, monkeypatch):
    monkeypatch.setattr(archive_guard, "MAX_LISTED_BYTES", 100)
    links = [(f"l{number}" + "x" * 90, b"y" * 90, LINK) for number in range(3)]
    limits = ArchiveLimits(max_members=4)
    assert "has longer names" in refused(MAKE[kind](links), limits=limits)


def test_a_raw_file_has_a_limit_too(refused):
    assert "max_bytes" in refused(b"plain", limits=ArchiveLimits(max_bytes=4))


def test_a_link_through_forty_links_is_made(tmp_path, unpack):
    links = [(f"l{number}", f"l{number + 1}".encode(), LINK) for number in range(40)]
    unpack(make_tar([*links, file("l40", b"content")]))
    assert (tmp_path / "out" / "target" / "l0").read_bytes() == b"content"


def test_links_in_a_circle_are_refused(refused):
    assert "through too many others" in refused(make_tar([("a", b"b", LINK), ("b", b"a", LINK)]))


def test_links_through_more_links_than_anybody_follows_are_refused(refused):
    links = [(f"l{number}", f"l{number + 1}".encode(), LINK) for number in range(3000)]
    assert "is a link that leads out" in refused(make_tar(links))


@pytest.mark.parametrize("max_of", [{"max_members": 0}, {"max_bytes": -1}, {"max_ratio": 0}], ids=str)
def test_a_limit_must_be_above_zero(max_of):
    with pytest.raises(InvalidInput, match=next(iter(max_of))):
        ArchiveLimits(**max_of)


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
def test_content_that_was_damaged_within_a_gzip_is_found_by_its_checksum(refused, size):
    tar = bytearray(make_tar([file("a", os.urandom(size))]))
    good = gzip.compress(bytes(tar))
    tar[600] ^= 1
    # Another content, with the checksum of the first.
    assert "CRC check failed" in refused(gzip.compress(bytes(tar))[:-8] + good[-8:], ArtifactError)


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
    assert "does not end as a tar does" in refused(bytes(content), ArtifactError)


@pytest.mark.parametrize("blocks", [2, 4])
def test_a_tar_that_is_cut_between_two_files_is_broken(refused, blocks):
    content = make_tar([file("a"), file("b"), file("c")])
    assert "does not end as a tar does" in refused(content[: blocks * 512], ArtifactError)


def test_what_follows_the_end_of_a_tar_must_be_zeros(refused):
    assert "does not end as a tar does" in refused(make_tar([file("a")]) + b"x" * 512, ArtifactError)


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


def test_where_the_new_folder_cannot_take_its_place_the_former_one_stays(tmp_path, unpack, monkeypatch):
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


def test_a_target_that_cannot_be_is_named(tmp_path, unpack):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ArtifactError, match="Source could not be unpacked on the worker: File exists"):
        unpack(make_zip([file("a")]))


def test_a_full_disk_is_named_and_nothing_is_left(refused, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    text = refused(make_zip([file("a")]), ArtifactError)
    assert "could not be unpacked on the worker: No space left on device" in text
