# SPDX-License-Identifier: Apache-2.0
"""The lines that this package logs, with their fields: structlog's loggers and the standard library's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from structlog.contextvars import get_contextvars

from airflow_codepipeline_partner._job_log import FIELDS

PACKAGE = "airflow_codepipeline_partner"


@dataclass(frozen=True)
class Line:
    """A line of a log."""

    text: str
    level: str
    fields: dict[str, str]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._note(record.getMessage(), record.levelname.lower(), get_contextvars())

    def process(self, logger: Any, method: str, event: Any) -> Any:
        """Note a line of structlog's; a processor of it."""
        # An operator's logger has Airflow's own prefix before that.
        if PACKAGE in str(event.get("logger") or getattr(logger, "name", "")):
            self._note(event["event"], event["level"], event)
        return event

    def _note(self, text: str, level: str, known: dict[str, Any]) -> None:
        self.lines.append(Line(text, level, {name: known[name] for name in FIELDS if name in known}))


@contextmanager
def kept_lines() -> Iterator[list[Line]]:
    """Keep the lines of this package that are logged meanwhile."""
    kept, ours = _Lines(), logging.getLogger(PACKAGE)
    # Loggers keep the list itself.
    processors = structlog.get_config()["processors"]
    ours.addHandler(kept)
    level = ours.level
    ours.setLevel(logging.INFO)
    processors.insert(len(processors) - 1, kept.process)
    try:
        yield kept.lines
    finally:
        processors.remove(kept.process)
        ours.removeHandler(kept)
        ours.setLevel(level)
