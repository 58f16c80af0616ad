# SPDX-License-Identifier: Apache-2.0
"""Responses in the formats of the services."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from airflow_codepipeline_partner.emulator.http import responses


@pytest.fixture
def started():
    return []


@pytest.fixture
def start(started):
    return lambda status, headers: started.append((status, dict(headers)))


@pytest.mark.parametrize(("status", "line"), [(200, "200 OK"), (404, "404 Not Found"), (599, "599 Unknown")])
def test_the_status_line_has_a_phrase(start, started, status, line):
    body = responses.respond(start, status, b"body", "text/plain", [("X-More", "m")])
    assert body == [b"body"]
    [(status_line, headers)] = started
    assert status_line == line
    assert (headers["Content-Type"], headers["Content-Length"], headers["X-More"]) == ("text/plain", "4", "m")
    assert headers["x-amzn-RequestId"] == headers["x-amz-request-id"]


@pytest.mark.parametrize("make", [responses.s3_error, responses.query_error])
def test_the_text_of_an_error_is_escaped_in_xml(start, make):
    [body] = make(start, "Code<", "a & b", 400)
    found = ElementTree.fromstring(body)  # noqa: S314 - our own
    assert found.findtext(".//Message" if make is responses.query_error else "Message") == "a & b"
