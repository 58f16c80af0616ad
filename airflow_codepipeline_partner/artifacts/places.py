# SPDX-License-Identifier: Apache-2.0
"""Where artifacts lie outside their job: a path on the worker, or a URL of an object storage."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from airflow_codepipeline_partner.exceptions import InvalidInput

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE_URL = re.compile(r"file:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SAMPLES = "a path from the root, such as /data/artifacts, or a URL, such as s3://bucket/prefix"
#: What the worker would take for the name of a folder in its current directory, and what to write instead.
_FOREIGN = (
    (re.compile(r"[A-Za-z]:|\\\\|/[A-Za-z]:[\\/]"), f"is a path of Windows; write {_SAMPLES}"),
    (re.compile(r"~"), "starts with ~, which is not expanded; write the whole path"),
    (
        re.compile(r".*\$(\w|\{)"),
        "holds a variable of the shell, which is not expanded; write its value or a template; "
        "file:///path if a folder has this name",
    ),
    (re.compile(r"arn:aws[\w-]*:s3:::"), "is an ARN; write s3://bucket/key"),
    (re.compile(r"arn:"), f"is an ARN; write {_SAMPLES}"),
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:"), f"has a scheme without ://; write {_SAMPLES}"),
    (
        re.compile(r"[^/]"),
        f"is a path from the worker's current directory, which may change; write {_SAMPLES}",
    ),
)


def check_place(value: Any) -> str:
    """
    Return a place if it names one.

    :param value: A path on the worker from its root, or a URL: ``file:``, ``s3://`` or another one that
        Airflow's ``ObjectStoragePath`` takes.
    :raises InvalidInput: It is something else. The error says what to write instead.
    """
    place = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(place, str) or not place or place == "None":
        kind = "empty" if place == "" else f"of type {type(place).__name__}"
        raise InvalidInput(f"A location of artifacts must be {_SAMPLES}; it is {kind}.")
    if place != place.strip() or _CONTROL.search(place):
        raise InvalidInput(
            "A location of artifacts must not begin or end with white space, or hold control characters. "
            "Check the end of its template."
        )
    if _FILE_URL.match(place):
        _path_of_url(place)
    elif _URL.match(place):
        _check_url(place)
    else:
        check_path(place)
    return place


def check_path(path: str) -> None:
    """
    Check that a text is a path on the worker, from its root.

    :raises InvalidInput: It is empty, relative, a URL, a path of another system, or one that only a shell
        reads, or it holds control characters.
    """
    if not path:
        raise InvalidInput(f"A location of artifacts is empty; write {_SAMPLES}.")
    if _CONTROL.search(path):
        raise InvalidInput(f"The location of artifacts {path!r:.200} holds control characters.")
    if _URL.match(path) or _FILE_URL.match(path):
        raise InvalidInput(f"{path!r:.200} is a URL; write a path on the worker.")
    for pattern, fault in _FOREIGN:
        if pattern.match(path):
            raise InvalidInput(f"The location of artifacts {path!r:.200} {fault}.")


def path_of(place: str) -> Path | None:
    """Return a place's path on the worker, or None if the place is elsewhere."""
    if _FILE_URL.match(place):
        return Path(_path_of_url(place))
    return None if _URL.match(place) else Path(place)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput(f"A location of artifacts is not a valid URL: {error}.") from None
    if parts.password is not None:
        # Checked before the location can be in a message.
        raise InvalidInput("A location of artifacts must not contain a password. Put it into a connection.")
    if parts.scheme == "local" or (parts.scheme != "file" and not parts.netloc.rpartition("@")[2]):
        raise InvalidInput(f"The location of artifacts {url!r:.200} names no bucket; write {_SAMPLES}.")
    if parts.scheme in ("s3a", "s3n"):
        raise InvalidInput(f"The location of artifacts {url!r:.200} has a scheme of Hadoop; write s3://.")


def _path_of_url(url: str) -> str:
    """
    Return the path of a ``file:`` URL, decoded.

    :raises InvalidInput: It names another machine, no path from the root, or more than a path.
    """
    _check_url(url)
    parts = urlsplit(url)
    if parts.netloc.lower() not in ("", "localhost"):
        raise InvalidInput(
            f"The location of artifacts {url!r:.200} names a host; for a path on the worker, write file:///path."
        )
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise InvalidInput(
            f"The location of artifacts {url!r:.200} holds ? or #, which end a URL's path; write %3F or %23."
        )
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not path.startswith("/") or _CONTROL.search(path):
        raise InvalidInput(f"The location of artifacts {url!r:.200} names no path; write file:///path.")
    # No shell is meant in a URL: file:///a%24b names a folder with a dollar sign.
    windows, fault = _FOREIGN[0]
    if windows.match(path):
        raise InvalidInput(f"The location of artifacts {url!r:.200} {fault}.")
    return path
