# SPDX-License-Identifier: Apache-2.0
"""Why an Airflow connection cannot be used: Airflow calls one that it cannot read missing."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import partial
from typing import Any

from airflow.sdk import BaseHook

from airflow_codepipeline_partner._compat import AirflowNotFoundException, api_server_error, secrets_backends
from airflow_codepipeline_partner._secrets import in_closed_frames

#: A URL's scheme, as RFC 3986 has it.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_JSON_FIELDS = "conn_type, login, password, host, schema, port and extra"
ESCAPE_ADVICE = (
    "In a URI, the characters / ? # @ : % of login and password must be percent-encoded, and the type has - "
    "in the place of _. JSON needs no such care."
)


def why_unusable(conn_id: str) -> str | None:
    """
    Return what is wrong with a connection that Airflow does not find. None if there is no such connection.

    The connection's value is never shown: it may be nothing but a secret.

    :param conn_id: The connection's id.
    """
    for backend in secrets_backends():
        name = type(backend).__name__
        fault = in_closed_frames(partial(_fault_in, backend, conn_id))
        if fault is not None:
            return f"{name}: {fault}"
    return None


def why_without_password(conn_id: str) -> str:
    """Return what to say of a connection that Airflow finds, but in which it reads no password."""
    empty = "its password is empty"
    for backend in secrets_backends():
        value = None
        # The value of one in Airflow's database is not known.
        with suppress(Exception):
            value = in_closed_frames(partial(backend.get_conn_value, conn_id))
        if value is not None:
            return empty if _is_uri(value) or isinstance(_json_of(value), dict) else _fault_of_value(value)
    return empty


def missing_note(conn_id: str) -> str | None:
    """
    Return what to say of an ``aws`` connection that Airflow does not find, in parentheses. None if it does.

    The amazon provider goes on without one, with boto3's default credentials and region.
    """
    try:
        in_closed_frames(partial(BaseHook.get_connection, conn_id))
    except AirflowNotFoundException:
        fault = why_unusable(conn_id)
    except Exception as error:
        return f" (Airflow could not look it up: {type(error).__name__})"
    else:
        return None
    if fault is not None:
        return f" (it cannot be used, so boto3's defaults were: {fault})"
    return " (Airflow has no connection of that name, so boto3's defaults were used)"


def _fault_in(backend: Any, conn_id: str) -> str | None:
    try:
        value = backend.get_conn_value(conn_id)
    except NotImplementedError:
        # It has whole connections: a file of them, or Airflow's own database.
        return _fault_of_look_up(backend, conn_id)
    except ValueError as error:
        return f"its value cannot be read: {type(error).__name__}"
    except Exception as error:
        return f"cannot be asked for it: {type(error).__name__}"
    if value is None:
        return None
    try:
        connection = backend.deserialize_connection(conn_id=conn_id, value=value)
    except Exception:
        return _fault_of_value(value)
    # Airflow makes a connection of nearly any text.
    is_one = _is_uri(value) or isinstance(_json_of(value), dict)
    return _fault_of_fields(connection) if is_one else _fault_of_value(value)


def _fault_of_look_up(backend: Any, conn_id: str) -> str | None:
    try:
        found = backend.get_connection(conn_id=conn_id)
    except PermissionError:
        return "Airflow does not let this task read it"
    except Exception as error:
        return f"Airflow cannot read it: {type(error).__name__}"
    if found is not None:
        return _fault_of_fields(found)
    # It calls a connection missing, too, if the API server has no answer.
    error_name = api_server_error(backend, conn_id)
    return None if error_name is None else f"Airflow's API server could not be asked: {error_name}"


def _fault_of_fields(connection: Any) -> str:
    """Return why Airflow does not use a connection that it can read."""
    for name in ("login", "password", "extra"):
        if not isinstance(getattr(connection, name, None), str | None):
            return f"its {name} is not a text"
    try:
        # Airflow does this at each look-up, and calls the connection missing if it fails.
        connection.get_uri()
    except Exception as error:
        return f"Airflow cannot write its fields as a URI: {type(error).__name__}"
    return "it was found only when asked for again. Try once more"


def _is_uri(value: object) -> bool:
    return isinstance(value, str) and _SCHEME.match(value) is not None


def _json_of(value: object) -> Any:
    """Return the value of a text of JSON; None if it is not one."""
    try:
        return json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _fault_of_value(value: object) -> str:
    """Return what is wrong with the value of a connection, of which Airflow cannot make one."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        return "its value is empty" if isinstance(value, str) else "its value is not a text"
    if _is_uri(text):
        return f"its URI cannot be read. {ESCAPE_ADVICE}"
    held = _json_of(text)
    if held is None:
        return f"its value is neither a URI nor valid JSON. {ESCAPE_ADVICE}"
    if not isinstance(held, dict):
        return f"its value is JSON, but not an object. Give an object with {_JSON_FIELDS}."
    return f"its JSON has other fields than Airflow's, or values of another type. They are {_JSON_FIELDS}."
