# SPDX-License-Identifier: Apache-2.0
"""A name in a zip means what the system that made it says."""

from __future__ import annotations

import os
import stat

import pytest
from zip_files import (
    DOS,
    FOLDER_IN_DOS,
    INFO_ZIP_NTFS,
    MACOS,
    NTFS,
    OS2,
    UNIX,
    UTF8,
    VFAT,
    Member,
    unicode_path,
    zip_of,
)

LINK, FIFO = stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600
JAPANESE, EMOJI = "日本語のとても長い名前" * 7, "🚀 café.txt"
WINDOWS = [DOS, OS2, NTFS, INFO_ZIP_NTFS, VFAT]


@pytest.fixture
def names(tmp_path, unpack):
    """Unpack a zip, and return the paths of what it made, in bytes."""

    def run(*members):
        unpack(zip_of(*members))
        top = os.fsencode(tmp_path / "out" / "target")
        return {
            os.path.relpath(os.path.join(folder, name), top)
            for folder, folders, files in os.walk(top)
            for name in folders + files
        }

    return run


@pytest.mark.parametrize("name", [JAPANESE, EMOJI, "cafe\u0301"])
@pytest.mark.parametrize("system", [DOS, UNIX, NTFS, MACOS])
def test_the_flag_says_that_a_name_is_utf8(names, name, system):
    assert names(Member(name.encode(), system=system, flags=UTF8)) == {name.encode()}


@pytest.mark.parametrize("name", [JAPANESE.encode(), EMOJI.encode(), b"\xe9t\xe9", b"\xff/\xfe"])
@pytest.mark.parametrize("system", [UNIX, MACOS, 16, 30])
def test_a_name_of_unix_is_its_bytes(names, name, system):
    assert name in names(Member(name, system=system))


@pytest.mark.parametrize("system", [DOS, NTFS, 1, 7])
def test_a_name_without_a_flag_is_cp437_elsewhere(names, system):
    assert names(Member(b"\x82t\x82 \xe1", system=system)) == {"été ß".encode()}


@pytest.mark.parametrize("system", [DOS, UNIX])
def test_a_unicode_path_that_fits_is_the_name(names, system):
    stored = b"\x82t\x82"
    assert names(Member(stored, system=system, extra=unicode_path(EMOJI.encode(), stored))) == {
        EMOJI.encode()
    }


def test_a_guessed_name_is_warned_of(names, caplog):
    names(Member("日本".encode("shift_jis"), system=DOS), Member(b"a", system=DOS))
    assert "Source does not say how its names are encoded" in caplog.text
    assert "can make the zip with names in UTF-8" in caplog.text


def test_nobody_is_warned_of_names_that_are_said(names, caplog):
    names(
        Member("é".encode()),
        Member("è".encode(), system=DOS, flags=UTF8),
        Member(b"\x82", system=DOS, extra=unicode_path("à".encode(), b"\x82")),
        Member(b"a", system=DOS),
    )
    assert caplog.text == ""


def test_a_unicode_path_for_another_name_is_not(names):
    # A tool that did not know the field has renamed the entry.
    assert names(Member(b"new", extra=unicode_path(b"old", b"another"))) == {b"new"}


def test_a_unicode_path_is_found_behind_other_fields(names):
    extra = b"\x55\x54\x05\0\1aaaa" + unicode_path("é".encode(), b"e")
    assert names(Member(b"e", extra=extra)) == {"é".encode()}


@pytest.mark.parametrize("name", [b"../evil", b"/evil", b"a\0b"])
def test_a_unicode_path_that_leads_out_is_refused(refused, name):
    refused(zip_of(Member(b"good", extra=unicode_path(name, b"good"))))


@pytest.mark.parametrize(("flags", "system"), [(UTF8, DOS), (0, UNIX), (0, MACOS)])
def test_a_link_leads_to_the_name_that_was_made(tmp_path, unpack, flags, system):
    name = EMOJI.encode()
    unpack(
        zip_of(
            Member(name, b"content", flags=flags, system=system),
            Member(b"l", name, flags=flags, system=system, mode=LINK),
        )
    )
    assert (tmp_path / "out" / "target" / "l").read_bytes() == b"content"


def test_a_link_of_bytes_that_are_no_text_is_kept(tmp_path, unpack):
    unpack(zip_of(Member(b"a\xff"), Member(b"l", b"a\xff", mode=LINK)))
    assert os.readlink(os.fsencode(tmp_path / "out" / "target" / "l")) == b"a\xff"


@pytest.mark.parametrize("system", WINDOWS)
def test_a_backslash_of_windows_separates_folders(names, system):
    members = [Member(b"a\\", b""), Member(b"a\\b\\c"), Member(b"d\\", b"", dos=FOLDER_IN_DOS)]
    for member in members:
        member.system = system
    assert names(*members) == {b"a", b"a/b", b"a/b/c", b"d"}


@pytest.mark.parametrize("system", [UNIX, MACOS])
def test_a_backslash_of_unix_is_a_character(names, system):
    name = b"system/dev-disk-by\\x2duuid.device"
    assert name in names(Member(name, system=system))


@pytest.mark.parametrize("system", WINDOWS)
def test_a_backslash_beside_a_slash_is_a_character(names, system, caplog):
    """git and Go say that MS-DOS made their zips, also on Linux."""
    caplog.set_level("INFO")
    name = b"units/system-systemd\\x2dcryptsetup.slice"
    assert names(Member(name, system=system), Member(b"units/", b"", system=system)) == {b"units", name}
    assert "has names with both / and a backslash" in caplog.text


@pytest.mark.parametrize("system", WINDOWS)
@pytest.mark.parametrize("name", [b"..\\evil", b"a\\..\\..\\evil", b"\\evil", b"\\\\host\\evil", b"a\\..\\b"])
def test_a_path_of_windows_that_leads_out_is_refused(refused, system, name):
    refused(zip_of(Member(name, system=system)))


@pytest.mark.parametrize("system", WINDOWS)
@pytest.mark.parametrize("name", [b"C:/x", b"C:\\x", b"c:x", b"C:"])
def test_a_drive_letter_of_windows_is_refused(refused, system, name):
    assert "a drive letter" in refused(zip_of(Member(name, system=system)))
    assert "a drive letter" in refused(zip_of(Member(b"l", name, system=system, mode=LINK)))


@pytest.mark.parametrize("name", [b"B::Op.3pm", b"C:/x", b"c:x"])
def test_a_colon_of_unix_is_a_character(names, name):
    assert name in names(Member(name))


@pytest.mark.parametrize("leads_to", [b"..\\..\\x", b"\\x"])
def test_a_link_of_windows_that_leads_out_is_refused(refused, leads_to):
    refused(zip_of(Member(b"l", leads_to, system=DOS, mode=LINK)))


def test_a_link_of_windows_has_backslashes(tmp_path, unpack):
    unpack(zip_of(Member(b"a\\b", system=DOS), Member(b"l", b"a\\b", system=DOS, mode=LINK)))
    assert os.readlink(tmp_path / "out" / "target" / "l") == "a/b"


def test_a_folder_of_dos_needs_no_slash(unpack):
    content = zip_of(Member(b"d", b"", system=DOS, dos=FOLDER_IN_DOS), Member(b"d/a", system=DOS))
    assert unpack(content) == {"d": None, "d/a": b"x"}


def test_what_has_content_is_no_folder_of_dos(unpack):
    assert unpack(zip_of(Member(b"d", b"x", system=DOS, dos=FOLDER_IN_DOS))) == {"d": b"x"}


def test_what_zip_read_from_a_pipe_is_a_file(unpack):
    assert unpack(zip_of(Member(b"-", b"content", mode=FIFO, has_descriptor=True))) == {"-": b"content"}


def test_an_encrypted_entry_is_named_and_how_to_mend_it(refused):
    text = refused(zip_of(Member("é".encode(), flags=1)))
    assert f"{'é'!a}, which is encrypted" in text
    assert "Create the artifact without encryption." in text


@pytest.mark.parametrize("system", [DOS, UNIX])
@pytest.mark.parametrize("name", [b"a\nb", b"Icon\r", b"a\x7f", b"a\xc2\x9bb"])
def test_a_control_character_is_refused(refused, system, name):
    assert "the control character U+00" in refused(zip_of(Member(name, system=system, flags=UTF8)))
