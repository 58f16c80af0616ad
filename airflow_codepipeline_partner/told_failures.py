# SPDX-License-Identifier: Apache-2.0
"""
What a failed task tells the finishing piece, so that the customer reads more than the task's name.

Only what errors of this package say: any other may hold anything.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from airflow_codepipeline_partner.exceptions import CodePipelinePartnerError, InvalidInput
from airflow_codepipeline_partner.failures import failure_of_ours
from airflow_codepipeline_partner.jobs import FailureDetails
from airflow_codepipeline_partner.records import Place, seen_from

log = logging.getLogger(__name__)

#: XCom key of what a failed task tells: ``message`` and ``type``, as in the failure result.
FAILURE_KEY = "codepipeline_failure"


def tell_failure(error: CodePipelinePartnerError) -> None:
    """
    Write down what is about to fail the running task; without a running task, do nothing.

    :param error: What is about to fail it. Where it is caught and the task succeeds, nobody reads it; where
        the task then fails of something else, the customer reads this.
    """
    from airflow.sdk import get_current_context

    try:
        ti = get_current_context()["ti"]
    except RuntimeError:
        return
    why = failure_of_ours(error, dag_id=ti.dag_id, task_id=ti.task_id)
    if isinstance(error, InvalidInput):
        # What the DAG's author wrote is no business of the customer's.
        who = f"task {ti.task_id} of DAG {ti.dag_id}"
        message = f"The work of this action failed in Airflow: {who} is set up wrong."
        why = FailureDetails(message, error.failure_type)
    try:
        Place.of(ti).write(FAILURE_KEY, {"message": why.message, "type": why.type})
    except Exception as trouble:
        # It must not hide why the task fails.
        log.warning("What failed this task is not told to the customer: %s.", type(trouble).__name__)


def told_failure(
    context: Mapping[str, Any], states: Mapping[str, Collection[str | None]]
) -> FailureDetails | None:
    """
    Return what the first of the failed tasks before the running one told, or None.

    :param context: The running task's context.
    :param states: Task id → the states of its task instances.
    """
    own = Place.of(context["ti"])
    for task_id in sorted(task_id for task_id, found in states.items() if "failed" in found):
        place = seen_from(context["task"], own, context["dag"].get_task(task_id))
        told = place.read(FAILURE_KEY) if place else None
        if isinstance(told, Mapping):
            return FailureDetails(told["message"], told["type"])
    return None
