# SPDX-License-Identifier: Apache-2.0
"""The defaults of a result: the summary, the external execution id and the failure type."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from airflow_codepipeline_partner._limits import TEXTS
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import ExecutionDetails


def external_execution_id(dag_id: str, run_id: str) -> str | None:
    """
    Return an id with which an execution link ending in ``/dags/{ExternalExecutionId}`` leads to the DAG run.

    :return: ``{dag_id}/runs/{run_id}``, each part URL-quoted, or None if that is too long.
    """
    name = f"{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    most = TEXTS["executionDetails.externalExecutionId"][1].max_chars
    return name if most is None or len(name) <= most else None


def with_defaults(
    details: ExecutionDetails | None, *, dag_id: str, run_id: str, continued: bool = False
) -> ExecutionDetails:
    """
    Return execution details with defaults for the members that are missing.

    :param details: The user's details, or None.
    :param dag_id: The DAG that did the work.
    :param run_id: Its run. Both are in the external execution id, which leads back to the run.
    :param continued: Whether the action goes on, with a continuation token.
    """
    given = details or ExecutionDetails()
    outcome = "is at work on this action" if continued else "completed this action"
    return replace(
        given,
        summary=given.summary or f"The Airflow DAG {dag_id} {outcome}.",
        external_execution_id=given.external_execution_id or external_execution_id(dag_id, run_id),
    )


def failure_message(dag_id: str) -> str:
    """Return what the customer reads if the author's message is missing."""
    return f"The Airflow DAG {dag_id} could not complete this action."


def failure(
    job: OfferedJob,
    message: str,
    failure_type: str,
    *,
    dag_id: str,
    run_id: str,
    external_id: str | None = None,
) -> Call:
    """
    Compose the failure result of a job that a DAG run worked on.

    :param job: The job.
    :param message: The message for the customer.
    :param failure_type: One of the failure types of the API.
    :param dag_id: The DAG that did the work.
    :param run_id: Its run.
    :param external_id: The external execution id; None for the one of that run.
    """
    return requests.failure(
        job,
        message=message,
        failure_type=failure_type,
        external_execution_id=external_id or external_execution_id(dag_id, run_id),
    )
