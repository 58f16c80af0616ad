# SPDX-License-Identifier: Apache-2.0
"""Measure: ``python -m benchmarks`` measures everything, ``python -m benchmarks NAME`` one of it."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.figures import Figure

#: In the order of the page. Each is a module, whose ``measure`` returns its figures.
BENCHMARKS = (
    "hook",
    "masker",
    "waiters",
    "customers",
    "imports",
    "constructing",
    "jobs",
    "latency",
    "emulator",
    "artifacts",
    "run_size",
)
#: They start a real Airflow, which takes longer than the short form may.
LONG_ONLY = frozenset({"jobs", "latency"})


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run what the command line says.

    :param arguments: The command line. Defaults to the process's.
    :return: 1 if a goal is missed, or in the short form, if a figure is far beyond its goal. Else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument("--short", action="store_true", help="fewer rounds of less; fails only if far beyond")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
    parser.add_argument(
        "--keep", action="store_true", help="write them to docs/benchmarks, and make the page"
    )
    parser.add_argument(
        "--page", action="store_true", help="only make the page and its plots, of what is kept"
    )
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    if given.page:
        page.make(page.kept(BENCHMARKS))
        return 0
    figures: list[Figure] = []
    for name in given.names or [name for name in BENCHMARKS if not (given.short and name in LONG_ONLY)]:
        began = time.monotonic()
        measured = importlib.import_module(f"benchmarks.{name}").measure(given.short)
        figures += measured
        print(f"{name}: measured in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        for figure in measured:
            print(
                f"  {figure.name}: {page.result_text(figure)}; goal {page.goal_text(figure)}", file=sys.stderr
            )
        if given.keep:
            page.keep(name, measured)
            page.make(page.kept(BENCHMARKS))
    print(page.table(figures))
    if given.json:
        values = {
            "measured_on": page.surroundings(),
            "short": given.short,
            "figures": [each.to_json() for each in figures],
        }
        given.json.write_text(json.dumps(values, indent=1) + "\n")
    failed = [each.name for each in figures if (each.is_alarming if given.short else each.is_met is False)]
    if failed:
        print(f"{'Far beyond' if given.short else 'Missed'} the goal: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    # What it has started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
