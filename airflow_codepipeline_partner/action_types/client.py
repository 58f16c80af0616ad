# SPDX-License-Identifier: Apache-2.0
"""The calls about custom action types, with errors for the person who runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._limits import MAX_CUSTOM_ACTION_TYPES
from airflow_codepipeline_partner._protocol.dialects import CUSTOM
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.action_types.model import CustomActionType
from airflow_codepipeline_partner.exceptions import CodePipelineError, RequestRefused, ServiceUnavailable

#: Shorter than botocore's defaults, since a person waits. In seconds.
_CONNECT_TIMEOUT, _READ_TIMEOUT, _ATTEMPTS = 10, 30, 3
#: Parts of error codes about credentials. Some of their messages quote the whole request.
_CREDENTIALS = ("Signature", "Token", "Credential", "UnrecognizedClient", "AuthFailure")
#: The error code for an action type that already exists, or was deleted.
ALREADY_EXISTS = "ActionTypeAlreadyExistsException"
_MAX_MESSAGE_CHARS = 300


class ActionTypeClient:
    """
    The custom action types of one account in one region.

    :param client: boto3's client for CodePipeline.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def connect(
        cls,
        *,
        aws_conn_id: str | None = None,
        region_name: str | None = None,
        profile_name: str | None = None,
        endpoint_url: str | None = None,
    ) -> ActionTypeClient:
        """
        Return a client over an Airflow connection, or with boto3's own configuration.

        :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used. It cannot
            be combined with ``profile_name`` or ``endpoint_url``.
        :param profile_name: A profile of AWS's configuration files.
        :param endpoint_url: CodePipeline's endpoint. If None, AWS's endpoint is used.
        :param region_name: The region. If None, the region of the connection or of boto3 is used.
        :raises RequestRefused: The connection, the profile or the region is missing.
        """
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        )

        def make() -> Any:
            if aws_conn_id is not None:
                return _client_of_connection(aws_conn_id, region_name, config)
            import boto3

            session = boto3.Session(profile_name=profile_name, region_name=region_name)
            return session.client("codepipeline", endpoint_url=endpoint_url, config=config)

        return cls(_explaining("The client", None, make))

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    @property
    def region_name(self) -> str:
        """The region, such as ``eu-central-1``."""
        return str(self._client.meta.region_name)

    @property
    def partition(self) -> str:
        """AWS's partition, such as ``aws``."""
        return str(self._client.meta.partition)

    def list_action_types(self) -> list[CustomActionType]:
        """
        Return all custom action types, in order. GetActionType returns only those of AWS and its partners.

        :raises CodePipelineError: CodePipeline refused, or was not reached.

        Source: ListActionTypes, CodePipeline API 2015-07-09.
        """
        pages = self._client.get_paginator("list_action_types")

        def call() -> list[CustomActionType]:
            return [
                CustomActionType.from_api(each)
                for page in pages.paginate(actionOwnerFilter=CUSTOM)
                for each in page["actionTypes"]
                if each["id"]["owner"] == CUSTOM
            ]

        found = _explaining("ListActionTypes", self._client, call)
        return sorted(found, key=lambda each: (each.category, each.provider, each.version))

    def create_custom_action_type(self, declared: CustomActionType) -> None:
        """
        Create a custom action type.

        :raises RequestRefused: CodePipeline refused. The code is :data:`ALREADY_EXISTS` if it exists already.
        :raises ServiceUnavailable: CodePipeline was not reached. It may have been created nevertheless.

        Source: CreateCustomActionType, CodePipeline API 2015-07-09.
        """
        arguments = declared.to_api()
        _explaining(
            "CreateCustomActionType",
            self._client,
            lambda: self._client.create_custom_action_type(**arguments),
            also_needs="codepipeline:TagResource" if declared.tags else None,
        )

    def delete_custom_action_type(self, action_type: ActionType) -> None:
        """
        Mark a custom action type as deleted.

        Polls for it fail from then on. Its version can be created again only exactly as it was.

        :raises CodePipelineError: As :meth:`create_custom_action_type`.

        Source: DeleteCustomActionType, CodePipeline API 2015-07-09.
        """
        arguments = {name: getattr(action_type, name) for name in ("category", "provider", "version")}
        _explaining(
            "DeleteCustomActionType",
            self._client,
            lambda: self._client.delete_custom_action_type(**arguments),
        )


def _client_of_connection(aws_conn_id: str, region_name: str | None, config: Any) -> Any:
    from airflow_codepipeline_partner._compat import AirflowNotFoundException, find_stored_connections
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    find_stored_connections()
    try:
        # Without the connection the hook would use boto3's default credentials, perhaps another account's.
        CodePipelineHook.get_connection(aws_conn_id)
    except AirflowNotFoundException:
        raise RequestRefused(
            f"There is no Airflow connection {aws_conn_id!r}. Create one of type aws, or leave out "
            "--aws-conn-id to use boto3's default credentials.",
            code="NoConnection",
        ) from None
    return CodePipelineHook(aws_conn_id=aws_conn_id, region_name=region_name, config=config).conn


def _explaining(what: str, client: Any, call: Callable[[], Any], *, also_needs: str | None = None) -> Any:
    """Return a call's result, or raise its failure as an error for the person who ran the command."""
    failure: CodePipelineError
    try:
        return call()
    except CodePipelineError:
        raise
    except Exception as error:
        failure = _explained(error, what, client, also_needs)
    # Raised here, so that no exception is chained that may quote credentials.
    raise failure


def _explained(error: Exception, what: str, client: Any, also_needs: str | None) -> CodePipelineError:
    from botocore import exceptions as botocore_errors

    name = type(error).__name__
    region = client.meta.region_name if client else None
    answer = ServiceError.of(error)
    if answer is not None:
        return _refused(answer, what, region, also_needs)
    if isinstance(error, botocore_errors.NoRegionError):
        return RequestRefused(
            "No region is set: give --region, or set it by AWS_DEFAULT_REGION, profile or connection.",
            code=name,
        )
    if isinstance(error, botocore_errors.ProfileNotFound):
        return RequestRefused("There is no such profile in AWS's configuration files (--profile).", code=name)
    if any(word in name for word in ("Credential", "SSO", "TokenRetrieval", "Login")):
        return RequestRefused(
            f"There are no usable credentials for AWS ({name}): log in, or give others with "
            "--profile, --aws-conn-id or AWS's environment variables.",
            code=name,
        )
    connection_errors = (botocore_errors.ConnectionError, botocore_errors.HTTPClientError)
    if isinstance(error, connection_errors):
        changes = what.startswith(("Create", "Delete"))
        maybe = " It may have been carried out: check with action-type list." if changes else ""
        where = _without_password(client.meta.endpoint_url) if client else "AWS"
        return ServiceUnavailable(
            f"{what} got no response from {where} ({name}): check the region, --endpoint-url, the network "
            f"and its proxy.{maybe}",
            code=name,
        )
    if isinstance(error, botocore_errors.BotoCoreError):
        return RequestRefused(f"{what} could not be sent: {_one_line(str(error))}", code=name)
    if client is None:
        why = "check the connection, the profile and AWS's environment variables."
        return RequestRefused(f"boto3's client could not be created ({name}): {why}", code=name)
    where = _without_password(client.meta.endpoint_url)
    return RequestRefused(f"{what} failed ({name}): the server at {where} is not CodePipeline.", code=name)


def _refused(error: ServiceError, what: str, region: str | None, also_needs: str | None) -> CodePipelineError:
    """Return the error for an error response, from CodePipeline, or from STS before it."""
    code, message = error.code, _one_line(error.message)
    operation, place = error.operation, f" in {region}" if region else ""
    if operation != what:
        why = f": {message}" if error.is_access_denied else "."
        return RequestRefused(
            f"{operation}, which gives the credentials, was refused ({code}){why} Check the role or the "
            "login of the profile or the connection.",
            code=code,
        )
    if error.is_access_denied:
        permissions = " and ".join(each for each in (f"codepipeline:{operation}", also_needs) if each)
        return RequestRefused(
            f"{operation} is not allowed{place}: the credentials need {permissions}. AWS says: {message}",
            code=code,
        )
    if any(word in code for word in _CREDENTIALS):
        return RequestRefused(
            f"AWS does not accept the credentials ({code}): renew them, or give others with --profile or "
            "--aws-conn-id.",
            code=code,
        )
    if code == "ConcurrentModificationException":
        return RequestRefused(f"Somebody else is changing it{place} ({code}); try again.", code=code)
    if code == "LimitExceededException":
        return RequestRefused(
            f"The account has reached its quota of custom action types{place}, {MAX_CUSTOM_ACTION_TYPES} "
            "unless AWS raised it: delete one that no pipeline uses (action-type list, action-type "
            "delete), or ask AWS to raise the quota.",
            code=code,
        )
    if error.is_transient:
        return ServiceUnavailable(f"{operation} failed{place} ({code}); try again in a while.", code=code)
    return RequestRefused(f"{operation} was refused{place} ({code}): {message}", code=code)


def _one_line(text: str) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _MAX_MESSAGE_CHARS else f"{line[:_MAX_MESSAGE_CHARS]} …"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
