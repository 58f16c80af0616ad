# SPDX-License-Identifier: Apache-2.0
"""
Whether CodePipeline knows a client token, found out without a job.

It is asked about a job that cannot exist. AWS does not document whether it looks at the token or the job
first. So it is asked with a token that cannot exist as well: only if it refuses that one, its answer to
another token says something.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._secrets import Secret, in_closed_frames

#: RFC 9562's nil UUID: no job has it.
NO_JOB = "00000000-0000-0000-0000-000000000000"
#: No client has it.
NO_TOKEN = "no-client-has-this-token"  # noqa: S105
_REFUSED, _NO_SUCH_JOB = "InvalidClientTokenException", "JobNotFoundException"


class TokenState(Enum):
    """What CodePipeline's answer says about a token."""

    KNOWN = "known"
    REFUSED = "refused"
    #: It looks for the job before it looks at the token.
    NOT_CHECKED = "not checked"
    NO_ANSWER = "no answer"


class TokenProbe:
    """
    Ask CodePipeline about client tokens.

    :param client: boto3's client for CodePipeline.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        #: The error code, or the class of the error, of the first answer that says nothing about a token.
        self.trouble: str | None = None
        self._refuses: bool | None = None

    def refuses_unknown_tokens(self) -> bool:
        """Return whether CodePipeline refuses a token that no client has, before it looks for the job."""
        if self._refuses is None:
            self._refuses = self._ask(Secret(NO_TOKEN)) == _REFUSED
        return self._refuses

    def state_of(self, token: Secret) -> TokenState:
        """Return what CodePipeline says about a token."""
        refuses_unknown = self.refuses_unknown_tokens()
        if self._refuses is False and self.trouble is not None:
            return TokenState.NO_ANSWER
        code = self._ask(token)
        if code == _REFUSED:
            return TokenState.REFUSED
        if code == _NO_SUCH_JOB:
            return TokenState.KNOWN if refuses_unknown else TokenState.NOT_CHECKED
        return TokenState.NO_ANSWER

    def _ask(self, token: Secret) -> str:
        code = in_closed_frames(lambda: self._code_of(token))
        if code not in (_REFUSED, _NO_SUCH_JOB):
            self.trouble = self.trouble or code
        return code

    def _code_of(self, token: Secret) -> str:
        try:
            self._client.get_third_party_job_details(jobId=NO_JOB, clientToken=token.open())
        except Exception as error:
            # By its code only: its text may quote the token.
            refusal = ServiceError.of(error)
            return type(error).__name__ if refusal is None else refusal.code or str(refusal.status)
        return "an answer"
