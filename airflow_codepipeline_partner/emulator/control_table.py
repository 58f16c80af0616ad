# SPDX-License-Identifier: Apache-2.0
"""Each control once: its command, its HTTP route, and the method that does it."""

from __future__ import annotations

import argparse
import base64
import binascii
import dataclasses
import functools
import inspect
import operator
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.faults import KINDS, Fault
from airflow_codepipeline_partner.emulator.ledger import Ledger
from airflow_codepipeline_partner.emulator.model.action_types import ActionTypeId, ActionTypeName
from airflow_codepipeline_partner.emulator.model.customers import Customer
from airflow_codepipeline_partner.emulator.service_model import is_number
from airflow_codepipeline_partner.emulator.settings import Settings

PREFIX = "/_emu"
Members = dict[str, Any]

_PARAMETER = re.compile(r"^:param (\w+): (.+?)(?=\n:|\n\n|\Z)", re.MULTILINE | re.DOTALL)
_MARKUP = re.compile(r":\w+:(?=`)|`")


def _unchanged(value: Any) -> Any:
    return value


def _decoded(artifacts: Mapping[str, Any]) -> dict[str, bytes]:
    bodies = {}
    for name, text in artifacts.items():
        try:
            bodies[name] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise ControlError(f"artifact {name} is no base64") from None
    return bodies


def _encoded(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: base64.b64encode(Path(file).read_bytes()).decode() for name, file in files}


def pair(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def action_type(text: str) -> str:
    """Check the text of an action type."""
    return str(ActionTypeId.read(text))


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """
    The type of an argument.

    :param named: How a refusal names it.
    :param json_types: The types that it has in JSON.
    :param option: How argparse reads it.
    :param to_json: Makes the JSON value of what argparse has read.
    :param from_json: Makes what the method takes of the JSON value.
    """

    named: str
    json_types: tuple[type, ...]
    option: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    to_json: Callable[[Any], Any] = _unchanged
    from_json: Callable[[Any], Any] = _unchanged


_PAIRS = {"action": "append", "type": pair, "metavar": "NAME=VALUE"}
TEXT = Kind("a text", (str,))
NUMBER = Kind("a number", (int, float), {"type": float})
WHOLE = Kind("a whole number", (int,), {"type": int})
LIST = Kind("a list", (list,), {"action": "append", "metavar": "NAME"})
OBJECT = Kind("an object", (dict,), _PAIRS, dict)
FILES = Kind("an object", (dict,), _PAIRS | {"metavar": "NAME=FILE"}, _encoded, _decoded)
SETTINGS = Kind(
    "an object", (dict,), {"nargs": "*", "type": pair, "metavar": "NAME=VALUE"}, dict, Settings.from_mapping
)
ACTION_TYPE = Kind(
    "an object or a text", (dict, str), {"type": action_type, "metavar": "CATEGORY/OWNER/PROVIDER/VERSION"}
)
_KINDS: dict[Any, Kind] = {
    str: TEXT,
    float: NUMBER,
    int: WHOLE,
    Iterable[str]: LIST,
    Mapping[str, str]: OBJECT,
    Mapping[str, bytes]: FILES,
    Settings: SETTINGS,
    ActionTypeName: ACTION_TYPE,
}


@dataclasses.dataclass(frozen=True)
class Argument:
    """
    One argument of a control.

    :param default: ``inspect.Parameter.empty`` if there is none.
    :param null: Whether null is a value of its own, and not the default.
    """

    name: str
    kind: Kind
    default: Any
    null: bool
    help: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Control:
    """
    One thing that a test can do.

    Its arguments and its help are those of the method.

    :param command: Name of the command; None if it is reached by HTTP only.
    :param method: A method of :class:`Controls`, or a function that takes one.
    :param shape: Makes the JSON answer of what the method returns.
    :param choices: The values that the command line offers for an argument.
    :param keeps_null: Whether null is a value of its own in keyword arguments.
    """

    command: str | None
    http_method: str
    path: str
    method: Callable[..., Any]
    shape: Callable[[Any], Any] = lambda _: {}
    choices: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    keeps_null: bool = False

    @property
    def help(self) -> str:
        """What it does, in a line."""
        return (inspect.getdoc(self.method) or "").partition("\n")[0]

    @functools.cached_property
    def arguments(self) -> dict[str, Argument]:
        """Its arguments by name, except :attr:`keywords`."""
        hints = get_type_hints(self.method)
        _, *parameters = inspect.signature(self.method).parameters.values()
        found = {}
        for each in parameters:
            if each.kind is not inspect.Parameter.VAR_KEYWORD:
                hint, optional = _without_none(hints[each.name])
                null = optional and each.default is not None
                found[each.name] = Argument(
                    each.name, _KINDS[hint], each.default, null, self.help_of(each.name)
                )
        return found

    @property
    def keywords(self) -> str | None:
        """The name of the keyword arguments that it takes beside :attr:`arguments`; None if it takes none."""
        *_, last = inspect.signature(self.method).parameters.values()
        return last.name if last.kind is inspect.Parameter.VAR_KEYWORD else None

    def help_of(self, name: str | None) -> str:
        """Return what the method's docstring says about an argument, without markup."""
        described = dict(_PARAMETER.findall(inspect.getdoc(self.method) or ""))
        return _MARKUP.sub("", " ".join(described.get(name or "", "").split()))

    def perform(self, controls: Controls, members: Members) -> Any:
        """
        Do it, and return the answer as JSON values.

        :param members: The arguments as JSON values.
        :raises ControlError: It is refused.
        """
        return self.shape(self.method(controls, **self.read(members)))

    def read(self, members: Members) -> Members:
        """
        Return the method's arguments.

        :raises ControlError: One is missing, unknown, or has another type.
        """
        required = (each.name for each in self.arguments.values() if each.required)
        missing = [name for name in required if members.get(name) is None]
        if missing:
            raise ControlError(f"missing: {', '.join(missing)}")
        unknown = members.keys() - self.arguments.keys()
        if unknown and self.keywords is None:
            known = ", ".join(self.arguments) or "nothing"
            raise ControlError(f"unknown: {', '.join(sorted(unknown))}; it takes {known}")
        # null stands for the default, unless it has a meaning of its own.
        nulls = {each.name for each in self.arguments.values() if each.null}
        nulls |= unknown if self.keeps_null else set()
        return {
            name: self._value(name, value)
            for name, value in members.items()
            if value is not None or name in nulls
        }

    def _value(self, name: str, value: Any) -> Any:
        if value is None or name not in self.arguments:
            return value
        kind = self.arguments[name].kind
        # To Python a bool is a number too.
        if not isinstance(value, kind.json_types) or isinstance(value, bool):
            raise ControlError(f"{name} is {kind.named}")
        return kind.from_json(value)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether None was in it."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    kept = [each for each in get_args(hint) if each is not types.NoneType]
    return functools.reduce(operator.or_, kept), types.NoneType in get_args(hint)


def _routes(_: Controls) -> list[Members]:
    """List what there is."""
    return [
        {
            "method": each.http_method,
            "path": PREFIX + each.path,
            "does": each.help,
            "members": list(each.arguments),
        }
        for each in CONTROLS
    ]


def _health(_: Controls) -> str:
    """Say that the emulator answers."""
    return "ok"


def _settings(controls: Controls) -> Settings:
    """Show the settings."""
    return controls.settings


def _ledger(controls: Controls, /, **where: Any) -> Ledger:
    """
    Show what happened.

    :param where: Only entries with this attribute, for instance operation=PollForThirdPartyJobs.
    """
    # All other attributes that a query can name are texts.
    if "number" in where:
        if not is_number(where["number"]):
            raise ControlError("number is a whole number")
        where["number"] = int(where["number"])
    return controls.ledger.where(**where)


def _customer(customer: Customer) -> Members:
    return {"client_id": customer.client_id, "client_token": customer.client_token}


CONTROLS: tuple[Control, ...] = (
    Control(None, "GET", "/", _routes, lambda routes: {"routes": routes}),
    Control(None, "GET", "/health", _health, lambda status: {"status": status}),
    Control("add-customer", "POST", "/customers", Controls.add_customer, _customer),
    Control("rotate-token", "POST", "/customers/rotate", Controls.rotate_token, _customer),
    Control("connect", "POST", "/connect", Controls.connect_request, lambda url: {"url": url}),
    Control("add-action-type", "POST", "/action-types", Controls.add_action_type),
    Control("pipelines", "GET", "/pipelines", Controls.pipelines, lambda names: {"pipelines": names}),
    Control("add-pipeline", "POST", "/pipelines", Controls.add_pipeline, lambda made: {"name": made.name}),
    Control("state", "GET", "/state", Controls.pipeline_state, _unchanged),
    Control(
        "start-execution",
        "POST",
        "/executions",
        Controls.start_execution,
        lambda started: {"pipeline_execution_id": started},
    ),
    Control("fail-action", "POST", "/actions/fail", Controls.fail_action),
    Control("send-events-to", "POST", "/events", Controls.send_events_to),
    Control(
        "jobs",
        "GET",
        "/jobs",
        Controls.jobs,
        lambda jobs: {"jobs": [dataclasses.asdict(job) for job in jobs]},
    ),
    Control("clock", "GET", "/clock", Controls.now, lambda now: {"now": now.isoformat()}),
    Control("advance", "POST", "/clock/advance", Controls.advance, lambda now: {"now": now.isoformat()}),
    Control("faults", "GET", "/faults", Controls.faults, lambda all: {"faults": [f.as_dict() for f in all]}),
    Control("inject", "POST", "/faults", Controls.inject, Fault.as_dict, choices={"kind": list(KINDS)}),
    Control("clear-faults", "POST", "/faults/clear", Controls.clear_faults),
    Control("ledger", "GET", "/ledger", _ledger, lambda ledger: {"ledger": [e.as_dict() for e in ledger]}),
    Control("settings", "GET", "/settings", _settings, Settings.as_dict),
    Control("settings", "POST", "/settings", Controls.configure, Settings.as_dict, keeps_null=True),
    Control("reset", "POST", "/reset", Controls.reset),
)
