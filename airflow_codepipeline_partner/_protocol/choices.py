# SPDX-License-Identifier: Apache-2.0
"""What a DAG's author may choose: how an unknown claim counts, how a failure is called, which states do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from airflow_codepipeline_partner._limit_checks import text_fault
from airflow_codepipeline_partner._limits import Text
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import InvalidInput

#: The values of the parameter ``unknown_claim``.
UNKNOWN_CLAIM_CHOICES = ("assume_ours", "leave")
UnknownClaim = Literal["assume_ours", "leave"]
#: What to do if an output artifact is missing as a success is about to be reported.
MISSING_OUTPUTS_CHOICES = ("warn", "fail", "ignore")
MissingOutputs = Literal["warn", "fail", "ignore"]
DEFAULT_FAILURE_TYPE = "JobFailed"
#: The states of an execution of a pipeline for which there can be an event.
EXECUTION_STATES = ("Succeeded", "Failed", "Stopped", "Superseded", "Cancelled", "InProgress")
#: How long to wait for the next job of an action, in seconds. AWS documents 30 s until it is offered, for
#: another kind of action. It is never offered if the customer has stopped the pipeline.
CONTINUATION_TIMEOUT = 3600.0


def check_unknown_claim(value: str) -> str:
    """
    Return ``unknown_claim`` if it is valid.

    :raises InvalidInput: It is not.
    """
    return _checked("unknown_claim", value, UNKNOWN_CLAIM_CHOICES)


def check_missing_outputs(value: str) -> str:
    """
    Return ``missing_outputs`` if it is valid.

    :raises InvalidInput: It is not.
    """
    return _checked("missing_outputs", value, MISSING_OUTPUTS_CHOICES)


def check_failure_type(value: object) -> str:
    """
    Return a failure type if it is one of the API's.

    :raises LimitExceeded: It is not.
    """
    return check_text("failureDetails.type", value)


def check_execution_states(values: Iterable[str]) -> tuple[str, ...]:
    """
    Return the states of executions that somebody wants to hear of, each once, in a fixed order.

    :raises InvalidInput: There is no state, or one that no event is made for.
    """
    given = [values] if isinstance(values, str) else list(values)
    wanted = {_checked("states", each, EXECUTION_STATES) for each in given}
    if not wanted:
        raise InvalidInput(f"states is empty; it takes {', '.join(EXECUTION_STATES)}.")
    return tuple(state for state in EXECUTION_STATES if state in wanted)


def _checked(name: str, value: str, choices: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in choices:
        return value
    fault = text_fault(value if isinstance(value, str) else "", Text(one_of=choices))
    raise InvalidInput(f"{name} {fault}.")
