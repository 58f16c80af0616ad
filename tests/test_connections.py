# SPDX-License-Identifier: Apache-2.0
"""A connection that is there and cannot be used is said for what it is, and its value is never shown."""

from __future__ import annotations

import json
import logging
import re
from contextlib import suppress

import boto3
import pytest
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from airflow.providers.amazon.aws.secrets.systems_manager import SystemsManagerParameterStoreBackend
from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend
from support import ACTION_TYPE

from airflow_codepipeline_partner import _connections
from airflow_codepipeline_partner.client_tokens import ClientTokenHook
from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.exceptions import ClientConnectionError, RequestRefused

CLIENT_ID = "0a1b2c3d-0000-4000-8000-00000000beef"
CONN_ID = "codepipeline_client_0a1b2c3d_0000_4000_8000_00000000beef"
#: What Airflow 3.1 makes no connection of.
BEFORE_3_2 = "its JSON has other fields than Airflow's, or values of another type"
TOKEN = "planted/token?of#a:client@1%zz"


class Backend:
    """A secrets backend of the user's own; Airflow's Vault and Secrets Manager ones have the same methods."""

    def __init__(self, value, error=None):
        self.value, self.error = value, error

    def get_conn_value(self, conn_id, team_name=None):
        if self.error:
            raise self.error
        return self.value

    def get_connection(self, conn_id):
        return None

    def deserialize_connection(self, conn_id, value):
        return ExecutionAPISecretsBackend().deserialize_connection(conn_id=conn_id, value=value)


def refusal_of(monkeypatch, value):
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", value)
    with pytest.raises(ClientConnectionError) as refusal:
        ClientTokenHook.for_client(CLIENT_ID).get_token(CLIENT_ID)
    assert refusal.value.conn_id == CONN_ID
    said = str(refusal.value)
    assert CONN_ID in said
    assert "There is no" not in said
    for part in ("planted", TOKEN):
        assert part not in said
    return said


def as_json(**members):
    return json.dumps({"conn_type": "codepipeline_partner_client", "login": CLIENT_ID, **members})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"codepipeline-partner-client://{CLIENT_ID}:planted/token@", "its URI cannot be read"),
        (f"codepipeline-partner-client://{CLIENT_ID}:12/planted@", "must be percent-encoded"),
        (f"codepipeline-partner-client://{CLIENT_ID}:planted?token@", "must be percent-encoded"),
        (f"codepipeline-partner-client://{CLIENT_ID}:planted#token@", "must be percent-encoded"),
        ("codepipeline-partner-client://a://b:planted@c://d", "its URI cannot be read"),
        (f"codepipeline_partner_client://{CLIENT_ID}:planted@", "has - in the place of _"),
        ("planted", "has no client token"),
        ("{planted", "its value is neither a URI nor valid JSON"),
        (json.dumps({"client_id": CLIENT_ID, "client_token": "planted"}), "its JSON has other fields"),
        (json.dumps({"conn_type": "a", "login": CLIENT_ID, "pass": "planted"}), "its JSON has other fields"),
        (as_json(password="planted", port="planted"), "values of another type"),
        (as_json(password=["planted"]), "password"),
        (as_json(password="planted\n"), "white space or a line break"),
        (as_json(password="planted\r\n"), "white space or a line break"),
        (as_json(password=" planted"), "white space or a line break"),
        (as_json(password="\tplanted"), "white space or a line break"),
        (as_json(password='"planted"'), "quotation marks"),
        (as_json(password="'planted'"), "quotation marks"),
        (as_json(), "has no client token"),
        (as_json(token="planted"), "its JSON has other fields"),
        (as_json(extra={"token": "planted"}), "has no client token"),
    ],
)
def test_what_is_wrong_with_a_clients_connection(monkeypatch, value, said):
    assert said in refusal_of(monkeypatch, value)


@pytest.mark.parametrize("token", ["plain", TOKEN, 'in "the" middle', "a b", "ünï", "'", '"', "it's"])
def test_any_other_token_is_taken_by_uri_and_json(monkeypatch, token):
    from urllib.parse import quote

    for value in (
        as_json(password=token),
        f"codepipeline-partner-client://{CLIENT_ID}:{quote(token, safe='')}@",
    ):
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", value)
        assert ClientTokenHook.for_client(CLIENT_ID).get_token(CLIENT_ID).open() == token


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (Backend(None), None),
        (Backend(None, NotImplementedError()), None),
        (Backend(""), "Backend: its value is empty"),
        (Backend(b"planted"), "its value is not a text"),
        (Backend({"password": "planted"}), "its value is not a text"),
        (Backend('["planted"]'), "is JSON, but not an object"),
        (Backend('"planted"'), "is JSON, but not an object"),
        (Backend("plan ted"), "neither a URI nor valid JSON"),
        (Backend(None, PermissionError("planted")), "cannot be asked for it: PermissionError"),
        (Backend(None, RuntimeError("planted")), "cannot be asked for it: RuntimeError"),
    ],
)
def test_what_a_secrets_backend_has(monkeypatch, backend, said):
    monkeypatch.setattr(_connections, "secrets_backends", lambda: [Backend(None), backend])
    found = _connections.why_unusable("any")
    assert (found is None) is (said is None)
    assert said is None or said in found
    assert "planted" not in str(found)


@pytest.mark.parametrize(
    "content",
    [
        {CONN_ID: {"conn_type": "a", "login": CLIENT_ID, "password": "planted", "planted": 1}},
        {CONN_ID: 12},
        {"another": {"planted": 1}, CONN_ID: {"conn_type": "a", "login": CLIENT_ID, "password": "planted"}},
    ],
    ids=["unknown field", "number", "another's fault"],
)
def test_a_file_of_connections_that_cannot_be_read_is_said(monkeypatch, tmp_path, content):
    from airflow.secrets.local_filesystem import LocalFilesystemBackend

    path = tmp_path / "connections.json"
    path.write_text(json.dumps(content))
    backend = LocalFilesystemBackend(connections_file_path=str(path))
    monkeypatch.setattr(_connections, "secrets_backends", lambda: [backend])
    found = _connections.why_unusable(CONN_ID)
    assert found.startswith("LocalFilesystemBackend: Airflow cannot read it: ")
    assert "planted" not in found


class Supervisor:
    """What a task asks for connections: it gives one answer, or raises one error."""

    def __init__(self, answer):
        self.answer = answer

    def send(self, message):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def error_response(name):
    return ErrorResponse(error=getattr(ErrorType, name), detail={"detail": "planted"})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error_response("CONNECTION_NOT_FOUND"), "There is no Airflow connection"),
        (error_response("API_SERVER_ERROR"), "API server could not be asked: API_SERVER_ERROR"),
        (error_response("GENERIC_ERROR"), "API server could not be asked: GENERIC_ERROR"),
        (ConnectionResetError("planted"), "API server could not be asked: ConnectionResetError"),
        pytest.param(
            error_response("PERMISSION_DENIED") if hasattr(ErrorType, "PERMISSION_DENIED") else None,
            "may not be read by this task: Airflow denies it",
            marks=pytest.mark.skipif(
                not hasattr(ErrorType, "PERMISSION_DENIED"), reason="Airflow 3.1 does not tell denials apart."
            ),
        ),
    ],
)
def test_an_api_server_without_an_answer_is_said(monkeypatch, answer, said):
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(answer), raising=False)
    backends = [ExecutionAPISecretsBackend()]
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: backends)
    with pytest.raises(ClientConnectionError) as refusal:
        ClientTokenHook.for_client(CLIENT_ID).get_token(CLIENT_ID)
    assert said in str(refusal.value)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": 12}, f"its password is not a text|{BEFORE_3_2}"),
        ({"login": ["planted"]}, f"its login is not a text|{BEFORE_3_2}"),
        (
            {"password": "planted", "port": "planted"},
            "cannot be used: EnvironmentVariablesBackend: its JSON has",
        ),
    ],
)
def test_what_is_wrong_with_the_fields_of_a_connection(monkeypatch, fields, said):
    assert re.search(said, refusal_of(monkeypatch, as_json(**fields)))


def test_a_connection_that_is_there_a_moment_later_is_said(monkeypatch):
    backend = Backend(as_json(password="planted"))
    monkeypatch.setattr(_connections, "secrets_backends", lambda: [backend])
    assert "found only when asked for again" in _connections.why_unusable(CONN_ID)


#: The value of a connection in a secrets backend → what is said of it.
STORED = {
    as_json(password="planted"): None,
    f"codepipeline-partner-client://{CLIENT_ID}:planted@\n": None,
    f"codepipeline_partner_client://{CLIENT_ID}:planted@": "has no client token: its value is neither a URI",
    f"codepipeline-partner-client://{CLIENT_ID}:planted/token@x": "its URI cannot be read",
    as_json(password="planted\r\n"): "a line break at the beginning or end of its password",
    as_json(password="'planted'"): "quotation marks around its password",
    json.dumps({"client_id": CLIENT_ID, "client_token": "planted"}): "password is empty|has other fields",
    "planted": "has no client token: its value is neither a URI nor valid JSON",
    '["planted"]': "has no client token: its value is JSON, but not an object",
    as_json(password="planted").replace("}", ",}"): "its value cannot be read|neither a URI nor valid JSON",
    " ": "its value is empty",
    "\ufeff" + as_json(password="planted"): "has no client token: its value is neither a URI nor valid JSON",
}


@pytest.fixture(scope="module")
def store_in_backend():
    """Return a function that gives a connection a value in one of AWS's stores, and the backend for that."""
    with Emulator() as emulator, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", emulator.url)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        manager, parameters = boto3.client("secretsmanager"), boto3.client("ssm")
        # moto keeps it for the next emulator of this process.
        with suppress(manager.exceptions.ResourceExistsException):
            manager.create_secret(Name=f"airflow/connections/{CONN_ID}")

        def store(kind, value):
            if kind is SecretsManagerBackend:
                manager.put_secret_value(SecretId=f"airflow/connections/{CONN_ID}", SecretString=value)
                return kind(connections_prefix="airflow/connections")
            name = f"/airflow/connections/{CONN_ID}"
            parameters.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
            return kind(connections_prefix="/airflow/connections")

        yield store


@pytest.mark.parametrize("kind", [SecretsManagerBackend, SystemsManagerParameterStoreBackend])
@pytest.mark.parametrize("value", STORED)
def test_what_is_said_of_a_value_in_a_real_backend(monkeypatch, store_in_backend, kind, value):
    backends = [store_in_backend(kind, value)]
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: backends)
    hook = ClientTokenHook.for_client(CLIENT_ID)
    if STORED[value] is None:
        assert hook.get_token(CLIENT_ID).open() == "planted"
        return
    with pytest.raises(ClientConnectionError, match=STORED[value]) as refusal:
        hook.get_token(CLIENT_ID)
    said = str(refusal.value)
    assert "planted" not in said
    assert said.endswith(".")
    assert ".." not in said


def test_an_aws_connection_that_is_missing_is_named(monkeypatch, make_hook, emulator):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(RequestRefused, match="NoRegionError") as refusal:
        make_hook(aws_conn_id="aws_mistyped").poll(ACTION_TYPE)
    assert "'aws_mistyped' of type aws (Airflow has no connection of that name" in str(refusal.value)


def test_an_aws_connection_that_cannot_be_read_is_named(monkeypatch, make_hook, emulator):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_BROKEN", "aws://key:planted/secret@/?region_name=eu-west-1")
    with pytest.raises(RequestRefused, match="NoRegionError") as refusal:
        make_hook(aws_conn_id="aws_broken").poll(ACTION_TYPE)
    assert "it cannot be used, so boto3's defaults were" in str(refusal.value)
    assert "planted" not in str(refusal.value)


def test_airflow_does_not_warn_of_the_connections_type(monkeypatch, caplog):
    """Airflow 3.1 did at each look-up."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", as_json(password="t"))
    with caplog.at_level(logging.DEBUG):
        BaseHook.get_connection(CONN_ID)
    assert "shall not contain" not in caplog.text
