# SPDX-License-Identifier: Apache-2.0
"""The server: starting, stopping, what it imports, and what a poll costs."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading

import pytest
from declaring import ACTION_TYPE

from airflow_codepipeline_partner.emulator import Clock, Emulator, Settings
from airflow_codepipeline_partner.emulator.api.jobs import JobsApi


def test_nothing_is_left_after_stopping(http):
    before = set(threading.enumerate())
    with contextlib.ExitStack() as connections:
        with Emulator() as emu:
            url = emu.url
            assert http(f"{url}/_emu/health")[0] == 200
            address = ("127.0.0.1", int(url.rpartition(":")[2]))
            idle = connections.enter_context(socket.create_connection(address))
            assert set(threading.enumerate()) - before
        # Threads of Airflow's, from tests before this one, may end meanwhile.
        assert set(threading.enumerate()) - before == set()
        try:
            left = idle.recv(1)
        except ConnectionResetError:
            # As gone as a connection that was closed in good order.
            left = b""
        assert left == b""
    with pytest.raises(OSError, match="refused"):
        http(f"{url}/_emu/health")
    emu.stop()


def test_it_listens_on_the_loopback_and_the_port_that_is_asked():
    with Emulator() as first:
        port = int(first.url.rpartition(":")[2])
    with Emulator(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"
        assert second._server.effective_host == "127.0.0.1"
        with pytest.raises(RuntimeError, match="already started"):
            second.start()


def test_an_emulator_that_is_not_started_has_no_url():
    with pytest.raises(RuntimeError, match="not started"):
        _ = Emulator().url


def test_state_outlives_the_server_and_it_can_start_again(http):
    emu = Emulator()
    with emu:
        customer = emu.add_customer()
    with emu:
        assert customer.client_id in emu.state.customers
        assert http(f"{emu.url}/_emu/health")[0] == 200


def test_two_emulators_know_nothing_of_each_others_jobs(world):
    one, two = world(), world()
    one.start()
    assert two.worker.poll() == []
    assert len(one.worker.poll()) == 1


def test_two_emulators_have_artifacts_of_their_own(world):
    places = []
    for _ in range(2):
        w = world(pipeline={"input_artifacts": ["In"]})
        w.start()
        [job] = w.emu.state.jobs.values()
        places.append(job.action.inputs[0].bucket)
    assert places[0] != places[1]


def test_a_reset_leaves_other_emulators_their_pipelines(world):
    w = world(pipeline={"input_artifacts": ["In"], "output_artifacts": ["Out"]})
    world().emu.reset()
    w.start()
    assert len(w.worker.poll()) == 1


def test_a_port_that_is_taken_leaves_nothing_behind(world):
    before = set(threading.enumerate())
    with Emulator() as emu:
        taken = int(emu.url.rpartition(":")[2])
        running = set(threading.enumerate())
        with pytest.raises(OSError, match="in use"):
            Emulator(port=taken).start()
        assert set(threading.enumerate()) == running
    assert set(threading.enumerate()) <= before


def test_the_emulator_imports_neither_airflow_nor_the_client():
    script = """
import sys
import airflow_codepipeline_partner.emulator.cli
package = "airflow_codepipeline_partner"
allowed = (package, package + ".emulator")
wrong = [
    name for name in sys.modules
    if name.partition(".")[0] == "airflow"
    or (name.startswith(package) and name not in allowed and not name.startswith(package + ".emulator."))
]
print(wrong)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_poll_costs_the_same_with_ten_thousand_jobs():
    """As with ten."""
    assert _steps_of_a_poll(10_000) <= _steps_of_a_poll(10) * 1.1


def _steps_of_a_poll(queued):
    """Count the bytecodes of one poll, which unlike its time is always the same."""
    emu = Emulator(settings=Settings(), clock=Clock(lambda: 1_800_000_000.0))
    customer = emu.add_customer()
    emu.add_pipeline("pipeline", client_id=customer.client_id, input_artifacts=())
    for _ in range(queued):
        emu.start_execution("pipeline")
    calls = JobsApi(emu.state, emu.runner, emu.store)
    request = {"actionTypeId": ACTION_TYPE, "maxBatchSize": 5}
    assert len(calls.answer("PollForThirdPartyJobs", request)["jobs"]) == 5
    steps = itertools.count()

    def trace(frame, event, argument):
        frame.f_trace_opcodes = True
        if event == "opcode":
            next(steps)
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        calls.answer("PollForThirdPartyJobs", request)
    finally:
        sys.settrace(former)
    return next(steps)


def test_it_answers_beside_many_idle_connections(http):
    with Emulator() as emu, contextlib.ExitStack() as idle:
        for _ in range(150):
            idle.enter_context(socket.create_connection(("127.0.0.1", int(emu.url.rpartition(":")[2]))))
        assert http(f"{emu.url}/_emu/health")[0] == 200


def test_it_answers_where_a_thousand_files_are_open(http):
    with contextlib.ExitStack() as held:
        for _ in range(1100):
            held.enter_context(open(os.devnull))
        with Emulator() as emu:
            assert http(f"{emu.url}/_emu/health")[0] == 200
