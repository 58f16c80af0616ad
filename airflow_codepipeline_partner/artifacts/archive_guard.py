# SPDX-License-Identifier: Apache-2.0
"""Keep an untrusted archive within its folder and its limits."""

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

#: The ratio is checked only beyond this size: small archives may be dense.
RATIO_FROM_BYTES = 64 * 1024 * 1024
#: Longest path of an entry, and longest target of a link, as operating systems have it.
MAX_PATH_CHARS = 4096
#: Most bytes for an entry's name and its other fields, on average.
MAX_LISTED_BYTES = 512
#: Most links that one link may lead through, as on Linux.
MAX_LINK_HOPS = 40
#: Deepest folder. Code that walks through folders may recurse as deep.
MAX_DEPTH = 200
_SHOWN_NAME_CHARS = 200
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: Kinds of what has been unpacked.
_FOLDER, _FILE, _LINK = "folder", "file", "link"


@dataclass(frozen=True)
class ArchiveLimits:
    """
    How much an archive may hold. An archive that holds more is refused as a whole.

    :param max_members: The most files, folders and links, above 0. Default 200,000.
    :param max_bytes: The most unpacked bytes, which lie on the worker's disk, above 0. Default 16 GiB.
    :param max_ratio: The most unpacked bytes for each byte of the archive, above 0. It is checked once 64 MiB
        are unpacked. Default 200; the deflate of zip and gzip reaches at most 1032.
    :raises InvalidInput: A limit is not above 0.
    """

    max_members: int = 200_000
    max_bytes: int = 16 * 1024**3
    max_ratio: float = 200

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InvalidInput(f"{name} {value} is not valid; it must be above 0.")


class ArchiveGuard:
    """
    Make an archive's entries on the disk, and refuse what leads out or exceeds the limits.

    Each entry is checked against all that were made before it.

    :param root: An empty folder, in which the entries are made.
    :param artifact: The artifact's name, for errors.
    :param limits: How much the archive may hold.
    :param packed_bytes: The archive's size in bytes.
    """

    def __init__(self, root: Path, artifact: str, limits: ArchiveLimits, packed_bytes: int) -> None:
        self._root = os.fspath(root)
        self._artifact = artifact
        self._limits = limits
        self._max_bytes = min(
            limits.max_bytes, max(RATIO_FROM_BYTES, int(limits.max_ratio * max(packed_bytes, 1)))
        )
        self._kinds: dict[str, str] = {"": _FOLDER}
        #: Path of each link → its target, and the entry's name.
        self._links: dict[str, tuple[str, str]] = {}
        self._members = 0
        self._name_chars = 0
        self._bytes = 0

    def refuse(self, why: str, name: str | None = None) -> UnsafeArchive:
        """Return the error for an entry, or for the archive as a whole."""
        entry = "" if name is None else f" holds the entry {shown(name)}, which"
        return UnsafeArchive(
            f"The artifact {self._artifact}{entry} {why}. Nothing was unpacked. Create the artifact "
            "without it."
        )

    def broken(self, why: object, name: str | None = None) -> ArtifactError:
        """Return the error for a broken archive."""
        entry = "" if name is None else f", at the entry {shown(name)}"
        return ArtifactError(
            f"The artifact {self._artifact} is a broken archive{entry}: {shown(str(why))}. Create it again."
        )

    def add_folder(self, name: str) -> None:
        """Make a folder. An archive may list one twice."""
        path = self._path_of(name)
        if self._kinds.get(path) != _FOLDER:
            self._enter(path, name, _FOLDER)
            with self._making(name):
                os.mkdir(os.path.join(self._root, path), 0o755)

    def add_file(self, name: str, mode: int) -> IO[bytes]:
        """Make a file, and return it, open for writing."""
        path = self._path_of(name)
        self._enter(path, name, _FILE)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with self._making(name):
            number = os.open(os.path.join(self._root, path), flags, 0o755 if mode & 0o111 else 0o644)
        return open(number, "wb", buffering=0)

    def add_link(self, name: str, leads_to: str) -> None:
        """Record a link, to be made after everything else."""
        path = self._path_of(name)
        end = posixpath.normpath(posixpath.join(posixpath.dirname(path), leads_to))
        if (
            not leads_to
            or len(leads_to) > MAX_PATH_CHARS
            or is_foreign(leads_to)
            or end.split("/")[0] == ".."
        ):
            raise self.refuse("is a link that leads out of the archive", name)
        self._enter(path, name, _LINK, len(leads_to))
        self._links[path] = (leads_to, name)

    def link_at(self, leads_to: str, name: str) -> str | None:
        """Return the target of the earlier link that a hard link names, or None if it names no link."""
        return self._links.get(self._path_of(leads_to), (None, name))[0]

    def file_at(self, leads_to: str, name: str) -> str:
        """Return the earlier file that a hard link names."""
        path = self._path_of(leads_to)
        if self._kinds.get(path) != _FILE:
            raise self.refuse("is a hard link to something that is not a file in the archive", name)
        return os.path.join(self._root, path)

    def count(self, size: int, name: str | None = None) -> None:
        """Count bytes that are about to be written."""
        if size < 0:
            raise self.refuse("has a negative size", name)
        self._bytes += size
        self.check_size(self._bytes, name)

    def check_size(self, size: int, name: str | None = None) -> None:
        """Refuse an unpacked size that is over the limits."""
        if size > self._max_bytes:
            limit = (
                f"max_bytes ({self._limits.max_bytes})"
                if self._max_bytes == self._limits.max_bytes
                else f"max_ratio ({self._limits.max_ratio:g} bytes for each byte of the archive)"
            )
            raise self.refuse(f"unpacks to more than {limit} allows", name)

    def check_list(self, members: int) -> None:
        """Refuse a list with too many members."""
        if members > self._limits.max_members:
            raise self.refuse(f"has more entries than max_members ({self._limits.max_members}) allows")

    def check_list_size(self, size: int) -> None:
        """Refuse a list of members that is too long for names of a usual length."""
        if size > self._limits.max_members * MAX_LISTED_BYTES:
            raise self.refuse(f"has more entries than max_members ({self._limits.max_members}) allows")

    def make_links(self) -> None:
        """Make the links, unless one leads out, directly or through others."""
        for path, (_, name) in self._links.items():
            if not self._leads_in(path):
                raise self.refuse("is a link that leads out of the archive, or through too many others", name)
        for path, (leads_to, name) in self._links.items():
            with self._making(name):
                os.symlink(leads_to, os.path.join(self._root, path))
        root = os.path.realpath(self._root)
        for path, (_, name) in self._links.items():
            # Check again on the file system, where two spellings may be one name.
            if not is_inside(root, os.path.join(self._root, path)):
                raise self.refuse("is a link that leads out of the archive", name)

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
            raise self.refuse(
                "has a path that is absolute, another system's, or has control characters", name
            )
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.refuse("has a path that leads out of the archive", name)
        if len(name) > MAX_PATH_CHARS or len(parts) > MAX_DEPTH + 1:
            most = f"{MAX_PATH_CHARS} characters or {MAX_DEPTH} folders"
            raise self.refuse(f"has a path of more than {most}", name)
        return "/".join(parts)

    def _enter(self, path: str, name: str, kind: str, more_chars: int = 0) -> None:
        """Register an entry that is about to be made, and make the folders above it."""
        self._count_member(name)
        self._name_chars += len(path) + more_chars
        if self._name_chars > self._limits.max_members * MAX_LISTED_BYTES:
            raise self.refuse("has names that are too long")
        if path in self._kinds:
            raise self.refuse("occurs twice", name)
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
                raise self.refuse("lies below a file or a link", name)

    def _count_member(self, name: str) -> None:
        self._members += 1
        if self._members > self._limits.max_members:
            raise self.refuse(f"is one more than max_members ({self._limits.max_members}) allows", name)

    @contextmanager
    def _making(self, name: str) -> Iterator[None]:
        """Refuse a name that the file system does not accept."""
        try:
            yield
        except FileExistsError:
            # Two spellings may be one name on this file system.
            raise self.refuse("occurs twice", name) from None
        except UnicodeEncodeError:
            raise self.refuse("has a name that the worker's file system does not accept", name) from None
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
                raise self.refuse("has a name that the worker's file system does not accept", name) from None
            raise


def is_foreign(path: str) -> bool:
    """Return whether a path is absolute, another system's, or has control characters."""
    return "\\" in path or path.startswith("/") or bool(_DRIVE.match(path) or _CONTROL.search(path))


def shown(name: str) -> str:
    """Return an entry's name in a form that is safe to show."""
    text = ascii(name)
    return text if len(text) <= _SHOWN_NAME_CHARS else f"{text[:_SHOWN_NAME_CHARS]}…"


def is_inside(root: str, path: str) -> bool:
    """Return whether a path leads to something within a folder, whose own path must be free of links."""
    try:
        return os.path.commonpath((root, os.path.realpath(path))) == root
    except RecursionError:
        # Links through too many links.
        return False
