# SPDX-License-Identifier: Apache-2.0
"""
Simulate jobs at scale: ``python -m benchmarks.scale --jobs-per-hour 1000``.

Each setting of ``settings.py`` is an option. ``--tables`` prints the tables of docs/scale.md, and ``--page``
writes them there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.scale.settings import SHAPES, Settings
from benchmarks.scale.tables import EVERYTHING, TABLES, Table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run what the command line says.

    :param arguments: The command line. Defaults to the process's.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--tables", nargs="*", metavar="NAME", help=f"of the page: {', '.join(TABLES)}")
    parser.add_argument("--page", action="store_true", help="write the tables into docs/scale.md")
    said = _meanings()
    for field in fields(Settings):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            choices=list(SHAPES) if field.name == "shape" else None,
            help=f"{said[field.name]} Default: {field.default}".replace("%", "%%"),
            metavar=field.name.upper(),
        )
    given = parser.parse_args(arguments)
    if given.page:
        PAGE.write_text(with_tables(PAGE.read_text()))
        return 0
    if given.tables is not None:
        for name in given.tables or TABLES:
            print(TABLES[name].to_markdown())
        return 0
    try:
        settings = Settings(**{field.name: getattr(given, field.name) for field in fields(Settings)})
    except ValueError as error:
        parser.error(str(error))
    print(Table("", {"": settings}, EVERYTHING, ("seed",)).to_markdown(), end="")
    return 0


def with_tables(page: str) -> str:
    """Return the page with its tables made anew."""
    return re.sub(
        r"(<!-- begin (\w+): [^\n]* -->\n\n)(?:\|[^\n]*\n)*\n?(?=<!-- end \2 -->)",
        lambda found: f"{found[1]}{TABLES[found[2]].to_markdown()}\n",
        page,
    )


def _meanings() -> dict[str, str]:
    """Return what the docstring says of each setting, by its name."""
    found = re.findall(r":param (\w+): (.*?)(?=\n +:param|\n *$)", Settings.__doc__ or "", re.DOTALL)
    return {name: " ".join(said.split()) for name, said in found}


if __name__ == "__main__":
    sys.exit(main())
