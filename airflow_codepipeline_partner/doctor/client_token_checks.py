# SPDX-License-Identifier: Apache-2.0
"""Checks of partner customers' client tokens: each is stored as it must be, and CodePipeline knows it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_codepipeline_partner._client_conn_ids import client_conn_id
from airflow_codepipeline_partner._secrets import Secret
from airflow_codepipeline_partner._token_probe import TokenProbe, TokenState
from airflow_codepipeline_partner.client_tokens import ClientTokenHook
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase
from airflow_codepipeline_partner.doctor.aws_access import AwsAccess
from airflow_codepipeline_partner.doctor.examination import for_each
from airflow_codepipeline_partner.doctor.findings import (
    CannotCheck,
    Finding,
    LeftOut,
    failed,
    passed,
    unknown,
)
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError

#: How many tokens are looked up and tried at one time; boto3's client has as many connections.
AT_ONCE = 10
#: How long all of them may take, in seconds.
LIMIT = 600.0


@dataclass(frozen=True)
class Client:
    """
    A client whose token is checked.

    :param conn_id: Its connection.
    :param client_id: Its id; None if the connection has none.
    """

    conn_id: str
    client_id: str | None

    @property
    def name(self) -> str:
        """How it is named in findings."""
        return self.client_id or self.conn_id


def clients_to_check(
    client_ids: Sequence[str], template: str, database: AirflowDatabase
) -> tuple[list[Client], Finding | None]:
    """
    Return the clients that are named, or else those of the connections in Airflow's database.

    :param client_ids: The clients that are named.
    :param template: The template of their connection ids.
    :param database: Airflow's database.
    :return: The clients, and why there may be more.
    """
    if client_ids:
        return [Client(client_conn_id(each, template), each) for each in dict.fromkeys(client_ids)], None
    try:
        stored = database.client_connections()
    except CannotCheck as why:
        return [], unknown(
            f"The clients' connections could not be listed: {why.finding.what}",
            "Name clients with --client-id.",
        )
    return [Client(conn_id, login or None) for conn_id, login in stored], None


class ClientTokens:
    """
    Check the tokens of clients.

    :param aws: The way to AWS.
    :param clients: What returns the clients, and a finding in the place of those that could not be found.
    :param template: The template of the connection ids that DAGs use.
    """

    def __init__(
        self,
        aws: AwsAccess,
        clients: Callable[[], tuple[list[Client], Finding | None]],
        template: str,
    ) -> None:
        self._aws = aws
        self._clients = clients
        self._template = template
        self._is_empty = False
        self._bad: dict[Client, Finding] = {}
        self._tokens: dict[Client, Secret] = {}
        self._states: dict[Client, TokenState] = {}

    def check_stored(self) -> Iterator[Finding]:
        """Check that each token can be looked up and has the right form."""
        clients, why = self._clients()
        if why is not None:
            yield why
            return
        if not clients:
            self._is_empty = True
            yield passed(
                "Airflow's database has no connection of a client; others are checked by --client-id."
            )
            return
        with _Progress("Client tokens looked up", len(clients)) as advance:
            for_each(clients, lambda client: self._look_up(client, advance), AT_ONCE)
        yield from (self._bad[client] for client in clients if client in self._bad)
        if self._tokens:
            yield passed(f"{len(self._tokens)} of {len(clients)} client tokens are stored as they must be.")

    def check_known(self) -> Iterator[Finding]:
        """Check that CodePipeline knows each token that could be looked up."""
        if not self._tokens:
            if not self._is_empty:
                # The check of what is stored says why.
                raise LeftOut
            yield passed("There is no token to ask CodePipeline about.")
            return
        self._aws.check_answers()
        probe = TokenProbe(self._aws.client("codepipeline"))
        if not probe.refuses_unknown_tokens():
            yield self._not_checked(probe)
            return
        tokens = list(self._tokens)
        with _Progress("Client tokens asked about", len(tokens)) as advance:
            for_each(tokens, lambda client: self._ask(client, probe, advance), AT_ONCE)
        for client in tokens:
            if self._states[client] is TokenState.REFUSED:
                yield failed(
                    f"CodePipeline does not know the token of client {client.name}.",
                    f"Store the customer's current token in the connection {client.conn_id}.",
                    client.name,
                )
        known = sum(state is TokenState.KNOWN for state in self._states.values())
        if known:
            yield passed(f"CodePipeline knows {known} of {len(tokens)} client tokens.")
        silent = sum(state is TokenState.NO_ANSWER for state in self._states.values())
        if silent:
            yield unknown(
                f"CodePipeline did not say whether it knows {silent} of {len(tokens)} client tokens "
                f"({probe.trouble}).",
                "Run it again; see what the checks of AWS say.",
            )

    def _look_up(self, client: Client, advance: Callable[[], None]) -> None:
        fault = self._fault_of(client)
        if fault is not None:
            self._bad[client] = fault
        advance()

    def _fault_of(self, client: Client) -> Finding | None:
        if client.client_id is None:
            return failed(
                f"The connection {client.conn_id!r} has no client id.", "Set its login to it.", client.conn_id
            )
        expected = client_conn_id(client.client_id, self._template)
        if client.conn_id.lower() != expected.lower():
            return failed(
                f"The token of client {client.client_id} is in the connection {client.conn_id!r}, but DAGs "
                f"look for {expected!r}.",
                "Rename the connection, or give client_conn_id_template in the DAGs and "
                "--client-conn-id-template here.",
                client.client_id,
            )
        try:
            self._tokens[client] = ClientTokenHook(client.conn_id).get_token(client.client_id, unmasked=True)
        except CodePipelineProviderError as error:
            # Its text is ours, and holds no token.
            return failed(str(error), "Correct the connection.", client.client_id)
        except Exception as error:
            return unknown(
                f"The token of client {client.client_id} could not be looked up: {type(error).__name__}.",
                "Check the secrets backend.",
                client.client_id,
            )
        return None

    def _ask(self, client: Client, probe: TokenProbe, advance: Callable[[], None]) -> None:
        self._states[client] = probe.state_of(self._tokens[client])
        advance()

    def _not_checked(self, probe: TokenProbe) -> Finding:
        number = len(self._tokens)
        if probe.trouble is not None:
            return unknown(
                f"CodePipeline could not be asked about {number} client tokens: it gave {probe.trouble}.",
                "See what the checks of AWS and of permissions say.",
            )
        return unknown(
            f"CodePipeline says nothing about {number} client tokens without a job: it looks for the job "
            "first.",
            "Start a customer's pipeline, or have the customer start it: the first job shows it.",
        )


class _Progress:
    def __init__(self, title: str, total: int) -> None:
        # Only a terminal has one.
        self._bar: Any = None
        if sys.stderr.isatty() and total > AT_ONCE:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> Callable[[], None]:
        if self._bar is None:
            return lambda: None
        self._bar.start()
        return lambda: self._bar.advance(self._task)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
