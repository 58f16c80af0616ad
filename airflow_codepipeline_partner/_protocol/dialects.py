# SPDX-License-Identifier: Apache-2.0
"""
How the two job protocols differ: a partner's actions, and an account's own custom actions.

Everything else is the same for both. The owner of the job's action type decides, job by job.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_codepipeline_partner.exceptions import InvalidInput

THIRD_PARTY = "ThirdParty"
CUSTOM = "Custom"


@dataclass(frozen=True)
class Dialect:
    """
    How the jobs of one owner are polled for, claimed and reported.

    :param poll: The operation that offers jobs.
    :param details: The operation that returns the details of a job.
    :param acknowledge: The operation that claims a job.
    :param success: The operation that ends a job with success, or with a continuation token.
    :param failure: The operation that ends a job with failure.
    :param offered_job_id: The member of an offered job that is its id.
    :param poll_gives_nonce: Whether the poll returns the nonce that the acknowledgement spends; it is valid
        until the job is offered again. If not, the details return it, each time they are asked for.
    :param takes_query_param: Whether a poll can ask for the jobs with one value in their configuration.
    :param takes_output_variables: Whether a success can have variables for later actions.
    """

    poll: str
    details: str
    acknowledge: str
    success: str
    failure: str
    offered_job_id: str
    poll_gives_nonce: bool
    takes_query_param: bool
    takes_output_variables: bool


DIALECTS = {
    THIRD_PARTY: Dialect(
        poll="PollForThirdPartyJobs",
        details="GetThirdPartyJobDetails",
        acknowledge="AcknowledgeThirdPartyJob",
        success="PutThirdPartyJobSuccessResult",
        failure="PutThirdPartyJobFailureResult",
        offered_job_id="jobId",
        poll_gives_nonce=False,
        takes_query_param=False,
        takes_output_variables=False,
    ),
    CUSTOM: Dialect(
        poll="PollForJobs",
        details="GetJobDetails",
        acknowledge="AcknowledgeJob",
        success="PutJobSuccessResult",
        failure="PutJobFailureResult",
        offered_job_id="id",
        poll_gives_nonce=True,
        takes_query_param=True,
        takes_output_variables=True,
    ),
}


def dialect_of(owner: str, action_type: object) -> Dialect:
    """
    Return how the jobs of an owner are polled for, claimed and reported.

    :param owner: The owner of the job's action type.
    :param action_type: The action type, for the error.
    :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker can poll for them.
    """
    dialect = DIALECTS.get(owner)
    if dialect is None:
        raise InvalidInput(
            f"Jobs of owner {owner} are not served, only those of {', '.join(DIALECTS)} "
            f"(asked for {action_type})."
        )
    return dialect
