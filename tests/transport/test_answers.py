# SPDX-License-Identifier: Apache-2.0
"""What a gateway, a proxy or a broken connection sends is no answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from transport_calls import (
    ACKNOWLEDGE,
    DETAILS,
    FAILURE,
    OPERATIONS,
    POLL,
    SUCCESS,
    connect,
    sent,
)

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner.exceptions import (
    ServiceUnavailable,
)

pytestmark = pytest.mark.usefixtures("quick_clients")
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


def test_a_tls_failure_after_the_request_is_unknown(customer, make_hook, monkeypatch, certificate):
    """The request was sent, so that it may have been carried out."""
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
