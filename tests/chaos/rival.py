# SPDX-License-Identifier: Apache-2.0
"""A second worker that races for the same jobs: plain boto3, and nothing of ours."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.evidence import RIVALS_EXECUTION_ID

#: Seconds that it takes its time between an offer and its claim: about as long as Airflow needs.
HESITATION_SECONDS = (0.0, 30.0)
WORK_SECONDS = (0.0, 3.0)
_POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Offer:
    """
    What a poll returned.

    :param nonce: Of a custom job; that of a partner's comes with its details.
    :param client_token: Of a partner's job.
    """

    job_id: str
    nonce: str | None = None
    client_token: str | None = None

    def named(self) -> dict[str, str]:
        """Return the members by which a call names the job."""
        token = {} if self.client_token is None else {"clientToken": self.client_token}
        return {"jobId": self.job_id} | token


class Rival:
    """
    Poll, claim, work and report in threads, until the context ends; for a partner's or for custom jobs.

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
        self._is_custom = action_type["owner"] == "Custom"
        self._token_of = token_of
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, no secret
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._client = boto3.client(
            "codepipeline",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="example-secret",
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
            offers: list[Offer] = []
            with contextlib.suppress(ClientError, BotoCoreError):
                offers = self._poll()
            for offer in offers:
                if offer.job_id in self._known:
                    continue
                self._known.add(offer.job_id)
                wait, work = (
                    self._chance.uniform(*seconds) for seconds in (HESITATION_SECONDS, WORK_SECONDS)
                )
                # Without a job, it does not hesitate: by chance, it might win none.
                self._start(self._take, offer, wait if self.claimed else 0.0, work)

    def _poll(self) -> list[Offer]:
        asked = {"actionTypeId": self._action_type, "maxBatchSize": 10}
        if self._is_custom:
            jobs = self._client.poll_for_jobs(**asked)["jobs"]
            return [Offer(job["id"], nonce=job["nonce"]) for job in jobs]
        jobs = self._client.poll_for_third_party_jobs(**asked)["jobs"]
        return [Offer(job["jobId"], client_token=self._token_of(job["clientId"])) for job in jobs]

    def _take(self, offer: Offer, wait: float, work: float) -> None:
        self._stopping.wait(wait)
        try:
            status = self._acknowledge(offer)
        except (ClientError, BotoCoreError):
            self._known.discard(offer.job_id)
            return
        if status != "InProgress":
            return
        self.claimed.add(offer.job_id)
        self._stopping.wait(work)
        # Until it gets a signal: it keeps no record, and must not lose a job by itself.
        while not self._is_told(offer):
            self._stopping.wait(_POLL_SECONDS)

    def _acknowledge(self, offer: Offer) -> str:
        named = offer.named()
        if self._is_custom:
            return str(self._client.acknowledge_job(**named, nonce=offer.nonce)["status"])
        nonce = self._client.get_third_party_job_details(**named)["jobDetails"]["nonce"]
        return str(self._client.acknowledge_third_party_job(**named, nonce=nonce)["status"])

    def _is_told(self, offer: Offer) -> bool:
        put = (
            self._client.put_job_success_result
            if self._is_custom
            else self._client.put_third_party_job_success_result
        )
        try:
            put(
                **offer.named(),
                executionDetails={"externalExecutionId": RIVALS_EXECUTION_ID, "summary": "The rival's work."},
            )
        except ClientError as error:
            return error.response["Error"]["Code"] == "InvalidJobStateException"
        except BotoCoreError:
            return False
        return True
