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

from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE, client_conn_id
from airflow_codepipeline_partner._compat import (
    AirflowNotFoundException,
    expect_connection_type,
    forget_cached_connections,
    secrets_backends,
)
from airflow_codepipeline_partner._connections import (
    ESCAPE_ADVICE,
    missing_note,
    why_unusable,
    why_without_password,
)
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner._secrets import Secret, in_closed_frames
from airflow_codepipeline_partner.exceptions import ClientConnectionError, InvalidInput
from airflow_codepipeline_partner.provider_info import CLIENT_CONN_TYPE, CLIENT_FORM

__all__ = ["DEFAULT_TEMPLATE", "ClientTokenHook"]

expect_connection_type(CLIENT_CONN_TYPE)

#: The connection by which the test of a client's connection asks CodePipeline.
_ASKED_BY = "aws_default"
_ARE_SET = "Client ID and client token are set"
_FIRST_JOB = "CodePipeline checks them with the first job."


class ClientTokenHook(BaseHook):
    """
    Look up the client token of one client.

    :param client_conn_id: The client's connection id.
    """

    conn_name_attr = "client_conn_id"
    default_conn_name = "codepipeline_client_default"
    conn_type = CLIENT_CONN_TYPE
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
        return cls(client_conn_id(client_id, template))

    def get_token(self, client_id: str, *, uncached: bool = False, unmasked: bool = False) -> Secret:
        """
        Return the client token.

        :param client_id: The client whose token it must be.
        :param uncached: Whether to bypass Airflow's cache, and look the connection up again.
        :param unmasked: Whether Airflow's masker is not to learn the token, since it stays inside this
            package. The masker slows with each secret, so a triggerer must not teach it those of a thousand
            clients.
        :raises ClientConnectionError: The connection does not exist, cannot be read, is another client's, or
            has no usable token.
        """
        if uncached:
            forget_cached_connections()
        return in_closed_frames(
            lambda: self._token_of(
                (unmasked and self._find_unmasked()) or self._get_client_connection(client_id), client_id
            )
        )

    def _token_of(self, connection: Any, client_id: str) -> Secret:
        if connection.login and connection.login != client_id:
            raise self._error(f"is not that of client {client_id}: its login is another client id.")
        password = connection.password
        if not password:
            # A URI that Airflow reads otherwise than it was meant leaves the token in another field.
            advice = f". {ESCAPE_ADVICE}" if connection.host or connection.schema else ""
            fault = why_without_password(self.client_conn_id)
            raise self._error(f"has no client token: {fault.removesuffix(advice).rstrip('.')}{advice}")
        if isinstance(password, str):
            if password != password.strip():
                raise self._error(
                    "has white space or a line break at the beginning or end of its password. Store the "
                    "client token without it; echo and editors add a line break."
                )
            if len(password) > 1 and password[0] == password[-1] and password[0] in "\"'":
                raise self._error(
                    "has quotation marks around its password. Store the client token without them."
                )
        return Secret(check_text("clientToken", password))

    def _error(self, fault: str) -> ClientConnectionError:
        said = f"The connection {self.client_conn_id!r} {fault.rstrip('.')}."
        return ClientConnectionError(said, conn_id=self.client_conn_id)

    def _find_unmasked(self) -> Any:
        """Return the connection as Airflow would, but unknown to its masker; None if Airflow is to ask."""
        for backend in secrets_backends():
            try:
                found = backend.get_connection(conn_id=self.client_conn_id)
            except Exception:
                # What this means, and what it says to the user, is decided where Airflow asks.
                return None
            if found is not None:
                return found
        return None

    def _get_client_connection(self, client_id: str) -> Any:
        try:
            return self.get_connection(self.client_conn_id)
        except AirflowNotFoundException:
            # Raised below, outside of the handler, so that Airflow's error, which says less, is not chained.
            pass
        except PermissionError:
            # From Airflow 3.2.2 on. Its text names the connection and no more.
            raise self._error("may not be read by this task: Airflow denies it.") from None
        fault = why_unusable(self.client_conn_id)
        if fault is not None:
            raise self._error(f"with the client token of client {client_id} cannot be used: {fault}")
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
        """
        Check that the connection has a client id and a token, and ask CodePipeline about the token.

        It is asked by the connection ``aws_default``, if there is one. Whether it then says something about a
        token without a job, AWS does not document.
        """
        login = in_closed_frames(lambda: self.get_connection(self.client_conn_id).login)
        if not login:
            return False, "Client ID (login) is missing."
        try:
            token = self.get_token(login)
        except ValueError as error:
            return False, str(error)
        if missing_note(_ASKED_BY) is not None:
            return True, f"{_ARE_SET}; {_FIRST_JOB}"
        return in_closed_frames(lambda: _answer_about(token))


def _answer_about(token: Secret) -> tuple[bool, str]:
    """Return what the test of a connection says of its token."""
    # boto3 is slow to import, and only this needs it.
    from airflow_codepipeline_partner._connected_hook import ConnectedHook
    from airflow_codepipeline_partner._token_probe import TokenProbe, TokenState

    # Somebody waits in front of a page.
    short = {"connect_timeout": 3, "read_timeout": 5, "retries": {"total_max_attempts": 1}}
    try:
        probe = TokenProbe(ConnectedHook(_ASKED_BY, None, None, short).conn)
        state, trouble = probe.state_of(token), probe.trouble
    except Exception as error:
        # By its name only: its text may quote the connection.
        state, trouble = TokenState.NO_ANSWER, type(error).__name__
    match state:
        case TokenState.REFUSED:
            return False, "CodePipeline does not know the client token; store the customer's current one."
        case TokenState.KNOWN:
            return True, f"{_ARE_SET}, and CodePipeline knows the token."
        case TokenState.NOT_CHECKED:
            return True, f"{_ARE_SET}; {_FIRST_JOB}"
    return True, f"{_ARE_SET}; CodePipeline could not be asked by {_ASKED_BY} ({trouble}). {_FIRST_JOB}"


class KeptTokens:
    """
    The client tokens that one hook uses: each is looked up once, and again when CodePipeline refuses it.

    A look-up is a request to Airflow's API server, and perhaps to a secrets backend.

    :param template: The template of the connection ids.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        #: Whether Airflow's masker is not to learn them.
        self.unmasked = False
        self._kept: dict[str, Secret] = {}

    def get(self, client_id: str) -> Secret:
        """
        Return a client's token.

        :raises ClientConnectionError: No connection holds it.
        """
        if (token := self._kept.get(client_id)) is None:
            token = self._kept[client_id] = self._hook(client_id).get_token(client_id, unmasked=self.unmasked)
        return token

    def renew(self, client_id: str, refused: Secret) -> Secret | None:
        """Return a client's token after CodePipeline refused one; None if there is no other."""
        self._kept.pop(client_id, None)
        try:
            current = self._hook(client_id).get_token(client_id, uncached=True, unmasked=self.unmasked)
        except InvalidInput:
            # The refusal says more, and whether an answer was lost.
            return None
        if current == refused:
            return None
        self._kept[client_id] = current
        return current

    def _hook(self, client_id: str) -> ClientTokenHook:
        return ClientTokenHook.for_client(client_id, self._template)
