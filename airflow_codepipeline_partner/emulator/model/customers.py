# SPDX-License-Identifier: Apache-2.0
"""The partner's customers and their tokens."""

from __future__ import annotations

import dataclasses
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.settings import Settings

CLIENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_CLIENT_TOKEN_CHARS = 256


@dataclasses.dataclass(frozen=True)
class Customer:
    """
    A customer's identity, as the partner stores it.

    :param client_id: UUID; each of the customer's jobs carries it.
    :param client_token: Its secret, 1 to 256 characters; not shown by ``repr``.
    """

    client_id: str
    client_token: str = dataclasses.field(repr=False)


class Customers:
    """Keep each customer's current token, and former ones while they overlap."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}
        self._former: dict[str, list[tuple[str, float]]] = {}
        #: The customers that have or had a token, by the token.
        self._holders: dict[str, list[str]] = {}

    def __contains__(self, client_id: object) -> bool:
        return isinstance(client_id, str) and client_id in self._current

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def add(self, client_id: str | None, client_token: str | None) -> Customer:
        """
        Add a customer.

        :param client_id: UUID in lower case; None makes one.
        :param client_token: 1 to 256 characters; None makes one.
        """
        client_id = str(uuid.uuid4()) if client_id is None else client_id
        if not isinstance(client_id, str) or not CLIENT_ID.fullmatch(client_id):
            raise ControlError(f"a client id is a UUID in lower case, not {client_id!r}")
        if client_id in self._current:
            raise ControlError(f"there is already a customer {client_id}", 409)
        customer = Customer(client_id, _token(client_token))
        self._give(customer)
        return customer

    def _give(self, customer: Customer) -> None:
        self._current[customer.client_id] = customer.client_token
        self._holders.setdefault(customer.client_token, []).append(customer.client_id)

    def rotate(self, client_id: str, client_token: str | None, former_until: float) -> Customer:
        """
        Give a customer a new token.

        :param client_token: 1 to 256 characters; None makes one.
        :param former_until: Until when the former token stays valid, in seconds since the epoch.
        """
        if client_id not in self:
            raise ControlError(f"there is no customer {client_id}", 404)
        customer = Customer(client_id, _token(client_token))
        self._former.setdefault(client_id, []).append((self._current[client_id], former_until))
        self._give(customer)
        return customer

    def accepts(self, client_id: str, client_token: str, now: float) -> bool:
        """Return whether the token is the customer's."""
        valid = [self._current[client_id]]
        valid += [token for token, until in self._former.get(client_id, ()) if now < until]
        # JSON can carry half of a surrogate pair, which is not UTF-8.
        given = client_token.encode(errors="surrogatepass")
        return any(hmac.compare_digest(token.encode(errors="surrogatepass"), given) for token in valid)

    def anyones(self, client_token: str, now: float) -> bool:
        """Return whether the token is valid for any customer."""
        holders = self._holders.get(client_token, ())
        return any(self.accepts(client_id, client_token, now) for client_id in holders)

    def connect_url(self, client_id: str, configuration_url: str, settings: Settings) -> str:
        """
        Return the URL that a customer's browser opens when they press Connect.

        AWS documents neither the names in the document nor how it travels; both are this emulator's reading.

        :param configuration_url: The partner's page, https.
        """
        if client_id not in self:
            raise ControlError(f"there is no customer {client_id}", 404)
        try:
            page = urlsplit(configuration_url)
        except ValueError:
            page = urlsplit("")
        if page.scheme != "https" or not page.netloc:
            raise ControlError(f"a configuration URL is https, not {configuration_url!r}")
        values = (client_id, self._current[client_id], str(uuid.uuid4()))
        document = json.dumps(dict(zip(settings.connect_members, values, strict=True)))
        parameter = f"{settings.connect_parameter}={quote(document, safe='')}"
        return page._replace(query=f"{page.query}&{parameter}" if page.query else parameter).geturl()


def _token(client_token: str | None) -> str:
    if client_token is None:
        return secrets.token_urlsafe(32)
    if not isinstance(client_token, str) or not 1 <= len(client_token) <= MAX_CLIENT_TOKEN_CHARS:
        # The token stays out of the message: even a bad one may be a secret.
        raise ControlError(f"a client token has 1 to {MAX_CLIENT_TOKEN_CHARS} characters")
    return client_token
