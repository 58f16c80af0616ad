# SPDX-License-Identifier: Apache-2.0
"""The checks of client tokens, against the emulator."""

from __future__ import annotations

import io
import json
import sys
import uuid
from contextlib import suppress

import pytest

from airflow_codepipeline_partner.client_tokens import ClientTokenHook
from airflow_codepipeline_partner.doctor import client_token_checks
from airflow_codepipeline_partner.doctor.client_token_checks import Client, ClientTokens, clients_to_check
from airflow_codepipeline_partner.doctor.findings import CannotCheck, LeftOut, Outcome

PASS, FAIL, UNKNOWN = Outcome
TEMPLATE = "codepipeline_client_{client_id}"


class Stored:
    """Airflow's database, with these connections."""

    def __init__(self, *stored):
        self.stored = stored

    def client_connections(self):
        if self.stored == ("away",):
            raise CannotCheck("Airflow's database could not be read (OperationalError).", "Migrate it.")
        return list(self.stored)


@pytest.fixture
def partner(emulator, connect):
    return connect(emulator.url, is_partner=True)


@pytest.fixture
def check(partner):
    """Return a function that checks the tokens of clients: what is stored, and what CodePipeline knows."""

    def run(*client_ids, database=None, template=TEMPLATE):
        tokens = ClientTokens(
            partner, lambda: clients_to_check(client_ids, template, database or Stored()), template
        )
        found = list(tokens.check_stored()), []
        # Nothing, if it is left out.
        with suppress(LeftOut):
            found[1].extend(tokens.check_known())
        for each in (*found[0], *found[1]):
            assert "planted" not in each.what + each.to_do
            assert bool(each.to_do) is (each.outcome is not PASS)
        return found

    return run


@pytest.fixture
def add(emulator, store_token):
    """Add a customer, and store a token."""

    def one(number=0, **changed):
        client_id = str(uuid.UUID(int=number + 1, version=4))
        customer = emulator.add_customer(client_id, f"planted-token-{number}")
        store_token(customer, **changed)
        return client_id

    return one


def outcomes(found):
    return [(each.outcome, each.subject) for each in found]


def test_tokens_that_codepipeline_knows_pass(emulator, check, add):
    emulator.configure(check_first="token")
    stored, known = check(*(add(number) for number in range(25)))
    assert [each.what for each in stored] == ["25 of 25 client tokens are stored as they must be."]
    assert [each.what for each in known] == ["CodePipeline knows 25 of 25 client tokens."]


def test_a_token_that_it_does_not_know_fails_with_its_client(emulator, check, add):
    emulator.configure(check_first="token")
    good, bad = add(1), add(2, password="planted-token-old")
    stored, known = check(good, bad)
    assert outcomes(stored) == [(PASS, None)]
    assert outcomes(known) == [(FAIL, bad), (PASS, None)]
    assert f"codepipeline_client_{bad.replace('-', '_')}" in known[0].to_do


def test_nothing_is_claimed_if_the_job_is_looked_for_first(check, add):
    _, [known] = check(add(1, password="planted-token-old"))
    assert (known.outcome, "it looks for the job first" in known.what) == (UNKNOWN, True)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalFailure"])
def test_an_answer_about_something_else_is_unknown(emulator, check, add, code):
    emulator.inject("error", "GetThirdPartyJobDetails", code=code, message="planted", times=None)
    _, [known] = check(add())
    assert (known.outcome, code in known.what) == (UNKNOWN, True)


def test_a_refusal_in_the_middle_leaves_the_others(emulator, check, add):
    emulator.configure(check_first="token")
    clients = [add(number) for number in range(3)]
    # The first question is the one with a token that no client has.
    asked = []
    client = client_token_checks.TokenProbe._code_of

    def once(self, token):
        asked.append(1)
        return "ThrottlingException" if len(asked) == 2 else client(self, token)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_token_checks.TokenProbe, "_code_of", once)
        _, known = check(*clients)
    assert outcomes(known) == [(PASS, None), (UNKNOWN, None)]
    assert "knows 2 of 3" in known[0].what
    assert "1 of 3 client tokens (ThrottlingException)" in known[1].what


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": ""}, "has no client token"),
        ({"password": " planted-token"}, "white space"),
        ({"login": "another"}, "its login is another client id"),
    ],
)
def test_a_token_stored_badly_fails(check, add, changed, said):
    good, bad = add(1), add(2, **changed)
    stored, _ = check(good, bad)
    assert outcomes(stored) == [(FAIL, bad), (PASS, None)]
    assert said in stored[0].what


def test_a_missing_connection_fails(check):
    [stored], known = check("no-such-client")
    assert (stored.outcome, "airflow connections add" in stored.what) == (FAIL, True)
    assert known == []


def test_a_backend_that_breaks_is_unknown(check, add, monkeypatch):
    def broken(self, client_id, **how):
        raise RuntimeError("planted-token")

    client_id = add()
    monkeypatch.setattr(ClientTokenHook, "get_token", broken)
    [stored], _ = check(client_id)
    assert (stored.outcome, stored.subject) == (UNKNOWN, client_id)


def test_those_of_the_database_are_checked(emulator, check, add):
    emulator.configure(check_first="token")
    client_id = add()
    conn_id = f"codepipeline_client_{client_id.replace('-', '_')}"
    stored, known = check(database=Stored((conn_id, client_id), ("nameless", ""), ("elsewhere", client_id)))
    assert outcomes(stored) == [(FAIL, "nameless"), (FAIL, client_id), (PASS, None)]
    assert f"DAGs look for '{conn_id}'" in stored[1].what
    assert "knows 1 of 1" in known[0].what


def test_another_template_is_that_of_the_dags(check, monkeypatch):
    token = {"conn_type": "codepipeline_partner_client", "login": "a-b", "password": "planted-token"}
    monkeypatch.setenv("AIRFLOW_CONN_ACME_A_B", json.dumps(token))
    stored, _ = check("a-b", template="acme_{client_id}")
    assert outcomes(stored) == [(PASS, None)]


def test_no_clients_are_no_fault(check):
    [stored], [known] = check()
    assert (stored.outcome, known.outcome) == (PASS, PASS)


def test_a_database_that_is_away_is_unknown(check):
    [stored], _ = check(database=Stored("away"))
    assert (stored.outcome, stored.to_do) == (UNKNOWN, "Name clients with --client-id.")


def test_without_a_region_tokens_are_looked_up_all_the_same(connect, emulator, add):
    aws = connect(emulator.url, extra={"region_name": None}, is_partner=True)
    client_id = add()
    tokens = ClientTokens(
        aws,
        lambda: ([Client(f"codepipeline_client_{client_id}".replace("-", "_"), client_id)], None),
        TEMPLATE,
    )
    assert outcomes(tokens.check_stored()) == [(PASS, None)]
    with pytest.raises(CannotCheck, match="No region is set"):
        list(tokens.check_known())


class Terminal(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_sees_the_progress(check, add, monkeypatch, is_terminal):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal(is_terminal))
    check(*(add(number) for number in range(11)))
    shown = sys.stderr.getvalue()
    assert ("Client tokens looked up" in shown) is is_terminal
    assert "planted" not in shown


def test_airflows_masker_learns_none_of_them(emulator, check, add):
    from airflow.sdk.log import mask_logs

    emulator.configure(check_first="token")
    check(add())
    shown = mask_logs(None, "info", {"event": "planted-token-0"})
    assert shown["event"] == "planted-token-0"
