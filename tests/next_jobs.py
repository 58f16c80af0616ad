# SPDX-License-Identifier: Apache-2.0
"""What the tests of an action's next job share: jobs, claims, and a hook that answers."""

from __future__ import annotations

from record_memory import RecordMemory
from support import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import Acknowledged, AskDetails, Asked, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import awaited_job
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import (
    InvalidNonce,
)
from airflow_codepipeline_partner.jobs import (
    ActionType,
    ClaimedJob,
    OfferedJob,
)

PARTNER, CUSTOM = ActionType.from_value(ACTION_TYPE), ActionType.from_value(CUSTOM_TYPE)
ONE, TWO = OfferedJob("one", "client", PARTNER), OfferedJob("two", "client", PARTNER)
CUSTOM_ONE, CUSTOM_TWO = OfferedJob("one", None, CUSTOM, "1"), OfferedJob("two", None, CUSTOM, "2")
WAITING = TaskInstanceRef("dag", "run", "go_on")
TOKEN = WAITING.token
INTENT, CLAIMED, UNKNOWN, LOST, REFUSED = ClaimState
#: Deadlines: one that does not come, and one that is over.
LONG, OVER = 4e9, 0.0


#: State → the answer that leads to it, if the nonce stays the same.
ANSWERS = {
    CLAIMED: Acknowledged("InProgress"),
    LOST: Acknowledged("Succeeded"),
    UNKNOWN: InvalidNonce("m", in_doubt=True),
}


class Hook:
    """
    Answers an acknowledgement, or a put, with a state or an error.

    :param token: The token that the offered job carries.
    :param meanwhile: Called between the intent and the acknowledgement.
    """

    def __init__(self, answer=CLAIMED, *, token=TOKEN, meanwhile=lambda: None):
        self.answer = answer
        self.token = token
        self.meanwhile = meanwhile
        self.acknowledged = []
        self.puts = []

    def carry_out(self, job, call):
        if isinstance(call, AskDetails):
            return Asked(ClaimedJob(job, continuation_token=self.token), "nonce")
        self.meanwhile()
        self.acknowledged.append(job)
        if isinstance(self.answer, Exception):
            return self.answer
        return ANSWERS[self.answer]

    def send_result(self, call):
        if isinstance(self.answer, Exception):
            raise self.answer
        self.puts.append(call)

    def status_of_ended(self, job):
        return None


def success(job=ONE, *, token=None, state="done"):
    return ResultRecord.of_call(state, requests.success(job, continuation_token=token))


def record(state=CLAIMED, job=ONE, *, former=(), token=None):
    return ClaimRecord(state, ClaimedJob(job, continuation_token=token), former, unknown_claim="assume_ours")


def claim_of(kept, *results, unknown_claim="assume_ours"):
    return ClaimInRun(RecordMemory(*results, claim=kept), kept, unknown_claim)


def waiting_claim(state=CLAIMED, job=ONE):
    """The claim of a job that this run has ended with its token."""
    return claim_of(record(state, job), success(job, token=TOKEN))


def next_claim(state, job=TWO):
    """The claim of the job after it, which this run has tried to claim."""
    return claim_of(record(state, job, former=("one",), token=TOKEN), success(token=TOKEN))


def offered(job=TWO):
    return {"status": "offered", "jobs": [job.to_xcom()]}


def awaited(claim):
    return awaited_job.awaited_token(claim)
