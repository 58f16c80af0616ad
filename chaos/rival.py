# SPDX-License-Identifier: Apache-2.0
"""A second worker that races for the same jobs: plain boto3, and nothing of ours."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chaos.evidence import RIVALS_EXECUTION_ID

#: Seconds that it takes its time between an offer and its claim: about as long as Airflow needs.
HESITATION_SECONDS = (0.0, 30.0)
WORK_SECONDS = (0.0, 3.0)
_POLL_SECONDS = 1.0


class Rival:
    """
    Poll, claim, work and report in threads, until the context ends.

    :param endpoint: Where CodePipeline is.
    :param action_type: What to poll for.
    :param token_of: Returns a client's token.
    :param seed: Of its hesitations.
    """

    def __init__(
        self, endpoint: str, action_type: Mapping[str, str], token_of: Callable[[str], str], seed: int
    ) -> None:
        self.claimed: set[str] = set()
        self._known: set[str] = set()
        self._action_type = dict(action_type)
        self._token_of = token_of
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, no secret
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._client = boto3.client(
            "codepipeline",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="example-secret",  # noqa: S106 - the emulator takes any
            config=Config(retries={"mode": "standard", "total_max_attempts": 10}, proxies={}),
        )

    def __enter__(self) -> Rival:
        self._start(self._poll_for_ever)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _start(self, what: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _poll_for_ever(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            jobs: list[Any] = []
            with contextlib.suppress(ClientError, BotoCoreError):
                jobs = self._client.poll_for_third_party_jobs(
                    actionTypeId=self._action_type, maxBatchSize=10
                )["jobs"]
            for job in jobs:
                if job["jobId"] in self._known:
                    continue
                self._known.add(job["jobId"])
                wait, work = (
                    self._chance.uniform(*seconds) for seconds in (HESITATION_SECONDS, WORK_SECONDS)
                )
                self._start(self._take, job["jobId"], self._token_of(job["clientId"]), wait, work)

    def _take(self, job_id: str, client_token: str, wait: float, work: float) -> None:
        self._stopping.wait(wait)
        named = {"jobId": job_id, "clientToken": client_token}
        try:
            nonce = self._client.get_third_party_job_details(**named)["jobDetails"]["nonce"]
            status = self._client.acknowledge_third_party_job(**named, nonce=nonce)["status"]
        except (ClientError, BotoCoreError):
            self._known.discard(job_id)
            return
        if status != "InProgress":
            return
        self.claimed.add(job_id)
        self._stopping.wait(work)
        # Until it is told: it keeps no record, and must not lose a job by itself.
        while not self._is_told(named):
            self._stopping.wait(_POLL_SECONDS)

    def _is_told(self, named: Mapping[str, str]) -> bool:
        try:
            self._client.put_third_party_job_success_result(
                **named,
                executionDetails={"externalExecutionId": RIVALS_EXECUTION_ID, "summary": "The rival's work."},
            )
        except ClientError as error:
            return error.response["Error"]["Code"] == "InvalidJobStateException"
        except BotoCoreError:
            return False
        return True
