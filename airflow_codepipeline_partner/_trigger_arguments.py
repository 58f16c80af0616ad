# SPDX-License-Identifier: Apache-2.0
"""The arguments of triggers, as Airflow's database holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from airflow_codepipeline_partner.exceptions import InvalidInput

F = TypeVar("F", bound=Callable[..., None])
#: How Airflow stores what JSON cannot hold. Airflow 3.1's ``airflow dags reserialize`` stores the mappings in
#: an asset's trigger so, and then once more under the second pair; its triggerer takes away one of the two.
_PAIRS = ({"__type", "__var"}, {"Encoding.TYPE", "Encoding.VAR"})


class InvalidTriggerArguments(InvalidInput, TypeError):
    """
    A trigger cannot be made of its arguments.

    It is a TypeError, for which Airflow fails this trigger. Any other error in a constructor ends the
    triggerer, with all the triggers in it.
    """

    # In a traceback, too, it is one of this package's errors.
    __module__ = InvalidInput.__module__


def decoded(value: Any) -> Any:
    """Return an argument of a trigger, or of a stored task, as its author gave it."""
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) in _PAIRS:
        return decoded(value.get("__var", value.get("Encoding.VAR")))
    return {name: decoded(held) for name, held in value.items()}


def fails_alone(constructor: F) -> F:
    """
    Return a trigger's constructor that decodes its arguments, and whose errors end no triggerer.

    :param constructor: The constructor.
    """

    @wraps(constructor)
    def construct(trigger: object, *args: Any, **arguments: Any) -> None:
        try:
            constructor(trigger, *args, **{name: decoded(value) for name, value in arguments.items()})
        except TypeError:
            raise
        except InvalidInput as error:
            raise InvalidTriggerArguments(error.message) from None
        except Exception as error:
            # Of whatever kind; its text may hold a value.
            said = f"An argument of {type(trigger).__name__} is of a wrong kind ({type(error).__name__})."
            raise InvalidTriggerArguments(said) from None

    return cast("F", construct)
