# SPDX-License-Identifier: Apache-2.0
"""A queue wakes pollers; whatever is wrong with it, they poll at their interval."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from fake_codepipeline import TYPE, jobs, outcomes, sensor, together

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import wake_queue
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner._polling.wake_queue import Outcome, WakeQueue
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline
from airflow_codepipeline_partner.exceptions import ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/started"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def body(kind=TYPE, state="STARTED", at=NOW, **changes):
    event = {
        "source": "aws.codepipeline",
        "detail-type": "CodePipeline Action Execution State Change",
        "time": at.isoformat(),
        "detail": {"state": state, "type": kind.to_api()},
    }
    return json.dumps(event | changes)


class Queue:
    """Answers from a list of messages, errors and lists; ends the test when that is empty."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.deleted = []
        self.asked = []
        self.clients = 0
        self.ended = threading.Event()
        self.meta = SimpleNamespace(region_name="eu-central-1")

    def receive_message(self, **asked):
        self.asked.append(asked)
        if not self.answers:
            self.ended.set()
            # SQS waits; nobody waits for it.
            threading.Event().wait(0.05)
            return {}
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        bodies = answer if isinstance(answer, list) else [answer]
        return {"Messages": [{"Body": each, "ReceiptHandle": each} for each in bodies]}

    def delete_message_batch(self, QueueUrl, Entries):
        assert len({entry["Id"] for entry in Entries}) == len(Entries) <= 10
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]
        return {"Failed": [{"Id": "0", "Code": "InternalError"}]}


class Clock:
    def __init__(self, queue):
        self.pauses = []
        self.queue = queue
        self.now = 0.0
        self.waits = 20.0

    def time(self):
        return NOW.timestamp()

    def monotonic(self):
        # SQS waits before it answers that there is nothing.
        self.now += self.waits
        return self.now

    async def pause(self, changed, seconds):
        self.pauses.append(seconds)
        if len(self.pauses) == 10:
            self.queue.ended.set()
        await asyncio.sleep(0)


class Listener:
    def __init__(self, kind=TYPE):
        self.kind = kind
        self.heard = 0

    def wake(self, started):
        self.heard += started == self.kind
        return started == self.kind


def refusal(code, operation="ReceiveMessage"):
    return ClientError({"Error": {"Code": code, "Message": "secret"}}, operation)


def hear(queue, *listeners, url=URL, waits=20.0):
    """Let listeners listen until the queue has nothing more; return the waits."""
    clock = Clock(queue)
    clock.waits = waits

    def make_client(service, *, endpoint_url, config, verify):
        assert (service, config.read_timeout) == ("sqs", 30)
        return queue

    class Hooks:
        replaced = 0

        def get(self, aws):
            queue.clients += 1
            session = SimpleNamespace(client=make_client)
            return SimpleNamespace(
                get_session=lambda region_name=None: session,
                region_name=None,
                conn_config=SimpleNamespace(service_config={}, endpoint_url=None),
                config=Config(read_timeout=5),
                verify=None,
            )

        def replace(self, aws):
            Hooks.replaced += 1

    async def run():
        reader = WakeQueue.of(url, AwsParameters(), Hooks(), clock)
        for listener in listeners:
            reader.add(listener)
        await asyncio.to_thread(queue.ended.wait, 20)
        for listener in listeners:
            reader.remove(listener)
        await reader._task
        assert not wake_queue._queues[asyncio.get_running_loop()]

    asyncio.run(run())
    return clock.pauses


def test_an_event_wakes_those_who_wait_for_its_type():
    one, same, other = Listener(), Listener(), Listener(ActionType("Test", "Other"))
    queue = Queue([body(), body(ActionType("Test", "Other"))])
    assert hear(queue, one, same, other) == []
    assert (one.heard, same.heard, other.heard) == (1, 1, 1)
    assert len(queue.deleted) == 2
    assert queue.clients == 1
    assert queue.asked[0] == {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 20,
        "VisibilityTimeout": 5,
    }


def changed(name, at=NOW):
    kind = "CodePipeline Pipeline Execution State Change"
    return body(at=at, **{"detail-type": kind, "detail": {"pipeline": name, "state": "FAILED"}})


def test_one_queue_may_have_events_of_actions_and_of_pipelines():
    job, shop, other = Listener(), Listener(ChangedPipeline("shop")), Listener(ChangedPipeline("other"))
    queue = Queue([body(), changed("shop"), changed("shop"), changed("nobody's")])
    assert hear(queue, job, shop, other) == []
    assert (job.heard, shop.heard, other.heard) == (1, 2, 0)
    # The last one may be for another triggerer.
    assert queue.deleted == [body(), changed("shop"), changed("shop")]


def test_what_others_wait_for_is_left_to_them_for_a_minute():
    others = ActionType("Test", "Other")
    late = datetime.fromtimestamp(NOW.timestamp() - 61, UTC)
    queue = Queue([body(others), body(others, at=late), body(state="FAILED"), body(at=late)])
    assert hear(queue, Listener()) == []
    assert queue.deleted == [body(others, at=late), body(state="FAILED"), body(at=late)]


def test_what_is_left_to_others_delays_nothing():
    queue, listener = Queue(*[body(ActionType("Test", "Other"))] * 5, body()), Listener()
    assert hear(queue, listener) == []
    assert listener.heard == 1


def test_rubbish_is_left_said_once_and_read_ever_less_often(caplog):
    rubbish = "the password is secret"
    queue, listener = Queue(*[[rubbish, "{}"]] * 6, [rubbish, body()], rubbish), Listener()
    with caplog.at_level(logging.WARNING):
        assert hear(queue, listener) == [1, 2, 4, 5, 5, 5, 1]
    assert queue.deleted == [body()]
    assert listener.heard == 1
    assert len(caplog.records) == 1
    assert "left there" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("AWS.SimpleQueueService.NonExistentQueue"), "There is no such queue."),
        (refusal("QueueDoesNotExist"), "There is no such queue."),
        (refusal("AccessDenied"), "The credentials may not do sqs:ReceiveMessage"),
        (refusal("AccessDeniedException"), "The credentials may not do sqs:ReceiveMessage"),
        (refusal("InvalidAddress"), "ReceiveMessage was answered with InvalidAddress."),
        (EndpointConnectionError(endpoint_url="https://secret"), "EndpointConnectionError."),
        (RuntimeError("secret"), "RuntimeError."),
    ],
)
def test_a_queue_that_cannot_be_read_is_said_and_tried_again(caplog, error, said):
    queue, listener = Queue(*[error] * 7, body()), Listener()
    with caplog.at_level(logging.WARNING):
        assert hear(queue, listener) == [10, 20, 40, 80, 160, 300, 300]
    assert listener.heard == 1
    assert len(caplog.records) == 7
    assert said in caplog.text
    assert "Polls go on at their interval; the queue is tried again in 10 s." in caplog.text
    assert URL in caplog.text
    assert "secret" not in caplog.text
    # The connection may have been corrected.
    assert queue.clients == 8


def test_an_endpoint_that_does_not_wait_is_asked_less_often():
    queue, listener = Queue([], [], [], [], body(), []), Listener()
    assert hear(queue, listener, waits=0.1)[:5] == [1, 2, 4, 5, 1]
    assert listener.heard == 1


def test_a_queue_of_another_region_is_said(caplog):
    url, queue = URL.replace("eu-central-1", "us-east-1"), Queue()
    with caplog.at_level(logging.WARNING):
        hear(queue, Listener(), url=url)
    assert "It is in us-east-1, and CodePipeline is asked in eu-central-1." in caplog.text
    assert queue.asked == []


def test_what_cannot_be_deleted_wakes_again():
    class Undeletable(Queue):
        def delete_message_batch(self, **asked):
            raise refusal("AccessDenied", "DeleteMessageBatch")

    queue, listener = Undeletable(body(), body()), Listener()
    assert hear(queue, listener) == [10, 20]
    assert listener.heard == 2


def test_who_names_the_queue_by_another_connection_is_woken_too():
    """A message comes once, to one of the readers."""

    async def run():
        one, other = Listener(), Listener()
        clock = Clock(None)
        readers = [WakeQueue(URL, AwsParameters(name), None, clock) for name in ("one", "other")]
        wake_queue._queues[asyncio.get_running_loop()] = dict(enumerate(readers))
        readers[0]._listeners.append(one)
        readers[1]._listeners.append(other)
        assert readers[0]._read(body()) is Outcome.DONE
        assert (one.heard, other.heard) == (1, 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "renewed"),
    [
        (refusal("QueueDoesNotExist"), 0),
        (refusal("AccessDenied"), 0),
        (refusal("ExpiredToken"), 1),
        (EndpointConnectionError(endpoint_url="https://x"), 1),
    ],
)
def test_the_polls_keep_their_client_unless_it_may_be_its_fault(error, renewed):
    assert wake_queue._is_the_queues_fault(error) is not bool(renewed)


# The pollers.


def test_a_woken_poller_polls_at_once_and_until_there_is_a_job(codepipeline):
    codepipeline.meanwhile = [lambda: shared().wake(TYPE)]
    [ended] = together(lambda: [sensor(interval=60, deadline=1100)])
    assert isinstance(ended, TimeoutError)
    # Woken just after the first poll; a second passes at least.
    assert [at for at, _ in codepipeline.polls] == [1000, 1001, 1002, 1005, 1065]


def test_a_job_ends_no_poll_that_an_event_caused(codepipeline):
    codepipeline.meanwhile = [lambda: None, lambda: shared().wake(TYPE)]
    codepipeline.answers = [[], [], jobs("a")]
    first, second = together(lambda: [sensor(interval=60), sensor(interval=60, deadline=1100)])
    assert first == ["a"]
    assert isinstance(second, TimeoutError)
    assert [at for at, _ in codepipeline.polls] == [1000, 1001, 1002, 1005, 1065]


def test_an_event_during_a_poll_causes_another(codepipeline):
    async def run():
        loop, poller = asyncio.get_running_loop(), shared()

        def answer():
            loop.call_soon_threadsafe(poller.wake, TYPE)
            return []

        codepipeline.answers = [answer, jobs("a")]
        assert await outcomes(sensor(interval=60)) == [["a"]]

    asyncio.run(run())
    assert [at for at, _ in codepipeline.polls] == [1000, 1001]


def test_many_events_cause_one_poll_a_second(codepipeline):
    codepipeline.meanwhile = [lambda: [shared().wake(TYPE) for _ in range(1000)]] * 30
    together(lambda: [sensor(interval=60, deadline=1030)])
    times = [at for at, _ in codepipeline.polls]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))


def test_while_codepipeline_is_in_trouble_no_event_counts(codepipeline):
    codepipeline.answers = [ServiceUnavailable("no answer")] * 3
    codepipeline.meanwhile = [lambda: shared().wake(TYPE)] * 3
    together(lambda: [sensor(interval=10, deadline=1100)])
    assert [at for at, _ in codepipeline.polls] == [1000, 1020, 1060]


def test_an_event_of_another_type_wakes_nobody(codepipeline):
    codepipeline.meanwhile = [lambda: shared().wake(ActionType("Deploy", "Example", "2"))]
    together(lambda: [sensor(interval=60, deadline=1061)])
    assert [at for at, _ in codepipeline.polls] == [1000, 1060]


def test_a_queue_is_read_once_as_long_as_somebody_names_it(codepipeline, monkeypatch):
    queue = Queue()
    monkeypatch.setattr(WakeQueue, "_make_client", lambda reader: queue)

    async def run():
        other = SharedPoller.for_(ActionType("Test", "Other"), AwsParameters())
        one = SharedPoller.for_(TYPE, AwsParameters())

        def wait(poller, name, wake_queue):
            waits = poller.wait(10, 30, deadline=9e9, retry_deadline=300, wake_queue=wake_queue)
            return asyncio.create_task(waits, name=name)

        first, second, third = wait(one, "a", URL), wait(one, "b", URL), wait(other, "c", URL)
        without = wait(one, "d", None)
        await asyncio.sleep(0)
        readers = wake_queue._queues[asyncio.get_running_loop()]
        [reader] = readers.values()
        assert reader._listeners == [one, other]
        for task, left in ((first, [one, other]), (second, [other]), (third, [])):
            task.cancel()
            await asyncio.sleep(0)
            assert reader._listeners == left
        # The question that SQS has is not asked a second time.
        asked = len(queue.asked)
        again = wait(one, "e", URL)
        await asyncio.sleep(0)
        assert WakeQueue.of(URL, AwsParameters(), one._hooks, codepipeline) is reader
        assert (reader._listeners, len(queue.asked)) == ([one], asked)
        for task in (again, without):
            task.cancel()
        await reader._task
        assert not readers

    asyncio.run(run())


def shared():
    return SharedPoller.for_(TYPE, AwsParameters())
