# SPDX-License-Identifier: Apache-2.0
"""Which names an entry of an archive may have, in every format, packed or unpacked."""

from __future__ import annotations

import posixpath
import re

#: Longest path of an entry, and longest target of a link, as operating systems have it.
MAX_PATH_CHARS = 4096
#: Deepest folder. Code that walks through folders may recurse as deep.
MAX_DEPTH = 200
_SHOWN_NAME_CHARS = 200
#: The control characters of ASCII and of Latin-1, C0 and C1: they act on terminals and on logs.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def path_fault(path: str) -> str | None:
    """
    Return what is wrong with an entry's path, or None.

    A backslash and a colon are plain characters here: a format in which they are not has replaced them.
    """
    # First of all the length, so that nothing long is searched.
    parts = path.split("/") if len(path) <= MAX_PATH_CHARS else None
    if parts is None or sum(part not in ("", ".") for part in parts) > MAX_DEPTH + 1:
        return f"has a path of more than {MAX_PATH_CHARS} characters or {MAX_DEPTH} folders"
    if path.startswith("/"):
        return "has an absolute path"
    if control := _CONTROL.search(path):
        return f"has the control character U+{ord(control[0]):04X} in its path"
    if ".." in parts:
        return "has a path that leads out of the archive"
    return None


def link_fault(path: str, text: str) -> str | None:
    """Return what is wrong with a link, or None; whether it leads out through others, it does not say."""
    if not text:
        return "is a link that leads nowhere: it is empty"
    if len(text) > MAX_PATH_CHARS:
        return f"is a link to a path of more than {MAX_PATH_CHARS} characters"
    if control := _CONTROL.search(text):
        return f"is a link with the control character U+{ord(control[0]):04X}"
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
    if text.startswith("/") or end.split("/")[0] == "..":
        return "is a link that leads out of the archive"
    return None


def shown(name: str) -> str:
    """Return an entry's name in a form that is safe to show."""
    text = ascii(name[: _SHOWN_NAME_CHARS + 1])
    return text if len(text) <= _SHOWN_NAME_CHARS else f"{text[:_SHOWN_NAME_CHARS]}…"
