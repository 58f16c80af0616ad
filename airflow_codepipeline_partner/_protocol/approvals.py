# SPDX-License-Identifier: Apache-2.0
"""Manual approvals: which one waits, and by which token it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_codepipeline_partner._protocol.executions import ActionExecution
from airflow_codepipeline_partner._suggestions import did_you_mean
from airflow_codepipeline_partner.exceptions import RequestRefused


@dataclass(frozen=True)
class Approval:
    """
    A manual approval, as the state of its pipeline shows it.

    :param token: Its token. None if it does not wait.
    :param execution_id: The execution that is in its stage, or None.
    :param status: ``InProgress``, ``Succeeded`` (approved), ``Failed`` (rejected, or not answered in time),
        or None.
    :param summary: What somebody who answered it has written, or None.
    """

    token: str | None
    execution_id: str | None = None
    status: str | None = None
    summary: str | None = None

    def has_answer(self, status: str, summary: str) -> bool:
        """
        Return whether it was answered like this.

        :param status: ``Approved`` or ``Rejected``.
        :param summary: What was written.
        """
        ended_as = "Succeeded" if status == "Approved" else "Failed"
        return (self.status, self.summary) == (ended_as, summary)


def in_state(stages: Iterable[Mapping[str, Any]], stage_name: str, action_name: str) -> Approval:
    """
    Return what the state of a pipeline says of an approval.

    :param stages: The ``stageStates``.
    :param stage_name: The approval's stage.
    :param action_name: The approval's action.
    :raises RequestRefused: The pipeline has no such stage or action.
    """
    stage = _named(stages, "stageName", stage_name, "stage")
    action = _named(
        stage.get("actionStates") or (), "actionName", action_name, f"action in stage {stage_name}"
    )
    latest = action.get("latestExecution") or {}
    waits = latest.get("status") == "InProgress"
    return Approval(
        token=latest.get("token") if waits else None,
        execution_id=(stage.get("latestExecution") or {}).get("pipelineExecutionId"),
        status=latest.get("status"),
        summary=latest.get("summary"),
    )


def _named(some: Iterable[Mapping[str, Any]], member: str, name: str, what: str) -> Mapping[str, Any]:
    by_name = {str(each.get(member)): each for each in some}
    if name not in by_name:
        raise RequestRefused(
            f"The pipeline has no {what} with the name {name}{did_you_mean(name, list(by_name))}.",
            code="ValidationException",
        )
    return by_name[name]


def among(actions: Iterable[ActionExecution], stage_name: str, action_name: str) -> Approval:
    """
    Return an approval in a pipeline with the execution mode PARALLEL, whose state does not show it.

    :param actions: The executions of the actions of one execution of the pipeline.
    :param stage_name: The approval's stage.
    :param action_name: The approval's action.
    """
    for each in actions:
        if (each.stage_name, each.action_name) == (stage_name, action_name):
            token = each.external_execution_id if each.status == "InProgress" else None
            return Approval(token=token, status=each.status, summary=each.summary)
    return Approval(token=None)
