# SPDX-License-Identifier: Apache-2.0
"""How the amazon provider's hook is changed: whose settings count, and models that are read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks import base_aws
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, AwsGenericHook
from botocore.config import Config

from airflow_codepipeline_partner._endpoints import is_of_aws

if TYPE_CHECKING:
    import boto3
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
    from botocore.loaders import Loader

#: Where models lie → what reads them, and keeps what it has read.
_loaders: dict[tuple[str, ...], Loader] = {}


class ConnectedHook(AwsBaseHook):
    """
    A hook for CodePipeline over an Airflow connection.

    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The region. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle. If None, boto3's default is
        used.
    :param config: A botocore config, or a mapping of its arguments. It is merged over the connection's
        ``config_kwargs``.
    """

    def __init__(
        self,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,
        config: Config | Mapping[str, Any] | None,
    ) -> None:
        super().__init__(
            aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, client_type="codepipeline"
        )
        # Not handed to the base class, which would then pass over the connection's own config_kwargs.
        self._given_config = Config(**config) if isinstance(config, Mapping) else config
        self._conn_config: AwsConnectionWrapper | None = None

    @property
    def conn_config(self) -> AwsConnectionWrapper:
        """
        The connection, with two additions.

        The hook's ``config`` is merged over the connection's ``config_kwargs``, and STS is at the same place
        as a CodePipeline that is not AWS's own.
        """
        # Without cached_property: on Python 3.11 all hooks would wait for one look-up.
        if (known := self._conn_config) is not None:
            return known
        wrapper: AwsConnectionWrapper = AwsGenericHook.conn_config.func(self)  # type: ignore[attr-defined]
        if self._given_config is not None:
            wrapper.botocore_config = (wrapper.botocore_config or Config()).merge(self._given_config)
        if wrapper.role_arn and wrapper.endpoint_url and not is_of_aws(wrapper.endpoint_url):
            sts = {"endpoint_url": wrapper.endpoint_url, **(wrapper.service_config.get("sts") or {})}
            wrapper.service_config = {**wrapper.service_config, "sts": sts}
        self._conn_config = wrapper
        return wrapper

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> boto3.session.Session:
        """Return a boto3 session, whose clients use the models that this process has read before."""
        factory = base_aws.SessionFactory(conn=self.conn_config, region_name=region_name, config=self.config)
        if self.conn_config.role_arn:
            # The client of STS comes from there.
            share_models(factory.basic_session)
        session: boto3.session.Session = factory.create_session(deferrable=deferrable)
        if not deferrable:
            share_models(session)
        return session

    def _get_caller(self, target_function_name: str = "execute") -> str:
        """
        Return the caller's name for the user agent.

        The amazon provider finds it by reading the source of every function on the stack, which takes a third
        of a short task's time.
        """
        return type(self).__name__


def share_models(session: boto3.session.Session) -> None:
    """
    Have a session use the models that another one has read.

    Each session reads them anew otherwise. The list of AWS's endpoints alone takes 30 ms and more, during
    which Python runs nothing else: a triggerer with many connections stands still.

    :param session: A session that has made no client yet.
    """
    # boto3 has no name for its botocore session that is not private.
    within = session._session
    own: Loader = within.get_component("data_loader")
    within.register_component("data_loader", _loaders.setdefault(tuple(own.search_paths), own))
