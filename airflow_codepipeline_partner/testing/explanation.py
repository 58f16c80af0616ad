# SPDX-License-Identifier: Apache-2.0
"""Why an assertion about a job does not hold: what was reported instead, the calls, and the runs."""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner.emulator import LedgerEntry

if TYPE_CHECKING:
    from airflow_codepipeline_partner.testing.dag_runs import Run

__all__: list[str] = []

#: How many calls, and frames of a traceback, are shown.
_CALLS, _FRAMES = 12, 6
#: Shorter values are parts of other words, and Airflow does not mask them either.
_SHORTEST_SECRET = 5


def described_call(entry: LedgerEntry) -> str:
    """Return one line for a call: the operation, and what came of it."""
    said = [f"{entry.operation} ({entry.kind})" if entry.kind == "job" else entry.operation]
    if entry.details.get("artifact"):
        said.append(f"of {entry.details['artifact']}")
    if entry.outcome != "ok":
        said.append(f"→ {entry.outcome}")
    if entry.result is not None:
        said.append(f"→ {entry.result}")
    if entry.faults:
        said.append(f"[fault: {', '.join(entry.faults)}]")
    return f"{entry.number:>4}  {' '.join(said)}"


def explain(
    claim: str,
    facts: Iterable[tuple[str, str]],
    calls: Collection[LedgerEntry],
    runs: Collection[Run],
    secrets: Iterable[str],
) -> str:
    """
    Return the message of a failed assertion.

    :param claim: What does not hold.
    :param facts: Names and values: what was expected, and what was reported.
    :param calls: The calls for the job.
    :param runs: The runs of the test, in their order.
    :param secrets: Values that must not be shown, besides those that Airflow masks.
    """
    lines = [claim, *(f"  {name + ':':<10} {value}" for name, value in facts)]
    lines += _of_calls(list(calls))
    for run in runs:
        lines += _of_run(run)
    if not runs:
        lines.append("  runs:      none. codepipeline.run(dag) runs a DAG.")
    return _without("\n".join(lines), secrets)


def _of_calls(calls: list[LedgerEntry]) -> Iterator[str]:
    yield "  calls:" if calls else "  calls:     none for this job"
    if len(calls) > _CALLS:
        yield f"       … {len(calls) - _CALLS} more before these"
    for entry in calls[-_CALLS:]:
        yield f"    {described_call(entry)}"


def _of_run(run: Run) -> Iterator[str]:
    states = ", ".join(f"{name} {state}" for name, state in sorted(run.states.items()))
    yield f"  run of {run.dag_id}: {run.state} ({states})"
    # What a task raises to be skipped, or to be tried again, is no error. The first one causes the others.
    failed = [name for name in run.errors if run.states.get(name) == "failed"]
    if failed:
        error = run.errors[failed[0]]
        yield f"  error of {run.dag_id}.{failed[0]}:"
        text = "".join([*_frames(error), *traceback.format_exception_only(error)]).rstrip()
        yield textwrap.indent(text, "    ")


def _frames(error: BaseException) -> list[str]:
    """Return the last frames in the DAG's own code, and what it calls; without those of Airflow's runner."""
    frames = traceback.extract_tb(error.__traceback__)
    runner = [place for place, frame in enumerate(frames) if _is_of_runner(frame.filename)]
    # An error in an operator of Airflow's or of this package has no frame of the DAG's own.
    own = frames[runner[-1] + 1 :] if runner and runner[-1] + 1 < len(frames) else frames[-1:]
    return traceback.format_list(own[-_FRAMES:])


def _is_of_runner(path: str) -> bool:
    return any(f"/{name}/" in path for name in ("airflow/sdk", "airflow_codepipeline_partner"))


def _without(text: str, secrets: Iterable[str]) -> str:
    from airflow.sdk._shared.secrets_masker import redact

    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    shown: Any = redact(text)
    return str(shown)
