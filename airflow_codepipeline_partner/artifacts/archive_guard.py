# SPDX-License-Identifier: Apache-2.0
"""What an archive of a stranger makes on the disk, and what of it is refused."""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput, UnsafeArchive

#: Nothing is said of a ratio before as much has been unpacked: what is small may be as dense as it likes.
RATIO_FROM_BYTES = 64 * 1024 * 1024
#: Longest path of an entry, and longest text of a link: what systems take.
MAX_PATH_CHARS = 4096
#: Most bytes that an entry's name, and all else that is listed of it, may take, on average.
MAX_LISTED_BYTES = 512
#: Through how many links one may lead: as many as Linux follows.
MAX_LINK_HOPS = 40
#: Deepest folder: as many as there may be, those who walk through them need.
MAX_DEPTH = 200
_SHOWN_NAME_CHARS = 200
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: Kinds of what is in a tree.
_FOLDER, _FILE, _LINK = "folder", "file", "link"


@dataclass(frozen=True)
class ArchiveLimits:
    """
    How much an archive may hold; what holds more is refused whole.

    :param max_members: Most files, folders and links. Default 200,000.
    :param max_bytes: Most bytes, unpacked; they lie on the worker's disk. Default 16 GiB.
    :param max_ratio: Most bytes, unpacked, for each byte of the archive, once 64 MiB are unpacked. Default
        200; the deflate of zip and gzip makes at most 1032.
    :raises InvalidInput: One of them is not above 0.
    """

    max_members: int = 200_000
    max_bytes: int = 16 * 1024**3
    max_ratio: float = 200

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InvalidInput(f"{name} of an archive must be more than 0; {value} was given.")


class ArchiveGuard:
    """
    What an archive makes, entry by entry, with an eye on all that was made before.

    :param root: An empty folder.
    :param artifact: The artifact's name, for errors.
    :param limits: How much may be made.
    :param packed_bytes: The archive's size.
    """

    def __init__(self, root: Path, artifact: str, limits: ArchiveLimits, packed_bytes: int) -> None:
        self._root = os.fspath(root)
        self._artifact = artifact
        self._limits = limits
        self._most_bytes = min(
            limits.max_bytes, max(RATIO_FROM_BYTES, int(limits.max_ratio * max(packed_bytes, 1)))
        )
        self._kinds: dict[str, str] = {"": _FOLDER}
        #: Path of each link → where it leads by its text, and the entry's name.
        self._links: dict[str, tuple[str, str]] = {}
        self._members = 0
        self._name_chars = 0
        self._bytes = 0

    def refuse(self, why: str, name: str | None = None) -> UnsafeArchive:
        """Return the error for an entry, or for the archive as a whole."""
        entry = "" if name is None else f" holds the entry {shown(name)}, which"
        return UnsafeArchive(
            f"The artifact {self._artifact}{entry} {why}. Nothing of it was unpacked. Make the artifact anew "
            "without that."
        )

    def broken(self, why: object, name: str | None = None) -> ArtifactError:
        """Return the error for what cannot be read."""
        entry = "" if name is None else f", at the entry {shown(name)}"
        return ArtifactError(
            f"The artifact {self._artifact} is a broken archive{entry}: {shown(str(why))}. Make it anew."
        )

    def add_folder(self, name: str) -> None:
        """Make a folder; twice is as good as once."""
        path = self._path_of(name)
        if self._kinds.get(path) != _FOLDER:
            self._enter(path, name, _FOLDER)
            with self._making(name):
                os.mkdir(os.path.join(self._root, path), 0o755)

    def add_file(self, name: str, mode: int) -> IO[bytes]:
        """Make a file, and return what it is written to."""
        path = self._path_of(name)
        self._enter(path, name, _FILE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with self._making(name):
            number = os.open(os.path.join(self._root, path), flags, 0o755 if mode & 0o111 else 0o644)
        return open(number, "wb", buffering=0)

    def add_link(self, name: str, leads_to: str) -> None:
        """Have a link made when all else is."""
        path = self._path_of(name)
        end = posixpath.normpath(posixpath.join(posixpath.dirname(path), leads_to))
        if (
            not leads_to
            or len(leads_to) > MAX_PATH_CHARS
            or is_foreign(leads_to)
            or end.split("/")[0] == ".."
        ):
            raise self.refuse("is a link that leads out of it", name)
        self._enter(path, name, _LINK, len(leads_to))
        self._links[path] = (leads_to, name)

    def link_at(self, leads_to: str, name: str) -> str | None:
        """Return where the link, made before, leads that a hard link is to; None where that is no link."""
        return self._links.get(self._path_of(leads_to), (None, name))[0]

    def file_at(self, leads_to: str, name: str) -> str:
        """Return the file, made before, that a hard link leads to."""
        path = self._path_of(leads_to)
        if self._kinds.get(path) != _FILE:
            raise self.refuse("is a hard link to what is no file of it", name)
        return os.path.join(self._root, path)

    def count(self, size: int, name: str | None = None) -> None:
        """Count bytes that are about to be written."""
        if size < 0:
            raise self.refuse("says that it is smaller than nothing", name)
        self._bytes += size
        self.check_size(self._bytes, name)

    def check_size(self, size: int, name: str | None = None) -> None:
        """Refuse what is to be more, unpacked, than the limits allow."""
        if size > self._most_bytes:
            limit = (
                f"max_bytes ({self._limits.max_bytes})"
                if self._most_bytes == self._limits.max_bytes
                else f"max_ratio ({self._limits.max_ratio:g} bytes for each of its own)"
            )
            raise self.refuse(f"makes more than {limit} allows", name)

    def check_list(self, members: int) -> None:
        """Refuse a list of more members than the limit allows."""
        if members > self._limits.max_members:
            raise self.refuse(f"has more entries than max_members ({self._limits.max_members}) allows")

    def check_list_size(self, size: int) -> None:
        """Refuse a list of members that is longer than one of honest names can be."""
        if size > self._limits.max_members * MAX_LISTED_BYTES:
            raise self.refuse(f"has more entries than max_members ({self._limits.max_members}) allows")

    def make_links(self) -> None:
        """Make the links, if none of them leads out, be it through others."""
        for path, (_, name) in self._links.items():
            if not self._leads_in(path):
                raise self.refuse("is a link that leads out of it, or through too many others", name)
        for path, (leads_to, name) in self._links.items():
            with self._making(name):
                os.symlink(leads_to, os.path.join(self._root, path))
        root = os.path.realpath(self._root)
        for path, (_, name) in self._links.items():
            # Once more as the file system sees it, to which two spellings may be one name.
            if not is_inside(root, os.path.join(self._root, path)):
                raise self.refuse("is a link that leads out of it", name)

    def _leads_in(self, path: str) -> bool:
        ahead, hops = path.split("/")[::-1], 0
        walked: list[str] = []
        while ahead:
            part = ahead.pop()
            if part == "..":
                if not walked:
                    return False
                walked.pop()
            elif part not in ("", "."):
                walked.append(part)
                link = self._links.get("/".join(walked))
                if link is not None:
                    hops += 1
                    if hops > MAX_LINK_HOPS:
                        return False
                    walked.pop()
                    ahead.extend(reversed(link[0].split("/")))
        return True

    def _path_of(self, name: str) -> str:
        """Return an entry's path below the root, or refuse it."""
        if is_foreign(name):
            raise self.refuse("has a path that is absolute, another system's, or unreadable", name)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.refuse("has a path that leads out of it", name)
        if len(name) > MAX_PATH_CHARS or len(parts) > MAX_DEPTH + 1:
            most = f"{MAX_PATH_CHARS} characters or {MAX_DEPTH} folders"
            raise self.refuse(f"has a path of more than {most}", name)
        return "/".join(parts)

    def _enter(self, path: str, name: str, kind: str, more_chars: int = 0) -> None:
        """Enter what is about to be made, and make the folders above it."""
        self._count_member(name)
        self._name_chars += len(path) + more_chars
        if self._name_chars > self._limits.max_members * MAX_LISTED_BYTES:
            raise self.refuse("has longer names than any honest archive")
        if path in self._kinds:
            raise self.refuse("is there twice", name)
        above = posixpath.dirname(path)
        if self._kinds.get(above) != _FOLDER:
            self._make_folders(above, name)
        self._kinds[path] = kind

    def _make_folders(self, path: str, name: str) -> None:
        made = ""
        for part in path.split("/"):
            made = f"{made}/{part}" if made else part
            if made not in self._kinds:
                self._count_member(name)
                self._kinds[made] = _FOLDER
                with self._making(name):
                    os.mkdir(os.path.join(self._root, made), 0o755)
            elif self._kinds[made] != _FOLDER:
                raise self.refuse("lies below what is a file or a link", name)

    def _count_member(self, name: str) -> None:
        self._members += 1
        if self._members > self._limits.max_members:
            raise self.refuse(f"is one more than max_members ({self._limits.max_members}) allows", name)

    @contextmanager
    def _making(self, name: str) -> Iterator[None]:
        """Have a name that the file system does not take refused."""
        try:
            yield
        except FileExistsError:
            # Two spellings may be one name there.
            raise self.refuse("is there twice", name) from None
        except UnicodeEncodeError:
            raise self.refuse("has a name that the worker's file system does not take", name) from None
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
                raise self.refuse("has a name that the worker's file system does not take", name) from None
            raise


def is_foreign(path: str) -> bool:
    """Tell whether a path is absolute, another system's, or holds what cannot be shown."""
    return "\\" in path or path.startswith("/") or bool(_DRIVE.match(path) or _CONTROL.search(path))


def shown(name: str) -> str:
    """Return an entry's name as an error may show it."""
    text = ascii(name)
    return text if len(text) <= _SHOWN_NAME_CHARS else f"{text[:_SHOWN_NAME_CHARS]}…"


def is_inside(root: str, path: str) -> bool:
    """Tell whether a path leads to what lies below a folder, whose own path has no links in it."""
    try:
        return os.path.commonpath((root, os.path.realpath(path))) == root
    except RecursionError:
        # A link through more links than anybody follows.
        return False
