# SPDX-License-Identifier: Apache-2.0
"""What a check finds: pass, fail or unknown, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Whether what was checked is as it must be; unknown if that could not be found out."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """
    What a check has found.

    Neither text holds a message of another system: it may quote a secret.

    :param outcome: Pass, fail or unknown.
    :param what: What was found, in a sentence.
    :param to_do: What to do about it. Empty if it passed.
    :param subject: What it is about, such as a permission or a client id, if the check is about several.
    """

    outcome: Outcome
    what: str
    to_do: str = ""
    subject: str | None = None


def passed(what: str, subject: str | None = None) -> Finding:
    """Return that something is as it must be."""
    return Finding(Outcome.PASS, what, subject=subject)


def failed(what: str, to_do: str, subject: str | None = None) -> Finding:
    """Return that something is not as it must be."""
    return Finding(Outcome.FAIL, what, to_do, subject)


def unknown(what: str, to_do: str, subject: str | None = None) -> Finding:
    """Return that something could not be found out."""
    return Finding(Outcome.UNKNOWN, what, to_do, subject)


class CannotCheck(Exception):
    """
    A check has not what it needs. Its finding is unknown.

    If another check has found the same cause, this one is left out of the report.

    :param what: Why, in a sentence.
    :param to_do: What to do about it.
    :param cause: What is the same for all checks with this cause; by default, the words.
    """

    def __init__(self, what: str, to_do: str, cause: object = None) -> None:
        super().__init__(what)
        self.finding = unknown(what, to_do)
        self.cause = (what, to_do) if cause is None else cause


class LeftOut(Exception):
    """What a check needs is missing, and another check reports that. This one is left out of the report."""


@dataclass(frozen=True)
class Check:
    """
    A check.

    :param group: What it belongs to, such as ``AWS``.
    :param name: What is checked, such as ``region``.
    :param function: It returns what it finds, or raises :class:`CannotCheck`.
    :param limit: How long it may take, in seconds.
    """

    group: str
    name: str
    function: Callable[[], Finding | Iterable[Finding]]
    limit: float


@dataclass(frozen=True)
class Line:
    """
    One finding of a check, as it is reported.

    :param group: The check's group.
    :param name: The check's name.
    :param finding: The finding.
    """

    group: str
    name: str
    finding: Finding

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON values."""
        return {
            "group": self.group,
            "name": self.name,
            "subject": self.finding.subject,
            "outcome": str(self.finding.outcome),
            "what": self.finding.what,
            "to_do": self.finding.to_do or None,
        }
