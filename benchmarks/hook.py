# SPDX-License-Identifier: Apache-2.0
"""
Compare the hook with the same four calls on a bare boto3 client: poll, details, acknowledge, success.

Both run in this process, in turn, against an emulator in another one. Counted is the processor time of this
process, which waits for the emulator most of the time; the time on the wall is shown beside it. Both grow
with the number of jobs if anything remembers each of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from typing import Any

ACTION_TYPE = {"category": "Build", "owner": "ThirdParty", "provider": "Example", "version": "1"}
TOKEN = "token-of-the-benchmark"  # noqa: S105 - nobody's


def main() -> int:
    """Run what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50, help="jobs in each turn")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--at-most", type=float, help="fail if the median ratio of processor time is higher")
    parser.add_argument("--emulator", type=int, help="serve so many jobs (used internally)")
    arguments = parser.parse_args()
    if arguments.emulator:
        _serve(arguments.emulator)
        return 0
    server = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, __file__, "--emulator", str(2 * arguments.jobs * (arguments.rounds + 1))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if server.stdin is None or server.stdout is None:
        raise RuntimeError("The emulator has no pipes.")
    try:
        found = json.loads(server.stdout.readline())
        ratio = _compare(found["url"], found["client_id"], arguments.jobs, arguments.rounds)
    finally:
        server.stdin.close()
        server.wait(30)
    return 1 if arguments.at_most is not None and ratio > arguments.at_most else 0


def _serve(jobs: int) -> None:
    from airflow_codepipeline_partner.emulator import Emulator

    with Emulator() as emulator:
        customer = emulator.add_customer(client_token=TOKEN)
        emulator.add_pipeline("benchmark", client_id=customer.client_id, action_type=ACTION_TYPE)
        for _ in range(jobs):
            emulator.start_execution("benchmark")
        print(json.dumps({"url": emulator.url, "client_id": customer.client_id}), flush=True)
        sys.stdin.read()


def _compare(url: str, client_id: str, jobs: int, rounds: int) -> float:
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(
        {
            "conn_type": "aws",
            "login": "AKIAEXAMPLE",
            "password": "secret",
            "extra": {"region_name": "us-east-1", "endpoint_url": url},
        }
    )
    conn_id = f"codepipeline_client_{client_id.replace('-', '_')}".upper()
    os.environ[f"AIRFLOW_CONN_{conn_id}"] = json.dumps(
        {"conn_type": "codepipeline_partner_client", "login": client_id, "password": TOKEN}
    )
    import boto3

    from airflow_codepipeline_partner.hooks import CodePipelineHook

    # The lines of a log are no part of the comparison: boto3 writes none.
    logging.disable(logging.CRITICAL)
    hook = CodePipelineHook()
    client = boto3.client(
        "codepipeline",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="secret",  # noqa: S106 - nobody's
    )

    def by_hook() -> None:
        [job] = hook.poll(ACTION_TYPE, 1)
        hook.claim(job)
        hook.succeed(job)

    def by_boto3() -> None:
        [job] = client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE, maxBatchSize=1)["jobs"]
        named = {"jobId": job["jobId"], "clientToken": TOKEN}
        details = client.get_third_party_job_details(**named)["jobDetails"]
        client.acknowledge_third_party_job(**named, nonce=details["nonce"])
        client.put_third_party_job_success_result(**named)

    ratios: dict[str, list[float]] = {"processor": [], "wall": []}
    for number in range(rounds + 1):
        ours, theirs = _seconds(by_hook, jobs), _seconds(by_boto3, jobs)
        # The first turn makes clients and reads boto3's models.
        if number:
            for name in ratios:
                ratios[name].append(ours[name] / theirs[name])
            print(
                f"{number}: {ours['processor'] / jobs * 1000:.2f} ms, {ratios['processor'][-1]:.2f}",
                flush=True,
            )
    for name, values in ratios.items():
        print(f"{name}: median {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    return statistics.median(ratios["processor"])


def _seconds(cycle: Any, jobs: int) -> dict[str, float]:
    processor, wall = time.process_time(), time.perf_counter()
    for _ in range(jobs):
        cycle()
    return {"processor": time.process_time() - processor, "wall": time.perf_counter() - wall}


if __name__ == "__main__":
    sys.exit(main())
