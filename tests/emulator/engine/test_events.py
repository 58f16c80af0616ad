# SPDX-License-Identifier: Apache-2.0
"""The events that CodePipeline sends, as a queue behind moto's EventBridge gets them."""

from __future__ import annotations

import json
import threading
import uuid

import pytest
from declaring import CODE_DEPLOY, CUSTOM_TYPE, action, retry, stage

from airflow_codepipeline_partner.emulator import ControlError
from airflow_codepipeline_partner.emulator.engine import event_bus
from airflow_codepipeline_partner.emulator.engine.events import Events

STARTED_JOBS = {
    "source": ["aws.codepipeline"],
    "detail-type": ["CodePipeline Action Execution State Change"],
    "detail": {"state": ["STARTED"], "type": {"provider": ["Example"]}},
}


class Listener:
    """A queue that gets events by a rule, or by the control."""

    def __init__(self, w, region="us-east-1"):
        self.w = w
        self.sqs, self.events = (w.make_client(name, w.emu, region_name=region) for name in ("sqs", "events"))
        self.name = f"q-{uuid.uuid4().hex}"
        self.url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{region}:123456789012:{self.name}"

    def rule(self, pattern=None, targets=None, **more):
        pattern = {"source": ["aws.codepipeline"]} if pattern is None else pattern
        self.events.put_rule(Name="rule", EventPattern=json.dumps(pattern), **more)
        self.events.put_targets(Rule="rule", Targets=targets or [{"Id": "queue", "Arn": self.arn}])
        return self

    def got(self):
        """Return the events that have come since the last time."""
        found = []
        while True:
            asked = {"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}
            messages = self.sqs.receive_message(**asked).get("Messages", [])
            if not messages:
                return found
            for each in messages:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
                found.append(json.loads(each["Body"]))

    def shown(self):
        """Return what has come as texts: whose state it is, and the state."""
        return [
            f"{each['detail'].get('action', each['detail'].get('stage', 'all'))} {each['detail']['state']}"
            for each in self.got()
        ]


@pytest.fixture
def listen():
    """Make a queue of a world's, after moto has forgotten what other tests made."""

    def make(w, **more):
        w.emu.store.reset()
        return Listener(w, **more)

    return make


def test_a_rule_gets_what_it_matches_in_awss_shape(world, listen):
    w = world(pipeline={"configuration": {"Dag": "shop"}})
    queue = listen(w).rule(STARTED_JOBS)
    execution_id = w.start()
    [event] = queue.got()
    [job] = w.emu.jobs()
    uuid.UUID(event.pop("id"))
    assert event == {
        "version": "0",
        "detail-type": "CodePipeline Action Execution State Change",
        "source": "aws.codepipeline",
        "account": "123456789012",
        "time": "2027-01-15T08:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:codepipeline:us-east-1:123456789012:pipeline"],
        "detail": {
            "pipeline": "pipeline",
            "execution-id": execution_id,
            "start-time": "2027-01-15T08:00:00.000Z",
            "stage": "Partner",
            "action-execution-id": job.action_execution_id,
            "action": "Partner",
            "state": "STARTED",
            "region": "us-east-1",
            "type": {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            "version": 1.0,
            "pipeline-execution-attempt": 1.0,
        },
    }


def test_events_come_in_the_order_in_which_it_happens(world, listen):
    w = world()
    queue = listen(w).rule()
    w.start()
    assert queue.shown() == [
        "all STARTED",
        "Source STARTED",
        "Source STARTED",
        "Source SUCCEEDED",
        "Source SUCCEEDED",
        "Partner STARTED",
        "Partner STARTED",
    ]
    w.worker.succeed(w.worker.claim(), executionDetails={"summary": "Done <id>", "externalExecutionId": "7"})
    action_done, stage_done, all_done = queue.got()
    assert action_done["detail"]["execution-result"] == {
        "external-execution-summary": "Done <id>",
        "external-execution-id": "7",
    }
    assert [each["detail"]["state"] for each in (action_done, stage_done, all_done)] == ["SUCCEEDED"] * 3
    assert "action" not in stage_done["detail"]
    assert "stage" not in all_done["detail"]


def test_a_failure_tells_why(world, listen):
    w = world(pipeline={"execution_url_template": "https://ci/{ExternalExecutionId}"})
    queue = listen(w).rule({"detail": {"state": ["FAILED"]}})
    w.start()
    w.worker.fail(w.worker.claim(), "no disk", externalExecutionId="9")
    events = queue.got()
    assert [each["detail-type"].split()[1] for each in events] == ["Action", "Stage", "Pipeline"]
    assert events[0]["detail"]["execution-result"] == {
        "external-execution-url": "https://ci/9",
        "external-execution-summary": "no disk",
        "external-execution-id": "9",
        "error-code": "JobFailed",
    }


def test_a_continued_action_ends_once(world, listen):
    w = world(continuation_delay=0)
    queue = listen(w).rule({"detail": {"action": ["Partner"]}})
    w.start()
    w.worker.succeed(w.worker.claim(), continuationToken="more")
    w.worker.succeed(w.worker.claim())
    assert queue.shown() == ["Partner STARTED", "Partner SUCCEEDED"]


def test_stops_and_retries_of_a_declared_pipeline(made):
    m = made()
    queue = Listener(m.w)
    m.w.emu.send_events_to(queue.url)
    m.create(m.source, stage("Build", action("One", inputs=["App"]), action("Two", CODE_DEPLOY, runOrder=2)))
    execution_id = m.start()
    started = queue.got()
    assert started[0]["detail"]["execution-trigger"]["trigger-type"] == "StartPipelineExecution"
    [fetched] = [each["detail"] for each in started if each["detail"].get("output-artifacts")]
    [given] = [each["detail"] for each in started if each["detail"].get("input-artifacts")]
    assert (fetched["action"], fetched["state"]) == ("Fetch", "SUCCEEDED")
    assert (given["action"], given["state"]) == ("One", "STARTED")
    assert given["input-artifacts"] == fetched["output-artifacts"]
    assert given["input-artifacts"][0]["s3location"]["bucket"] == "artifacts"
    asked = {"pipelineName": "made", "pipelineExecutionId": execution_id}
    m.client.stop_pipeline_execution(**asked, abandon=True, reason="an update")
    stopped = queue.got()
    assert stopped[0]["detail"]["stop-execution-comments"] == "an update"
    assert [each["detail"]["state"] for each in stopped] == [
        "STOPPING",
        "STOPPING",
        "ABANDONED",
        "STOPPED",
        "STOPPED",
    ]
    m.w.emu.advance(60)
    m.client.retry_stage_execution(**retry(m, execution_id))
    m.w.worker.succeed(m.claim()["id"])
    again = queue.got()
    assert {each["detail"]["pipeline-execution-attempt"] for each in again} == {2.0}
    assert "stage-last-retry-attempt-time" in again[1]["detail"]
    assert [each["detail"]["state"] for each in again[:3]] == ["RESUMED", "RESUMED", "STARTED"]
    assert again[-1]["detail"]["state"] == "SUCCEEDED"


def test_the_next_execution_supersedes_the_one_that_waits(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.start()
    m.start()
    queue = Listener(m.w).rule({"detail": {"state": ["SUPERSEDED"]}})
    m.start()
    assert queue.shown() == ["all SUPERSEDED"]


def test_each_region_has_a_bus_of_its_own(custom_world, listen):
    w = custom_world(region="eu-west-1")
    home, other = listen(w, region="eu-west-1").rule(), Listener(w).rule()
    w.start()
    assert {each["region"] for each in home.got()} == {"eu-west-1"}
    assert other.got() == []


def test_a_queue_gets_all_events_without_a_rule(world, listen):
    w = world()
    queue, by_name, by_arn = listen(w), Listener(w), Listener(w)
    for place in (queue.url, by_name.name, by_arn.arn):
        w.emu.send_events_to(place)
    w.start()
    assert queue.shown() == by_name.shown() == by_arn.shown() != []
    w.emu.reset()
    assert w.emu.state.event_queues == set()


@pytest.mark.parametrize(
    ("place", "region", "message"),
    [
        ("none", None, "no queue 'none'"),
        ("q.fifo", None, "FIFO"),
        ("none", "mars-1", "no region 'mars-1'"),
        ("", None, "queue is a text"),
    ],
)
def test_a_queue_that_cannot_get_them_is_refused(world, listen, place, region, message):
    w = world()
    listen(w).sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    with pytest.raises(ControlError, match=message):
        w.emu.send_events_to(place, region)


def test_without_listeners_nothing_is_made_or_sent(world, monkeypatch):
    w = world()
    w.emu.store.reset()
    made = []
    monkeypatch.setattr(event_bus, "send", made.append)
    monkeypatch.setattr(Events, "_record", lambda *_: made.append("event"))
    w.start()
    w.worker.succeed(w.worker.claim())
    assert made == []
    assert w.emu.ledger.where(kind="event") == []


def test_a_region_that_moto_does_not_know_has_no_rules(custom_world):
    w = custom_world(region="mars-1")
    w.start()
    assert [job.status for job in w.emu.jobs()] == ["Queued"]


def test_what_moto_refuses_keeps_neither_engine_nor_others(world, listen):
    w = world()
    queue, gone = listen(w), Listener(w)
    w.emu.send_events_to(gone.url)
    targets = [{"Id": "0", "Arn": gone.arn}, {"Id": "1", "Arn": "arn:aws:sns:us-east-1:123456789012:t"}]
    queue.rule(STARTED_JOBS, [*targets, {"Id": "2", "Arn": queue.arn}])
    gone.sqs.delete_queue(QueueUrl=gone.url)
    w.start()
    assert queue.shown() == ["Partner STARTED"]
    w.worker.succeed(w.worker.claim())


def test_disabled_rules_get_nothing_and_transformers_work(world, listen):
    w = world()
    paths = {"state": "$.detail.state"}
    shape = {"InputPathsMap": paths, "InputTemplate": '{"detail": {"state": "<state>"}}'}
    queue = listen(w)
    queue.rule(STARTED_JOBS, [{"Id": "0", "Arn": queue.arn, "InputTransformer": shape}])
    w.start()
    assert queue.got() == [{"detail": {"state": "STARTED"}}]
    queue.rule(STARTED_JOBS, State="DISABLED")
    w.start()
    assert queue.got() == []


def test_moto_is_called_while_the_state_is_free(world, listen, monkeypatch):
    """A target may call the emulator, and what this brings about is sent after it, by the same thread."""
    w = world()
    listen(w).rule(STARTED_JOBS)
    sent = []

    def send(event):
        if not sent:
            sent.append("first")
            started = threading.Thread(target=w.start)
            started.start()
            started.join(20)
            assert not started.is_alive()
        sent.append(event.detail["state"])

    monkeypatch.setattr(event_bus, "send", send)
    w.start()
    assert len(sent) == 1 + 2 * 7


def test_no_event_has_a_secret(custom_world, listen):
    secret = {"Password": "hush-hush", "Dag": "shop"}
    pipeline = {"configuration": secret, "secret_configuration_keys": ["Password"]}
    w = custom_world({"action_type": CUSTOM_TYPE, "input_artifacts": ()} | pipeline)
    queue = listen(w).rule()
    w.start()
    [job] = w.worker.poll()
    w.worker.acknowledge(job["id"], job["nonce"])
    w.worker.fail(job["id"])
    seen = json.dumps(queue.got())
    assert "Build" in seen
    assert not any(text in seen for text in ("hush-hush", job["nonce"], "shop"))


def test_events_can_be_lost_doubled_or_late(world, listen):
    w = world()
    queue = listen(w).rule(STARTED_JOBS)
    for kind, more in (("lose_event", {}), ("double_event", {}), ("delay_event", {"seconds": 90})):
        w.emu.inject(kind, "ActionEvent", times=None, client_id=w.customer.client_id, **more)
        w.start()
        counts = [len(queue.got())]
        w.emu.advance(89)
        counts.append(len(queue.got()))
        w.emu.advance(1)
        counts.append(len(queue.got()))
        w.emu.clear_faults()
        assert counts == {"lose_event": [0, 0, 0], "double_event": [2, 0, 0]}.get(kind, [0, 0, 1])
    assert w.emu.faults() == []
    hit = w.emu.ledger.where(faults="lose_event")
    assert {entry.kind for entry in hit} == {"event"}


def test_a_fault_for_one_job_hits_its_last_event(world, listen):
    w = world()
    queue = listen(w).rule({"detail": {"action": ["Partner"]}})
    w.start()
    job_id = w.worker.claim()
    w.emu.inject("lose_event", job_id=job_id)
    w.worker.succeed(job_id)
    assert queue.shown() == ["Partner STARTED"]


def test_an_event_can_come_before_its_job(world, listen):
    w = world(job_delay=5)
    queue = listen(w).rule(STARTED_JOBS)
    w.start()
    assert len(queue.got()) == 1
    assert w.worker.poll() == []
    w.emu.advance(5)
    assert len(w.worker.poll()) == 1


def test_a_target_may_be_gone_while_events_are_late(world, listen):
    w = world()
    queue = listen(w)
    w.emu.send_events_to(queue.name)
    w.emu.inject("delay_event", times=None, seconds=5)
    w.start()
    queue.sqs.delete_queue(QueueUrl=queue.url)
    w.emu.advance(5)
    w.emu.reset()
    w.emu.advance(5)
