# SPDX-License-Identifier: Apache-2.0
"""
In what the two job protocols differ: that of a partner's actions, and that of an account's custom ones.

Everything else is the same for both. The owner of a job's action type decides; a mixture in one batch works.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_codepipeline_partner._protocol.jobs import CUSTOM, THIRD_PARTY, ActionType, OfferedJob
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference


@dataclass(frozen=True)
class Dialect:
    """
    How the jobs of one owner are polled for, claimed and reported.

    :param poll: The operation that offers jobs.
    :param details: The one that tells about a job.
    :param acknowledge: The one that claims it.
    :param success: The one that ends it with success, or with a continuation token.
    :param failure: The one that ends it with failure.
    :param offered_job_id: The member of an offered job that is its id.
    :param poll_gives_nonce: Whether the poll gives the nonce that the acknowledgement spends. It holds until
        the job is offered again. Else the details give it, as often as they are asked for.
    :param takes_query_param: Whether a poll can be for the jobs with one value of their configuration.
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


def dialect_of(subject: ActionType | OfferedJob) -> Dialect:
    """
    Return how an action type's jobs, or a job, are spoken of, by its owner.

    :raises InvalidInput: Jobs of that owner are done by AWS itself.
    """
    dialect = DIALECTS.get(subject.owner)
    if dialect is None:
        action_type = subject if isinstance(subject, ActionType) else subject.action_type
        raise InvalidInput(
            f"Jobs of owner {subject.owner} are not served, only those of {', '.join(DIALECTS)} "
            f"(asked for {action_type})."
        )
    return dialect


def claimable(job: OfferedJob) -> Dialect:
    """
    Return how a job is claimed.

    :raises InvalidInput: It cannot be: it is AWS's own, or a custom one without the nonce of its offer.
    """
    dialect = dialect_of(job)
    if dialect.poll_gives_nonce and not job.nonce:
        raise InvalidJobReference(
            f"The custom job {job.job_id} needs nonce, which its poll gave: it is claimed with that.",
            job_id=job.job_id,
        )
    return dialect
