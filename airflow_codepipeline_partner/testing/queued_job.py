# SPDX-License-Identifier: Apache-2.0
"""A job that a test has queued: what became of it, and assertions about that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_codepipeline_partner.emulator import Ledger, LedgerEntry
from airflow_codepipeline_partner.testing.explanation import explain
from airflow_codepipeline_partner.testing.files import OutputArtifact

if TYPE_CHECKING:
    from airflow_codepipeline_partner.emulator.model.executions import ActionExecution
    from airflow_codepipeline_partner.testing.codepipeline import CodePipeline

__all__: list[str] = []


class QueuedJob:
    """
    A job that :meth:`CodePipeline.queue_job` has queued, with the jobs that continue its action.

    The methods ``assert_…`` raise an AssertionError that says what was reported instead, with the calls, the
    runs, and the errors of their tasks. The properties are there for assertions of your own.

    :param codepipeline: What queued it.
    :param action: The execution of its action.
    """

    def __init__(self, codepipeline: CodePipeline, action: ActionExecution) -> None:
        self._codepipeline = codepipeline
        self._action = action

    def __repr__(self) -> str:
        """Name the job, its place and its status."""
        return f"<QueuedJob {self.job_id}, {self._place}: {self.status}>"

    @property
    def job_id(self) -> str:
        """The id of the action's newest job."""
        return str(self._action.current_job_id)

    @property
    def pipeline_name(self) -> str:
        """The pipeline."""
        return self._action.pipeline.name

    @property
    def pipeline_execution_id(self) -> str:
        """The execution of the pipeline."""
        return self._action.execution.pipeline_execution_id

    @property
    def status(self) -> str:
        """
        The status of the newest job.

        ``Created``, ``Queued``, ``Dispatched``, ``InProgress``, ``Succeeded``, ``Failed``, ``TimedOut`` or
        ``Withdrawn``.
        """
        # A job that has ended is forgotten after a while; its action is not.
        known = {job.job_id: job.status for job in self._codepipeline.emulator.jobs()}
        return known.get(self.job_id, self._action.status)

    @property
    def is_taken(self) -> bool:
        """Whether a worker has acknowledged a job of this action."""
        return bool(self._calls().where(operation=list(_ACKNOWLEDGE), outcome="ok"))

    @property
    def results(self) -> list[str]:
        """The results that CodePipeline took, in order: ``continue``, ``success`` or ``failure``."""
        return [str(entry.result) for entry in self._results()]

    @property
    def summary(self) -> str | None:
        """The newest summary, as the console shows it."""
        return self._action.summary

    @property
    def percent_complete(self) -> int | None:
        """The newest percentage, as the console shows it."""
        return self._action.percent_complete

    @property
    def external_execution_id(self) -> str | None:
        """The newest id of the work in Airflow."""
        return self._action.external_execution_id

    @property
    def failure(self) -> Mapping[str, str] | None:
        """The ``code`` and ``message`` of the failure; None if the action has not failed."""
        return self._action.error_details

    @property
    def current_revision(self) -> Mapping[str, Any] | None:
        """The revision that was reported, with AWS's keys."""
        return self._action.current_revision

    @property
    def output_variables(self) -> Mapping[str, str]:
        """The output variables of a custom job that has succeeded."""
        return self._action.output_variables or {}

    def offered(self) -> dict[str, Any]:
        """
        Return the job as a poll offers it, for a DAG that takes it in its conf in a way of its own.

        :raises AssertionError: It is not offered: a worker has it, or it has ended.
        """
        __tracebackhide__ = True
        return self._codepipeline.offer(self)

    def output_artifact(self, name: str) -> OutputArtifact:
        """
        Return an artifact that the job has uploaded.

        :param name: The output artifact's name.
        :raises AssertionError: It was not uploaded, or the action has no such output artifact.
        """
        __tracebackhide__ = True
        for artifact in self._action.outputs:
            if artifact.name == name:
                stored = self._codepipeline.emulator.store.get(artifact.bucket, artifact.key)
                if stored is not None:
                    return OutputArtifact(name, stored.body)
                self._refuse(f"The job has not uploaded its output artifact {name}.")
        there = ", ".join(artifact.name for artifact in self._action.outputs) or "none"
        raise AssertionError(f"The action has no output artifact {name}. It has: {there}.")

    def assert_succeeded(
        self,
        *,
        summary: str | None = None,
        percent_complete: int | None = None,
        output_variables: Mapping[str, str] | None = None,
    ) -> None:
        """
        Assert that the job got the result success, and no other last result.

        :param summary: A part of the summary.
        :param percent_complete: The percentage.
        :param output_variables: Output variables that were reported; others may be there.
        :raises AssertionError: It did not.
        """
        __tracebackhide__ = True
        wanted = dict(output_variables or {})
        holds = (
            self._action.status == "Succeeded"
            and _contains(self.summary, summary)
            and percent_complete in (None, self.percent_complete)
            and wanted.items() <= self.output_variables.items()
        )
        expected = ["success"]
        if summary is not None:
            expected.append(f"summary with {summary!r}")
        if percent_complete is not None:
            expected.append(f"{percent_complete} %")
        if wanted:
            expected.append(f"output variables {wanted}")
        if not holds:
            self._refuse("The job did not succeed as expected.", ", ".join(expected))

    def assert_failed(self, failure_type: str | None = None, *, message: str | None = None) -> None:
        """
        Assert that the job got the result failure.

        :param failure_type: The failure type, such as ``ConfigurationError``.
        :param message: A part of the message.
        :raises AssertionError: It did not.
        """
        __tracebackhide__ = True
        failure = self.failure if self.results[-1:] == ["failure"] else None
        holds = (
            failure is not None
            and failure_type in (None, failure["code"])
            and _contains(failure["message"], message)
        )
        expected = f"failure{f' of type {failure_type}' if failure_type else ''}"
        expected += f", message with {message!r}" if message is not None else ""
        if not holds:
            self._refuse("The job did not fail as expected.", expected)

    def assert_progressed(self, *percent_complete: int) -> None:
        """
        Assert that the job has continued, and which progress it showed thereby.

        :param percent_complete: The percentages of all results with a continuation token, in order.
        :raises AssertionError: It has not, or showed other ones.
        """
        __tracebackhide__ = True
        shown = [
            (entry.details.get("executionDetails") or {}).get("percentComplete")
            for entry in self._results()
            if entry.result == "continue"
        ]
        if shown != list(percent_complete) or not percent_complete:
            expected = f"continued with {', '.join(f'{each} %' for each in percent_complete)}"
            said = ", ".join(f"{each} %" for each in shown) or "no continuation"
            self._refuse(f"The job did not progress as expected, but with: {said}.", expected)

    def assert_not_taken(self) -> None:
        """
        Assert that no worker has acknowledged the job.

        :raises AssertionError: One has.
        """
        __tracebackhide__ = True
        if self.is_taken:
            self._refuse("The job was taken.", "no worker takes it")

    @property
    def _place(self) -> str:
        action = self._action
        return f"{action.pipeline.name} / {action.stage_name} / {action.action.name}"

    def _calls(self) -> Ledger:
        ledger = self._codepipeline.emulator.ledger
        mine = ledger.where(action_execution_id=self._action.action_execution_id)
        return mine.where(kind=["call", "artifact", "job"])

    def _results(self) -> list[LedgerEntry]:
        return [entry for entry in self._calls() if entry.result is not None]

    def _reported(self) -> str:
        """Return what was reported, in words."""
        if self._action.status == "Succeeded":
            said = [
                "success",
                f"summary {self.summary!r}",
                "no percentage" if self.percent_complete is None else f"{self.percent_complete} %",
            ]
            if self.output_variables:
                said.append(f"output variables {dict(self.output_variables)}")
            return ", ".join(said)
        if self.failure is not None and self.results[-1:] == ["failure"]:
            return f"failure of type {self.failure['code']}, message {self.failure['message']!r}"
        if self.failure is not None:
            return f"nothing; the action failed with {self.failure['code']}: {self.failure['message']}"
        if self.results:
            return f"continuation, summary {self.summary!r}; then nothing: the next job is {self.status}"
        if self.is_taken:
            return f"nothing; the job was taken and is {self.status}"
        return f"nothing; no run has taken the job, which is {self.status}. {self._polls()}"

    def _polls(self) -> str:
        """Return what was polled for, which is why a job is not taken, often."""
        kinds = [
            entry.details.get("actionTypeId") or {} for entry in self._codepipeline.emulator.ledger.polls()
        ]
        names = {"/".join(map(str, kind.values())) for kind in kinds if kind}
        own = str(self._action.action.action_type)
        others = ", ".join(sorted(names - {own}))
        return f"There were polls for {others}, but the job is for {own}." if others else ""

    def _refuse(self, claim: str, expected: str | None = None) -> NoReturn:
        __tracebackhide__ = True
        facts = [("action", self._place)]
        if expected is not None:
            facts += [("expected", expected), ("reported", self._reported())]
        kit = self._codepipeline
        message = explain(claim, facts, self._calls(), kit.runs, kit.secrets)
        raise AssertionError(message)


_ACKNOWLEDGE = ("AcknowledgeJob", "AcknowledgeThirdPartyJob")


def _contains(text: str | None, part: str | None) -> bool:
    return part is None or (text is not None and part in text)
