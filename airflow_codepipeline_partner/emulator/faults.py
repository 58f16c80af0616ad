# SPDX-License-Identifier: Apache-2.0
"""
Faults: what the emulator does wrong on request.

Here they are defined, and matched to calls. They are carried out where the answer is made: errors and closed
connections by ``http/faults.py``, delays and bodies cut short by ``http/app.py``, jobs that are offered twice
by ``api/jobs.py``, details left out or replaced by :func:`change`, and what becomes of events by
``engine/events.py``.
"""

from __future__ import annotations

import dataclasses
import json
import random
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.service_model import has_member, is_number
from airflow_codepipeline_partner.emulator.settings import MAX_NUMBER

JOB_CALLS = (
    "PollForThirdPartyJobs",
    "GetThirdPartyJobDetails",
    "AcknowledgeThirdPartyJob",
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
    "PollForJobs",
    "GetJobDetails",
    "AcknowledgeJob",
    "PutJobSuccessResult",
    "PutJobFailureResult",
)
ARTIFACT_CALLS = (
    "GetObject",
    "HeadObject",
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)
#: Those that DAGs make to start pipelines, steer them and wait for them.
PIPELINE_CALLS = (
    "StartPipelineExecution",
    "StopPipelineExecution",
    "RetryStageExecution",
    "RollbackStage",
    "PutApprovalResult",
    "PutActionRevision",
    "EnableStageTransition",
    "DisableStageTransition",
    "OverrideStageCondition",
    "GetPipelineExecution",
    "GetPipelineState",
    "ListPipelineExecutions",
    "ListActionExecutions",
)
#: No calls: the events of EventBridge.
EVENTS = ("PipelineEvent", "StageEvent", "ActionEvent")
MAX_SLOW_SECONDS = 60
MAX_SLOW_CALLS = 48  # that wait at once

_DETAILS = ("GetThirdPartyJobDetails", "GetJobDetails")
_POLLS = ("PollForThirdPartyJobs", "PollForJobs")


@dataclasses.dataclass(frozen=True)
class FaultKind:
    """
    The parameters of a kind of fault, and the calls or events that it applies to.

    :param params: Its parameters, with their defaults; ``...`` marks one that is required.
    :param operations: The only operations it applies to.
    :param stops: Whether the call ends without being done, or the event is not sent.
    """

    params: Mapping[str, Any]
    operations: tuple[str, ...] = JOB_CALLS + PIPELINE_CALLS + ARTIFACT_CALLS
    stops: bool = False


KINDS: dict[str, FaultKind] = {
    "throttle": FaultKind({}, stops=True),
    "server_error": FaultKind({"status": 500}, stops=True),
    "error": FaultKind({"code": ..., "message": "", "status": 400}, stops=True),
    "drop_request": FaultKind({}, stops=True),
    "drop_response": FaultKind({}),
    "cut_body": FaultKind({"after_bytes": ...}, operations=("GetObject",)),
    "slow": FaultKind({"seconds": ...}),
    "duplicate": FaultKind({"in_progress": False}, operations=_POLLS),
    "omit": FaultKind({"members": ...}, operations=_DETAILS),
    "replace": FaultKind({"members": ...}, operations=_DETAILS),
    "lose_event": FaultKind({}, operations=EVENTS, stops=True),
    "double_event": FaultKind({}, operations=EVENTS),
    "delay_event": FaultKind({"seconds": ...}, operations=EVENTS),
}


@dataclasses.dataclass
class Fault:
    """
    One injected fault.

    :param kind: A key of :data:`KINDS`.
    :param operation: The operation it hits, or the event; None means each of the job calls, or of the events,
        that the kind applies to.
    :param times: How many more calls it hits, ≥ 1; None means all until it is cleared.
    :param probability: Of hitting a call, 0 to 1; None means always.
    :param job_id: The only job whose calls it hits; None means any.
    :param client_id: The only client whose jobs' calls it hits; None means any.
    """

    kind: str
    operation: str | None
    times: int | None
    probability: float | None
    job_id: str | None
    client_id: str | None
    params: dict[str, Any]
    random: random.Random = dataclasses.field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["random"]
        return values


class Faults:
    """Keep the injected faults, and find those that match a call."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        # A slow call waits for this event. Once it is set, later calls get a new one.
        self.cleared = threading.Event()

    def inject(
        self,
        kind: str,
        operation: str | None,
        times: int | None,
        probability: float | None,
        seed: int | None,
        job_id: str | None,
        client_id: str | None,
        params: Mapping[str, Any],
    ) -> Fault:
        """Add a fault; :class:`Fault` says what the parameters mean."""
        known = KINDS.get(kind) if isinstance(kind, str) else None
        if known is None:
            raise ControlError(f"no such kind of fault: {kind!r}; there are {', '.join(KINDS)}")
        places = JOB_CALLS + PIPELINE_CALLS + ARTIFACT_CALLS + EVENTS
        if operation not in (None, *places):
            raise ControlError(f"no faults at {operation!r}; only at {', '.join(places)}")
        if operation is not None and operation not in known.operations:
            raise ControlError(f"a fault {kind} applies to {' and '.join(known.operations)} only")
        if times is not None and not (_is_whole(times) and times >= 1):
            raise ControlError(f"times is a whole number above 0, or none for always, not {times!r}")
        if probability is not None and not (_is_number(probability) and 0 <= probability <= 1):
            raise ControlError(f"probability is 0 to 1, not {probability!r}")
        if seed is not None and not _is_whole(seed):
            raise ControlError(f"seed is a whole number, not {seed!r}")
        for name, value in (("job_id", job_id), ("client_id", client_id)):
            if value is not None and not (isinstance(value, str) and value):
                raise ControlError(f"{name} is a text, not {value!r}")
        fault = Fault(
            kind=kind,
            operation=operation or (known.operations[0] if len(known.operations) == 1 else None),
            times=times,
            probability=probability,
            job_id=job_id,
            client_id=client_id,
            params=_params(kind, known, operation, params),
            random=random.Random(seed),  # noqa: S311 - repeatable chance, not a secret
        )
        self.active.append(fault)
        return fault

    def match(self, operation: str, job_id: str | None, client_id: str | None) -> list[Fault]:
        """
        Return the faults that match a call, and count them down.

        Of the faults that stop a call only the first hits it, so two of them hit two calls.
        """
        found: list[Fault] = []
        stopped = False
        for fault in list(self.active):
            stops = KINDS[fault.kind].stops
            # A call that is not done has no response to lose or change.
            if stopped and fault.kind != "slow":
                continue
            if not _applies(fault, operation, job_id, client_id):
                continue
            found.append(fault)
            stopped = stopped or stops
        if stopped:
            found = [fault for fault in found if KINDS[fault.kind].stops or fault.kind == "slow"]
        for fault in found:
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.active.remove(fault)
        return found

    def clear(self) -> None:
        """Drop all faults, and end the waits of slow calls."""
        self.active.clear()
        self.wake()

    def wake(self) -> None:
        """End the waits of slow calls, and keep all faults."""
        self.cleared.set()
        self.cleared = threading.Event()


def _applies(fault: Fault, operation: str, job_id: str | None, client_id: str | None) -> bool:
    if fault.operation is None:
        known = KINDS[fault.kind].operations
        if operation in PIPELINE_CALLS + ARTIFACT_CALLS or operation not in known:
            return False
    elif fault.operation != operation:
        return False
    if fault.job_id is not None and fault.job_id != job_id:
        return False
    if fault.client_id is not None and fault.client_id != client_id:
        return False
    return fault.probability is None or fault.random.random() < fault.probability


def _params(kind: str, known: FaultKind, operation: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(params) - set(known.params))
    if unknown:
        raise ControlError(f"a fault {kind} takes no {', '.join(unknown)}")
    read = {**known.params, **params}
    missing = [name for name, value in read.items() if value is ...]
    if missing:
        raise ControlError(f"a fault {kind} needs {', '.join(missing)}")
    # A slow call takes real time, and an event is late by the emulator's clock.
    most = MAX_NUMBER if kind == "delay_event" else MAX_SLOW_SECONDS
    if "seconds" in read and not (_is_number(read["seconds"]) and 0 <= read["seconds"] <= most):
        raise ControlError(f"seconds is 0 to {most}, not {read['seconds']!r}")
    lowest = 500 if kind == "server_error" else 400
    if "status" in read and not (_is_whole(read["status"]) and lowest <= read["status"] <= 599):
        raise ControlError(f"status is {lowest} to 599, not {read['status']!r}")
    if kind == "error" and not (isinstance(read["code"], str) and read["code"]):
        raise ControlError(f"code is a text, not {read['code']!r}")
    if kind == "error" and not isinstance(read["message"], str):
        raise ControlError(f"message is a text, not {read['message']!r}")
    if kind == "duplicate" and not isinstance(read["in_progress"], bool):
        raise ControlError(f"in_progress is true or false, not {read['in_progress']!r}")
    if kind == "cut_body" and not (_is_whole(read["after_bytes"]) and read["after_bytes"] >= 0):
        raise ControlError(f"after_bytes is a whole number, 0 or more, not {read['after_bytes']!r}")
    if "members" in read:
        read["members"] = _members(kind, read["members"], _DETAILS if operation is None else (operation,))
    return read


def _members(kind: str, members: Any, calls: tuple[str, ...]) -> Any:
    if kind == "replace":
        if not isinstance(members, Mapping):
            raise ControlError("members is a mapping of paths to values")
        members = dict(members)
        try:
            json.dumps(members, allow_nan=False)
        except (TypeError, ValueError):
            raise ControlError("members has a value that is no JSON") from None
    elif isinstance(members, str | Mapping) or not isinstance(members, Iterable):
        raise ControlError("members is a list of paths, for instance data.pipelineContext")
    else:
        members = list(members)
    if not members:
        raise ControlError("members names no member")
    for path in members:
        if not isinstance(path, str) or not any(has_member(call, _full(path)) for call in calls):
            raise ControlError(f"the answer of {' or '.join(calls)} has no member {path!r}")
    return members


def _full(path: str) -> str:
    return path if path.partition(".")[0] == "jobDetails" else f"jobDetails.{path}"


def _is_number(value: Any) -> bool:
    # In Python a bool is a number too.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def stopping_fault(faults: Iterable[Fault]) -> Fault | None:
    """Return the fault that ends a call without its being done, or None if the call is done."""
    return next((fault for fault in faults if KINDS[fault.kind].stops), None)


def change(answer: dict[str, Any], faults: Iterable[Fault]) -> dict[str, Any]:
    """
    Return a response with members left out or replaced.

    :param faults: The faults that hit the call; only ``omit`` and ``replace`` matter here.
    """
    for fault in faults:
        if fault.kind == "omit":
            for path in fault.params["members"]:
                _change_member(answer, path, None, omit=True)
        elif fault.kind == "replace":
            for path, value in fault.params["members"].items():
                _change_member(answer, path, value, omit=False)
    return answer


def _change_member(answer: dict[str, Any], path: str, value: Any, omit: bool) -> None:
    *parents, last = _full(path).split(".")
    at: Any = answer
    for part in parents:
        if isinstance(at, list) and is_number(part) and int(part) < len(at):
            at = at[int(part)]
        elif isinstance(at, dict) and part in at:
            at = at[part]
        else:
            # A member that is not there needs no leaving out, and has nothing to replace.
            return
    if isinstance(at, list):
        if int(last) < len(at):
            at[int(last) : int(last) + 1] = [] if omit else [value]
    elif isinstance(at, dict):
        if omit:
            at.pop(last, None)
        else:
            at[last] = value
