# SPDX-License-Identifier: Apache-2.0
"""
Client id → client token, through Airflow connections and therefore through any secrets backend.

One connection per client, of type ``codepipeline_partner_client``: login is the client id, password the
client token. A partner has thousands of customers; so each token is looked up, rotated and masked alone.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook

from airflow_codepipeline_partner._compat import AirflowNotFoundException, forget_cached_connections
from airflow_codepipeline_partner._masking import mask_secret
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import ClientConnectionError
from airflow_codepipeline_partner.provider_info import CLIENT_FORM

#: How a client's connection id is made from its client id, in which ``-`` is written ``_``.
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

        :param client_id: The client id, as the poll gives it.
        :param template: How the connection id is made; holds ``{client_id}``.
        :raises ClientConnectionError: The template cannot be filled in.
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
        Return the client token, known to Airflow's masker.

        :param client_id: Whose token it must be.
        :param uncached: Ask the secrets backend again, whatever Airflow remembers.
        :raises ClientConnectionError: There is no such connection, it is another client's, or it
            holds no usable token.
        """
        if uncached:
            forget_cached_connections()
        connection = self._get_client_connection(client_id)
        # Before anything can fail, so that no later message can show it.
        mask_secret(connection.password)
        if connection.login and connection.login != client_id:
            raise ClientConnectionError(
                f"The connection {self.client_conn_id!r} is of another client than {client_id}: "
                "its login is not this client id.",
                conn_id=self.client_conn_id,
            )
        if not connection.password:
            raise ClientConnectionError(
                f"The connection {self.client_conn_id!r} holds no client token: its password is empty.",
                conn_id=self.client_conn_id,
            )
        return check_text("clientToken", connection.password)

    def _get_client_connection(self, client_id: str) -> Any:
        try:
            return self.get_connection(self.client_conn_id)
        except AirflowNotFoundException:
            # What is raised below, outside of this, says more than Airflow's, and does not drag it along.
            pass
        raise ClientConnectionError(
            f"There is no Airflow connection {self.client_conn_id!r} with the client token of client "
            f"{client_id}. Add it: airflow connections add {self.client_conn_id} "
            f"--conn-type {self.conn_type} --conn-login {client_id} --conn-password=<client token>",
            conn_id=self.client_conn_id,
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Show client id and client token and hide all else, on Airflow 3.1."""
        return {name.replace("-", "_"): setting for name, setting in CLIENT_FORM.items()}

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the connection holds a client id and a token; no call shows more without a job."""
        connection = self.get_connection(self.client_conn_id)
        if not connection.login:
            return False, "Client ID (login) is missing."
        try:
            self.get_token(connection.login)
        except ValueError as error:
            return False, str(error)
        return True, "Client ID and client token are there; CodePipeline checks them with the first job."
