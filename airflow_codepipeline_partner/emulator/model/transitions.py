# SPDX-License-Identifier: Apache-2.0
"""The transition into a stage."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Transition:
    """
    The transition into a stage, as it was last changed.

    :param changed_at: When, in seconds since the epoch.
    :param disabled_reason: Why nothing may pass; None if the transition is enabled.
    """

    changed_at: float
    disabled_reason: str | None = None

    @property
    def enabled(self) -> bool:
        """Whether executions may pass."""
        return self.disabled_reason is None
