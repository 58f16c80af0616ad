# SPDX-License-Identifier: Apache-2.0
"""What the tests of metrics share: a backend that remembers what Airflow's Stats would send."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from airflow_codepipeline_partner import _metrics


class Stats:
    """A backend of metrics in memory."""

    def __init__(self) -> None:
        #: (method, name, value, tags) of each call.
        self.sent: list[tuple[str, str, Any, dict[str, str]]] = []

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, str]) -> None:
        self.sent.append(("incr", stat, count, tags))

    def timing(self, stat: str, dt: timedelta, *, tags: dict[str, str]) -> None:
        self.sent.append(("timing", stat, dt, tags))

    @property
    def counts(self) -> Counter[str]:
        """What was counted: a counter's name, after ``codepipeline.`` → how many."""
        found: Counter[str] = Counter()
        for method, name, value, _ in self.sent:
            if method == "incr":
                found[name.removeprefix("codepipeline.")] += value
        return found

    @property
    def timed(self) -> list[str]:
        """The timers that were sent, in order."""
        return [name.removeprefix("codepipeline.") for method, name, *_ in self.sent if method == "timing"]

    def tags_of(self, metric: _metrics.Metric) -> dict[str, str]:
        """Return the tags of the one value that was sent of a metric."""
        [tags] = [tags for _, name, _, tags in self.sent if name == metric.name]
        return tags
