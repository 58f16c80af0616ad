# SPDX-License-Identifier: Apache-2.0
"""Which checks a command line asks for, in the order in which they run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from airflow_codepipeline_partner._client_conn_ids import check_template
from airflow_codepipeline_partner._compat import find_stored_connections
from airflow_codepipeline_partner._iam_policies import may_read_wake_queue
from airflow_codepipeline_partner._protocol.dialects import CUSTOM, THIRD_PARTY
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.action_types import yaml_file
from airflow_codepipeline_partner.action_types.model import CustomActionType, action_type_from_path
from airflow_codepipeline_partner.action_types.policies import partner_worker_policy, worker_policy
from airflow_codepipeline_partner.doctor import airflow_checks, aws_checks, version_checks
from airflow_codepipeline_partner.doctor.action_type_checks import check_action_type
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase
from airflow_codepipeline_partner.doctor.aws_access import LIMIT, AwsAccess
from airflow_codepipeline_partner.doctor.client_token_checks import LIMIT as TOKENS_LIMIT
from airflow_codepipeline_partner.doctor.client_token_checks import ClientTokens, clients_to_check
from airflow_codepipeline_partner.doctor.findings import Check, Finding
from airflow_codepipeline_partner.doctor.permission_checks import Permissions, needed_by
from airflow_codepipeline_partner.doctor.pipeline_checks import Pipeline
from airflow_codepipeline_partner.doctor.polling_checks import check_polls
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.pipelines.policies import pipeline_policy

#: What a DAG's Jinja renders for None; see ``AwsParameters``.
_NONE = ("", "None")
#: Of AWS's own actions no worker gets jobs; it is said so.
_OTHER_OWNERS = ([THIRD_PARTY], ["AWS"])


def checks_for(parsed: Namespace) -> list[Check]:
    """
    Return the checks that a command line asks for.

    :raises InvalidInput: It is invalid. Nothing was checked.
    """
    find_stored_connections()
    action_type, declared = _target(parsed.target)
    template = parsed.client_conn_id_template
    check_template(template)
    if parsed.purposes and not parsed.pipeline:
        raise InvalidInput("--for says what DAGs do with a pipeline: give --pipeline, too.")
    # This checks the arguments.
    needed = _policies(parsed, action_type, {"account_id": "*", "region": "*", "partition": "*"})
    is_partner = (action_type is not None and action_type.owner != CUSTOM) or (
        action_type is None and bool(parsed.client_ids)
    )
    conn_id = None if parsed.aws_conn_id in _NONE else parsed.aws_conn_id
    aws = AwsAccess(conn_id, parsed.region, is_partner=is_partner)
    database = AirflowDatabase(LIMIT)
    tokens = ClientTokens(
        aws, lambda: clients_to_check(parsed.client_ids or (), template, database), template
    )

    def permissions() -> Iterator[Finding]:
        aws.check_answers()
        here = needed_by({"Statement": _policies(parsed, action_type, _place(aws))})
        return Permissions(aws, here, action_type, parsed.pipeline).check()

    checks = [
        Check("Versions", "installed", version_checks.check_versions, LIMIT),
        Check("Versions", "service model", version_checks.check_service_model, LIMIT),
        *(
            Check("AWS", name, _of(function, aws), 2 * LIMIT)
            for name, function in (
                ("connection", aws_checks.check_connection),
                ("region", aws_checks.check_region),
                ("endpoint", aws_checks.check_endpoint),
                ("credentials", aws_checks.check_credentials),
                ("clock", aws_checks.check_clock),
            )
        ),
    ]
    if action_type is not None:
        check = lambda: check_action_type(aws, action_type, declared)  # noqa: E731 - two lines more otherwise
        checks.append(Check("Action type", "action type", check, LIMIT))
    if needed:
        checks.append(Check("Permissions", "permission", permissions, 10 * LIMIT))
    if parsed.pipeline:
        pipeline = Pipeline(aws, parsed.pipeline, LIMIT)
        checks += [
            Check("Pipeline", "pipeline", pipeline.check_there, LIMIT),
            Check("Pipeline", "artifact bucket", pipeline.check_buckets, LIMIT),
            Check("Pipeline", "KMS key", pipeline.check_keys, LIMIT),
        ]
    checks += [
        Check("Client tokens", "stored", tokens.check_stored, TOKENS_LIMIT),
        Check("Client tokens", "known to CodePipeline", tokens.check_known, TOKENS_LIMIT),
    ]
    return checks + [
        Check("Airflow", name, _of(function, database), LIMIT)
        for name, function in (
            ("component", airflow_checks.check_components),
            ("DAG files", airflow_checks.check_imports),
            ("who polls", lambda database: check_polls(database, action_type)),
            ("claims", airflow_checks.check_claims_are_ended),
            ("paused DAGs", airflow_checks.check_paused),
            ("ended runs", airflow_checks.check_ended_runs),
        )
    ]


def _of(function: Any, subject: Any) -> Any:
    return lambda: function(subject)


def _policies(
    parsed: Namespace, action_type: ActionType | None, place: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the statements of all policies that the worker, and the DAGs for the pipeline, need."""
    found: list[dict[str, Any]] = []
    if action_type is not None:
        needed = (
            worker_policy(action_type, **place) if action_type.owner == CUSTOM else partner_worker_policy()
        )
        found += needed["Statement"]
    if parsed.pipeline and parsed.purposes:
        found += pipeline_policy(parsed.pipeline, parsed.purposes, **place)["Statement"]
    if parsed.wake_queue is not None:
        found.append(may_read_wake_queue(parsed.wake_queue))
    return found


def _place(aws: AwsAccess) -> dict[str, str]:
    account_id = (aws.caller.value or {}).get("Account") or "*"
    return {"account_id": str(account_id), "region": aws.region_name, "partition": aws.partition}


def _target(target: str | None) -> tuple[ActionType | None, CustomActionType | None]:
    """Return the action type that is named, or the file of which declares it, and the declaration."""
    if target is None:
        return None, None
    named = action_type_from_path(target)
    if named is None and target.split("/")[1:2] in _OTHER_OWNERS:
        named = ActionType.from_value(target)
        named.check_served()
    if named is not None:
        return named, None
    value = yaml_file.read_file(target)
    try:
        declared = CustomActionType.from_declaration(value)
    except InvalidInput as error:
        raise InvalidInput(f"{yaml_file.shown_name(target)}: {error}") from None
    return declared.action_type, declared
