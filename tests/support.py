# SPDX-License-Identifier: Apache-2.0
"""What tests share besides fixtures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
#: The action type of the pipeline ``pipe``, and the default of the example DAGs.
ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}


def results_of(emulator: Any, job: Mapping[str, Any]) -> list[str]:
    """Return what the put calls of a job came to, in order: a result, or the error's code."""
    return [
        entry.result or entry.outcome
        for entry in emulator.ledger
        if entry.job_id == job["job_id"] and entry.operation.startswith("PutThirdParty")
    ]


def action_state(emulator: Any, pipeline: str = "pipe") -> dict[str, Any]:
    """Return the partner action's state, as CodePipeline's console would show it."""
    state: dict[str, Any] = emulator.pipeline_state(pipeline)
    return state["stageStates"][1]["actionStates"][0]["latestExecution"]
