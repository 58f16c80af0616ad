# SPDX-License-Identifier: Apache-2.0
"""Keep an untrusted archive within its folder and its limits."""

from __future__ import annotations

import errno
import os
import posixpath
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.entry_names import link_fault, path_fault, shown
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES
from airflow_codepipeline_partner.artifacts.link_walk import LinkLeadsOut, LinkWalk
from airflow_codepipeline_partner.exceptions import ArtifactError, UnsafeArchive

#: The ratio is checked only beyond this size: small archives may be dense.
RATIO_FROM_BYTES = 64 * 1024 * 1024
#: Most bytes for an entry's name and its other fields, on average.
MAX_LISTED_BYTES = 512
#: Most fields of an entry, on average: headers, records in them, pieces of a sparse file, compressed streams.
MAX_FIELDS = 16
#: An archive with few entries may have so many fields all the same.
MIN_MAX_FIELDS = 1000

#: Kinds of what has been unpacked.
_FOLDER, _FILE, _LINK = "folder", "file", "link"


class ArchiveGuard:
    """
    Make an archive's entries on the disk, and refuse what leads out or exceeds the limits.

    Each entry is checked against all that were made before it.

    :param root: An empty folder, in which the entries are made.
    :param artifact: The artifact's name, for errors.
    :param limits: How much the archive may hold.
    :param packed_bytes: The archive's size in bytes.
    :param clock: Returns the time in seconds; it never goes back.
    """

    def __init__(
        self,
        root: Path,
        artifact: str,
        limits: ArchiveLimits,
        packed_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = os.fspath(root)
        self.artifact = artifact
        self._limits = limits
        self._max_bytes = min(
            limits.max_bytes, max(RATIO_FROM_BYTES, limits.max_ratio * max(packed_bytes, 1))
        )
        self._clock = clock
        self._deadline = clock() + limits.max_seconds
        self._kinds: dict[str, str] = {"": _FOLDER}
        #: Path of each link → its target, and the entry's name.
        self._links: dict[str, tuple[str, str]] = {}
        #: Where links lead to, and nothing is.
        self._missing: set[str] = set()
        self._entries = 0
        self._fields = 0
        self._members = 0
        self._name_chars = 0
        self._bytes = 0

    def refuse(
        self, why: str, name: str | None = None, advice: str = "Create the artifact without it."
    ) -> UnsafeArchive:
        """Return the error for an entry, or for the archive as a whole, that its maker can mend."""
        return UnsafeArchive(f"{self._subject(name)} {why}. Nothing was unpacked. {advice}")

    def exceeded(self, limit: str, why: str, than: str, name: str | None = None) -> UnsafeArchive:
        """
        Return the error for a limit, which only the DAG's author can change.

        :param limit: The limit's name in :class:`ArchiveLimits`.
        :param why: What the archive does more of than the limit allows, such as ``has more entries``.
        :param than: The limit's value, as the author reads it.
        :param name: The entry, if one is to blame.
        """
        about = f"{self._subject(name)} {why} than"
        return UnsafeArchive(
            f"{about} {limit} ({than}) allows. Nothing was unpacked. If the artifact is as it should be, the "
            f"DAG's author can raise {limit} of ArchiveLimits.",
            for_customer=f"{about} this action accepts. Nothing was unpacked. Make the artifact smaller, or "
            "ask the provider of the action to accept it.",
        )

    def broken(self, why: object, name: str | None = None) -> ArtifactError:
        """Return the error for a broken archive."""
        entry = "" if name is None else f", at the entry {shown(name)}"
        return ArtifactError(
            f"The artifact {self.artifact} is a broken archive{entry}: {shown(str(why))}. Create it again."
        )

    def _subject(self, name: str | None) -> str:
        entry = "" if name is None else f" holds the entry {shown(name)}, which"
        return f"The artifact {self.artifact}{entry}"

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
        if fault := link_fault(path, leads_to):
            raise self.refuse(fault, name)
        self._enter(path, name, _LINK, len(leads_to))
        self._links[path] = (leads_to, name)

    def link_at(self, leads_to: str, name: str) -> str | None:
        """Return the target of the earlier link that a hard link names, or None if it names no link."""
        return self._links.get(self._path_of(leads_to, name), (None, name))[0]

    def file_at(self, leads_to: str, name: str) -> str:
        """Return the earlier file that a hard link names."""
        path = self._path_of(leads_to, name)
        if self._kinds.get(path) != _FILE:
            raise self.refuse("is a hard link to something that is not a file in the archive", name)
        return os.path.join(self._root, path)

    def count_entry(self) -> None:
        """Count an entry, whatever it makes."""
        self._entries += 1
        self.check_list(self._entries)
        self.check_time()

    def count_fields(self, number: int = 1) -> None:
        """Count what the archive's list holds besides entries, each of which costs a step."""
        self._fields += number
        if self._fields > max(MAX_FIELDS * self._limits.max_members, MIN_MAX_FIELDS):
            raise self.exceeded(
                "max_members", "has more headers and other fields", f"{self._limits.max_members}"
            )

    def count(self, size: int, name: str | None = None) -> None:
        """Count bytes that are about to be written."""
        if size < 0:
            raise self.refuse("has a negative size", name)
        self._bytes += size
        self.check_size(self._bytes, name)
        self.check_time()

    def copy(self, source: IO[bytes], file: IO[bytes]) -> None:
        """Copy content to a file that :meth:`add_file` made."""
        while data := source.read(CHUNK_BYTES):
            self.write(data, file)

    def write(self, data: bytes, file: IO[bytes]) -> None:
        """Write a piece of content to a file that :meth:`add_file` made."""
        self.check_time()
        if file.write(data) != len(data):
            # The file has no buffer, and the last bytes of the disk take a part of the piece.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def check_time(self) -> None:
        """Refuse an archive that takes too long: the last resort, if nothing else stops it."""
        if self._clock() > self._deadline:
            raise self.exceeded("max_seconds", "takes longer", f"{self._limits.max_seconds:g} s")

    def check_size(self, size: int, name: str | None = None) -> None:
        """Refuse an unpacked size that is over the limits."""
        if size > self._max_bytes:
            limits = self._limits
            raise (
                self.exceeded("max_bytes", "unpacks to more", f"{limits.max_bytes}", name)
                if self._max_bytes == limits.max_bytes
                else self.exceeded(
                    "max_ratio",
                    "unpacks to more",
                    f"{limits.max_ratio:g} bytes for each byte of the archive",
                    name,
                )
            )

    def check_list(self, members: int) -> None:
        """Refuse a list with too many members."""
        if members > self._limits.max_members:
            raise self.exceeded("max_members", "has more entries", f"{self._limits.max_members}")

    def check_list_size(self, size: int) -> None:
        """Refuse a list of members that is too long for names of a usual length."""
        if size > self._limits.max_members * MAX_LISTED_BYTES:
            raise self.exceeded(
                "max_members", "has more entries, or longer names,", f"{self._limits.max_members}"
            )

    def make_links(self) -> None:
        """Make the links, unless one leads out, directly or through others."""
        for path, (leads_to, name) in self._links.items():
            with self._making(name):
                os.symlink(leads_to, os.path.join(self._root, path))
        # After all are made, so that the file system is seen as it will be.
        walk = LinkWalk(self._look)
        for path, (leads_to, name) in self._links.items():
            self.check_time()
            try:
                walk.follow(path, leads_to)
            except LinkLeadsOut:
                raise self.refuse(
                    "is a link that leads out of the archive, or through too many others", name
                ) from None

    def _look(self, path: str) -> str | bool:
        """Return the link at a path, or whether there is a folder."""
        kind = self._kinds.get(path)
        if kind is None and path not in self._missing:
            if os.path.lexists(os.path.join(self._root, path)):
                # Two spellings are one name here, so that a link may lead elsewhere than it seems to.
                raise self.refuse(
                    "is spelled in two ways, which the worker's file system takes for one", path
                )
            self._missing.add(path)
        return self._links[path][0] if kind == _LINK else kind == _FOLDER

    def _path_of(self, name: str, entry: str | None = None) -> str:
        """Return the path below the root that a name means, or refuse the entry that has it."""
        if fault := path_fault(name):
            raise self.refuse(fault if entry is None else f"is a hard link that {fault}", entry or name)
        return "/".join(part for part in name.split("/") if part not in ("", "."))

    def _enter(self, path: str, name: str, kind: str, more_chars: int = 0) -> None:
        """Register an entry that is about to be made, and make the folders above it."""
        self._count_member(name)
        self._count_name(len(path) + more_chars)
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
                self._count_name(len(made))
                self._kinds[made] = _FOLDER
                with self._making(name):
                    os.mkdir(os.path.join(self._root, made), 0o755)
            elif self._kinds[made] != _FOLDER:
                raise self.refuse("lies below a file or a link", name)

    def _count_name(self, chars: int) -> None:
        self._name_chars += chars
        self.check_list_size(self._name_chars)

    def _count_member(self, name: str) -> None:
        self._members += 1
        if self._members > self._limits.max_members:
            raise self.exceeded("max_members", "is one more", f"{self._limits.max_members}", name)

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
