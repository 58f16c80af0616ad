# SPDX-License-Identifier: Apache-2.0
"""How one call is carried, over real HTTP, when the other side throttles, breaks or is not there."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.loaders
import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner._masking import without_secrets
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._transport import MAX_BACKOFF, Transport
from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    RequestRefused,
    ServiceUnavailable,
)

pytestmark = pytest.mark.usefixtures("quick_clients")

POLL = "PollForThirdPartyJobs"
DETAILS = "GetThirdPartyJobDetails"
ACKNOWLEDGE = "AcknowledgeThirdPartyJob"
SUCCESS = "PutThirdPartyJobSuccessResult"
FAILURE = "PutThirdPartyJobFailureResult"
OPERATIONS = (POLL, DETAILS, ACKNOWLEDGE, SUCCESS, FAILURE)


class Front:
    """A server in front of the emulator that notes what passes and spoils answers."""

    def __init__(self, target: str) -> None:
        self.requests: list[str] = []
        self._spoiled: dict[str, list[tuple[int, bytes]]] = {}
        address = urlsplit(target).netloc
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                operation = operation or parse_qs(body.decode())["Action"][0]
                front.requests.append(operation)
                behind = http.client.HTTPConnection(address, timeout=30)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                behind.request("POST", self.path, body, headers)
                answer = behind.getresponse()
                status, content = answer.status, answer.read()
                behind.close()
                if front._spoiled.get(operation):
                    status, content = front._spoiled[operation].pop(0)
                self.send_response(status)
                self.send_header("Content-Type", answer.headers["Content-Type"] or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def spoil(self, operation: str, body: bytes, status: int = 200) -> None:
        """Answer the next call with this, although it was carried out."""
        self._spoiled.setdefault(operation, []).append((status, body))

    def __enter__(self) -> Front:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def front(emulator: Emulator) -> Iterator[Front]:
    with Front(emulator.url) as running:
        yield running


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    """Have ``aws_default`` lead elsewhere."""
    connection = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": "example-secret",
        "extra": {"region_name": "us-east-1", **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


@pytest.fixture
def prepare(emulator, customer):
    """Bring a job so far, with this hook, that one call is next; return that call."""

    def prepared(operation, hook):
        emulator.start_execution("pipe")
        if operation == POLL:
            return lambda: hook.poll(ACTION_TYPE)
        [offered] = hook.poll(ACTION_TYPE)
        if operation == DETAILS:
            return lambda: hook.details(offered)
        if operation == ACKNOWLEDGE:
            return lambda: hook.try_claim(offered)
        claimed = hook.claim(offered)
        if operation == SUCCESS:
            return lambda: hook.succeed(claimed)
        return lambda: hook.fail(claimed, message="Broken.")

    return prepared


def attempts(emulator, operation, since=0):
    return [
        entry for entry in emulator.ledger.where(kind="call", operation=operation) if entry.number > since
    ]


#: Fault → its parameters, what the last one is told as, whether it leaves a doubt.
FAULTS = {
    "throttle": ({}, "ThrottlingException: Rate exceeded", False),
    "server_error": ({}, "InternalFailure", True),
    "drop_request": ({}, "ConnectionClosedError", True),
    "unavailable": ({"status": 503}, "InternalFailure", True),
    "too-many": ({"code": "TooMany", "message": "Slowly.", "status": 429}, "TooMany: Slowly.", False),
}
KINDS = {"unavailable": "server_error", "too-many": "error"}


def inject(emulator, fault, operation, times):
    parameters, _, _ = FAULTS[fault]
    emulator.inject(KINDS.get(fault, fault), operation, times=times, **parameters)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_that_is_not_answered_is_sent_again_with_back_off(
    emulator, prepare, make_hook, fake_time, operation, fault
):
    call = prepare(operation, make_hook())
    since = len(emulator.ledger)
    inject(emulator, fault, operation, times=3)
    call()
    outcomes = [entry.outcome for entry in attempts(emulator, operation, since)]
    assert len(outcomes) == 4
    assert outcomes[-1] == "ok"
    assert "ok" not in outcomes[:3]
    for slept, least in zip(fake_time.sleeps, (0.5, 1, 2), strict=True):
        assert least <= slept <= least + 0.5


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_is_given_up_at_the_deadline_and_the_last_cause_is_named(
    emulator, prepare, make_hook, fake_time, operation, fault
):
    call = prepare(operation, make_hook(retry_deadline=60))
    since = len(emulator.ledger)
    inject(emulator, fault, operation, times=None)
    with pytest.raises(ServiceUnavailable) as silence:
        call()
    _, cause, in_doubt = FAULTS[fault]
    tried = len(attempts(emulator, operation, since))
    assert tried == len(fake_time.sleeps) + 1
    # As long as it may, and no longer.
    assert 60 - MAX_BACKOFF - 0.5 < sum(fake_time.sleeps) <= 60
    assert max(fake_time.sleeps) <= MAX_BACKOFF + 0.5
    text = str(silence.value)
    for part in (operation, emulator.url, f"{tried} attempts", "retry_deadline 60 s", cause):
        assert part in text
    assert silence.value.in_doubt is in_doubt
    assert silence.value.retryable
    job_id = attempts(emulator, operation, since)[-1].job_id
    assert silence.value.job_id == job_id
    assert job_id is None or job_id in text
    assert silence.value.__cause__ is None
    assert silence.value.__context__ is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_deadline_a_call_is_tried_once(emulator, prepare, make_hook, fake_time, operation):
    call = prepare(operation, make_hook(retry_deadline=0))
    since = len(emulator.ledger)
    emulator.inject("throttle", operation, times=None)
    with pytest.raises(ServiceUnavailable, match="1 attempts"):
        call()
    assert len(attempts(emulator, operation, since)) == 1
    assert fake_time.sleeps == []


@pytest.mark.parametrize("configured", ["hook", "connection", "environment"])
def test_boto3s_own_retries_are_off_for_the_job_calls_whatever_is_configured(
    emulator, customer, make_hook, monkeypatch, configured
):
    parameters: dict[str, Any] = {"retry_deadline": 0}
    if configured == "hook":
        parameters["config"] = {"retries": {"max_attempts": 3, "mode": "adaptive"}}
    elif configured == "connection":
        retries = {"retries": {"total_max_attempts": 3, "mode": "legacy"}}
        connect(monkeypatch, endpoint_url=emulator.url, config_kwargs=retries)
    else:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    hook = make_hook(**parameters)
    emulator.inject("drop_request", POLL, times=None)
    with pytest.raises(ServiceUnavailable):
        hook.poll(ACTION_TYPE)
    assert len(attempts(emulator, POLL)) == 1


def test_the_conn_of_the_hook_keeps_boto3s_own_retries(emulator, customer, make_hook):
    hook = make_hook()
    # One retry, for which botocore waits a second at most.
    emulator.inject("throttle", POLL, times=1)
    assert hook.conn.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE)["jobs"] == []
    assert [entry.outcome for entry in attempts(emulator, POLL)] == ["ThrottlingException", "ok"]


def test_the_conn_of_the_hook_keeps_the_retries_that_are_configured(emulator, customer, make_hook):
    hook = make_hook(config={"retries": {"total_max_attempts": 7, "mode": "standard"}})
    assert hook.conn.meta.config.retries == {"total_max_attempts": 7, "mode": "standard"}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refused_connection_is_tried_until_the_deadline_and_leaves_no_doubt(
    customer, emulator, make_hook, fake_time, operation
):
    hook = make_hook(retry_deadline=60)
    transport = hook._transport
    port = urlsplit(emulator.url).port
    emulator.stop()
    with pytest.raises(ServiceUnavailable, match="EndpointConnectionError") as silence:
        transport.send(*sent(operation))
    assert f"http://127.0.0.1:{port}" in str(silence.value)
    assert silence.value.in_doubt is False
    assert len(fake_time.sleeps) > 3
    assert 60 - MAX_BACKOFF - 0.5 < sum(fake_time.sleeps) <= 60


def sent(operation):
    """A call as it stands, and its secrets."""
    if operation == POLL:
        return Call(POLL, {"actionTypeId": ACTION_TYPE}), {}
    secrets = {"clientToken": "a-client-token", **({"nonce": "a-nonce"} if operation == ACKNOWLEDGE else {})}
    details = {"failureDetails": {"type": "JobFailed", "message": "m"}} if operation == FAILURE else {}
    return Call(operation, {"jobId": "j", **details}), secrets


def test_a_service_that_comes_back_is_found_again(fake_time, make_hook, monkeypatch):
    late = Emulator(port=free_port())
    connect(monkeypatch, endpoint_url=f"http://127.0.0.1:{late._port}")
    late.add_action_type(ACTION_TYPE)
    hook = make_hook()

    def sleep(seconds: float) -> None:
        fake_time.sleep(seconds)
        if len(fake_time.sleeps) == 3:
            late.start()

    hook._sleep = sleep
    try:
        assert hook.poll(ACTION_TYPE) == []
    finally:
        late.stop()
    assert len(fake_time.sleeps) == 3


def test_each_retry_is_logged_with_its_reason(emulator, customer, make_hook, caplog):
    emulator.inject("throttle", POLL, times=2)
    make_hook().poll(ACTION_TYPE)
    told = [
        record.getMessage()
        for record in caplog.records
        if record.name == "airflow_codepipeline_partner._transport"
    ]
    assert len(told) == 2
    for number, text in enumerate(told, 1):
        assert re.fullmatch(
            rf"{POLL}: attempt {number} failed \(ThrottlingException: Rate exceeded\); "
            r"the next follows in \d\.\d s\.",
            text,
        )


def test_a_refusal_is_not_tried_again(emulator, customer, make_hook, fake_time):
    emulator.inject("error", POLL, code="AccessDeniedException", message="Not you.", times=None)
    with pytest.raises(RequestRefused, match=r"AccessDeniedException: Not you\."):
        make_hook().poll(ACTION_TYPE)
    assert len(attempts(emulator, POLL)) == 1
    assert fake_time.sleeps == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_earlier_doubt_stays_with_a_later_refusal(emulator, prepare, make_hook, operation):
    call = prepare(operation, make_hook())
    emulator.inject("server_error", operation)
    emulator.inject("throttle", operation)
    emulator.inject("error", operation, code="AccessDeniedException", message="No.")
    with pytest.raises(RequestRefused) as refusal:
        call()
    assert refusal.value.in_doubt is True


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_that_only_was_throttled_is_in_no_doubt_when_it_is_refused(
    emulator, prepare, make_hook, operation
):
    call = prepare(operation, make_hook())
    emulator.inject("throttle", operation, times=2)
    emulator.inject("error", operation, code="AccessDeniedException", message="No.")
    with pytest.raises(RequestRefused) as refusal:
        call()
    assert refusal.value.in_doubt is False


def test_a_doubt_from_before_is_handed_on(emulator, customer, make_hook):
    emulator.inject("error", POLL, code="AccessDeniedException", message="No.")
    call = Call(POLL, {"actionTypeId": ACTION_TYPE})
    with pytest.raises(RequestRefused) as refusal:
        make_hook()._transport.send(call, in_doubt=True)
    assert refusal.value.in_doubt is True


def test_what_boto3_refuses_to_send_is_ours_and_shows_no_secret(emulator, customer, make_hook, fake_time):
    transport: Transport = make_hook()._transport
    with pytest.raises(RequestRefused) as refusal:
        transport.send(Call(ACKNOWLEDGE, {}), {"clientToken": "planted-token", "nonce": "planted-nonce"})
    text = str(refusal.value)
    assert "ParamValidationError" in text
    assert "planted" not in text
    assert emulator.ledger.where(kind="call") == []
    assert fake_time.sleeps == []


def test_without_any_credentials_the_error_says_so_and_nothing_is_called(
    emulator, customer, make_hook, monkeypatch, tmp_path, fake_time
):
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    with pytest.raises(RequestRefused, match="Unable to locate credentials") as refusal:
        make_hook(aws_conn_id=None).poll(ACTION_TYPE)
    assert "Check boto3's default credentials" in str(refusal.value)
    assert refusal.value.code == "NoCredentialsError"
    assert emulator.ledger.where(kind="call") == []
    assert fake_time.sleeps == []


def test_without_any_region_the_error_is_ours_and_says_so(customer, make_hook, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    with pytest.raises(CodePipelineProviderError, match="region"):
        make_hook().poll(ACTION_TYPE)


# Answers that are none.

MALFORMED = {
    "page": b"<html>Bad gateway</html>",
    "cut-off": b'{"jobDetails": {"id": "x", "non',
    "null": b"null",
    "no-utf-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_page_of_a_broken_gateway_is_no_answer(
    emulator, front, prepare, make_hook, monkeypatch, fake_time, operation
):
    connect(monkeypatch, endpoint_url=front.url)
    call = prepare(operation, make_hook())
    front.requests.clear()
    front.spoil(operation, MALFORMED["page"], 502)
    outcome = call()
    assert front.requests.count(operation) == 2
    assert len(fake_time.sleeps) == 1
    if operation == ACKNOWLEDGE:
        assert outcome.state is ClaimState.UNKNOWN
    if operation in (SUCCESS, FAILURE):
        assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize("operation", [POLL, DETAILS, ACKNOWLEDGE])
def test_a_malformed_answer_is_no_answer(
    emulator, front, prepare, make_hook, monkeypatch, fake_time, operation, body
):
    connect(monkeypatch, endpoint_url=front.url)
    call = prepare(operation, make_hook())
    front.requests.clear()
    front.spoil(operation, MALFORMED[body])
    outcome = call()
    if operation == POLL:
        assert outcome == []
    if operation == ACKNOWLEDGE:
        # It was carried out: the job is ours, though we cannot know that.
        assert [job.status for job in emulator.jobs()] == ["InProgress"]
        assert outcome.state is ClaimState.UNKNOWN
    assert front.requests.count(operation) == 2
    assert len(fake_time.sleeps) == 1


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_a_malformed_answer_to_a_put_leaves_exactly_one_result(
    emulator, front, prepare, make_hook, monkeypatch, operation, body
):
    connect(monkeypatch, endpoint_url=front.url)
    call = prepare(operation, make_hook())
    front.requests.clear()
    front.spoil(operation, MALFORMED[body])
    # The answer of a put is empty, so that botocore takes anything for one.
    call()
    assert front.requests.count(operation) == 2
    assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("status", [302, 403, 404, 408])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refusal_of_somebody_in_between_is_no_answer(
    emulator, front, prepare, make_hook, monkeypatch, fake_time, operation, status
):
    connect(monkeypatch, endpoint_url=front.url)
    call = prepare(operation, make_hook())
    front.requests.clear()
    front.spoil(operation, MALFORMED["page"], status)
    outcome = call()
    assert front.requests.count(operation) == 2
    assert len(fake_time.sleeps) == 1
    if operation == ACKNOWLEDGE:
        assert outcome.state is ClaimState.UNKNOWN
    if operation in (SUCCESS, FAILURE):
        assert len(emulator.ledger.terminal_results()) == 1


def test_an_answer_in_cbor_is_left_to_botocore(customer, make_hook, monkeypatch):
    transport = make_hook()._transport
    transport._note_body({"headers": {"content-type": "application/cbor"}, "body": b"\xa0"})
    assert transport._attempt.body == b""


@pytest.mark.parametrize("token", ['quo"ted-token', "back\\slashed", "t\u00f6ken-\u00fc"])
def test_a_secret_that_is_quoted_in_json_is_taken_out_of_messages_too(token):
    for written in (token, json.dumps(token), json.dumps(token, ensure_ascii=False)):
        assert without_secrets({"clientToken": token}, f"Not valid: {written}.").count("***") == 1


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 with its key, which vouches for itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.now(UTC), timedelta(days=1)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(built.public_bytes(pem) + key.private_bytes(pem, *plain))
    return str(path)


def test_a_connection_whose_encryption_breaks_after_the_request_was_sent_leaves_a_doubt(
    customer, make_hook, monkeypatch, certificate
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    received: list[bytes] = []

    def answer_without_encryption() -> None:
        plain, _ = listening.accept()
        with plain.dup() as beneath, context.wrap_socket(plain, server_side=True) as encrypted:
            # All of the request is read, and the connection held until the client ends it: a reset would
            # look like another failure.
            request = b""
            while b"clientToken" not in request:
                request += encrypted.recv(65536)
            received.append(request)
            beneath.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                while beneath.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer_without_encryption, daemon=True)
        server.start()
        connect(monkeypatch, endpoint_url=f"https://127.0.0.1:{listening.getsockname()[1]}")
        hook = make_hook(retry_deadline=0, verify=certificate)
        with pytest.raises(ServiceUnavailable, match=r"SSLError|ConnectionClosedError") as silence:
            hook._transport.send(*sent(ACKNOWLEDGE))
        server.join(10)
    assert ACKNOWLEDGE.encode() in received[0]
    assert silence.value.in_doubt is True


# Where STS is.

ROLE = "arn:aws:iam::123456789012:role/partner"


def test_a_role_is_assumed_at_the_endpoint_that_is_not_awss_own(front, customer, make_hook, monkeypatch):
    connect(monkeypatch, endpoint_url=front.url, role_arn=ROLE)
    hook = make_hook()
    assert hook.poll(ACTION_TYPE) == []
    assert front.requests == ["AssumeRole", POLL]


def test_an_endpoint_of_sts_that_is_configured_wins(emulator, front, customer, make_hook, monkeypatch):
    with Front(emulator.url) as sts:
        config = {"sts": {"endpoint_url": sts.url}, "s3": {"endpoint_url": "http://elsewhere"}}
        connect(monkeypatch, endpoint_url=front.url, role_arn=ROLE, service_config=config)
        hook = make_hook()
        assert hook.poll(ACTION_TYPE) == []
        assert sts.requests == ["AssumeRole"]
    assert front.requests == [POLL]
    assert hook.conn_config.service_config["s3"] == {"endpoint_url": "http://elsewhere"}


def test_another_setting_of_sts_is_kept_beside_the_endpoint(customer, make_hook, monkeypatch):
    connect(
        monkeypatch,
        endpoint_url="http://localhost:1",
        role_arn=ROLE,
        service_config={"sts": {"region_name": "eu-west-1"}},
    )
    assert make_hook().conn_config.service_config["sts"] == {
        "endpoint_url": "http://localhost:1",
        "region_name": "eu-west-1",
    }


def partition_suffixes() -> list[str]:
    """The domains of every AWS partition that the installed botocore knows."""
    data = botocore.loaders.Loader().load_data("endpoints")
    return sorted({partition["dnsSuffix"] for partition in data["partitions"]})


@pytest.mark.parametrize("suffix", [*partition_suffixes(), "api.aws"])
def test_an_endpoint_of_awss_own_is_not_taken_for_sts(customer, make_hook, monkeypatch, suffix):
    connect(monkeypatch, endpoint_url=f"https://codepipeline.some-region-1.{suffix}", role_arn=ROLE)
    assert "sts" not in make_hook().conn_config.service_config


@pytest.mark.parametrize("extra", [{"role_arn": ROLE}, {"endpoint_url": "http://localhost:1"}, {}], ids=str)
def test_without_a_role_or_without_an_endpoint_nothing_is_changed(customer, make_hook, monkeypatch, extra):
    connect(monkeypatch, **extra)
    assert make_hook().conn_config.service_config == {}


def test_a_name_that_only_looks_like_awss_own_is_not(customer, make_hook, monkeypatch):
    url = "https://codepipeline.eu-west-1.amazonaws.com.example.org"
    connect(monkeypatch, endpoint_url=url, role_arn=ROLE)
    assert make_hook().conn_config.service_config["sts"]["endpoint_url"] == url


def sts_answer(code: str) -> bytes:
    error = f"<Error><Code>{code}</Code><Message>Why.</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>".encode()


@pytest.fixture
def connect_with_role(emulator, front, monkeypatch):
    """Have calls need a role first, which is asked for at the front, once an attempt."""

    def connected(sts: str | None = None) -> None:
        retries = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
        connect(
            monkeypatch,
            endpoint_url=emulator.url,
            role_arn=ROLE,
            service_config={"sts": {"endpoint_url": sts or front.url}},
            config_kwargs=retries,
        )

    return connected


@pytest.mark.parametrize("trouble", ["unreachable", "throttled", "broken"])
def test_sts_is_tried_until_the_deadline_and_leaves_no_doubt_about_the_call(
    emulator, front, customer, make_hook, connect_with_role, fake_time, trouble
):
    connect_with_role(f"http://127.0.0.1:{free_port()}" if trouble == "unreachable" else None)
    code, status = ("Throttling", 400) if trouble == "throttled" else ("InternalFailure", 500)
    for _ in range(100):
        front.spoil("AssumeRole", sts_answer(code), status)
    with pytest.raises(ServiceUnavailable) as silence:
        make_hook(retry_deadline=60)._transport.send(*sent(SUCCESS))
    assert silence.value.in_doubt is False
    assert len(fake_time.sleeps) > 3
    assert emulator.ledger.where(kind="call") == []


def test_a_short_trouble_of_sts_is_got_over(front, customer, make_hook, connect_with_role, fake_time):
    connect_with_role()
    front.spoil("AssumeRole", sts_answer("Throttling"), 400)
    assert make_hook().poll(ACTION_TYPE) == []
    assert front.requests == ["AssumeRole", "AssumeRole"]
    assert len(fake_time.sleeps) == 1


def test_a_role_that_is_refused_is_named_as_the_trouble_and_not_tried_again(
    emulator, front, customer, make_hook, connect_with_role, fake_time
):
    connect_with_role()
    front.spoil("AssumeRole", sts_answer("AccessDenied"), 403)
    with pytest.raises(RequestRefused, match=r"AssumeRole.*AccessDenied: Why\..*Check the role") as refusal:
        make_hook()._transport.send(*sent(SUCCESS))
    assert refusal.value.in_doubt is False
    assert refusal.value.code == "AccessDenied"
    assert fake_time.sleeps == []
    assert emulator.ledger.where(kind="call") == []


def test_a_malformed_answer_of_sts_leaves_no_doubt_about_the_call(
    emulator, front, customer, make_hook, connect_with_role
):
    connect_with_role()
    for _ in range(100):
        front.spoil("AssumeRole", b"<html>Bad gateway</html>")
    with pytest.raises(CodePipelineProviderError) as error:
        make_hook(retry_deadline=5)._transport.send(*sent(SUCCESS))
    assert error.value.in_doubt is False
    assert emulator.ledger.where(kind="call") == []


def test_what_goes_wrong_before_the_call_is_sent_leaves_no_doubt(emulator, customer, make_hook, fake_time):
    transport = make_hook()._transport

    def overflow(**event):
        raise OverflowError("too far away")

    transport.client.meta.events.register("before-sign.codepipeline", overflow)
    with pytest.raises(RequestRefused, match="could not be sent: OverflowError") as refusal:
        transport.send(*sent(SUCCESS))
    assert refusal.value.in_doubt is False
    assert fake_time.sleeps == []
    assert emulator.ledger.where(kind="call") == []


def test_what_goes_wrong_once_it_is_sent_leaves_doubt(emulator, customer, make_hook):
    transport = make_hook(retry_deadline=0)._transport

    def overflow(**event):
        raise OverflowError("too far away")

    transport.client.meta.events.register("response-received.codepipeline", overflow)
    with pytest.raises(ServiceUnavailable) as silence:
        transport.send(*sent(SUCCESS))
    assert silence.value.in_doubt is True


@pytest.mark.parametrize(
    ("aws_conn_id", "named"),
    [
        ("typo", "the Airflow connection 'typo' of type aws"),
        (None, "boto3's default credentials and region"),
    ],
)
def test_what_is_missing_is_looked_for_in_the_connection_that_is_named(
    customer, make_hook, monkeypatch, tmp_path, aws_conn_id, named
):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    with pytest.raises(RequestRefused) as refusal:
        make_hook(aws_conn_id=aws_conn_id).poll(ACTION_TYPE)
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": "no address"},
        {"config_kwargs": {"no_such_setting": 1}},
        {"config_kwargs": {"retries": {"mode": "no such mode"}}},
        {"assume_role_method": "no such method", "role_arn": ROLE},
        {"region_name": "no region"},
    ],
    ids=lambda extra: next(iter(extra)) + "-" + re.sub(r"\W+", "-", str(next(iter(extra.values())))),
)
def test_a_connection_with_a_mistake_ends_in_an_error_of_ours_at_once_and_leaves_no_doubt(
    emulator, customer, make_hook, monkeypatch, fake_time, extra
):
    connect(monkeypatch, **{"endpoint_url": emulator.url, **extra})
    with pytest.raises(CodePipelineProviderError) as error:
        make_hook()._transport.send(*sent(SUCCESS))
    # Nothing was sent: a result that is told to be in doubt would be taken for put later.
    assert error.value.in_doubt is False
    assert fake_time.sleeps == []
    assert "could not be read" not in str(error.value)
    assert emulator.ledger.where(kind="call") == []
