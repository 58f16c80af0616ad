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
POLL_OF = {"ThirdParty": "PollForThirdPartyJobs", "Custom": "PollForJobs"}


def median_seconds(owner: str, queued: int) -> float:
    """Return the median of polls that each take one job of an owner's, with about as many jobs queued."""
    action_type = {"category": "Deploy", "owner": owner, "provider": "Example", "version": "1"}
    with Emulator(settings=Settings(lease_seconds=3600)) as emu:
        client_id = emu.add_customer().client_id if owner == "ThirdParty" else None
        emu.add_pipeline("pipeline", client_id=client_id, action_type=action_type, input_artifacts=())
        for _ in range(queued):
            emu.start_execution("pipeline")
        connection = http.client.HTTPConnection(emu.url.removeprefix("http://"))
        scope = "AKIA/20270101/us-east-1/codepipeline/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "X-Amz-Target": f"CodePipeline_20150709.{POLL_OF[owner]}",
        }
        taken = []
        for _ in range(POLLS):
            before = time.perf_counter()
            connection.request("POST", "/", json.dumps({"actionTypeId": action_type}), headers)
            jobs = json.load(connection.getresponse())["jobs"]
            taken.append(time.perf_counter() - before)
            if len(jobs) != 1:
                raise RuntimeError("a poll without a job measures nothing")
            # Another job for the one that was taken keeps the queue's length.
            emu.start_execution("pipeline")
        connection.close()
    return statistics.median(taken)


def main() -> None:
    """Print both medians and their ratio, for each owner."""
    for owner, poll in POLL_OF.items():
        few, many = median_seconds(owner, 10), median_seconds(owner, 10_000)
        times = f"10 queued: {few * 1e3:.3f} ms, 10000 queued: {many * 1e3:.3f} ms, ratio {many / few:.2f}"
        print(f"{poll}: {times}")


if __name__ == "__main__":
    main()
