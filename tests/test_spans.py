# SPDX-License-Identifier: Apache-2.0
"""Spans are made below a span that is recorded, and hold no text of an error."""

from __future__ import annotations

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_codepipeline_partner import _spans


@pytest.fixture
def exporter(monkeypatch):
    """The spans that were made; no other test has this provider."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return found


def test_without_a_recorded_span_there_is_none(exporter):
    with _spans.span("claim", job_id="job-1"):
        assert not trace.get_current_span().is_recording()
    assert exporter.get_finished_spans() == ()


def test_a_span_is_below_that_of_its_task(exporter):
    with trace.get_tracer("airflow").start_as_current_span("task") as task:
        with _spans.span("report", job_id="job-1", result=None):
            pass
        assert trace.get_current_span() is task
    span, _ = exporter.get_finished_spans()
    assert (span.name, dict(span.attributes)) == ("codepipeline.report", {"codepipeline.job_id": "job-1"})
    assert span.parent.span_id == task.get_span_context().span_id


def test_of_an_error_a_span_has_the_type_only(exporter):
    with (
        trace.get_tracer("airflow").start_as_current_span("task"),
        pytest.raises(ValueError, match="planted"),
        _spans.span("upload"),
    ):
        raise ValueError("planted secret")
    span, _ = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, "ValueError")
    assert "planted" not in span.to_json()


def test_without_opentelemetry_the_work_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    done = []
    with _spans.span("claim"):
        done.append("claimed")
    assert done == ["claimed"]
