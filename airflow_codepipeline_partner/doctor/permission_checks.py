# SPDX-License-Identifier: Apache-2.0
"""
Checks of permissions, one by one, without changing anything.

A call about a job that cannot exist is refused for that reason, or before, for want of a permission. A poll
would take jobs away from a worker, and other calls would change a pipeline: for those IAM is asked what it
would decide. Where it may not be asked, a poll for an action type that does not exist says something.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_codepipeline_partner._protocol.dialects import CUSTOM
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._token_probe import NO_JOB, NO_TOKEN
from airflow_codepipeline_partner.doctor.aws_access import Answer, AwsAccess
from airflow_codepipeline_partner.doctor.findings import Finding, failed, passed, unknown

_JOB = {"jobId": NO_JOB}
_PARTNER_JOB = {**_JOB, "clientToken": NO_TOKEN}
_FAILURE = {"failureDetails": {"type": "JobFailed", "message": "A check of permissions."}}
#: Operation → the method and the arguments of a call that changes nothing: no job has this id.
_ON_NO_JOB: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "GetJobDetails": ("get_job_details", _JOB),
    "AcknowledgeJob": ("acknowledge_job", {**_JOB, "nonce": "0"}),
    "PutJobSuccessResult": ("put_job_success_result", _JOB),
    "PutJobFailureResult": ("put_job_failure_result", {**_JOB, **_FAILURE}),
    "GetThirdPartyJobDetails": ("get_third_party_job_details", _PARTNER_JOB),
    "AcknowledgeThirdPartyJob": ("acknowledge_third_party_job", {**_PARTNER_JOB, "nonce": "0"}),
    "PutThirdPartyJobSuccessResult": ("put_third_party_job_success_result", _PARTNER_JOB),
    "PutThirdPartyJobFailureResult": ("put_third_party_job_failure_result", {**_PARTNER_JOB, **_FAILURE}),
}
#: Those that only read. They are given the pipeline.
_READS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "GetPipelineState": ("get_pipeline_state", "name", {}),
    "GetPipelineExecution": ("get_pipeline_execution", "pipelineName", {"pipelineExecutionId": NO_JOB}),
    "ListPipelineExecutions": ("list_pipeline_executions", "pipelineName", {"maxResults": 1}),
    "ListActionExecutions": ("list_action_executions", "pipelineName", {"maxResults": 1}),
}
_POLLS = {"PollForJobs": "poll_for_jobs", "PollForThirdPartyJobs": "poll_for_third_party_jobs"}
#: Refusals that come after the permission was found.
_AFTER_PERMISSION = frozenset(
    {
        "ActionTypeNotFoundException",
        "InvalidClientTokenException",
        "InvalidJobException",
        "InvalidJobStateException",
        "InvalidNonceException",
        "JobNotFoundException",
        "PipelineExecutionNotFoundException",
        "PipelineNotFoundException",
    }
)
_ASSUMED_ROLE = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.*")


@dataclass(frozen=True)
class Needed:
    """
    A permission that is needed.

    :param permission: Such as ``codepipeline:PollForJobs``.
    :param resource: The ARN that it must hold for, or ``*``.
    """

    permission: str
    resource: str

    @property
    def operation(self) -> str:
        """The operation, such as ``PollForJobs``."""
        return self.permission.partition(":")[2]


def needed_by(policy: Mapping[str, Any]) -> list[Needed]:
    """Return the permissions of a policy, each once for each of its resources."""
    return [
        Needed(action, statement["Resource"])
        for statement in policy["Statement"]
        for action in statement["Action"]
    ]


class Permissions:
    """
    Find out which permissions the credentials have.

    :param aws: The way to AWS.
    :param needed: The permissions.
    :param action_type: What is polled for, or None.
    :param pipeline_name: The pipeline, or None.
    """

    def __init__(
        self,
        aws: AwsAccess,
        needed: Iterable[Needed],
        action_type: ActionType | None,
        pipeline_name: str | None,
    ) -> None:
        self._aws = aws
        self._needed = list(needed)
        self._action_type = action_type
        self._pipeline_name = pipeline_name

    def check(self) -> Iterator[Finding]:
        """Yield what is known of each permission."""
        self._aws.check_answers()
        for each in self._needed:
            yield self._check(each)

    def _check(self, needed: Needed) -> Finding:
        name = needed.permission
        answer = self._tried(needed)
        if answer is not None:
            if answer.is_denied:
                return failed(f"{name} is not allowed ({answer.code}).", _advice(needed), name)
            if answer.error_name is None and (answer.code is None or answer.code in _AFTER_PERMISSION):
                return passed(f"{name} is allowed (a harmless call: {answer.code or 'answered'}).", name)
        decision = self._simulated.get(needed)
        if decision == "allowed":
            return passed(f"{name} is allowed, by IAM's simulation.", name)
        if decision is not None:
            return failed(f"{name} is not allowed, by IAM's simulation ({decision}).", _advice(needed), name)
        if needed.operation in _POLLS:
            return self._check_poll(needed)
        why = (
            "no call can try it without a change" if answer is None else f"a harmless call got {answer.said}"
        )
        return unknown(f"{name}: {why}, and {self._simulation_trouble}.", _UNKNOWN_ADVICE, name)

    def _tried(self, needed: Needed) -> Answer | None:
        """Return the answer to a call that changes nothing, None if there is none."""
        if not needed.permission.startswith("codepipeline:"):
            return None
        if (on_job := _ON_NO_JOB.get(needed.operation)) is not None:
            method, arguments = on_job
            return self._aws.ask("codepipeline", method, **arguments)
        if (read := _READS.get(needed.operation)) is not None and self._pipeline_name is not None:
            method, parameter, more = read
            return self._aws.ask("codepipeline", method, **{parameter: self._pipeline_name, **more})
        return None

    def _check_poll(self, needed: Needed) -> Finding:
        """Poll for an action type that does not exist, so that no job can come."""
        name, wanted = needed.permission, self._action_type
        trouble = self._simulation_trouble
        if wanted is None:
            return unknown(f"{name}: a poll would take jobs, and {trouble}.", _UNKNOWN_ADVICE, name)
        nothing = {
            "category": wanted.category,
            "owner": wanted.owner,
            "provider": wanted.provider,
            # 32 random bits: no version.
            "version": f"x{secrets.token_hex(4)}",
        }
        answer = self._aws.ask("codepipeline", _POLLS[needed.operation], actionTypeId=nothing, maxBatchSize=1)
        if answer.code == "ActionTypeNotFoundException":
            return passed(f"{name} is allowed (a poll for an unknown version: {answer.code}).", name)
        if answer.is_denied and wanted.owner != CUSTOM:
            # IAM knows no resource for this call: what is refused for one action type is for all.
            return failed(f"{name} is not allowed ({answer.code}).", _advice(needed), name)
        if answer.is_denied:
            return unknown(
                f"{name}: a poll for another version is not allowed, which may be meant, and {trouble}.",
                _UNKNOWN_ADVICE,
                name,
            )
        return unknown(
            f"{name}: a poll for an unknown version got {answer.said}, and {trouble}.", _UNKNOWN_ADVICE, name
        )

    @cached_property
    def _simulated(self) -> dict[Needed, str]:
        """What IAM says that it would decide, as far as it says something."""
        principal = self._principal
        found: dict[Needed, str] = {}
        if principal is None:
            return found
        for resource in {each.resource: None for each in self._needed}:
            asked = {each.permission: each for each in self._needed if each.resource == resource}
            answer = self._aws.ask(
                "iam",
                "simulate_principal_policy",
                PolicySourceArn=principal,
                ActionNames=list(asked),
                ResourceArns=[resource],
            )
            if answer.value is None:
                self._trouble = f"IAM's simulation got {answer.said}"
                continue
            for result in answer.value.get("EvaluationResults") or ():
                decision, name = result.get("EvalDecision"), result.get("EvalActionName")
                # Without the value of a condition, a refusal says nothing.
                if name in asked and (decision == "allowed" or not result.get("MissingContextValues")):
                    found[asked[name]] = str(decision)
        return found

    _trouble = "IAM's simulation does not say"

    @property
    def _simulation_trouble(self) -> str:
        _ = self._simulated
        return self._trouble

    @property
    def _principal(self) -> str | None:
        """The ARN of the user or role whose policies count, None if it is not known."""
        caller = self._aws.caller
        arn = (caller.value or {}).get("Arn")
        if not isinstance(arn, str):
            self._trouble = f"GetCallerIdentity, which names the role to simulate, got {caller.said}"
            return None
        assumed = _ASSUMED_ROLE.fullmatch(arn)
        if assumed is None:
            return arn
        # A role's path is in its own ARN only.
        role = self._aws.ask("iam", "get_role", RoleName=assumed["role"])
        own = ((role.value or {}).get("Role") or {}).get("Arn")
        return own or f"arn:{assumed['partition']}:iam::{assumed['account']}:role/{assumed['role']}"


_UNKNOWN_ADVICE = (
    "Compare the role's policy with the one that the command policy prints, or allow "
    "iam:SimulatePrincipalPolicy and iam:GetRole for the role."
)


def _advice(needed: Needed) -> str:
    where = "any resource" if needed.resource == "*" else needed.resource
    return f"Allow {needed.permission} on {where}; the command policy prints the whole policy."
