# SPDX-License-Identifier: Apache-2.0
"""The same folder makes the same archive, and nothing that is not in it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tarfile
import time
import zipfile

import pytest

from airflow_codepipeline_partner.artifacts.extract import extract
from airflow_codepipeline_partner.artifacts.pack import _Folder, pack
from airflow_codepipeline_partner.exceptions import ArtifactError

KINDS = ("zip", "tar", "tar.gz")


def fill(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "folder", ["b/c", "a", "b/A", ".hidden"])


@pytest.fixture
def refused(tmp_path):
    """Check that nothing is packed, and return the error's text."""

    def run(folder, kind="zip", error=ArtifactError):
        archive = tmp_path / "made" / "archive"
        archive.parent.mkdir(exist_ok=True)
        with pytest.raises(error) as refusal:
            pack(folder, archive, artifact="Built", archive_format=kind)
        assert list(archive.parent.iterdir()) == []
        return str(refusal.value)

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_packed_is_what_is_unpacked(tmp_path, folder, kind):
    (folder / "empty").mkdir()
    (folder / "b" / "link").symlink_to("../a")
    (folder / "a").chmod(0o700)
    pack(folder, tmp_path / "archive", artifact="Built", archive_format=kind)
    target = tmp_path / "target"
    assert extract(tmp_path / "archive", target, artifact="Built") == kind
    found = {path.relative_to(target).as_posix() for path in target.rglob("*")}
    assert found == {"a", "b", "b/A", "b/c", "b/link", ".hidden", "empty"}
    assert os.readlink(target / "b" / "link") == "../a"
    assert (target / "b" / "c").read_text() == "content of b/c"
    assert (target / "a").stat().st_mode & 0o111
    assert not (target / "b" / "c").stat().st_mode & 0o111


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_content_makes_the_same_bytes(tmp_path, folder, kind):
    # Made in another order, at another time, by a user with another umask, under another name.
    other = fill(tmp_path / "other", [".hidden", "b/A", "a", "b/c"])
    for number, path in enumerate(sorted(other.rglob("*"))):
        os.utime(path, (number, number))
        path.chmod(0o700 if path.is_dir() else 0o600)
    for name, source in (("one", folder), ("two", other)):
        pack(source, tmp_path / name, artifact="Built", archive_format=kind)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_nothing_of_the_worker_is_in_it(tmp_path, folder):
    pack(folder, tmp_path / "t", artifact="Built", archive_format="tar")
    with tarfile.open(tmp_path / "t") as archive:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in archive} == {(0, 0, "", "", 0)}
    pack(folder, tmp_path / "z", artifact="Built")
    with zipfile.ZipFile(tmp_path / "z") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {stat.S_IMODE(info.external_attr >> 16) for info in archive.infolist()} == {0o644, 0o755}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leads_to", ["/etc/passwd", "../secret", "b/../../secret", "b/up"])
def test_a_link_that_leads_out_is_refused_and_not_followed(tmp_path, folder, refused, kind, leads_to):
    (tmp_path / "secret").write_text("planted")
    if leads_to == "b/up":
        (folder / "b" / "up").symlink_to("../..")
    (folder / "link").symlink_to(leads_to)
    assert "is a link that leads out of the archive" in refused(folder, kind)


def test_a_link_to_a_folder_is_packed_as_a_link(tmp_path, folder):
    (folder / "link").symlink_to("b")
    pack(folder, tmp_path / "archive", artifact="Built")
    with zipfile.ZipFile(tmp_path / "archive") as archive:
        assert "link/c" not in archive.namelist()
        assert archive.read("link") == b"b"


def test_what_is_no_file_is_refused(tmp_path, refused, monkeypatch):
    folder = fill(tmp_path / "f", ["a"])
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert "'s' is neither a file, a folder nor a link" in refused(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has", [[], ["folder/below"]])
def test_a_folder_without_a_file_is_refused(tmp_path, refused, kind, has):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in has:
        (folder / name).mkdir(parents=True)
    text = refused(folder, kind)
    assert "Built" in text
    assert "has no file" in text


def test_a_folder_that_is_not_there_is_named(tmp_path, refused):
    assert "There is no folder nowhere" in refused(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["raw", "rar"])
def test_a_format_that_is_none_is_refused(folder, refused, kind):
    assert f"{kind!r} is not valid; use zip, tar, tar.gz" in refused(folder, kind)


def test_an_archive_cannot_lie_in_what_it_packs(folder):
    with pytest.raises(ArtifactError, match="cannot lie in the folder"):
        pack(folder, folder / "b" / "archive", artifact="Built")


CHANGES = {
    "grows": lambda path: path.write_text(path.read_text() + "more"),
    "shrinks": lambda path: os.truncate(path, 1),
    "is written again": lambda path: (path.write_text(path.read_text()), os.utime(path, (1, 1))),
    "is another file": lambda path: (path.rename(path.with_name("old")), path.write_text("content of a")),
}
# What is open stays the file that it was, so that another one in its place is only seen before.
MOMENTS = [(change, "before it is opened") for change in CHANGES] + [
    (change, "while it is read") for change in CHANGES if change != "is another file"
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("change", "when"), MOMENTS)
def test_a_file_that_changes_while_it_is_packed_is_named(folder, refused, monkeypatch, kind, change, when):
    open_file, change = _Folder.open_file, CHANGES[change]

    def changing(self, entry):
        if entry.path == "a" and when == "before it is opened":
            change(folder / "a")
        return open_file(self, entry)

    monkeypatch.setattr(_Folder, "open_file", changing)
    if when == "while it is read":
        fstat, seen = os.fstat, []

        def after(number):
            # Once it has been read.
            if not seen and os.path.samestat(fstat(number), os.stat(folder / "a")):
                seen.append(number)
                change(folder / "a")
            return fstat(number)

        monkeypatch.setattr(os, "fstat", after)
    assert "its entry 'a' changed while it was packed" in refused(folder, kind)


@pytest.mark.parametrize("what", ["file", "folder", "link"])
@pytest.mark.parametrize("when", ["before it is looked at", "before it is opened"])
def test_what_vanishes_is_named(folder, refused, monkeypatch, what, when):
    gone = folder / "b" / "gone"
    {"file": gone.touch, "folder": gone.mkdir, "link": lambda: gone.symlink_to("c")}[what]()
    find = _Folder._entry

    def vanish(self, path, name, in_folder):
        if name == "gone" and when == "before it is looked at":
            gone.rename(folder.parent / "elsewhere")
        found = find(self, path, name, in_folder)
        if name == "gone":
            gone.rename(folder.parent / "elsewhere")
        return found

    monkeypatch.setattr(_Folder, "_entry", vanish)
    assert "its entry 'b/gone' vanished while it was packed" in refused(folder)


def test_what_is_put_in_the_place_of_a_folder_is_not_followed(tmp_path, folder, refused, monkeypatch):
    secret = fill(tmp_path / "elsewhere", ["secret"])
    find = _Folder._entry

    def swap(self, path, name, in_folder):
        found = find(self, path, name, in_folder)
        if path == "b":
            (folder / "b").rename(tmp_path / "former")
            (folder / "b").symlink_to(secret)
        return found

    monkeypatch.setattr(_Folder, "_entry", swap)
    assert "its entry 'b' vanished" in refused(folder)


def test_a_folder_that_is_replaced_while_it_is_read(tmp_path, folder, monkeypatch):
    """What is put in its place is not read."""
    secret = fill(tmp_path / "elsewhere", ["c"])
    (secret / "c").write_text("secret")
    open_file = _Folder.open_file

    def swap(self, entry):
        if entry.path == "b/c":
            (folder / "b").rename(tmp_path / "former")
            (folder / "b").symlink_to(secret)
        return open_file(self, entry)

    monkeypatch.setattr(_Folder, "open_file", swap)
    pack(folder, tmp_path / "archive", artifact="Built")
    with zipfile.ZipFile(tmp_path / "archive") as archive:
        assert archive.read("b/c") == b"content of b/c"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a\nb", "a\x9b"], ids=ascii)
def test_a_control_character_in_a_name_is_refused(folder, refused, kind, name):
    (folder / name).write_text("x")
    assert f"its entry {name!a} has the control character U+00" in refused(folder, kind)


def test_a_name_that_no_zip_can_hold_is_refused(folder, refused):
    (folder / os.fsdecode(b"a\xff")).write_text("x")
    assert "not UTF-8, which a zip cannot hold. Rename it, or pack a tar" in refused(folder)


NAMES = [b"a\\x2db", b"C:", b"B::Op.3pm", "日本語 🚀".encode(), b"..a", b"-", b" "]
NO_UTF8 = b"a\xff\xe9"


@pytest.mark.parametrize(
    ("kind", "name"), [*((kind, name) for kind in KINDS for name in NAMES), ("tar", NO_UTF8)]
)
def test_a_name_of_linux_comes_back_as_it_was(tmp_path, folder, kind, name):
    top = os.fsencode(folder) + b"/"
    os.mkdir(top + b"folder " + name)
    with open(top + name, "wb") as file:
        file.write(b"content")
    os.symlink(name, top + b"link to " + name)
    pack(folder, tmp_path / "archive", artifact="Built", archive_format=kind)
    extract(tmp_path / "archive", tmp_path / "target", artifact="Built")
    target = os.fsencode(tmp_path / "target")
    assert set(os.listdir(target)) == set(os.listdir(top))
    assert os.readlink(target + b"/link to " + name) == name


def test_a_link_to_bytes_comes_back_from_a_zip_too(tmp_path, folder):
    os.symlink(b"none \xff", os.fsencode(folder) + "/日本".encode())
    pack(folder, tmp_path / "archive", artifact="Built")
    extract(tmp_path / "archive", tmp_path / "target", artifact="Built")
    assert os.readlink(os.fsencode(tmp_path / "target") + "/日本".encode()) == b"none \xff"


def test_a_folder_that_is_too_deep_is_refused(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / ("d/" * 202)).mkdir(parents=True)
    assert "200 folders" in refused(tmp_path / "deep")


def test_no_folder_stays_open(folder, refused, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    (folder / "b" / "l").symlink_to("/etc")
    refused(folder)
    (folder / "b" / "l").unlink()
    pack(folder, tmp_path / "archive", artifact="Built")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_is_named_and_nothing_is_left(folder, refused, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert "Built could not be packed on the worker: No space left on device" in refused(folder)


def test_times_before_1980_and_after_now_are_no_trouble(tmp_path, folder):
    for moment in (0, time.time() + 10**9):
        os.utime(folder / "a", (moment, moment))
        pack(folder, tmp_path / "archive", artifact="Built")
    assert zipfile.is_zipfile(tmp_path / "archive")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_link_that_cannot_be_looked_at_is_not_packed(tmp_path, kind):
    """Its path is too long from the root, but not for what follows it from its folder."""
    deep = tmp_path / "in"
    deep.mkdir()
    number = os.open(deep, os.O_RDONLY)
    for _ in range(16):
        os.mkdir("d" * 250, dir_fd=number)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=number)
        os.close(number)
        number = inner
    os.symlink("/", "out", dir_fd=number)
    os.symlink("out/etc", "l", dir_fd=number)
    os.close(number)
    with pytest.raises(ArtifactError, match=r"leads out|could not be read"):
        pack(deep, tmp_path / "archive", artifact="Built", archive_format=kind)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_link_to_a_name_that_cannot_be_is_packed(tmp_path, kind):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "l").symlink_to("n" * 300)
    pack(folder, tmp_path / "archive", artifact="Built", archive_format=kind)
    extract(tmp_path / "archive", tmp_path / "out", artifact="Built")
    assert os.readlink(tmp_path / "out" / "l") == "n" * 300
