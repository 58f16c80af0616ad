# SPDX-License-Identifier: Apache-2.0
"""Parts of tars, made byte by byte."""

from __future__ import annotations

import tarfile


def block(content):
    """Return content, filled up with zeros to whole blocks."""
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)


def record(key, value):
    """Return a record of a PAX header, which begins with its own length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest
