# SPDX-License-Identifier: Apache-2.0
"""What the tests of the hook share: the names of the calls, and what the emulator says of them."""

from __future__ import annotations

from airflow_codepipeline_partner.emulator import Emulator

POLL = "PollForThirdPartyJobs"
DETAILS = "GetThirdPartyJobDetails"
ACKNOWLEDGE = "AcknowledgeThirdPartyJob"
SUCCESS = "PutThirdPartyJobSuccessResult"
FAILURE = "PutThirdPartyJobFailureResult"


def outcomes(emulator: Emulator, operation: str) -> list[str]:
    return [entry.outcome for entry in emulator.ledger.where(kind="call", operation=operation)]


def status(emulator: Emulator) -> str:
    [job] = emulator.jobs()
    return job.status


def end(hook, job, operation):
    if operation == SUCCESS:
        hook.succeed(job)
    else:
        hook.fail(job, message="Broken.")
