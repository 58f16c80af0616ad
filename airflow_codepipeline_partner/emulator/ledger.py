# SPDX-License-Identifier: Apache-2.0
"""All that happened, in order, without secrets."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.errors import ControlError

_PUTS = (
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
    "PutJobSuccessResult",
    "PutJobFailureResult",
)


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerEntry:
    """
    An event in the ledger.

    :param number: Position in the ledger, from 1.
    :param time: When, by the emulator's clock, in UTC.
    :param kind: ``call`` (a CodePipeline call: each of the job calls, each about action types, each that
        makes, changes or deletes a pipeline, each that changes how an execution goes on, and each that is
        refused),
        ``artifact`` (an S3 call with a job's credentials), ``job`` (what happened to a job without a call,
        such as a timeout), ``action`` (the end of an action), ``event`` (an event of EventBridge, if anybody
        waits for events), ``control`` (what the test did).
    :param operation: AWS's name of the call, or the name of the event; for an action the status it ended
        with.
    :param outcome: ``ok``, or the code of the error that was returned.
    :param status_before: The job's status before; None if there is no job.
    :param status_after: The job's status after.
    :param result: ``success`` or ``failure`` if a job got its last result, ``continue`` if it got a result
        with a continuation token, otherwise None.
    :param faults: The kinds of the injected faults that hit this call or event. With ``drop_response`` the
        outcome is what the caller would have received.
    :param details: Everything else: the whole result that was put, the artifact, the ids of a poll's jobs.
        Never a client token, a nonce or a credential.
    """

    number: int
    time: datetime.datetime
    kind: str
    operation: str
    outcome: str = "ok"
    job_id: str | None = None
    client_id: str | None = None
    pipeline_name: str | None = None
    pipeline_execution_id: str | None = None
    action_execution_id: str | None = None
    status_before: str | None = None
    status_after: str | None = None
    result: str | None = None
    faults: tuple[str, ...] = ()
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON values, the time in ISO 8601."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {
            "time": self.time.isoformat(),
            "faults": list(self.faults),
            "details": dict(self.details),
        }


class Ledger(list[LedgerEntry]):
    """A list of entries, with the queries that tests need most."""

    def where(self, /, **values: Any) -> Ledger:
        """
        Return the entries whose attributes have these values.

        :param values: Attribute and value, for instance ``operation="PollForThirdPartyJobs"``; a tuple, list
            or set means any of its values. For ``faults``, one of an entry's kinds is enough.
        """
        names = {field.name for field in dataclasses.fields(LedgerEntry)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ControlError(f"an entry has no {', '.join(unknown)}; it has {', '.join(sorted(names))}")

        wanted = {
            name: list(value) if isinstance(value, list | tuple | set) else [value]
            for name, value in values.items()
        }

        def matches(entry: LedgerEntry) -> bool:
            return all(
                any(kind in wanted[name] for kind in entry.faults)
                if name == "faults"
                else getattr(entry, name) in wanted[name]
                for name in wanted
            )

        return Ledger(entry for entry in self if matches(entry))

    def polls(self) -> Ledger:
        """Return all polls, including those that were refused."""
        return self.where(kind="call", operation=["PollForThirdPartyJobs", "PollForJobs"])

    def puts(self, job_id: str | None = None) -> Ledger:
        """Return every attempt to put a result, with its outcome; for one job, or for all."""
        puts = self.where(operation=_PUTS, kind="call")
        return puts if job_id is None else puts.where(job_id=job_id)

    def terminal_results(self, job_id: str | None = None) -> Ledger:
        """Return the last results that were accepted, for one job or for all; not continuations."""
        return self.puts(job_id).where(result=["success", "failure"])


def moment(epoch: float) -> datetime.datetime:
    """Return a time in seconds since the epoch as a datetime in UTC."""
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC)
