# SPDX-License-Identifier: Apache-2.0
"""From what Airflow's table of XComs holds to a record, whichever XCom backend wrote it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

log = logging.getLogger(__name__)

#: After so many errors of the XCom backend it is not asked again for the same page or check.
MAX_BACKEND_ERRORS = 3


class RecordValues:
    """
    Reads the values of one page, or of one check.

    :param backend: Airflow's XCom class; for tests. By default the one that Airflow is configured with.
    """

    def __init__(self, backend: Any = None) -> None:
        self._backend = backend
        self._errors = 0

    def read_text(self, key: str, text: str | None) -> tuple[Mapping[str, Any] | None, str | None]:
        """
        Return a record, and what is wrong with it.

        :param key: The XCom's key.
        :param text: What the table holds, as its text; None if it holds nothing.
        """
        try:
            return self.read(key, None if text is None else json.loads(text))
        except (ValueError, RecursionError):
            return None, "The record is no JSON."

    def read(self, key: str, value: Any) -> tuple[Mapping[str, Any] | None, str | None]:
        """
        Return a record, and what is wrong with it.

        :param key: The XCom's key.
        :param value: What the table holds; None if it holds nothing.
        """
        if value is None:
            return None, None
        if isinstance(value, Mapping):
            return value, None
        if self._errors >= MAX_BACKEND_ERRORS:
            return None, "Airflow's XCom backend does not answer."
        try:
            backend = self._backend_class()
            # Airflow's own keeps nothing elsewhere.
            found = (
                value
                if _is_airflows(backend)
                else backend.deserialize_value(SimpleNamespace(key=key, value=value))
            )
        except Exception as error:
            # Of whatever kind, and its text may hold anything.
            self._errors += 1
            log.warning("A record %s cannot be read: %s.", key, type(error).__name__)
            return None, f"Airflow's XCom backend cannot read the record ({type(error).__name__})."
        if not isinstance(found, Mapping):
            return None, "The record is no mapping."
        return found, None

    def _backend_class(self) -> Any:
        if self._backend is None:
            from airflow_codepipeline_partner._compat import XCom

            self._backend = XCom
        return self._backend


def _is_airflows(backend: Any) -> bool:
    from airflow.sdk.bases.xcom import BaseXCom

    return backend is BaseXCom


def json_text(column: Any) -> Any:
    """
    Return a column of JSON values as one of their texts, for :meth:`RecordValues.read_text`.

    SQLite stores what is no JSON. If the database's driver reads the values, one such value ends the query.

    :param column: The column.
    """
    from sqlalchemy import Text, cast

    return cast(column, Text)
