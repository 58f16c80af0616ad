# SPDX-License-Identifier: Apache-2.0
"""Values as source code, in what Terraform and Python write alike."""

from __future__ import annotations

from dataclasses import dataclass

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class Expression:
    """
    What is written as it is.

    :param text: The code.
    """

    text: str


def quoted(text: str) -> str:
    """Return a text in quotation marks, on one line. What cannot be printed is escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
