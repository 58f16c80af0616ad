# SPDX-License-Identifier: Apache-2.0
"""Airflow's REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import tenacity

_SECONDS = 10
_BUSY_TRIES = 5
_BUSY_PAUSE = 0.2
_OPENER = build_opener(ProxyHandler({}))


class AirflowFailed(Exception):
    """
    Airflow did not do what it was asked to.

    :param log: The log file with the reason, if there is one.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class AirflowBusy(AirflowFailed):
    """
    Airflow's server failed, and a second request may succeed.

    On SQLite this happens if it writes its own log while a task's request holds the database: each waits for
    the other until the first one gives up.
    """


class RestApi:
    """
    Airflow's REST API for one user, who logs in at the first call.

    :param url: Of Airflow's api-server.
    :param user: The user's name.
    :param password: The user's password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._credentials = {"username": user, "password": password}
        self._access_token: str | None = None

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, authorized: bool = True
    ) -> Any:
        """
        Call the API.

        :param method: HTTP method.
        :param path: What follows ``/api/v2``, with the query.
        :param body: JSON to send.
        :param authorized: Whether the call is the user's.
        :return: The JSON of the answer, or None.
        :raises AirflowFailed: It was refused, or failed again and again.
        """
        headers = {}
        if authorized:
            if self._access_token is None:
                self._access_token = self._request("POST", "/auth/token", self._credentials)["access_token"]
            headers["Authorization"] = f"Bearer {self._access_token}"
        return self._request(method, f"/api/v2{path}", body, headers)

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(AirflowBusy),
        stop=tenacity.stop_after_attempt(_BUSY_TRIES),
        wait=tenacity.wait_fixed(_BUSY_PAUSE),
        reraise=True,
    )
    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        request = Request(self._url + path, data, all_headers, method=method)  # noqa: S310 - the scheme is ours
        try:
            with _OPENER.open(request, timeout=_SECONDS) as response:
                text = response.read()
        except HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:500]
            # The request's body stays out of the message: it may hold a connection's password.
            kind = AirflowBusy if error.code >= 500 else AirflowFailed
            raise kind(f"{method} {urlsplit(path).path} was answered with {error.code}: {said}") from None
        except TimeoutError:
            # A request that changes nothing can be repeated.
            kind = AirflowBusy if method == "GET" else AirflowFailed
            raise kind(f"{method} {urlsplit(path).path} had no answer in {_SECONDS} s") from None
        return json.loads(text) if text else None
