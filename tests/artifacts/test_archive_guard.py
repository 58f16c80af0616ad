# SPDX-License-Identifier: Apache-2.0
"""An archive of a stranger stays inside its folder and within its limits."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile

import pytest
from archive_files import KINDS, LINK, MAKE, file, make_tar, make_zip

from airflow_codepipeline_partner.artifacts import archive_guard
from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.exceptions import InvalidInput, UnsafeArchive

NAMES = {
    "up": "../evil",
    "up later": "a/../../evil",
    "up and back": "a/../b",
    "absolute": "/etc/evil",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7f",
    "control sequence of Latin-1": "a\x9b2Jb",
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
    assert "has a path that leads out of the archive" in text


def test_what_follows_a_zero_byte_in_a_name_counts(refused):
    content = make_zip([file("good.txt_evil")]).replace(b"good.txt_evil", b"good.txt\0evil")
    assert ascii("good.txt\0evil") in refused(content)


LINKS = {
    "absolute": ("l", "/etc/passwd"),
    "up": ("l", "../outside"),
    "up from below": ("a/l", "../../outside"),
    "out and back in": ("l", "../target/a"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "leads_to"), LINKS.values(), ids=LINKS)
def test_a_link_that_leads_out_is_refused(refused, kind, name, leads_to):
    text = refused(MAKE[kind]([file("a/x"), (name, leads_to.encode(), LINK)]))
    assert f"{name!a}, which is a link that leads out" in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("leads_to", "why"),
    [("", "it is empty"), ("a\x9b", "U+009B"), ("x/" * 2049, "more than 4096 characters")],
)
def test_a_link_to_what_cannot_be_is_refused(refused, kind, leads_to, why):
    assert why in refused(MAKE[kind]([("l", leads_to.encode(), LINK)]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_leads_out_through_another_is_refused(refused, kind):
    # By its text, the second leads to the folder itself.
    entries = [file("d/e/f"), ("d/up", b"..", LINK), ("evil", b"d/up/../..", LINK)]
    assert ascii("evil") in refused(MAKE[kind](entries))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("l", b"a", LINK), file("a/x"), file("l/y")], "'l/y', which lies below a file or a link"),
        ([("l", b"a", LINK), file("l")], "'l', which occurs twice"),
        ([file("l"), ("l", b"a", LINK)], "'l', which occurs twice"),
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
        ("../x", "leads out of the archive"),
        ("a/../../x", "leads out of the archive"),
        ("none", "'hard', which is a hard link to something that is not a file in the archive"),
        ("folder", "'hard', which is a hard link to something that is not a file in the archive"),
    ],
)
def test_a_hard_link_leads_to_a_file_of_the_archive(refused, leads_to, why):
    """Any other is refused."""
    assert why in refused(hard_link(leads_to, file("folder/x"), ("l", b"folder/x", LINK)))


def test_a_hard_link_within_the_archive_is_a_copy(tmp_path, unpack):
    assert unpack(hard_link("./a", file("a", b"same")))["hard"] == b"same"
    assert (tmp_path / "out" / "target" / "a").stat().st_nlink == 1


def test_a_hard_link_to_a_link_is_a_link(tmp_path, unpack):
    unpack(hard_link("l", file("a", b"same"), ("l", b"a", LINK)))
    assert os.readlink(tmp_path / "out" / "target" / "hard") == "a"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a", "a//"), ("x", "a/", "a")], ids=str
)
def test_names_that_collide_are_refused(refused, kind, names):
    kinds = [stat.S_IFDIR if name.endswith("/") else stat.S_IFREG for name in names]
    text = refused(MAKE[kind]([(name, b"", mode) for name, mode in zip(names, kinds, strict=True)]))
    assert ("lies below a file" if names[-1] == "a/b" else "occurs twice") in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_may_be_named_twice_and_after_what_is_in_it(unpack, kind):
    folder = ("a/", b"", stat.S_IFDIR | 0o755)
    assert unpack(MAKE[kind]([folder, file("a/b"), folder])) == {"a": None, "a/b": b"x"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_the_file_system_does_not_take_is_refused(refused, kind):
    assert "file system does not accept" in refused(MAKE[kind]([file("x" * 256)]))
    assert "file system does not accept" in refused(MAKE[kind]([file("d" * 256 + "/x")]))


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
    assert "max_ratio (200 bytes for each byte of the archive)" in refused(content)


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


def test_a_negative_size_does_not_make_room_for_others(tmp_path):
    tree = archive_guard.ArchiveGuard(tmp_path, "Source", ArchiveLimits(max_bytes=10), 10)
    with pytest.raises(UnsafeArchive, match="a negative size"):
        tree.count(-(2**40), "a")


def test_a_zip_with_too_many_members_is_refused_unread(refused, monkeypatch):
    content = make_zip([file(f"{number:060}") for number in range(4000)])
    monkeypatch.setattr(zipfile, "ZipInfo", None)
    text = refused(content, limits=ArchiveLimits(max_members=3999))
    assert "more entries than max_members (3999)" in text
    assert "max_members (5)" in refused(content, limits=ArchiveLimits(max_members=5))


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_is_too_deep_is_refused(tmp_path, unpack, refused, kind):
    assert "200 folders" in refused(MAKE[kind]([file("a"), file("d/" * 201 + "f")]))
    assert len(unpack(MAKE[kind]([file("d/" * 200 + "f")]))) == 201


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_not_longer_than_honest_ones(refused, kind, monkeypatch):
    monkeypatch.setattr(archive_guard, "MAX_LISTED_BYTES", 100)
    links = [(f"l{number}" + "x" * 90, b"y" * 90, LINK) for number in range(3)]
    limits = ArchiveLimits(max_members=4)
    assert "longer names, than max_members (4)" in refused(MAKE[kind](links), limits=limits)


def test_a_raw_file_has_a_limit_too(refused):
    assert "max_bytes" in refused(b"plain", limits=ArchiveLimits(max_bytes=4))


def test_a_link_through_forty_links_is_made(tmp_path, unpack):
    links = [(f"l{number}", f"l{number + 1}".encode(), LINK) for number in range(40)]
    unpack(make_tar([*links, file("l40", b"content")]))
    assert (tmp_path / "out" / "target" / "l0").read_bytes() == b"content"


def test_links_in_a_circle_are_refused(refused):
    assert "through too many others" in refused(make_tar([("a", b"b", LINK), ("b", b"a", LINK)]))


def test_links_through_too_many_links_are_refused(refused):
    links = [(f"l{number}", f"l{number + 1}".encode(), LINK) for number in range(3000)]
    assert "is a link that leads out" in refused(make_tar(links))


@pytest.mark.parametrize(
    "max_of", [{"max_members": 0}, {"max_bytes": -1}, {"max_ratio": 0}, {"max_seconds": 0}], ids=str
)
def test_a_limit_must_be_above_zero(max_of):
    with pytest.raises(InvalidInput, match=next(iter(max_of))):
        ArchiveLimits(**max_of)
