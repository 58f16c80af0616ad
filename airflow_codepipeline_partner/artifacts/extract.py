# SPDX-License-Identifier: Apache-2.0
"""
Unpack untrusted archives safely: zip, and tar with or without compression, or a file that is no archive.

An archive is unpacked whole or not at all: everything is written to a folder beside the target, which takes
the target's place at the end. Nothing is written through a link, and links are made last.
"""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from airflow_codepipeline_partner.artifacts import compression
from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveGuard
from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.compression import Compression, compression_of, decompressed
from airflow_codepipeline_partner.artifacts.errors import disk_errors
from airflow_codepipeline_partner.artifacts.formats import FORMATS, ArchiveFormat, not_unpacked
from airflow_codepipeline_partner.artifacts.tar_reader import extract_tar
from airflow_codepipeline_partner.artifacts.zip_reader import extract_zip
from airflow_codepipeline_partner.exceptions import ArtifactError

log = logging.getLogger(__name__)

#: How much of a file shows its format.
_MAGIC_BYTES = tarfile.RECORDSIZE + 1
#: Most streams of a compressed file that are read to see what is in it.
_MAX_STREAMS_SEEN = 1000
_TAR_COMPRESSION: dict[ArchiveFormat, Compression | None] = {
    "tar": None,
    "tar.gz": "gzip",
    "tar.bz2": "bzip2",
    "tar.xz": "xz",
}
_COMPRESSED_TAR: dict[Compression, ArchiveFormat] = {
    kind: name for name, kind in _TAR_COMPRESSION.items() if kind is not None
}


def extract(
    archive: Path,
    target: Path,
    *,
    artifact: str,
    archive_format: ArchiveFormat | None = None,
    limits: ArchiveLimits | None = None,
    replace: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> ArchiveFormat:
    """
    Unpack an archive, whole or not at all.

    These are refused, with the entry's name: paths that leave the target (``..``, absolute ones, the drive
    letters of Windows), control characters in names, links that lead out, devices, encrypted entries, two
    entries of one name, and more than the limits allow. Folders get the mode 755, files 644, or 755 if
    anybody may execute them, less the worker's umask. Owners and times are the worker's.

    :param archive: The archive.
    :param target: A folder that does not exist, or is empty.
    :param artifact: The artifact's name, for errors, and for the file if the format is ``raw``.
    :param archive_format: The format that the archive must have. If None, any format is accepted.
    :param limits: How much the archive may hold. If None, the default limits are used.
    :param replace: Whether to replace an existing target.
    :param clock: Returns the time in seconds, for ``max_seconds``.
    :return: The archive's format.
    :raises UnsafeArchive: The archive is refused.
    :raises ArtifactError: The archive is broken, has another format, or does not fit on the disk.
    """
    with disk_errors(artifact, "read"):
        detected = format_of(archive)
    if archive_format is not None and archive_format not in FORMATS:
        raise ArtifactError(
            f"archive_format {archive_format!r:.40} is not valid; use {', '.join(FORMATS)}.",
            failure_type="ConfigurationError",
        )
    if archive_format not in (None, detected) and archive_format != "raw":
        raise ArtifactError(
            f"The artifact {artifact} is not a {archive_format} archive: it is "
            f"{'no archive' if detected == 'raw' else detected}. Make it {archive_format}, or change "
            "archive_format."
        )
    how = archive_format or detected
    target = target.absolute()
    with disk_errors(artifact, "unpacked"):
        if fault := _target_fault(target, replace=replace):
            raise ArtifactError(
                f"The artifact {artifact} cannot be unpacked to {target.name[:100]}, which {fault}.",
                failure_type="ConfigurationError",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        unpacked = target.parent / f".{target.name[:100]}-{uuid.uuid4().hex}"
        unpacked.mkdir(0o755)
        try:
            guard = ArchiveGuard(unpacked, artifact, limits or ArchiveLimits(), archive.stat().st_size, clock)
            if how == "raw":
                if archive_format is None:
                    _warn_of_archive(archive, artifact)
                guard.count(archive.stat().st_size)
                shutil.copyfile(archive, unpacked / artifact)
            elif how == "zip":
                extract_zip(archive, guard)
            else:
                extract_tar(archive, guard, _TAR_COMPRESSION[how])
            guard.make_links()
            _put_in_place(unpacked, target, replace=replace)
        except BaseException:
            shutil.rmtree(unpacked, ignore_errors=True)
            raise
    return how


def _target_fault(target: Path, *, replace: bool) -> str | None:
    """Return why a folder cannot take a target's place, or None: it is renamed to the target at the end."""
    if os.path.ismount(target):
        return "is a mount point. Name a folder below it"
    if any(above.exists() and not above.is_dir() for above in target.parents):
        return "lies below a file. Name another folder"
    if replace:
        return None
    if target.is_symlink():
        return "is a link. Name its target, or set replace"
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        return "is not empty. Choose another folder, or set replace"
    return None


def _warn_of_archive(path: Path, artifact: str) -> None:
    with path.open("rb") as file:
        kind = not_unpacked(file.read(_MAGIC_BYTES))
    if kind is None and zipfile.is_zipfile(path):
        kind = "a zip with something before it"
    if kind is not None:
        log.warning(
            "The artifact %s is an archive that is not unpacked (%s): the folder holds it as one file. "
            "The customer can make it a zip, tar, tar.gz, tar.bz2 or tar.xz to have it unpacked. "
            'If it is meant to stay packed, set archive_format="raw".',
            artifact,
            kind,
        )


def format_of(path: Path) -> ArchiveFormat:
    """
    Detect an archive's format by its first bytes.

    :param path: The file.
    :return: Its format; ``raw`` if it is no archive.
    """
    with path.open("rb") as file:
        start = file.read(_MAGIC_BYTES)
        # One that was split, and fits into one part after all, begins with a mark.
        if start.removeprefix(b"PK00")[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
            return "zip"
        kind = compression_of(start)
        if kind is not None:
            file.seek(0)
            return _COMPRESSED_TAR[kind] if _holds_tar(file, kind) else "raw"
    return "tar" if _is_tar(start) else "raw"


def _holds_tar(file: IO[bytes], kind: Compression) -> bool:
    streams = 0

    def count_stream() -> None:
        nonlocal streams
        streams += 1
        if streams > _MAX_STREAMS_SEEN:
            raise EOFError

    try:
        return _is_tar(decompressed(file, kind, count_stream).read(_MAGIC_BYTES))
    except (*compression.ERRORS, compression.TooMuchMemory):
        # Unpacking it will say what is broken.
        return True
    except OSError as error:
        if error.errno is not None:
            raise
        return True


def _is_tar(start: bytes) -> bool:
    if not start.strip(b"\0"):
        # An empty tar holds only zeros. A disk image may begin with more of them.
        return tarfile.BLOCKSIZE <= len(start) <= tarfile.RECORDSIZE
    try:
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _put_in_place(unpacked: Path, target: Path, *, replace: bool) -> None:
    if not replace or not os.path.lexists(target):
        # This replaces an empty folder, too.
        unpacked.rename(target)
        return
    former = unpacked.with_name(f"{unpacked.name}-former")
    target.rename(former)
    try:
        unpacked.rename(target)
    except BaseException:
        former.rename(target)
        raise
    if former.is_dir() and not former.is_symlink():
        shutil.rmtree(former, ignore_errors=True)
    else:
        former.unlink()
