# SPDX-License-Identifier: Apache-2.0
"""Look for secrets in everything that an Airflow wrote: its database, its logs, its files."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

MIN_SECRET_CHARS = 12  # a shorter text may be found by chance


@dataclasses.dataclass(frozen=True, order=True)
class Hit:
    """
    A secret that was found.

    :param kind: What it is; never the value.
    :param place: The file, or the file with table and column.
    """

    kind: str
    place: str


def search(root: Path, secrets: Mapping[str, Iterable[str]]) -> list[Hit]:
    """
    Search all files below a directory, and the cells of SQLite databases.

    :param root: The directory.
    :param secrets: The values by their kind; those below ``MIN_SECRET_CHARS`` characters are left out.
    :return: Where they were found: in clear, quoted for a URL or for JSON, or in base64. Sorted, each once.
    """
    needles = {
        kind: {needle for value in values if len(value) >= MIN_SECRET_CHARS for needle in written(value)}
        for kind, values in secrets.items()
    }
    hits: set[Hit] = set()
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        # A file may vanish while Airflow runs.
        with contextlib.suppress(FileNotFoundError):
            for place, text in _contents(path, str(path.relative_to(root))):
                hits.update(
                    Hit(kind, place) for kind, wanted in needles.items() if any(n in text for n in wanted)
                )
    return sorted(hits)


def written(secret: str) -> set[bytes]:
    """Return how a secret may be written: plain, quoted, or within a text that is in base64."""
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    needles = {form.encode() for form in forms}
    raw = secret.encode()
    for before in range(3):
        # Up to three characters at either end depend on the text beside the secret.
        encoded = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        inner = encoded[4 if before else 0 : len(encoded) - (len(encoded) % 4 != 0) * 3]
        needles |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return needles


def _contents(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    text = path.read_bytes()
    yield name, text
    if text.startswith(b"SQLite format 3\0"):
        yield from _cells(path, name)


def _cells(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the database's own name
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, str | bytes):
                        yield f"{name}, table {table}, column {column}", _plain(value)


def _plain(value: str | bytes) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    with contextlib.suppress(zlib.error):
        return zlib.decompress(value)
    return value
