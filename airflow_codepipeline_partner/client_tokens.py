# SPDX-License-Identifier: Apache-2.0
"""
Look up client tokens in Airflow connections, and therefore in any secrets backend.

Each client has one connection, of type ``codepipeline_partner_client``. Its login is the client id, and its
password is the client token. A partner may have thousands of customers, so each token is looked up, rotated
and masked on its own.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook

from airflow_codepipeline_partner._compat import AirflowNotFoundException, forget_cached_connections
from airflow_codepipeline_partner._masking import mask_secret
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import ClientConnectionError
from airflow_codepipeline_partner.provider_info import CLIENT_FORM

__all__ = ["DEFAULT_TEMPLATE", "ClientTokenHook"]

#: Template of a client's connection id. In the client id ``-`` becomes ``_``.
DEFAULT_TEMPLATE = "codepipeline_client_{client_id}"


class ClientTokenHook(BaseHook):
    """
    Look up the client token of one client.

    :param client_conn_id: The client's connection id.
    """

    conn_name_attr = "client_conn_id"
    default_conn_name = "codepipeline_client_default"
    conn_type = "codepipeline_partner_client"
    hook_name = "CodePipeline partner client"

    def __init__(self, client_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.client_conn_id = client_conn_id

    @classmethod
    def for_client(cls, client_id: str, template: str = DEFAULT_TEMPLATE) -> ClientTokenHook:
        """
        Return the hook for a client id.

        :param client_id: The client id, from the poll.
        :param template: The template of the connection id, with ``{client_id}``.
        :raises ClientConnectionError: The template has another field than ``{client_id}``.
        """
        try:
            conn_id = template.format(client_id=client_id.replace("-", "_"))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise ClientConnectionError(
                "client_conn_id_template may hold {client_id} and no other field in braces; "
                f"the one given has {len(template)} characters."
            ) from None
        return cls(conn_id)

    def get_token(self, client_id: str, *, uncached: bool = False) -> str:
        """
        Return the client token, after registering it with Airflow's masker.

        :param client_id: The client whose token it must be.
        :param uncached: Whether to bypass Airflow's cache, and look the connection up again.
        :raises ClientConnectionError: The connection does not exist, is another client's, or has no usable
            token.
        """
        if uncached:
            forget_cached_connections()
        connection = self._get_client_connection(client_id)
        # Before anything can fail, so that no message can show it.
        mask_secret(connection.password)
        if connection.login and connection.login != client_id:
            raise ClientConnectionError(
                f"The connection {self.client_conn_id!r} is not that of client {client_id}: "
                "its login is another client id.",
                conn_id=self.client_conn_id,
            )
        if not connection.password:
            raise ClientConnectionError(
                f"The connection {self.client_conn_id!r} has no client token: its password is empty.",
                conn_id=self.client_conn_id,
            )
        return check_text("clientToken", connection.password)

    def _get_client_connection(self, client_id: str) -> Any:
        try:
            return self.get_connection(self.client_conn_id)
        except AirflowNotFoundException:
            # Raised below, outside of the handler, so that Airflow's error, which says less, is not chained.
            pass
        raise ClientConnectionError(
            f"There is no Airflow connection {self.client_conn_id!r} with the client token of client "
            f"{client_id}. Add it: airflow connections add {self.client_conn_id} "
            f"--conn-type {self.conn_type} --conn-login {client_id} --conn-password=<client token>",
            conn_id=self.client_conn_id,
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Show client id and client token, and hide all other fields, on Airflow 3.1."""
        return {name.replace("-", "_"): setting for name, setting in CLIENT_FORM.items()}

    def test_connection(self) -> tuple[bool, str]:
        """Check that the connection has a client id and a token. No call can check them without a job."""
        connection = self.get_connection(self.client_conn_id)
        if not connection.login:
            return False, "Client ID (login) is missing."
        try:
            self.get_token(connection.login)
        except ValueError as error:
            return False, str(error)
        return True, "Client ID and client token are set; CodePipeline checks them with the first job."
