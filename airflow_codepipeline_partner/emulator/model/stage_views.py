# SPDX-License-Identifier: Apache-2.0
"""A stage as GetPipelineState sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.transitions import Transition


@dataclasses.dataclass(frozen=True)
class StageView:
    """
    What is in a stage, and before it.

    :param newest: Of the executions that have entered it the one that was started last.
    :param runs: By action the last run of the newest execution that has run it.
    :param inbound: The executions that wait for it, the one that waits longest first.
    :param transition: The transition into it; None if it was never changed.
    """

    newest: PipelineExecution | None = None
    runs: Mapping[str, ActionExecution] = dataclasses.field(default_factory=dict)
    inbound: Sequence[PipelineExecution] = ()
    transition: Transition | None = None
