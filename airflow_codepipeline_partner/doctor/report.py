# SPDX-License-Identifier: Apache-2.0
"""How findings are shown: as text for people, as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from airflow_codepipeline_partner.doctor.findings import Check, Line, Outcome

#: The version of the shape of the JSON. Members may be added to a version.
JSON_VERSION = 1
_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.UNKNOWN: "yellow"}
_WIDTH = max(map(len, Outcome))
#: How many names a finding has at most.
_MAX_NAMED = 10


def to_json(lines: Sequence[Line], left_out: Iterable[Check]) -> dict[str, Any]:
    """
    Return the findings as JSON values.

    :param lines: The findings.
    :param left_out: The checks that were left out.
    """
    return {
        "version": JSON_VERSION,
        "checks": [dict(each.to_json()) for each in lines],
        "counts": counts_of(lines),
        "left_out": [{"group": each.group, "name": each.name} for each in left_out],
    }


def counts_of(lines: Iterable[Line]) -> dict[str, int]:
    """Return how many findings have each outcome."""
    found: Mapping[Outcome, int] = Counter(each.finding.outcome for each in lines)
    return {str(outcome): found.get(outcome, 0) for outcome in Outcome}


def print_report(lines: Iterable[Line], left_out: Sequence[Check], output: TextIO) -> list[Line]:
    """
    Print each finding as it comes, in groups, and return them all.

    Colour is on a terminal only, and says nothing that the words do not say.

    :param lines: The findings.
    :param left_out: The checks that were left out, when all findings have come.
    :param output: Where to.
    """
    from rich.console import Console
    from rich.text import Text

    # Neither markup nor width: a line may be copied, and looked for.
    console = Console(file=output, highlight=False, markup=False, soft_wrap=True)
    shown: list[Line] = []
    for line in lines:
        if not shown or shown[-1].group != line.group:
            console.print(Text(("\n" if shown else "") + line.group, style="bold"))
        outcome = line.finding.outcome
        text = Text("  ")
        text.append(f"{outcome:<{_WIDTH}}", style=_STYLES[outcome])
        console.print(text.append(f"  {line.name}: {line.finding.what}"))
        if line.finding.to_do:
            console.print(Text(f"  {'':<{_WIDTH}}  → {line.finding.to_do}"))
        shown.append(line)
    counts = counts_of(shown)
    console.print(
        Text(
            f"\n{counts['pass']} passed, {counts['fail']} failed, {counts['unknown']} unknown.", style="bold"
        )
    )
    if left_out:
        names = ", ".join(each.name for each in left_out)
        console.print(Text(f"Left out, for what is said above: {names}."))
    return shown


def named(names: Sequence[str]) -> str:
    """Return names for a finding; of very many, the first ones and how many more there are."""
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """Return a number with a noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
