# SPDX-License-Identifier: Apache-2.0
"""The hook shows no secret, whatever goes wrong, and what it hands out is known to the masker."""

from __future__ import annotations

import json
import logging
import traceback

import pytest
from hook_calls import ACKNOWLEDGE, DETAILS, FAILURE, SUCCESS, end
from support import ACTION_TYPE

from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
)

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


def everything(error: BaseException) -> str:
    """All that an exception and those it hides can show."""
    shown, seen, left = [], set(), [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        shown += [str(each), repr(each), repr(each.args), repr(vars(each)), *traceback.format_exception(each)]
        left += [each.__cause__, each.__context__]
    return "\n".join(shown)


TROUBLES = [
    {"kind": "throttle", "times": None},
    {"kind": "drop_response", "times": None},
    {"kind": "server_error", "times": None},
    {"kind": "error", "code": "ValidationException"},
    {"kind": "error", "code": "InvalidClientTokenException", "times": None},
    {"kind": "error", "code": "InvalidNonceException"},
    {"kind": "error", "code": "InternalFailure", "status": 500, "times": None},
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: "-".join(map(str, trouble.values())))
def test_no_secret_is_shown_whatever_goes_wrong(
    emulator, make_hook, store_token, monkeypatch, caplog, capfd, trouble
):
    from airflow.sdk._shared.secrets_masker import SecretsMasker

    # The masker would hide what should not be there at all.
    monkeypatch.setattr(SecretsMasker, "redact", lambda self, item, *args, **kwargs: item)
    # botocore's own debug log shows requests; that is AWS's, and the masker's business.
    caplog.set_level(logging.DEBUG, "airflow_codepipeline_partner")
    caplog.set_level(logging.DEBUG, "airflow")

    token = "planted-client-token-0123456789"
    planted = {token, "planted-configuration-value", "planted-aws-secret-key"}
    connection = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": "planted-aws-secret-key",
        "extra": {"region_name": "us-east-1", "endpoint_url": emulator.url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    customer = emulator.add_customer(client_token=token)
    store_token(customer)
    configuration = {"Password": "planted-configuration-value"}
    emulator.add_pipeline(
        "secret", client_id=customer.client_id, action_type=ACTION_TYPE, configuration=configuration
    )
    hook = make_hook(retry_deadline=3)
    shown = []

    def work(operation):
        emulator.start_execution("secret")
        [job] = hook.poll(ACTION_TYPE)
        # The emulator's own is a random number that may be short.
        emulator.state.jobs[job.job_id].nonce = f"planted-nonce-{operation}"
        details = hook.details(job)
        shown.append(repr(details))
        planted.add(details.nonce)
        planted.update(details.artifact_credentials[name] for name in ("secretAccessKey", "sessionToken"))
        claimed = hook.claim(job) if operation in (SUCCESS, FAILURE) else job
        shown.append(repr(claimed))
        # AWS may quote what it was sent and refuses.
        said = f"Value {token} or {details.nonce if operation == ACKNOWLEDGE else ''} is no good."
        message = {"message": said} if trouble["kind"] == "error" else {}
        emulator.inject(operation=operation, **trouble, **message)
        if operation == DETAILS:
            shown.append(repr(hook.details(job)))
        elif operation == ACKNOWLEDGE:
            shown.append(repr(hook.try_claim(job)))
        else:
            end(hook, claimed, operation)

    failed = []
    for operation in (DETAILS, ACKNOWLEDGE, SUCCESS, FAILURE):
        try:
            work(operation)
        except CodePipelineProviderError as error:
            failed.append(operation)
            shown.append(everything(error))
            # What a log of the exception would hold.
            logging.getLogger("airflow_codepipeline_partner").exception("It failed.")
        emulator.clear_faults()
    out = capfd.readouterr()
    everywhere = "\n".join([*shown, caplog.text, *(repr(vars(r)) for r in caplog.records), out.out, out.err])
    assert failed
    assert len(planted) == 3 + 4 * 3
    assert all(len(secret) >= 16 for secret in planted)
    assert [secret for secret in planted if secret in everywhere] == []


def test_the_search_for_secrets_sees_what_exceptions_hide():
    try:
        raise ValueError("planted-inner")
    except ValueError:
        error = KeyError("outer")
        error.__context__ = None
        try:
            raise error from None
        except KeyError as hiding:
            found = everything(hiding)
    assert "planted-inner" in found


def test_what_the_details_hold_is_known_to_airflows_masker(hook, offered):
    from airflow.sdk.log import mask_logs

    details = hook.details(offered)
    secrets = (
        details.artifact_credentials["secretAccessKey"],
        details.artifact_credentials["sessionToken"],
        details.nonce,
    )
    for secret in secrets:
        shown = mask_logs(None, "info", {"event": f"A log line with {secret} in it."})["event"]
        assert shown == "A log line with *** in it."


def test_the_client_token_is_known_to_airflows_masker(hook, customer):
    from airflow.sdk.log import mask_logs

    token = hook.client_token(customer.client_id)
    assert token == customer.client_token
    assert mask_logs(None, "info", {"event": f"with {token}"})["event"] == "with ***"
