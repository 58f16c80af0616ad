# SPDX-License-Identifier: Apache-2.0
"""A real Airflow sends what it counts of a whole job's life, from its triggerer and from its tasks."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import airflow
import pytest
from received import Collector, Statsd
from support import ACTION_TYPE, REPO, airflow_connections

from airflow_codepipeline_partner import _metrics
from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow

SECONDS = 240
TAGS = "".join(f",{name}={value}" for name, value in ACTION_TYPE.items())
HAS_SPANS_IN_TASKS = airflow.__version__ >= "3.2"
EXAMPLES = ("example_jobs_as_asset_events.py", "example_claim_work_finish.py")


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """What was sent of one job."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    for name in EXAMPLES:
        shutil.copy(REPO / "example_dags" / name, dags / name)
    with Emulator() as emulator, Statsd() as statsd, Collector() as collector:
        customer = emulator.add_customer()
        emulator.add_pipeline("pipe", client_id=customer.client_id, action_type=ACTION_TYPE)
        environment = {
            **airflow_connections(emulator, customer),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }
        if HAS_SPANS_IN_TASKS:
            environment |= {
                "AIRFLOW__TRACES__OTEL_ON": "True",
                "OTEL_TRACES_EXPORTER": "otlp_proto_http",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            }
        with LocalAirflow(home, dags, environment=environment) as running:
            emulator.start_execution("pipe")

            running.wait_for(lambda: statsd.counts[f"jobs.succeeded{TAGS}"], "the end of the job", SECONDS)
            if HAS_SPANS_IN_TASKS:
                running.wait_for(lambda: len(spans_of(collector)) >= 2, "the spans", SECONDS)
        yield SimpleNamespace(
            statsd=statsd, spans=spans_of(collector), all=collector.spans, customer=customer
        )


def spans_of(collector):
    return [span for span in collector.spans if span.name.startswith("codepipeline.")]


def test_each_fact_of_a_job_is_counted_once(sent):
    counts = {name: count for name, count in sent.statsd.counts.items() if name.startswith("jobs.")}
    counts.pop(f"jobs.offered_again{TAGS}", None)
    assert counts == {f"jobs.offered{TAGS}": 1, f"jobs.claimed{TAGS}": 1, f"jobs.succeeded{TAGS}": 1}


def test_the_triggerer_counts_its_polls(sent):
    assert sent.statsd.counts[f"polls{TAGS}"] > 1
    assert {"poll_duration", "jobs.claim_delay", "jobs.duration"} <= sent.statsd.timers


def test_all_that_is_sent_is_in_the_table(sent):
    names = {line.partition(",")[0].removeprefix("airflow.") for line in sent.statsd.lines}
    assert names <= {metric.name for metric in _metrics.METRICS}


def test_no_secret_is_sent(sent):
    received = repr(sent.statsd.lines) + repr(sent.all)
    assert "codepipeline.jobs" in received
    assert sent.customer.client_token not in received
    assert sent.customer.client_id not in repr(sent.statsd.lines)


@pytest.mark.skipif(not HAS_SPANS_IN_TASKS, reason="a task has no span before Airflow 3.2")
def test_claims_and_results_are_spans_of_their_tasks(sent):
    tasks = {span.span_id: span.name for span in sent.all}
    assert sorted((tasks.get(span.parent_span_id), span.name) for span in sent.spans) == [
        ("worker.claim", "codepipeline.claim"),
        ("worker.finish_job", "codepipeline.report"),
    ]
    for span in sent.spans:
        assert {attribute.key for attribute in span.attributes} <= {
            "codepipeline.job_id",
            "codepipeline.result",
        }
