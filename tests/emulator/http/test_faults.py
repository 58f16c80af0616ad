# SPDX-License-Identifier: Apache-2.0
"""Which fault stops a call, and which error it then gets. The wire itself: tests/emulator/test_faults.py."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.emulator.faults import KINDS, Faults
from airflow_codepipeline_partner.emulator.http.faults import fault_error, stopping_fault

PARAMS = {
    "error": {"code": "Odd", "message": "very", "status": 418},
    "cut_body": {"after_bytes": 1},
    "slow": {"seconds": 1},
    "omit": {"members": ["data"]},
    "replace": {"members": {"data": {}}},
}


def fault(kind):
    return Faults().inject(kind, None, 1, None, None, None, None, PARAMS.get(kind, {}))


def test_these_kinds_stop_a_call():
    stopping = [kind for kind in KINDS if stopping_fault([fault(kind)]) is not None]
    assert stopping == ["throttle", "server_error", "error", "drop_request"]


def test_the_first_that_stops_it_counts():
    slow, error, throttle = fault("slow"), fault("error"), fault("throttle")
    assert stopping_fault([slow, error, throttle]) is error
    assert stopping_fault([slow]) is None
    assert stopping_fault([]) is None


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
    told_code, message, told_status = fault_error(fault(kind), in_s3)
    assert (told_code, told_status) == (code, status)
    assert message
