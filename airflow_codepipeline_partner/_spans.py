# SPDX-License-Identifier: Apache-2.0
"""Spans below the span of the running task, if Airflow traces it: from Airflow 3.2 on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def span(name: str, **attributes: str | None) -> Generator[None, None, None]:
    """
    Make a span of what is done within, if there is a span that is recorded already.

    Of an error it has the type only: the text of one that comes from elsewhere might hold anything.

    :param name: What is done, after ``codepipeline.``.
    :param attributes: What the span is about, and no secrets. They are named ``codepipeline.…``.
    """
    try:
        from opentelemetry import trace
    except ImportError:
        yield
        return
    if not trace.get_current_span().is_recording():
        yield
        return
    with trace.get_tracer(__name__).start_as_current_span(
        f"codepipeline.{name}",
        attributes={f"codepipeline.{key}": value for key, value in attributes.items() if value is not None},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except BaseException as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
