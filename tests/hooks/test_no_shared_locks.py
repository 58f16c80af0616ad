# SPDX-License-Identifier: Apache-2.0
"""One hook whose connection or role hangs holds up no other, on Python 3.11 too."""

from __future__ import annotations

import threading

import pytest

from airflow_codepipeline_partner.hooks import CodePipelineHook

#: Where one hook hangs.
STEPS = {"role": "get_client_type", "connection": "get_connection"}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_hook_that_hangs_holds_up_no_other(emulator, make_hook, monkeypatch, step):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    hangs, goes_on = threading.Event(), threading.Event()
    first, original = make_hook(), getattr(CodePipelineHook, step)

    def hanging(*given, **named):
        hangs.set()
        goes_on.wait(30)
        return original.__get__(first)(*given, **named)

    monkeypatch.setattr(first, step, hanging)
    thread = threading.Thread(target=lambda: first.location)
    thread.start()
    try:
        assert hangs.wait(30)
        done = threading.Thread(target=lambda: make_hook().location, daemon=True)
        done.start()
        done.join(10)
        assert not done.is_alive()
    finally:
        goes_on.set()
        thread.join()
