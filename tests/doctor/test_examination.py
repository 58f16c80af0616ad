# SPDX-License-Identifier: Apache-2.0
"""How checks run: by themselves, within their limits, and without a traceback."""

from __future__ import annotations

import threading

import pytest

from airflow_codepipeline_partner.doctor.examination import Examination, Shared, for_each
from airflow_codepipeline_partner.doctor.findings import CannotCheck, Check, LeftOut, Outcome, failed, passed

NEVER = threading.Event()


def breaks():
    raise RuntimeError("planted-secret")


def cannot():
    raise CannotCheck("It is away.", "Bring it.")


def yields_and_breaks():
    yield passed("fine")
    breaks()


def test_each_check_runs_whatever_the_others_do():
    checks = [
        Check("a", "breaks", breaks, 9),
        Check("a", "cannot", cannot, 9),
        Check("b", "hangs", NEVER.wait, 0.01),
        Check("b", "half", yields_and_breaks, 9),
        Check("b", "two", lambda: [passed("one"), failed("two", "mend")], 9),
    ]
    lines = list(Examination(checks).lines())
    assert [(each.name, each.finding.outcome) for each in lines] == [
        ("breaks", Outcome.UNKNOWN),
        ("cannot", Outcome.UNKNOWN),
        ("hangs", Outcome.UNKNOWN),
        ("half", Outcome.UNKNOWN),
        ("two", Outcome.PASS),
        ("two", Outcome.FAIL),
    ]
    assert "planted" not in str(lines)
    assert lines[0].finding.what == "This check broke off: RuntimeError."
    assert lines[2].finding.what == "There was no answer within 0.01 s."


def test_a_check_with_a_cause_that_is_known_is_left_out():
    def left_out():
        raise LeftOut

    shared = [Shared(NEVER.wait, 0.01) for _ in range(2)]
    checks = [
        Check("a", "fails", lambda: failed("It is away.", "Bring it."), 9),
        Check("a", "cannot", cannot, 9),
        Check("b", "left out", left_out, 9),
        # Two systems are silent; each is said once.
        *(Check("b", f"silent {n}", each.get, 9) for n, each in enumerate([*shared, *shared])),
    ]
    examination = Examination(checks)
    assert [each.name for each in examination.lines()] == ["fails", "silent 0", "silent 1"]
    assert [each.name for each in examination.left_out] == ["cannot", "left out", "silent 2", "silent 3"]


def test_what_is_shared_is_found_once():
    calls = []
    shared = Shared(lambda: calls.append(1) or len(calls), 9)
    assert (shared.get(), shared.get()) == (1, 1)


def test_what_hangs_is_waited_for_once():
    calls = []
    shared = Shared(lambda: (calls.append(1), NEVER.wait()), 0.01)
    for _ in range(2):
        with pytest.raises(CannotCheck, match="no answer"):
            shared.get()
    assert len(calls) == 1


def test_what_is_shared_breaks_for_all_that_need_it():
    shared = Shared(breaks, 9)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            shared.get()


def test_no_more_calls_than_allowed_run_at_once():
    running, most, lock, done = [0], [0], threading.Lock(), []

    def call(item):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with lock:
            running[0] -= 1
            done.append(item)

    for_each(range(200), call, 4)
    assert sorted(done) == list(range(200))
    assert most[0] <= 4
