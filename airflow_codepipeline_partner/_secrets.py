# SPDX-License-Identifier: Apache-2.0
"""
Secrets on their way: in no message, and in no frame of a traceback.

Airflow's Sentry integration sends the local variables of each frame of an error, and rich prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")

_SHOWN = "***"


class Secret:
    """
    A secret text, or an answer that holds some, which shows itself only if it is opened.

    It is no text and no mapping: what shows a frame's variables looks into those.

    :param value: The secret.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def open(self) -> Any:
        """Return the secret. Call this only where it is sent or handed to the user."""
        return self._value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a member of an answer, or the default if it has none."""
        members = self._value
        return members.get(name, default) if isinstance(members, Mapping) else default

    def __repr__(self) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not stored.")


def in_closed_frames(function: Callable[[], T]) -> T:
    """
    Return what a function returns. Its frames, which hold secrets, leave with no exception.

    :param function: A function without arguments, since those would be in the frame of this function.
    """
    try:
        return function()
    except BaseException as error:
        # Airflow may also end a task in the middle of a call, by a signal.
        raised = without_frames(error)
    raise raised


def without_frames(error: E) -> E:
    """Return an error without the frames that it passed, and those of the errors before it."""
    ahead: list[BaseException | None] = [error]
    stripped: set[int] = set()
    while ahead:
        each = ahead.pop()
        if each is not None and id(each) not in stripped:
            stripped.add(id(each))
            each.__traceback__ = None
            ahead += [each.__cause__, each.__context__]
    return error
