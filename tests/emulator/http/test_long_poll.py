# SPDX-License-Identifier: Apache-2.0
"""A long poll of SQS: it waits for a message, and holds up nobody who stops the emulator."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest
from botocore.exceptions import ClientError

from airflow_codepipeline_partner.emulator.http.long_poll import answer_long_poll


@pytest.fixture
def url(sqs):
    return sqs.create_queue(QueueName="waited-for")["QueueUrl"]


def test_a_message_ends_the_wait(sqs, url):
    sending = threading.Timer(0.2, lambda: sqs.send_message(QueueUrl=url, MessageBody="now"))
    sending.start()
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "now"
    sending.join()


def test_without_a_message_it_waits_its_time(sqs, url):
    began = time.monotonic()
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - began >= 1


def test_what_moto_refuses_is_refused(sqs, url):
    for wrong in ({"WaitTimeSeconds": 21}, {"WaitTimeSeconds": 1, "MaxNumberOfMessages": 11}):
        with pytest.raises(ClientError):
            sqs.receive_message(QueueUrl=url, **wrong)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.receive_message(QueueUrl=f"{url}-not", WaitTimeSeconds=20)


def test_one_too_many_does_not_wait():
    """Otherwise they would take all threads from other calls."""
    waits, nobody_waits = threading.Event(), threading.Event()
    asked, answers = [], []

    def moto(environ, start):
        asked.append(json.load(environ["wsgi.input"])["WaitTimeSeconds"])
        waits.set()
        start("200 OK", [])
        return [b"{}"]

    body = json.dumps({"QueueUrl": "http://127.0.0.1/1/q", "WaitTimeSeconds": 20}).encode()
    free = threading.Semaphore(1)

    def receive():
        environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        answers.append(answer_long_poll(environ, moto, nobody_waits, free)[0])

    first, second = (threading.Thread(target=receive, daemon=True) for _ in range(2))
    first.start()
    assert waits.wait(5)
    second.start()
    second.join(5)
    assert answers == [200], "the second was answered while the first waits"
    assert first.is_alive()
    nobody_waits.set()
    first.join(5)
    assert answers == [200, 200]
    assert set(asked) == {0}, "moto itself never waits"
    # It is free again.
    assert free.acquire(blocking=False)


def test_who_stops_the_emulator_does_not_wait_for_it(emulator, sqs, url):
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
    )
    # The request before it may be about to end.
    while emulator._server.task_dispatcher.active_count:
        time.sleep(0.01)
    waiting.start()
    while not emulator._server.task_dispatcher.active_count:
        time.sleep(0.01)
    emulator.stop()
    waiting.join(5)
    assert "Messages" not in answers[0]
