# SPDX-License-Identifier: Apache-2.0
"""Archives made entry by entry, good and bad."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import warnings
import zipfile

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
                info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(content)
            elif stat.S_ISFIFO(mode):
                info.type = tarfile.FIFOTYPE
            elif name.endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return buffer.getvalue()


MAKE = {"zip": make_zip, "tar": make_tar, "tar.gz": lambda entries: gzip.compress(make_tar(entries))}


def file(name, content=b"x", mode=0o644):
    return (name, content, stat.S_IFREG | mode)
