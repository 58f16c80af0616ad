# SPDX-License-Identifier: Apache-2.0
"""
The four calls of a job through the hook, beside the same calls on a bare boto3 client.

Both run in one process, in turn, against an emulator in another one. Counted is the processor time of this
process. It would grow with the jobs that the hook has done if anything remembered each of them.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from typing import Any

from benchmarks.apart import run_apart, served_apart
from benchmarks.emulated import ACTION_TYPE, bare_client, connections, emulator
from benchmarks.figures import Figure, curve


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    places, rounds, turn = ([10, 200], 5, 20) if short else ([100, 1000, 3000, 10_000], 9, 50)
    # Each round takes a turn of both. The first places may be nearer than their rounds are long.
    jobs = places[-1] + (2 * rounds * turn + turn) * len(places)
    with served_apart(emulator, jobs, {"retention": 1}) as found:
        environment = connections(found["url"], {found["client_id"]: found["client_token"]})
        ours, theirs = run_apart(
            _compare, found["url"], found["client_token"], places, rounds, turn, environment=environment
        )
    return [
        Figure(
            name="hook",
            what="poll, claim and success through the hook",
            against="the same four calls on a bare boto3 client",
            unit="ms of CPU a job",
            points=curve(ours, places, theirs),
            at_most=1.1,
            alarm=1.4,
            axis="jobs that the hook has done",
        )
    ]


def _compare(
    url: str, token: str, places: list[int], rounds: int, turn: int
) -> tuple[list[list[float]], list[list[float]]]:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    # The lines of a log are no part of the comparison: boto3 writes none.
    logging.disable(logging.CRITICAL)
    hook, client = CodePipelineHook(), bare_client("codepipeline", url)

    def by_hook() -> None:
        [job] = hook.poll(ACTION_TYPE, 1)
        hook.claim(job)
        hook.succeed(job)

    def by_boto3() -> None:
        [job] = client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE, maxBatchSize=1)["jobs"]
        named = {"jobId": job["jobId"], "clientToken": token}
        details = client.get_third_party_job_details(**named)["jobDetails"]
        client.acknowledge_third_party_job(**named, nonce=details["nonce"])
        client.put_third_party_job_success_result(**named)

    ours: list[list[float]] = [[] for _ in range(rounds)]
    theirs: list[list[float]] = [[] for _ in range(rounds)]
    done = 0
    # The first turn makes clients and reads boto3's models.
    _milliseconds(by_boto3, 2)
    _milliseconds(by_hook, 2)
    # What was made before is not looked through for garbage, which would hit a turn now and then.
    gc.collect()
    gc.freeze()
    for place in places:
        for _ in range(place - done - rounds * turn):
            by_hook()
        done = max(place, done + rounds * turn)
        for number in range(rounds):
            used = [0.0, 0.0]
            for each in range(2 * turn):
                # One job of one, one job of the other, and then the other one first.
                whose = (each + each // 2) % 2
                used[whose] += _milliseconds((by_hook, by_boto3)[whose], 1)
            ours[number].append(used[0] / turn)
            theirs[number].append(used[1] / turn)
    return ours, theirs


def _milliseconds(cycle: Callable[[], Any], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        cycle()
    return (time.process_time() - began) / times * 1000
