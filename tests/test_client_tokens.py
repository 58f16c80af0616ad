# SPDX-License-Identifier: Apache-2.0
"""Client id → client token, through Airflow connections."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta

import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner import client_tokens
from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE, ClientTokenHook
from airflow_codepipeline_partner.emulator import Customer
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    CodePipelineProviderError,
    InvalidClientToken,
    LimitExceeded,
)
from airflow_codepipeline_partner.provider_info import CLIENT_FORM, get_provider_info

CLIENT_ID = "0a1b2c3d-0000-4000-8000-00000000beef"
CONN_ID = "codepipeline_client_0a1b2c3d_0000_4000_8000_00000000beef"
TOKEN = "planted-client-token-7f3a"
CUSTOMER = Customer(CLIENT_ID, TOKEN)


def masked(text: str) -> str:
    """A text as Airflow's log shows it."""
    from airflow.sdk.log import mask_logs

    return mask_logs(None, "info", {"event": text})["event"]


def get_token(**parameters):
    return ClientTokenHook.for_client(CLIENT_ID, **parameters).get_token(CLIENT_ID).open()


# The connection id.


def test_the_client_id_makes_the_connection_id():
    """Its hyphens become underscores."""
    assert ClientTokenHook.for_client(CLIENT_ID).client_conn_id == CONN_ID
    assert DEFAULT_TEMPLATE == "codepipeline_client_{client_id}"


@pytest.mark.parametrize(
    ("template", "conn_id"),
    [
        ("{client_id}", "0a1b2c3d_0000_4000_8000_00000000beef"),
        ("eu-{client_id}-token", "eu-0a1b2c3d_0000_4000_8000_00000000beef-token"),
        ("one_for_all", "one_for_all"),
    ],
)
def test_another_template_makes_another_connection_id(template, conn_id):
    assert ClientTokenHook.for_client(CLIENT_ID, template).client_conn_id == conn_id


@pytest.mark.parametrize(
    "template", ["{planted}", "{}", "{0}", "{client_id", "}", "{client_id.planted}", "{client_id[planted]}"]
)
def test_a_template_that_cannot_be_filled_in_is_not_shown(template):
    """It is refused."""
    with pytest.raises(ClientConnectionError, match="client_conn_id_template") as refusal:
        ClientTokenHook.for_client(CLIENT_ID, template)
    assert "planted" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_hook_has_a_connection_id_by_default():
    """Airflow expects it."""
    assert ClientTokenHook().client_conn_id == ClientTokenHook.default_conn_name


# The token.


def test_the_token_is_the_connections_password(store_token):
    store_token(CUSTOMER)
    assert get_token() == TOKEN


def test_a_connection_without_a_client_id_serves_its_client(store_token):
    """Its own connection id names the client."""
    store_token(CUSTOMER, login=None)
    assert get_token() == TOKEN


def test_codepipelines_hook_finds_the_token_by_its_template(monkeypatch, make_hook):
    connection = {"conn_type": "codepipeline_partner_client", "login": CLIENT_ID, "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_MINE_0A1B2C3D_0000_4000_8000_00000000BEEF", json.dumps(connection))
    assert make_hook(client_conn_id_template="mine_{client_id}").client_token(CLIENT_ID) == TOKEN


@pytest.mark.parametrize("length", [1, 256])
def test_a_token_within_its_limits_is_taken(store_token, length):
    store_token(CUSTOMER, password="t" * length)
    assert get_token() == "t" * length


def test_a_token_over_its_limit_is_refused_and_not_shown(store_token):
    store_token(CUSTOMER, password=TOKEN + "x" * 256)
    with pytest.raises(LimitExceeded, match="clientToken has 281 characters") as refusal:
        get_token()
    assert TOKEN not in str(refusal.value)


@pytest.mark.parametrize("password", [None, ""])
def test_an_empty_token_is_refused_by_the_connections_name(store_token, password):
    conn_id = store_token(CUSTOMER, password=password)
    with pytest.raises(ClientConnectionError, match="has no client token") as refusal:
        get_token()
    assert refusal.value.conn_id == conn_id
    assert conn_id in str(refusal.value)


def test_the_connection_of_another_client_is_refused(store_token):
    """Neither its login nor its token is shown."""
    conn_id = store_token(CUSTOMER, login="planted-other-client")
    with pytest.raises(ClientConnectionError, match=f"is not that of client {CLIENT_ID}") as refusal:
        get_token()
    assert refusal.value.conn_id == conn_id
    assert "planted" not in str(refusal.value)


def test_the_token_is_known_to_airflows_masker(store_token):
    token = "planted-masked-token-55c1"
    store_token(CUSTOMER, password=token)
    get_token()
    assert masked(f"A log line with {token} in it.") == "A log line with *** in it."


def test_a_token_that_stays_inside_is_not_taught(store_token):
    conn_id = store_token(CUSTOMER, password="planted-and-inside")
    token = ClientTokenHook(conn_id).get_token(CUSTOMER.client_id, unmasked=True)
    assert token.open() == "planted-and-inside"
    assert masked("planted-and-inside") == "planted-and-inside"


@pytest.mark.parametrize("trouble", ["missing", "broken", "denied", "later"])
def test_what_is_not_found_so_is_for_airflow_to_say(store_token, monkeypatch, trouble):
    class Backend:
        def get_connection(self, conn_id):
            if trouble in ("missing", "later"):
                return None
            raise PermissionError if trouble == "denied" else RuntimeError("planted")

    monkeypatch.setattr(client_tokens, "secrets_backends", lambda: [Backend()])
    if trouble == "later":
        store_token(CUSTOMER)
        token = ClientTokenHook.for_client(CUSTOMER.client_id).get_token(CUSTOMER.client_id, unmasked=True)
        assert token.open() == CUSTOMER.client_token
        return
    with pytest.raises(ClientConnectionError, match="There is no Airflow connection"):
        ClientTokenHook.for_client(CUSTOMER.client_id).get_token(CUSTOMER.client_id, unmasked=True)


def test_a_refused_token_is_known_to_airflows_masker(store_token):
    token = "planted-of-another-client-91d0"
    store_token(CUSTOMER, login="another-client", password=token)
    with pytest.raises(ClientConnectionError):
        get_token()
    assert token not in masked(f"A log line with {token} in it.")


# A connection that is missing.


def missing() -> ClientConnectionError:
    with pytest.raises(ClientConnectionError) as refusal:
        get_token()
    return refusal.value


def test_a_missing_connection_is_named_with_its_client():
    error = missing()
    assert error.conn_id == CONN_ID
    assert CONN_ID in str(error)
    assert CLIENT_ID in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


# Airflow 3.1's parser imports its API server, with old names of its own and of starlette's.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_command_for_a_missing_connection_adds_it(monkeypatch, store_token):
    """Airflow takes the command that the error names, and the token is found then."""
    from airflow.cli.cli_parser import get_parser

    found = re.search(r"Add it: (airflow .*)", str(missing()))
    assert found
    command = shlex.split(found[1].replace("<client token>", TOKEN))
    parsed = get_parser().parse_args(command[1:])
    assert parsed.func is not None
    assert command[1:3] == ["connections", "add"]
    assert parsed.conn_id == CONN_ID
    # What the command would store is what the hook looks for.
    stored = {
        "conn_type": parsed.conn_type,
        "login": parsed.conn_login,
        "password": parsed.conn_password,
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(stored))
    assert get_token() == TOKEN
    assert parsed.conn_type == ClientTokenHook.conn_type
    assert parsed.conn_login == CLIENT_ID


# A token that was rotated, over the emulator.


@pytest.fixture
def claimed(emulator, customer, make_hook):
    """A claimed job, and the hook that claimed it."""
    emulator.start_execution("pipe")
    hook = make_hook()
    [offered] = hook.poll(ACTION_TYPE)
    return hook, hook.claim(offered)


def outcomes(emulator, operation):
    return [entry.outcome for entry in emulator.ledger.where(kind="call", operation=operation)]


def test_a_rotated_token_is_looked_up_once_more(emulator, claimed, store_token, monkeypatch):
    """It was stored anew."""
    hook, job = claimed
    # The hook keeps the token of the claim until it is refused.
    found = iter([emulator.rotate_token(job.client_id).client_token])
    monkeypatch.setattr(
        "airflow_codepipeline_partner.client_tokens.ClientTokenHook.get_connection",
        classmethod(
            lambda cls, conn_id: type("Found", (), {"login": job.client_id, "password": next(found)})
        ),
    )
    hook.succeed(job)
    assert outcomes(emulator, "PutThirdPartyJobSuccessResult") == ["InvalidClientTokenException", "ok"]
    assert len(emulator.ledger.terminal_results(job.job_id)) == 1


def test_a_cached_token_is_looked_up_again_when_refused(emulator, claimed, store_token, monkeypatch):
    from airflow.sdk.execution_time.cache import SecretCache

    hook, job = claimed
    # Only a DAG processor, which runs callbacks, remembers connections.
    monkeypatch.setenv("AIRFLOW__SECRETS__USE_CACHE", "True")
    # In place of the cache that processes share, which starts a process of its own.
    monkeypatch.setattr(SecretCache, "_cache", {})
    monkeypatch.setattr(SecretCache, "_ttl", timedelta(minutes=15), raising=False)
    former = hook.client_token(job.client_id)
    store_token(emulator.rotate_token(job.client_id))
    assert hook.client_token(job.client_id) == former
    hook.succeed(job)
    assert outcomes(emulator, "PutThirdPartyJobSuccessResult") == ["InvalidClientTokenException", "ok"]


@pytest.mark.parametrize(
    "end",
    [lambda hook, job: hook.succeed(job), lambda hook, job: hook.fail(job, message="m")],
    ids=["succeed", "fail"],
)
def test_a_rotated_token_not_stored_is_an_invalid_token(emulator, claimed, end):
    hook, job = claimed
    token = hook.client_token(job.client_id)
    emulator.rotate_token(job.client_id)
    with pytest.raises(InvalidClientToken, match="store the customer's current token") as refusal:
        end(hook, job)
    assert refusal.value.job_id == job.job_id
    assert refusal.value.retryable
    assert token not in str(refusal.value)
    assert [entry.outcome for entry in emulator.ledger.puts()] == ["InvalidClientTokenException"]


def test_a_token_stored_before_the_call_is_simply_used(emulator, claimed, store_token, make_hook):
    _, job = claimed
    store_token(emulator.rotate_token(job.client_id))
    make_hook().succeed(job)
    assert outcomes(emulator, "PutThirdPartyJobSuccessResult") == ["ok"]


def test_a_hook_looks_a_token_up_once(emulator, claimed, store_token, monkeypatch):
    hook, job = claimed
    looked_up, get_token = [], ClientTokenHook.get_token

    def counted(self, client_id, **how):
        looked_up.append(client_id)
        return get_token(self, client_id, **how)

    monkeypatch.setattr(ClientTokenHook, "get_token", counted)
    hook.details(job)
    hook.details(job)
    assert looked_up == []
    store_token(emulator.rotate_token(job.client_id))
    hook.details(job)
    hook.succeed(job)
    assert looked_up == [job.client_id]


def test_a_new_token_refused_too_is_not_looked_up_for_ever(emulator, claimed, monkeypatch):
    hook, job = claimed
    emulator.rotate_token(job.client_id)
    found = iter(["planted-wrong-one", "planted-wrong-two"])
    monkeypatch.setattr(
        "airflow_codepipeline_partner.client_tokens.ClientTokenHook.get_connection",
        classmethod(
            lambda cls, conn_id: type("Found", (), {"login": job.client_id, "password": next(found)})
        ),
    )
    with pytest.raises(InvalidClientToken) as refusal:
        hook.succeed(job)
    assert "planted" not in str(refusal.value)
    assert outcomes(emulator, "PutThirdPartyJobSuccessResult") == ["InvalidClientTokenException"] * 2
    assert next(found) == "planted-wrong-two"


# The form, and the test button.


def test_the_form_shows_client_id_and_client_token_only():
    form = ClientTokenHook.get_ui_field_behaviour()
    assert form == {
        "hidden_fields": ["host", "port", "schema", "extra"],
        "relabeling": {"login": "Client ID", "password": "Client token"},
        "placeholders": CLIENT_FORM["placeholders"],
    }
    # Airflow 3.1 takes the form from the hook, later ones from the provider's registration.
    [connection_type] = get_provider_info()["connection-types"]
    assert connection_type["ui-field-behaviour"] is CLIENT_FORM
    assert connection_type["connection-type"] == ClientTokenHook.conn_type
    assert connection_type["hook-name"] == ClientTokenHook.hook_name


def test_a_connection_with_client_id_and_token_tests_well(store_token):
    store_token(CUSTOMER)
    ok, message = ClientTokenHook.for_client(CLIENT_ID).test_connection()
    assert ok
    assert TOKEN not in message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"login": None}, "Client ID (login) is missing."),
        ({"login": ""}, "Client ID (login) is missing."),
        ({"password": None}, "has no client token"),
        ({"password": TOKEN * 20}, "clientToken has 500 characters"),
    ],
    ids=str,
)
def test_a_connection_that_would_not_work_says_why(store_token, changed, said):
    store_token(CUSTOMER, **changed)
    ok, message = ClientTokenHook.for_client(CLIENT_ID).test_connection()
    assert not ok
    assert said in message
    assert TOKEN not in message


@pytest.mark.parametrize(
    ("check_first", "token", "ok", "said"),
    [
        ("token", TOKEN, True, "and CodePipeline knows the token."),
        ("token", "planted-of-nobody", False, "does not know the client token"),
        ("job", "planted-of-nobody", True, "CodePipeline checks them with the first job."),
    ],
)
def test_the_test_asks_codepipeline(emulator, aws_connection, store_token, check_first, token, ok, said):
    emulator.configure(check_first=check_first)
    store_token(emulator.add_customer(CLIENT_ID, TOKEN), password=token)
    tested = ClientTokenHook.for_client(CLIENT_ID).test_connection()
    assert tested[0] is ok
    assert said in tested[1]
    assert token not in tested[1]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_a_token_is_not_blamed_for_another_refusal(emulator, aws_connection, store_token, code):
    emulator.inject("error", "GetThirdPartyJobDetails", code=code, message=TOKEN, times=None)
    store_token(CUSTOMER)
    ok, message = ClientTokenHook.for_client(CLIENT_ID).test_connection()
    assert ok
    assert f"could not be asked by aws_default ({code})" in message
    assert TOKEN not in message


def test_an_aws_connection_without_a_region_is_said(store_token, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "password": TOKEN}))
    store_token(CUSTOMER)
    ok, message = ClientTokenHook.for_client(CLIENT_ID).test_connection()
    assert ok
    assert "NoRegionError" in message
    assert TOKEN not in message


def test_airflows_button_gets_the_answer(emulator, aws_connection, store_token, monkeypatch):
    """As Airflow's API server does it: an id that is nobody's, in the environment for a moment."""
    from airflow.models.connection import Connection

    emulator.configure(check_first="token")
    emulator.add_customer(CLIENT_ID, TOKEN)
    fields = {"conn_type": ClientTokenHook.conn_type, "login": CLIENT_ID, "password": "planted-of-nobody"}
    connection = Connection(conn_id="for_a_moment", **fields)
    monkeypatch.setenv("AIRFLOW_CONN_FOR_A_MOMENT", connection.get_uri())
    ok, message = connection.test_connection()
    assert (ok, "does not know the client token" in message) == (False, True)


def test_every_error_of_a_look_up_is_ours(store_token):
    store_token(CUSTOMER, password=None)
    with pytest.raises(CodePipelineProviderError) as refusal:
        get_token()
    assert refusal.value.failure_type == "ConfigurationError"
