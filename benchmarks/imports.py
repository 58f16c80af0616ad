# SPDX-License-Identifier: Apache-2.0
"""What a DAG file pays to import the package, after ``airflow.sdk``, which each DAG file imports anyway."""

from __future__ import annotations

import importlib
import time

from benchmarks.apart import run_apart
from benchmarks.figures import Figure, curve

_OURS = "airflow_codepipeline_partner"
_AMAZON = "airflow.providers.amazon.aws"
_SQS = {kind: f"{_AMAZON}.{kind}.sqs" for kind in ("operators", "sensors", "triggers")}
#: What is imported → ours, and what it is compared with; each in a process of its own.
PAIRS = {
    "operators": ([f"{_OURS}.operators"], [_SQS["operators"]]),
    "sensors": ([f"{_OURS}.sensors"], [_SQS["sensors"]]),
    "triggers": ([f"{_OURS}.triggers"], [_SQS["triggers"]]),
    "assets": ([f"{_OURS}.assets"], [_SQS["triggers"]]),
    "all": ([f"{_OURS}.{name}" for name in ("operators", "sensors", "triggers", "assets")], [*_SQS.values()]),
}


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    names = ["all"] if short else list(PAIRS)
    ours, theirs = [], []
    # The round before the first reads the files into the system's memory, and writes Python's bytecode.
    for number in range(-1, 2 if short else 9):
        found = {
            (name, whose): run_apart(import_milliseconds, PAIRS[name][whose])
            for name in names
            for whose in ((0, 1) if number % 2 else (1, 0))
        }
        if number >= 0:
            ours.append([found[name, 0] for name in names])
            theirs.append([found[name, 1] for name in names])
    return [
        Figure(
            name="imports",
            what="importing operators, sensors, triggers and assets, after airflow.sdk",
            against="the amazon provider's for SQS (assets: its triggers)",
            unit="ms of CPU",
            points=curve(ours, names, theirs),
            at_most=0.33,
            alarm=2.0,
            axis="modules",
        )
    ]


def import_milliseconds(modules: list[str]) -> float:
    """Return the processor time that it takes to import modules in this process, in milliseconds."""
    import airflow.sdk

    # Most of it is imported when a name is used.
    _ = airflow.sdk.DAG, airflow.sdk.task, airflow.sdk.Param
    began = time.process_time()
    for module in modules:
        importlib.import_module(module)
    return (time.process_time() - began) * 1000
