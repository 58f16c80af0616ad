# SPDX-License-Identifier: Apache-2.0
"""Faults on the wire: what the caller gets if one stops the call: an error, or no answer."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from airflow_codepipeline_partner.emulator.faults import Fault
from airflow_codepipeline_partner.emulator.http.requests import Environ


def fault_error(fault: Fault, in_s3: bool = False) -> tuple[str, str, int]:
    """
    Return the error that answers a call: its code, its message and the HTTP status.

    :param fault: A fault that stops the call, other than ``drop_request``, which has no answer.
    :param in_s3: Whether S3 was called, and not CodePipeline.
    """
    if fault.kind == "throttle":
        if in_s3:
            return "SlowDown", "Please reduce your request rate.", 503
        return "ThrottlingException", "Rate exceeded", 400
    if fault.kind == "server_error":
        code = "InternalError" if in_s3 else "InternalFailure"
        return code, "The request processing has failed.", fault.params["status"]
    return fault.params["code"], fault.params["message"], fault.params["status"]


def hang_up(environ: Environ, start: Any) -> Iterable[bytes]:
    """Close the connection without an answer, as a broken network does."""
    # This method of its channel is all that waitress exposes of the connection.
    channel = environ["waitress.client_disconnected"].__self__
    channel.socket.shutdown(socket.SHUT_RDWR)
    start("500 Internal Server Error", [("Content-Length", "0")])
    return []
