# SPDX-License-Identifier: Apache-2.0
"""Checks of the action type: it exists, in this version, and as it is declared."""

from __future__ import annotations

from airflow_codepipeline_partner._aws_errors import is_access_denied
from airflow_codepipeline_partner._protocol.dialects import CUSTOM
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._suggestions import did_you_mean
from airflow_codepipeline_partner.action_types.client import ActionTypeClient
from airflow_codepipeline_partner.action_types.differences import differences
from airflow_codepipeline_partner.action_types.model import CustomActionType, path_of
from airflow_codepipeline_partner.doctor.aws_access import SEE_AWS, Answer, AwsAccess
from airflow_codepipeline_partner.doctor.findings import Finding, failed, passed, unknown
from airflow_codepipeline_partner.exceptions import CodePipelineError


def check_action_type(aws: AwsAccess, wanted: ActionType, declared: CustomActionType | None) -> Finding:
    """
    Check that an action type exists, and is as it is declared.

    :param aws: The way to AWS.
    :param wanted: The action type.
    :param declared: Its declaration, if there is a file.
    """
    aws.check_answers()
    if wanted.owner != CUSTOM:
        return _check_partner_type(aws, wanted)
    client = ActionTypeClient(aws.client("codepipeline"))
    try:
        there = client.list_action_types()
    except CodePipelineError as error:
        code = str(getattr(error, "code", None) or type(error).__name__)
        return _not_seen("ListActionTypes", code, is_denied=is_access_denied(code))
    found = next((each for each in there if each.path == path_of(wanted)), None)
    if found is None:
        hint = did_you_mean(path_of(wanted), [each.path for each in there])
        return failed(
            f"There is no custom action type {path_of(wanted)} in {aws.region_name}{hint or '.'}",
            "Create it: python -m airflow_codepipeline_partner action-type create FILE. Or check version, "
            "region and account.",
        )
    if declared is None:
        return passed(f"{found.path} exists.{_queried(found)}")
    others = differences(declared, found)
    if others:
        return failed(
            f"{found.path} exists, but differs from its declaration: {', '.join(others)}.",
            "An action type cannot be changed: declare and create a new version.",
        )
    return passed(f"{found.path} exists, as it is declared.{_queried(found)}")


def _queried(found: CustomActionType) -> str:
    name = next((each.name for each in found.configuration_properties if each.queryable), None)
    return "" if name is None else f" It is queryable: each poll needs query_param with {name!r}."


def _check_partner_type(aws: AwsAccess, wanted: ActionType) -> Finding:
    answer = aws.ask(
        "codepipeline",
        "get_action_type",
        category=wanted.category,
        owner=wanted.owner,
        provider=wanted.provider,
        version=wanted.version,
    )
    if answer.code == "ActionTypeNotFoundException":
        return failed(
            f"CodePipeline does not know {wanted} in {aws.region_name}.",
            "Check its spelling, version and region with those that AWS registered it with.",
        )
    if answer.code is not None or answer.error_name is not None:
        return _not_seen("GetActionType", answer.code or answer.error_name or "", is_denied=answer.is_denied)
    return passed(f"{wanted} exists.{_executor(answer)}")


def _executor(answer: Answer) -> str:
    executor = ((answer.value or {}).get("actionType") or {}).get("executor") or {}
    kind = executor.get("type")
    return "" if kind in (None, "JobWorker") else f" Its executor is {kind}, so no worker gets its jobs."


def _not_seen(operation: str, code: str, *, is_denied: bool) -> Finding:
    allow = f"To have it checked, allow codepipeline:{operation}. A worker does not need it."
    return unknown(f"{operation} failed ({code}).", allow if is_denied else SEE_AWS)
