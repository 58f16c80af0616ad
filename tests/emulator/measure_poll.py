# SPDX-License-Identifier: Apache-2.0
"""
Measure what a poll takes over HTTP with few and with many jobs queued.

Run ``python tests/emulator/measure_poll.py``. The ratio counts; the times are the machine's.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time

from airflow_codepipeline_partner.emulator import Emulator, Settings

POLLS = 300
ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}


def median_seconds(queued: int) -> float:
    """Return the median of polls that each take one job, with about as many jobs queued."""
    with Emulator(settings=Settings(lease_seconds=3600)) as emu:
        customer = emu.add_customer()
        emu.add_pipeline("pipeline", client_id=customer.client_id, input_artifacts=())
        for _ in range(queued):
            emu.start_execution("pipeline")
        connection = http.client.HTTPConnection(emu.url.removeprefix("http://"))
        scope = "AKIA/20270101/us-east-1/codepipeline/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "X-Amz-Target": "CodePipeline_20150709.PollForThirdPartyJobs",
        }
        taken = []
        for _ in range(POLLS):
            before = time.perf_counter()
            connection.request("POST", "/", json.dumps({"actionTypeId": ACTION_TYPE}), headers)
            jobs = json.load(connection.getresponse())["jobs"]
            taken.append(time.perf_counter() - before)
            if len(jobs) != 1:
                raise RuntimeError("a poll without a job measures nothing")
            # Another job for the one that was taken keeps the queue's length.
            emu.start_execution("pipeline")
        connection.close()
    return statistics.median(taken)


def main() -> None:
    """Print both medians and their ratio."""
    few, many = median_seconds(10), median_seconds(10_000)
    print(f"10 queued: {few * 1e3:.3f} ms, 10000 queued: {many * 1e3:.3f} ms, ratio {many / few:.2f}")


if __name__ == "__main__":
    main()
