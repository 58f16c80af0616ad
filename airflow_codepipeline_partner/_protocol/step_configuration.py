# SPDX-License-Identifier: Apache-2.0
"""What an action asks for that runs a DAG as a step of its pipeline, read from its configuration; no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from airflow_codepipeline_partner.exceptions import JobFailure

#: Properties of the action type.
DAG, CONF, OUTPUTS, TIMEOUT = "Dag", "Conf", "Outputs", "Timeout"
#: Of a DAG's id, as Airflow allows it.
_DAG_ID = re.compile(r"[\w.-]{1,250}")
#: ``Name=task`` or ``Name=task:key``.
_OUTPUT = re.compile(r"\s*([A-Za-z0-9@_-]+)\s*=\s*([\w.-]+)(?::([\w.@ -]+))?\s*")
#: The key of what a task returns.
RETURNED = "return_value"
MAX_TIMEOUT = 14 * 24 * 3600
#: How deep a conf may be nested.
MAX_LEVELS = 100


@dataclass(frozen=True)
class Output:
    """
    An output variable of the action.

    :param name: Its name.
    :param task_id: The task of the run that leaves the value in XCom.
    :param key: The XCom key.
    """

    name: str
    task_id: str
    key: str = RETURNED


@dataclass(frozen=True)
class StepConfiguration:
    """
    What the author of the pipeline asks for.

    :param dag_id: The DAG to run.
    :param conf: The conf of its run.
    :param outputs: The output variables of the action.
    :param timeout: For how many seconds the run may go on, two weeks at most. None if only the action's own
        timeout counts.
    """

    dag_id: str
    # Not in the repr: it may hold what only the run may see.
    conf: Mapping[str, Any] = field(default_factory=dict, repr=False)
    outputs: tuple[Output, ...] = ()
    timeout: float | None = None

    @classmethod
    def of(cls, configuration: Mapping[str, str]) -> Self:
        """
        Read an action's configuration.

        :raises JobFailure: It asks for nothing that can be done. The customer reads the message, which shows
            nothing of ``Conf``.
        """
        dag_id = (configuration.get(DAG) or "").strip()
        if not _DAG_ID.fullmatch(dag_id):
            raise _wrong(f"{DAG} must be the id of a DAG.")
        return cls(
            dag_id=dag_id,
            conf=_read_conf(configuration.get(CONF)),
            outputs=_read_outputs(configuration.get(OUTPUTS)),
            timeout=_read_timeout(configuration.get(TIMEOUT)),
        )


def _wrong(message: str) -> JobFailure:
    return JobFailure(f"The action's configuration is wrong: {message}", "ConfigurationError")


def _read_conf(text: str | None) -> Mapping[str, Any]:
    if not (text or "").strip():
        return {}
    try:
        conf = json.loads(text or "")
        # Python reads more than JSON has: NaN, and half of a surrogate pair.
        json.dumps(conf, allow_nan=False, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _wrong(f"{CONF} is not JSON, at line {error.lineno} column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise _wrong(f"{CONF} is not JSON.") from None
    if not isinstance(conf, dict):
        raise _wrong(f'{CONF} must be a JSON object, such as {{"day": "2026-01-31"}}.')
    if not _can_be_sent(conf):
        raise _wrong(f"{CONF} is nested too deeply, or has a NUL or an integer of more than 64 bits.")
    return conf


def _can_be_sent(value: Any, levels: int = MAX_LEVELS) -> bool:
    """Return whether a part of a conf comes through to Airflow's server."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return levels > 0 and all(_can_be_sent(each, levels - 1) for each in inner)
    if isinstance(value, str):
        # PostgreSQL takes none.
        return "\0" not in value
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _read_outputs(text: str | None) -> tuple[Output, ...]:
    found: dict[str, Output] = {}
    for part in re.split(r"[,\n]", text or ""):
        if not part.strip():
            continue
        match = _OUTPUT.fullmatch(part)
        if match is None:
            raise _wrong(f"{OUTPUTS} must be a list such as Accuracy=evaluate, Model=train:uri.")
        name, task_id, key = match.groups()
        if name in found:
            raise _wrong(f"{OUTPUTS} has {name} twice.")
        found[name] = Output(name, task_id, (key or RETURNED).strip())
    return tuple(found.values())


def _read_timeout(text: str | None) -> float | None:
    if not (text or "").strip():
        return None
    try:
        seconds = float(text or "")
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= MAX_TIMEOUT:
        raise _wrong(f"{TIMEOUT} must be a number of seconds, at most {MAX_TIMEOUT}.")
    return seconds


def text_of_value(value: Any) -> str:
    """
    Return a value of XCom as the text of an output variable: a text as it is, anything else as JSON.

    :raises ValueError: It has a number that JSON does not have.
    """
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False, allow_nan=False)
