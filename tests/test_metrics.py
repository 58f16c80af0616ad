# SPDX-License-Identifier: Apache-2.0
"""What is counted and measured, with which tags, and that nothing notices if it cannot be sent."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner import _metrics
from airflow_codepipeline_partner.exceptions import InvalidClientToken, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType

KIND = ActionType.from_value(ACTION_TYPE)


def test_the_table_has_each_metric_once():
    in_module = [each for each in vars(_metrics).values() if isinstance(each, _metrics.Metric)]
    assert list(_metrics.METRICS) == in_module
    names = [metric.name for metric in _metrics.METRICS]
    assert len(set(names)) == len(names)
    for metric in _metrics.METRICS:
        # With Airflow's prefix, OpenTelemetry takes 63 characters.
        assert re.fullmatch(r"codepipeline(\.[a-z_]+){1,2}", metric.name)
        assert len(f"airflow.{metric.name}") <= 63


def test_no_tag_grows_with_jobs_clients_or_runs():
    tags = {tag for metric in _metrics.METRICS for tag in metric.tags}
    assert tags == {*_metrics.TYPE_TAGS, "failure_type", "result", "error", "pipeline", "status"}


def test_an_action_type_is_four_tags(stats):
    _metrics.count(_metrics.JOBS_FAILED, KIND, failure_type="JobFailed")
    assert stats.sent == [
        ("incr", "codepipeline.jobs.failed", 1, {**ACTION_TYPE, "failure_type": "JobFailed"})
    ]


def test_an_action_type_that_is_not_known_has_the_same_tags(stats):
    _metrics.measure(_metrics.JOBS_CLAIM_DELAY, 1.5)
    unknown = dict.fromkeys(ACTION_TYPE, "unknown")
    assert stats.sent == [("timing", "codepipeline.jobs.claim_delay", timedelta(seconds=1.5), unknown)]


def test_a_clock_that_was_set_back_gives_no_negative_time(stats):
    _metrics.measure(_metrics.JOBS_DURATION, -3, KIND, result="success")
    assert [value for _, _, value, _ in stats.sent] == [timedelta(0)]


def test_a_backend_that_fails_is_logged_once_without_its_text(monkeypatch, caplog):
    class Broken:
        def incr(self, *given, **tags):
            raise OSError("a secret")

    monkeypatch.setattr(_metrics, "_stats", Broken)
    monkeypatch.setattr(_metrics, "_troubles", set())
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            _metrics.count(_metrics.POLLS, KIND)
        _metrics.measure(_metrics.POLL_DURATION, 1, KIND)
    assert [record.getMessage().partition(". ")[0] for record in caplog.records] == [
        "Metrics are not sent: OSError",
        "Metrics are not sent: AttributeError",
    ]
    assert "a secret" not in caplog.text


def test_a_job_is_offered_once_and_then_offered_again(stats):
    _metrics.count_offers(KIND, ["one", "two"])
    _metrics.count_offers(KIND, ["two", "three"])
    _metrics.count_offers(KIND, [])
    assert stats.counts == {"jobs.offered": 3, "jobs.offered_again": 1}


def test_of_offered_jobs_only_so_many_are_remembered(stats, monkeypatch):
    monkeypatch.setattr(_metrics, "MAX_SEEN_JOBS", 2)
    for job_id in ("one", "two", "three", "one"):
        _metrics.count_offers(KIND, [job_id])
    assert list(_metrics._seen) == ["three", "one"]
    assert stats.counts == {"jobs.offered": 4}


def test_a_poll_is_counted_and_measured(emulator, customer, make_hook, stats):
    emulator.start_execution("pipe")
    hook = make_hook()
    assert len(hook.poll(KIND)) == 1
    emulator.advance(61)
    hook.poll(KIND)
    assert stats.counts == {"polls": 2, "jobs.offered": 1, "jobs.offered_again": 1}
    assert stats.timed == ["poll_duration"] * 2


def test_a_poll_that_fails_is_counted_with_its_error(emulator, customer, make_hook, stats):
    emulator.inject("throttle", "PollForThirdPartyJobs")
    with pytest.raises(ServiceUnavailable):
        make_hook(retry_deadline=0).poll(KIND)
    assert stats.counts == {"polls": 1, "poll_errors": 1}
    assert stats.tags_of(_metrics.POLL_ERRORS) == {**ACTION_TYPE, "error": "ServiceUnavailable"}
    assert stats.timed == ["poll_duration"]


def test_a_refused_client_token_is_counted(offer, customer, store_token, make_hook, stats):
    job = offer()
    store_token(customer, password="planted-client-token")
    stats.sent.clear()
    with pytest.raises(InvalidClientToken):
        make_hook().details(job)
    assert stats.counts == {"client_tokens_refused": 1}
    assert stats.tags_of(_metrics.CLIENT_TOKENS_REFUSED) == ACTION_TYPE
    assert "planted" not in repr(stats.sent)


PROGRAM = """
import os, socket
listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listening.bind(("127.0.0.1", 0))
listening.settimeout(60)
os.environ["AIRFLOW__METRICS__STATSD_PORT"] = str(listening.getsockname()[1])
from airflow_codepipeline_partner import _metrics
_metrics.count(_metrics.EXECUTIONS_STARTED, pipeline="shop")
while "codepipeline" not in (received := listening.recv(1000).decode()):
    pass  # Airflow's own, of its start
print(received)
"""


@pytest.mark.parametrize(("influxdb", "tags"), [("False", ""), ("True", ",pipeline=shop")])
def test_airflows_own_stats_send_it(influxdb, tags):
    """In a process of its own, as that of the triggers: nothing there has initialized Airflow's Stats."""
    settings = {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": influxdb,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **settings},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == f"airflow.codepipeline.executions.started{tags}:1|c"
