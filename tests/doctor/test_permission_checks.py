# SPDX-License-Identifier: Apache-2.0
"""The checks of permissions: nothing changes, and what is not known is not claimed."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.action_types import partner_worker_policy, worker_policy
from airflow_codepipeline_partner.doctor.aws_access import Answer, AwsAccess
from airflow_codepipeline_partner.doctor.findings import LeftOut, Outcome
from airflow_codepipeline_partner.doctor.permission_checks import Permissions, needed_by
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.pipelines import PURPOSES, pipeline_policy

PASS, FAIL, UNKNOWN = Outcome
CUSTOM = ActionType("Build", "Airflow", "1", "Custom")
PARTNER = ActionType("Deploy", "Example", "1", "ThirdParty")
CUSTOM_CALLS = (
    "PollForJobs",
    "GetJobDetails",
    "AcknowledgeJob",
    "PutJobSuccessResult",
    "PutJobFailureResult",
)
PARTNER_CALLS = (
    "PollForThirdPartyJobs",
    "GetThirdPartyJobDetails",
    "AcknowledgeThirdPartyJob",
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
)
READS = ("GetPipelineState", "GetPipelineExecution", "ListPipelineExecutions", "ListActionExecutions")
ALL_KINDS = pytest.mark.parametrize(("kind", "calls"), [(CUSTOM, CUSTOM_CALLS), (PARTNER, PARTNER_CALLS)])


def policy_of(kind):
    return worker_policy(kind, account_id="123456789012") if kind is CUSTOM else partner_worker_policy()


def check(aws, kind=CUSTOM, policy=None, pipeline=None):
    """Return operation → finding, in the order in which they come."""
    needed = needed_by(policy or policy_of(kind))
    found = list(Permissions(aws, needed, kind, pipeline).check())
    for each in found:
        assert "planted" not in each.what + each.to_do
        assert bool(each.to_do) is (each.outcome is not PASS)
    return {each.subject.partition(":")[2]: each for each in found}


def outcomes(found):
    return {name: each.outcome for name, each in found.items()}


class Iam(AwsAccess):
    """AWS with an IAM and an STS of the test's; all else is asked where the connection leads."""

    said: dict[str, str]
    missing: tuple[str, ...]
    arn: str
    refusals: dict[str, str]
    asked: list[tuple[str, dict]]

    def ask(self, service, method, **arguments):
        if service not in ("iam", "sts"):
            return super().ask(service, method, **arguments)
        self.asked.append((method, arguments))
        if method in self.refusals:
            return Answer(self.refusals[method], method)
        if method == "get_caller_identity":
            return Answer(None, method, value={"Arn": self.arn, "Account": "123456789012"})
        if method == "get_role":
            return Answer(None, method, value={"Role": {"Arn": "arn:aws:iam::123456789012:role/path/worker"}})
        results = [
            {
                "EvalActionName": name,
                "EvalDecision": self.said.get(name.partition(":")[2], "implicitDeny"),
                "MissingContextValues": list(self.missing),
            }
            for name in arguments["ActionNames"]
        ]
        return Answer(None, method, value={"EvaluationResults": results})


@pytest.fixture
def iam(emulator, connect):
    connect(emulator.url)
    made = Iam("aws_default", None, is_partner=False)
    made.said, made.missing, made.refusals, made.asked = {}, (), {}, []
    made.arn = "arn:aws:sts::123456789012:assumed-role/worker/session"
    return made


@ALL_KINDS
def test_one_by_one_each_is_found_without_iam(emulator, connect, kind, calls):
    emulator.add_action_type(f"{kind.category}/{kind.owner}/{kind.provider}/{kind.version}")
    aws = connect(emulator.url, is_partner=kind is PARTNER)
    assert outcomes(check(aws, kind)) == dict.fromkeys(calls, PASS)


@ALL_KINDS
@pytest.mark.parametrize("denied", range(1, 5))
def test_one_that_is_denied_fails_alone(emulator, connect, kind, calls, denied):
    aws = connect(emulator.url, is_partner=kind is PARTNER)
    message = "User: planted is not authorized"
    emulator.inject("error", calls[denied], times=None, code="AccessDeniedException", message=message)
    found = check(aws, kind)
    assert outcomes(found) == dict.fromkeys(calls, PASS) | {calls[denied]: FAIL}
    assert found[calls[denied]].to_do.startswith(f"Allow codepipeline:{calls[denied]} on any resource")


@ALL_KINDS
def test_nothing_changes_and_no_job_is_taken(emulator, connect, customer, kind, calls):
    emulator.add_pipeline("own", action_type="Build/Custom/Airflow/1")
    for pipeline in ("pipe", "own"):
        emulator.start_execution(pipeline)
    aws = connect(emulator.url, is_partner=kind is PARTNER)
    before = [(job.job_id, job.status) for job in emulator.state.jobs.values()]
    check(aws, kind)
    assert [(job.job_id, job.status) for job in emulator.state.jobs.values()] == before
    asked = [each for each in emulator.ledger.where(kind="call") if each.outcome == "ok"]
    assert asked == []
    named = [each.details["actionTypeId"]["version"] for each in emulator.ledger.where(operation=calls[0])]
    assert named
    assert "1" not in named


def test_a_poll_for_a_type_that_only_it_may_be_is_unknown(emulator, aws):
    emulator.inject("error", "PollForJobs", times=None, code="AccessDeniedException")
    found = check(aws)
    assert outcomes(found) == dict.fromkeys(CUSTOM_CALLS, PASS) | {"PollForJobs": UNKNOWN}
    assert "iam:SimulatePrincipalPolicy" in found["PollForJobs"].to_do


def test_a_partners_poll_that_is_denied_fails(emulator, connect):
    emulator.inject("error", PARTNER_CALLS[0], times=None, code="AccessDeniedException")
    assert check(connect(emulator.url, is_partner=True), PARTNER)[PARTNER_CALLS[0]].outcome is FAIL


@pytest.mark.parametrize("code", ["ValidationException", "ThrottlingException"])
def test_a_refusal_that_may_come_before_is_unknown(emulator, aws, code):
    for call in CUSTOM_CALLS:
        emulator.inject("error", call, times=None, code=code, message="planted")
    assert outcomes(check(aws)) == dict.fromkeys(CUSTOM_CALLS, UNKNOWN)


@pytest.mark.parametrize(("said", "outcome"), [("allowed", PASS), ("explicitDeny", FAIL)])
def test_iam_is_asked_for_what_no_call_can_try(emulator, iam, said, outcome):
    iam.said = {"PollForJobs": said}
    found = check(iam)
    assert outcomes(found) == dict.fromkeys(CUSTOM_CALLS, PASS) | {"PollForJobs": outcome}
    [poll] = [arguments for method, arguments in iam.asked if arguments.get("ActionNames") == _POLL]
    assert poll["PolicySourceArn"] == "arn:aws:iam::123456789012:role/path/worker"
    assert poll["ResourceArns"][0].endswith("123456789012:actiontype:Custom/Build/Airflow/1")
    assert emulator.ledger.where(operation="PollForJobs") == []


_POLL = ["codepipeline:PollForJobs"]


def test_a_refusal_for_want_of_a_condition_says_nothing(iam):
    iam.missing = ("aws:SourceVpc",)
    found = check(iam)["PollForJobs"]
    assert "a poll for an unknown version" in found.what


@pytest.mark.parametrize(
    ("arn", "refused", "source"),
    [
        ("arn:aws:iam::123456789012:user/me", {}, "arn:aws:iam::123456789012:user/me"),
        (
            "arn:aws-cn:sts::123456789012:assumed-role/worker/session",
            {"get_role": "AccessDenied"},
            "arn:aws-cn:iam::123456789012:role/worker",
        ),
    ],
)
def test_the_policies_of_user_or_role_are_simulated(iam, arn, refused, source):
    iam.arn, iam.refusals = arn, refused
    check(iam)
    asked = [given["PolicySourceArn"] for method, given in iam.asked if "PolicySourceArn" in given]
    assert set(asked) == {source}


@pytest.mark.parametrize("refused", ["get_caller_identity", "simulate_principal_policy"])
def test_without_iam_it_says_which_call_was_refused(emulator, iam, refused):
    iam.refusals = {refused: "AccessDenied"}
    emulator.inject("error", "PollForJobs", times=None, code="AccessDeniedException")
    found = check(iam)["PollForJobs"]
    assert (found.outcome, "AccessDenied" in found.what) == (UNKNOWN, True)


def test_with_wrong_credentials_nothing_is_said_of_permissions(emulator, aws):
    emulator.inject("error", "GetJobDetails", times=None, code="UnrecognizedClientException")
    with pytest.raises(LeftOut):
        check(aws)
    assert len(emulator.ledger.where(kind="call")) == 1


def test_a_role_that_cannot_be_assumed_says_nothing(aws, monkeypatch):
    monkeypatch.setattr(AwsAccess, "ask", lambda *_, **__: Answer("AccessDenied", "AssumeRole"))
    with pytest.raises(LeftOut):
        check(aws)


def test_of_a_pipeline_only_reads_are_tried(emulator, customer, aws):
    policy = pipeline_policy("pipe", PURPOSES)
    found = check(aws, None, policy, "pipe")
    expected = {call: PASS if call in READS else UNKNOWN for used in PURPOSES.values() for call in used}
    assert outcomes(found) == expected
    assert emulator.ledger.where(operation="StartPipelineExecution") == []


def test_iam_says_what_dags_may_do_with_a_pipeline(iam):
    iam.said = {"StartPipelineExecution": "allowed"}
    found = check(iam, None, pipeline_policy("pipe", ["start", "stop"]), "pipe")
    assert found["StartPipelineExecution"].outcome is PASS
    assert found["StopPipelineExecution"].outcome is FAIL
    assert (
        "arn:aws" in found["StopPipelineExecution"].to_do or "arn:*" in found["StopPipelineExecution"].to_do
    )


def test_the_wake_queues_permissions_are_iams_to_say(iam):
    queue = "arn:aws:sqs:us-east-1:123456789012:started"
    iam.said = {"ReceiveMessage": "allowed"}
    found = check(iam, CUSTOM, worker_policy(CUSTOM, wake_queue_arn=queue))
    assert (found["ReceiveMessage"].outcome, found["DeleteMessage"].outcome) == (PASS, FAIL)
