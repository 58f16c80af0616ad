# SPDX-License-Identifier: Apache-2.0
"""How an action without a worker is to fail."""

from __future__ import annotations

import dataclasses

from airflow_codepipeline_partner.emulator.errors import ControlError

MAX_MESSAGE_CHARS = 5000  # of ErrorDetails


@dataclasses.dataclass(slots=True)
class PlannedFailure:
    """
    The failure of an action's next runs.

    :param code: What GetPipelineState shows as the error's code.
    :param message: What it shows as the message.
    :param times: How many runs still fail, ≥ 0; None for all.
    :raises ControlError: A value is out of range.
    """

    code: str
    message: str
    times: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or not self.code:
            raise ControlError(f"code is a text, not {self.code!r}")
        if not isinstance(self.message, str) or not 1 <= len(self.message) <= MAX_MESSAGE_CHARS:
            raise ControlError(f"message is a text of 1 to {MAX_MESSAGE_CHARS} characters")
        whole = isinstance(self.times, int) and not isinstance(self.times, bool)
        if self.times is not None and not (whole and self.times >= 0):
            raise ControlError(f"times is a whole number, 0 or more, or None for all, not {self.times!r}")

    def hits(self) -> bool:
        """Count a run, and return whether it fails."""
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0
