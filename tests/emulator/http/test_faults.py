# SPDX-License-Identifier: Apache-2.0
"""Which error a call gets that a fault stops. The wire itself: tests/emulator/test_faults.py."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.emulator.faults import Faults
from airflow_codepipeline_partner.emulator.http.faults import fault_error

ODD = {"code": "Odd", "message": "very", "status": 418}


@pytest.mark.parametrize(
    ("kind", "in_s3", "code", "status"),
    [
        ("throttle", False, "ThrottlingException", 400),
        ("throttle", True, "SlowDown", 503),
        ("server_error", False, "InternalFailure", 500),
        ("server_error", True, "InternalError", 500),
        ("error", False, "Odd", 418),
        ("error", True, "Odd", 418),
    ],
)
def test_each_service_has_its_own_errors(kind, in_s3, code, status):
    fault = Faults().inject(kind, None, 1, None, None, None, None, ODD if kind == "error" else {})
    told_code, message, told_status = fault_error(fault, in_s3)
    assert (told_code, told_status) == (code, status)
    assert message
