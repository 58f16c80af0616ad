# SPDX-License-Identifier: Apache-2.0
"""No secret is in a frame of an error: Sentry sends the variables of each, and rich prints them."""

from __future__ import annotations

import io
import json
import os

import pytest
from hook_calls import ACKNOWLEDGE, DETAILS, SUCCESS
from rich.console import Console
from rich.traceback import Traceback
from sentry_sdk import Client
from sentry_sdk.scrubber import EventScrubber
from sentry_sdk.transport import Transport as SentryTransport
from sentry_sdk.utils import event_from_exception
from support import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner._protocol.job_details import Artifact
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._secrets import Secret, in_closed_frames, without_frames
from airflow_codepipeline_partner.artifacts import Workspace
from airflow_codepipeline_partner.artifacts.external_storage import external_object
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError

TOKEN = "planted-client-token-31d7"
AWS_SECRET = "planted-aws-secret-90fe"
NONCE = "planted-nonce-8812"
CONFIGURATION = "planted-configuration-77aa"


class Interruption(BaseException):
    """What a signal's handler raises in the middle of a call: Airflow's timeout of a task, for one."""


class SentEvents(SentryTransport):
    def __init__(self, options=None):
        super().__init__(options)
        self.sent = []

    def capture_envelope(self, envelope):
        self.sent.append(envelope.serialize().decode())


def shown_by_sentry(error):
    # Without its own list of names that it does not send.
    scrubber = EventScrubber(denylist=[], pii_denylist=[])
    client = Client(
        dsn="http://key@127.0.0.1/1",
        transport=SentEvents,
        default_integrations=False,
        event_scrubber=scrubber,
    )
    event, hint = event_from_exception(error, client_options=client.options)
    client.capture_event(event, hint)
    [text] = client.transport.sent
    assert '"vars"' in text
    return text


def shown_by_rich(error):
    out = io.StringIO()
    shown = Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=None,
        locals_max_string=None,
    )
    Console(file=out, width=99_999).print(shown)
    return out.getvalue()


@pytest.fixture
def secrets(emulator, store_token, monkeypatch):
    """Plant secrets on both sides, and return all of them as the tests go on."""
    connection = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": AWS_SECRET,
        "extra": {"region_name": "us-east-1", "endpoint_url": emulator.url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    customer = emulator.add_customer(client_token=TOKEN)
    store_token(customer)
    emulator.add_pipeline(
        "pipe",
        client_id=customer.client_id,
        action_type=ACTION_TYPE,
        configuration={"Password": CONFIGURATION},
        input_artifacts=("Source",),
    )
    return {"token": TOKEN, "AWS secret": AWS_SECRET, "nonce": NONCE, "configuration": CONFIGURATION}


@pytest.fixture
def offered(emulator, make_hook, secrets):
    emulator.start_execution("pipe", artifacts={"Source": b"content"})
    [job] = make_hook().poll(ACTION_TYPE)
    emulator.state.jobs[job.job_id].nonce = NONCE
    details = make_hook().ask_details(job)
    secrets |= {name: details.artifact_credentials[name] for name in ("secretAccessKey", "sessionToken")}
    return job


@pytest.fixture
def check(secrets):
    def check(error):
        for text in (shown_by_sentry(error), shown_by_rich(error)):
            # Long texts are cut.
            assert [kind for kind, secret in secrets.items() if secret[:20] in text] == []

    return check


def interrupt(*_, **__):
    raise Interruption


def caught(function, *arguments):
    """Return what a function raises; the frames of this module hold nothing."""
    try:
        function(*arguments)
    except (CodePipelineProviderError, Interruption, AttributeError) as error:
        return error
    raise AssertionError("It was to fail.")


@pytest.mark.parametrize("operation", [DETAILS, ACKNOWLEDGE])
@pytest.mark.parametrize(
    "trouble",
    [
        {"kind": "error", "code": "AccessDeniedException"},
        {"kind": "error", "code": "ValidationException", "message": f"'{TOKEN}' at 'clientToken'"},
        {"kind": "throttle", "times": None},
        {"kind": "drop_response", "times": None},
    ],
    ids=lambda trouble: trouble.get("code", trouble["kind"]),
)
def test_a_claim_that_fails(emulator, make_hook, offered, check, operation, trouble, quick_clients):
    emulator.inject(operation=operation, **trouble)
    check(caught(make_hook(retry_deadline=0).try_claim, offered))


def test_a_result_that_is_refused(emulator, make_hook, offered, check):
    hook = make_hook(retry_deadline=0)
    claimed = hook.claim(offered)
    emulator.inject("error", operation=SUCCESS, code="AccessDeniedException")
    check(caught(hook.succeed, claimed))


@pytest.mark.parametrize("event", ["before-send", "before-call", "response-received", "after-call"])
@pytest.mark.parametrize("operation", ["details", "acknowledge", "succeed"])
def test_a_task_that_is_ended_in_the_middle_of_a_call(make_hook, offered, check, operation, event):
    hook = make_hook()
    claimed = hook.claim(offered) if operation == "succeed" else None
    events = hook._transport.client.meta.events
    if operation == "details":
        events.register(f"{event}.codepipeline", interrupt)
        check(caught(hook.details, offered))
    elif operation == "acknowledge":
        events.register(f"{event}.codepipeline.AcknowledgeThirdPartyJob", interrupt)
        check(caught(hook.claim, offered))
    else:
        events.register(f"{event}.codepipeline", interrupt)
        check(caught(hook.succeed, claimed))


@pytest.mark.parametrize("error", [Interruption, AttributeError])
def test_details_that_cannot_be_read(make_hook, offered, check, monkeypatch, error):
    def fail(answer):
        raise error("no artifact")

    monkeypatch.setattr(Artifact, "from_api", fail)
    check(caught(make_hook().details, offered))


def test_offered_jobs_that_cannot_be_read(emulator, make_hook, secrets, check, monkeypatch):
    """The answer to a poll for custom jobs holds all that the details of a partner's job do."""
    emulator.add_action_type(CUSTOM_TYPE)
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE, configuration={"Password": CONFIGURATION})
    emulator.start_execution("own")
    monkeypatch.setattr(OfferedJob, "from_value", interrupt)
    check(caught(make_hook().poll, CUSTOM_TYPE))


@pytest.mark.parametrize(
    "connection",
    [
        {"login": "another", "password": TOKEN},
        {"login": None, "password": f"{TOKEN}\n"},
        {"login": None, "password": f'"{TOKEN}"'},
        {"login": None, "password": f"{TOKEN}{'x' * 256}"},
        {"login": None, "password": "", "host": TOKEN},
    ],
)
def test_a_connection_that_is_no_good(make_hook, offered, check, monkeypatch, connection):
    conn_id = f"codepipeline_client_{offered.client_id}".replace("-", "_").upper()
    stored = {"conn_type": "codepipeline_partner_client", **connection}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", json.dumps(stored))
    check(caught(make_hook().claim, offered))


UNREADABLE = [f"nonsense {TOKEN}", f"a://b:{TOKEN}/c@", f'{{"token": "{TOKEN}"}}', f'["{TOKEN}"]']


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_connection_that_cannot_be_read(make_hook, offered, check, monkeypatch, value):
    conn_id = f"codepipeline_client_{offered.client_id}".replace("-", "_").upper()
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", value)
    check(caught(make_hook().claim, offered))


def test_an_artifact_that_s3_refuses(emulator, make_hook, offered, check, secrets):
    hook = make_hook()
    hook.claim(offered)
    with Workspace(offered, hook) as workspace:
        client, [artifact] = workspace._storage.client, workspace.inputs
        # Each question for the details is answered with new ones.
        keys = workspace._storage._details.artifact_credentials
        secrets |= {name: keys[name] for name in ("secretAccessKey", "sessionToken")}
        client.meta.events.register("before-send.s3", interrupt)
        check(caught(workspace.download))
        client.meta.events.unregister("before-send.s3", interrupt)
        object.__setattr__(artifact, "key", "another/key")
        check(caught(workspace.download))
        check(caught(workspace._storage.open, artifact))


def test_a_client_that_cannot_be_made(make_hook, secrets, check, monkeypatch):
    """The worker's own secret is an argument of what makes its session."""
    monkeypatch.setattr("botocore.credentials.Credentials.__init__", interrupt)
    monkeypatch.setenv("AIRFLOW_CONN_OF_STORAGE", os.environ["AIRFLOW_CONN_AWS_DEFAULT"])
    storage = external_object("s3://bucket/key", "of_storage", "Source")
    for ask in (lambda: make_hook().location, lambda: storage._client):
        error = caught(ask)
        assert isinstance(error, Interruption)
        check(error)


def test_a_secret_shows_itself_nowhere():
    secret = Secret(TOKEN)
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", repr([secret])):
        assert TOKEN not in text
    assert secret.open() == TOKEN
    assert secret == Secret(TOKEN)
    assert secret != TOKEN
    assert len({secret, Secret(TOKEN), Secret("other")}) == 2
    assert not Secret("")
    assert Secret({"a": 1}).get("a") == 1
    assert Secret(TOKEN).get("a", 2) == 2
    with pytest.raises(TypeError, match="not stored"):
        json.dumps([secret], default=lambda value: value.__reduce__())


def test_closed_frames_keep_the_error_and_drop_what_it_passed():
    def work():
        hidden = TOKEN
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError(len(hidden)) from error

    with pytest.raises(ValueError, match=str(len(TOKEN))) as raised:
        in_closed_frames(work)
    assert TOKEN not in shown_by_rich(raised.value)
    assert isinstance(raised.value.__cause__, KeyError)
    error = ValueError()
    error.__context__ = error.__cause__ = KeyError()
    error.__cause__.__context__ = error
    assert without_frames(error) is error


def test_this_search_sees_what_a_frame_holds():
    def fail():
        held = {"a": [TOKEN]}
        raise CodePipelineProviderError(len(held))

    error = caught(fail)
    assert TOKEN in shown_by_sentry(error)
    assert TOKEN in shown_by_rich(error)
