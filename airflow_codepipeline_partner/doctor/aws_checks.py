# SPDX-License-Identifier: Apache-2.0
"""Checks of the way to AWS: connection, region, endpoint, credentials, clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner._compat import AirflowNotFoundException
from airflow_codepipeline_partner._connections import why_unusable
from airflow_codepipeline_partner._secrets import in_closed_frames
from airflow_codepipeline_partner.doctor.aws_access import SKEWED, Answer, AwsAccess, NoRegion
from airflow_codepipeline_partner.doctor.findings import Finding, LeftOut, failed, passed, unknown

#: AWS refuses a request whose time is further from its own, in seconds.
MAX_SKEW = 300
_CREDENTIAL_ERRORS = ("Credential", "SSO", "TokenRetrieval", "Login")


def check_connection(aws: AwsAccess) -> Finding:
    """Check that the ``aws`` connection exists and is one. If it cannot be used, the rest is left out."""
    conn_id = aws.aws_conn_id
    if conn_id is None:
        return passed("None is used: boto3's own credentials and region count.")
    missing = (
        f"Add it: airflow connections add {conn_id} --conn-type aws. Or, if boto3's own credentials are "
        "meant, give aws_conn_id=None in the DAGs and --aws-conn-id None here."
    )
    try:
        conn_type, is_readable = in_closed_frames(lambda: _look_up(conn_id))
    except AirflowNotFoundException:
        fault = why_unusable(conn_id)
        if fault is not None:
            aws.is_unusable = True
            return failed(f"The connection {conn_id!r} cannot be used: {fault.rstrip('.')}.", "Correct it.")
        return failed(f"Airflow has no connection {conn_id!r}; boto3's own credentials would count.", missing)
    except Exception as error:
        aws.is_unusable = True
        return unknown(
            f"The connection {conn_id!r} could not be looked up: {type(error).__name__}.",
            "Check Airflow's database and secrets backend.",
        )
    if not conn_type and (fault := why_unusable(conn_id)) is not None:
        aws.is_unusable = True
        return failed(f"The connection {conn_id!r} cannot be used: {fault.rstrip('.')}.", "Correct it.")
    if conn_type not in ("aws", "AWS"):
        return failed(
            f"The connection {conn_id!r} is of the type {conn_type or 'none'}.", "Set its type to aws."
        )
    if not is_readable:
        aws.is_unusable = True
        return failed(
            f"The extra of the connection {conn_id!r} is not a JSON object, so Airflow ignores it.",
            "Correct it.",
        )
    return passed(f"The connection {conn_id!r} is there, and of the type aws.")


def _look_up(conn_id: str) -> tuple[Any, bool]:
    """Return a connection's type, and whether its extra can be read."""
    from airflow.sdk import BaseHook

    connection = BaseHook.get_connection(conn_id)
    try:
        is_readable = not connection.extra or isinstance(json.loads(connection.extra), dict)
    except ValueError:
        is_readable = False
    return connection.conn_type, is_readable


def check_region(aws: AwsAccess) -> Finding:
    """Check that a region is set, and that CodePipeline is there."""
    try:
        region = aws.region_name
    except NoRegion as none:
        return failed(none.finding.what, none.finding.to_do)
    if not aws.is_aws:
        return passed(f"The region is {region}.")
    import boto3

    if region in boto3.Session().get_available_regions("codepipeline", partition_name=aws.partition):
        return passed(f"The region is {region}; CodePipeline is there.")
    return unknown(
        f"The region is {region}; the installed boto3 knows of no CodePipeline there.",
        "Check its spelling in the connection, or upgrade boto3 if the region is new.",
    )


def check_endpoint(aws: AwsAccess) -> Finding:
    """Check that CodePipeline can be reached."""
    where = aws.endpoint
    kind = "" if aws.is_aws else " It is not AWS's own, so this is an emulator or a proxy."
    answer = aws.knock
    if _has_no_credentials(answer):
        # The check of credentials says so.
        raise LeftOut
    if answer.error_name is not None:
        return failed(
            f"{where} could not be reached ({answer.error_name}).{kind}",
            "Check the region, endpoint_url in the connection, the network, its proxy and its firewall.",
        )
    if answer.code is not None and answer.code.isdigit():
        return failed(
            f"{where} answers, but not as CodePipeline does (HTTP status {answer.code}).{kind}",
            "Check endpoint_url in the connection, and the proxy.",
        )
    return passed(f"{where} answers.{kind}")


def check_credentials(aws: AwsAccess) -> Finding:
    """Check that there are credentials, and that AWS accepts them."""
    answer = aws.knock
    renew = "Renew them in the connection, or the role that gives them."
    if _has_no_credentials(answer):
        return failed(
            f"No usable credentials were found ({answer.error_name}).",
            "Set login and password of the connection, or its role_arn or profile_name; or give the worker a "
            "role.",
        )
    if answer.error_name is not None or (answer.code or "").isdigit():
        # The check of the endpoint says so.
        raise LeftOut
    if answer.code in SKEWED:
        return unknown("AWS refuses the time of the request.", "See what the check of the clock says.")
    if not answer.is_of_codepipeline:
        return failed(
            f"{answer.operation}, which gives the credentials, was refused ({answer.code}).",
            "Check role_arn in the connection, and that role's trust policy.",
        )
    if answer.is_of_bad_credentials:
        return failed(f"AWS does not accept the credentials ({answer.code}).", renew)
    if answer.is_transient:
        return unknown(f"CodePipeline gave {answer.said}, which says nothing of them.", "Run it again.")
    caller = aws.caller
    value: Mapping[str, Any] = caller.value or {}
    whose = f" They are those of {value['Arn']}." if value.get("Arn") else ""
    return passed(f"CodePipeline accepts the credentials.{whose}")


def _has_no_credentials(answer: Answer) -> bool:
    name = answer.error_name
    return name is not None and any(word in name for word in _CREDENTIAL_ERRORS)


def check_clock(aws: AwsAccess) -> Finding:
    """Check that this machine's clock is close to AWS's, which refuses requests of another time."""
    answer = aws.knock
    advice = "Synchronise the clock of this machine, with NTP for instance."
    if answer.code in SKEWED:
        return failed(f"AWS refuses requests for their time ({answer.code}).", advice)
    if answer.error_name is not None:
        raise LeftOut
    if answer.date is None or answer.asked_at is None:
        return unknown("CodePipeline's answer says no time.", "See what the check of the endpoint says.")
    skew = (answer.asked_at - answer.date).total_seconds()
    # Both are cut to seconds, and the answer was on its way.
    if abs(skew) < 5:
        return passed("This machine's clock is AWS's, within 5 s.")
    way = "ahead of" if skew > 0 else "behind"
    said = f"This machine's clock is {abs(skew):.0f} s {way} CodePipeline's"
    if abs(skew) < MAX_SKEW / 2:
        return passed(f"{said}. AWS refuses requests from {MAX_SKEW} s on.")
    return failed(f"{said}. AWS refuses requests from {MAX_SKEW} s on.", advice)
