# SPDX-License-Identifier: Apache-2.0
"""``finish_job``: it adds the finishing task to a DAG, after all the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._protocol.choices import DEFAULT_FAILURE_TYPE, MissingOutputs
from airflow_codepipeline_partner._worker.wiring import (
    check_offers_take_variables,
    check_shares_group,
    observe,
)
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator

__all__ = ["finish_job"]


def finish_job(
    claim: Any,
    *,
    task_id: str = "finish_job",
    current_revision: Any = None,
    execution_details: Any = None,
    output_variables: Any = None,
    failure_message: Any = None,
    failure_type: Any = DEFAULT_FAILURE_TYPE,
    fail_run: bool = True,
    missing_outputs: MissingOutputs = "warn",
    **parameters: Any,
) -> CodePipelineFinishJobOperator:
    """
    Add the task that finishes a claimed job, however the work ends.

    Call it last, after all work tasks are connected to the claim. It makes a
    :class:`CodePipelineFinishJobOperator` in the current DAG or task group, downstream of all tasks that
    follow the claim. In a mapped task group, each job is finished on its own.

    :param claim: The claiming task, or its output.
    :param task_id: The id of the new task.
    :param current_revision: The revision to report with success: a CurrentRevision, or a mapping with
        ``revision`` and ``changeIdentifier`` (both needed), ``created``, ``revisionSummary``. (templated)
    :param execution_details: The details to report with success: an ExecutionDetails, or a mapping with
        ``summary``, ``externalExecutionId``, ``percentComplete``. If the summary is missing, it names the
        DAG. If the external execution id is missing, it identifies the DAG run. (templated)
    :param output_variables: The values for later actions of the pipeline, reported with the success of a
        custom job: a mapping of names (of ``0-9 A-Z a-z @ _ -``) to texts, at most 122,880 bytes in all. It
        must hold no secrets. For a partner job, leave it None; a template must render to None. (templated)
    :param failure_message: The message for the customer on failure, cut to 5000 characters. If None, the
        message is the one that a failed artifact task or a ``Workspace`` recorded. If there is none, the
        message names the failed tasks. (templated)
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable. Default JobFailed: a failure type recorded by a failed task is
        used instead. (templated)
    :param fail_run: Whether a run whose job gets a failure result fails, too. If False, one customer's broken
        builds cannot pause the DAG by ``max_consecutive_failed_dag_runs``.
    :param missing_outputs: What to do if the work succeeded, but no task uploaded one of the output artifacts
        with this package: ``warn`` in the log (the default), ``fail`` the job, or ``ignore`` it.
    :param parameters: Any other parameter of :class:`CodePipelineFinishJobOperator`. The defaults of the AWS
        parameters are those of the claiming task.
    :raises InvalidInput: ``claim`` claims no job, is mapped by itself instead of in a task group, is in
        another mapped task group, or already has a finishing task. Or there are output variables, but the job
        can only be a partner job.
    """
    claim = getattr(claim, "operator", claim)
    if not getattr(claim, "claims_job", False):
        raise InvalidInput(
            "finish_job takes a CodePipelineClaimJobOperator or a @task.codepipeline_job (or its output), "
            f"not a {type(claim).__name__}. To map the claim, expand a task group that holds claim, work "
            "and finish_job."
        )
    followers = claim.get_flat_relatives(upstream=False)
    for follower in followers:
        if isinstance(follower, CodePipelineFinishJobOperator) and follower.claim_task_id == claim.task_id:
            raise InvalidInput(
                f"{claim.task_id} is already finished by {follower.task_id}; one finishing task is enough."
            )
    if isinstance(output_variables, Mapping) and output_variables:
        check_offers_take_variables(claim)
    aws = AwsParameters.of(claim).to_arguments()
    inherited = {**aws, "job": claim.job, "unknown_claim": claim.unknown_claim}
    finish = CodePipelineFinishJobOperator(
        task_id=task_id,
        claim_task_id=claim.task_id,
        current_revision=current_revision,
        execution_details=execution_details,
        output_variables=output_variables,
        failure_message=failure_message,
        failure_type=failure_type,
        fail_run=fail_run,
        missing_outputs=missing_outputs,
        **{**inherited, **parameters},
    )
    check_shares_group(finish, claim)
    # Not behind the finishing task of another claim: of two, one after the other, Airflow would judge the run
    # by the second alone.
    work = {task.task_id: task for task in followers if not isinstance(task, CodePipelineFinishJobOperator)}
    leaves = [task for task in work.values() if work.keys().isdisjoint(task.downstream_task_ids)]
    finish.set_upstream(leaves or [claim])
    for task in followers:
        observe(task)
    return finish
