# SPDX-License-Identifier: Apache-2.0
"""What is read from a request."""

from __future__ import annotations

import io

from airflow_codepipeline_partner.emulator.http.requests import read_body, request_headers


def test_headers_have_their_names_in_lower_case():
    environ = {"HTTP_X_AMZ_DATE": "d", "CONTENT_TYPE": "t", "CONTENT_LENGTH": "", "PATH_INFO": "/"}
    assert request_headers(environ) == {"x-amz-date": "d", "content-type": "t"}


def test_a_body_can_be_read_again():
    environ = {"wsgi.input": io.BytesIO(b"body, and the next request"), "CONTENT_LENGTH": "4"}
    assert read_body(environ) == read_body(environ) == b"body"
    # Nor does the next client see the request behind it.
    assert environ["wsgi.input"].read() == b"body"


def test_a_request_without_a_length_has_no_body():
    environ = {"wsgi.input": io.BytesIO(b"the next request"), "CONTENT_LENGTH": ""}
    assert read_body(environ) == b""
