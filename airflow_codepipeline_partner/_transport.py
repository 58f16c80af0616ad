# SPDX-License-Identifier: Apache-2.0
"""
Send one call to CodePipeline, retry it, and report its outcome.

boto3's own retries are switched off for these calls, since they hide whether an answer was lost. Only with
that knowledge can a worker say whether it spent a nonce itself, or put a result itself.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import tenacity

from airflow_codepipeline_partner import _metrics
from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._connections import missing_note
from airflow_codepipeline_partner._protocol import responses
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.responses import Outcome
from airflow_codepipeline_partner._secrets import Secret, in_closed_frames
from airflow_codepipeline_partner.exceptions import InvalidClientToken, RequestRefused, ServiceUnavailable

log = logging.getLogger(__name__)

#: The longest wait between two attempts of one call, in seconds.
MAX_BACKOFF = 20.0
#: Shorter secrets are not removed from messages, as in Airflow's masker.
MIN_SECRET_CHARS = 5


class _Unanswered(Exception):
    """An attempt got no proper answer; the call may be sent again."""

    def __init__(self, reason: str, outcome: Outcome) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Transport:
    """
    Send calls with one boto3 client; retry each until it is answered or the deadline has passed.

    :param make_client: Makes boto3's client, which must not retry by itself. It is made when the first call
        is sent, since that may need a call to STS, which can fail as well.
    :param aws_conn_id: The Airflow connection of the client, for error messages.
    :param retry_deadline: For how many seconds a call is retried; 0 means one attempt.
    :param clock: Returns seconds; measures the deadline.
    :param sleep: Waits the given seconds.
    """

    def __init__(
        self,
        make_client: Callable[[], Any],
        aws_conn_id: str | None,
        retry_deadline: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._make_client = make_client
        self._making = threading.Lock()
        self._client: Any = None
        self._aws_conn_id = aws_conn_id
        # The current attempt of each thread: several threads may use one hook.
        self._attempt = threading.local()
        self.retry_deadline = retry_deadline
        self._clock = clock
        self._sleep = sleep

    @property
    def client(self) -> Any:
        """boto3's client."""
        # Python 3.11's cached_property has one lock for all instances: if STS hung for one role, all others
        # would wait.
        with self._making:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        client = self._make_client()
        # If something fails before this (signing, credentials from STS, serialization), the call was
        # certainly not carried out.
        client.meta.events.register("before-send.codepipeline", self._note_sending)
        client.meta.events.register("response-received.codepipeline", self._note_body)
        return client

    @property
    def was_in_doubt(self) -> bool:
        """Whether an attempt before the last answer, in this thread, may have been carried out."""
        return bool(getattr(self._attempt, "was_in_doubt", False))

    def _note_sending(self, **event: Any) -> None:
        self._attempt.sent = True

    def _note_body(self, response_dict: Mapping[str, Any] | None, **event: Any) -> None:
        received = response_dict or {}
        # A later botocore may use CBOR. It does not make an empty answer of a body that is not CBOR.
        is_cbor = "cbor" in str((received.get("headers") or {}).get("content-type"))
        self._attempt.body = b"" if is_cbor else received.get("body") or b""

    def send(
        self,
        call: Call,
        secrets: Mapping[str, Secret] | None = None,
        *,
        in_doubt: bool = False,
        repeat_in_doubt: bool = True,
    ) -> Secret:
        """
        Send a call and return its answer, which may hold secrets.

        :param call: The call.
        :param secrets: Secret arguments, ``clientToken`` and ``nonce``, which no message may show.
        :param in_doubt: Whether an earlier attempt of the same call may have been carried out.
        :param repeat_in_doubt: Whether to send it again after an attempt that may have been carried out.
        :raises CodePipelineError: CodePipeline refused it, or did not answer until the deadline. ``in_doubt``
            says whether an attempt may have been carried out.
        """
        unknown = [in_doubt]

        def attempt() -> Secret:
            try:
                return self._send_once(call, secrets or {}, in_doubt=any(unknown))
            except _Unanswered as error:
                unknown.append(error.outcome is Outcome.UNKNOWN)
                raise

        started = self._clock()
        try:
            # Nearly always the only one: tenacity would take a twentieth of the call's time.
            answer = attempt()
        except _Unanswered as error:
            ahead: list[_Unanswered] = [error]
        else:
            self._attempt.was_in_doubt = any(unknown)
            return answer

        def attempt_again() -> Secret:
            if ahead:
                raise ahead.pop()
            return attempt()

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Unanswered),
            wait=tenacity.wait_exponential(multiplier=0.5, max=MAX_BACKOFF) + tenacity.wait_random(0, 0.5),
            stop=lambda state: (
                (any(unknown) and not repeat_in_doubt)
                or self._clock() - started + state.upcoming_sleep > self.retry_deadline
            ),
            sleep=self._sleep,
            before_sleep=lambda state: _log_retry(call, state),
        )
        try:
            answer = retrying(attempt_again)
            self._attempt.was_in_doubt = any(unknown)
            return answer
        except tenacity.RetryError as error:
            attempts, last = error.last_attempt.attempt_number, error.last_attempt.exception()
        about = f" for job {call.job.job_id}" if call.job else ""
        endpoint = self._client.meta.endpoint_url if self._client else "AWS"
        raise ServiceUnavailable(
            f"{call.operation}{about} got no answer from {endpoint} in {self._clock() - started:.0f} s and "
            f"{attempts} attempts (retry_deadline {self.retry_deadline:g} s); the last failed with: "
            f"{responses.sentence(str(last))} If that goes on, check {self._connection}.",
            code="NoAnswer",
            in_doubt=any(unknown),
            job_id=call.job.job_id if call.job else None,
        )

    def _send_once(self, call: Call, secrets: Mapping[str, Secret], *, in_doubt: bool) -> Secret:
        """Send a call once. The error holds no secret, and no traceback of an exception that does."""
        self._attempt.sent, self._attempt.body = False, b""
        came_of_it = in_closed_frames(lambda: self._try_once(call, secrets, in_doubt=in_doubt))
        self._attempt.body = b""
        if isinstance(came_of_it, InvalidClientToken):
            _metrics.count(_metrics.CLIENT_TOKENS_REFUSED, call.job.action_type if call.job else None)
        if isinstance(came_of_it, Exception):
            raise came_of_it
        return came_of_it

    def _try_once(self, call: Call, secrets: Mapping[str, Secret], *, in_doubt: bool) -> Secret | Exception:
        """Send a call once, and return its answer, or the error if there was no answer."""
        from botocore import xform_name

        try:
            method = getattr(self.client, xform_name(call.operation))
            opened = {name: secret.open() for name, secret in secrets.items()}
            answer: Mapping[str, Any] = method(**call.arguments, **opened)
            if responses.is_answer(call, answer, self._attempt.body):
                return Secret(answer)
            return _Unanswered("the answer is not CodePipeline's", Outcome.UNKNOWN)
        except Exception as error:
            return self._failure_for(call, error, secrets, in_doubt=in_doubt)

    def _failure_for(
        self, call: Call, error: Exception, secrets: Mapping[str, Secret], *, in_doubt: bool
    ) -> Exception:
        """Return the error that an exception of botocore means."""
        from botocore.exceptions import BotoCoreError, ConnectionError, HTTPClientError

        answer = ServiceError.of(error)
        if answer is not None:
            return self._refusal_for(call, answer, secrets, in_doubt=in_doubt)
        name, said = type(error).__name__, _without_secrets(secrets, str(error))
        if isinstance(error, ConnectionError | HTTPClientError):
            was_sent = self._attempt.sent
            outcome = responses.outcome_of_transport_error(name) if was_sent else Outcome.NOT_CARRIED_OUT
            return _Unanswered(f"{name}: {said}", outcome)
        if self._attempt.sent and not isinstance(error, BotoCoreError):
            # The parser failed, so this is not an answer of AWS; the exception's text may quote it.
            return _Unanswered(f"the answer could not be read: {name}", Outcome.UNKNOWN)
        return RequestRefused(
            f"{call.operation} could not be sent: {name}: {responses.sentence(said)} "
            f"Check {self._connection}.",
            code=name,
            in_doubt=in_doubt,
            job_id=call.job.job_id if call.job else None,
        )

    @property
    def _connection(self) -> str:
        if self._aws_conn_id is None:
            return "boto3's default credentials and region (aws_conn_id is None)"
        named = f"the Airflow connection {self._aws_conn_id!r} of type aws"
        return named + (missing_note(self._aws_conn_id) or "")

    def _refusal_for(
        self, call: Call, error: ServiceError, secrets: Mapping[str, Secret], *, in_doubt: bool
    ) -> Exception:
        """Return the error for an error answer of CodePipeline, or of STS, which gives the credentials."""
        said = _without_secrets(secrets, error.message)
        outcome = responses.outcome_of_error_response(error)
        if error.operation == call.operation:
            if outcome is not Outcome.REFUSED:
                return _Unanswered(f"{error.code}: {said}", outcome)
            region_name = self.client.meta.region_name
            return responses.error_for(call, error.code, said, region_name=region_name, in_doubt=in_doubt)
        if outcome is not Outcome.REFUSED:
            return _Unanswered(f"{error.operation}: {error.code}: {said}", Outcome.NOT_CARRIED_OUT)
        return RequestRefused(
            f"{call.operation} could not be sent: {error.operation}, which gives the credentials, was "
            f"refused: {error.code}: {responses.sentence(said)} Check the role in {self._connection}.",
            code=error.code,
            in_doubt=in_doubt,
            job_id=call.job.job_id if call.job else None,
        )


def _without_secrets(secrets: Mapping[str, Secret], text: str) -> str:
    """Return another system's text without our secrets, which AWS may quote in an error."""
    for secret in (each.open() for each in secrets.values()):
        # A nonce may be as short as "3", which occurs in every message.
        if len(secret) >= MIN_SECRET_CHARS:
            for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                text = text.replace(written, "***")
    return text


def _log_retry(call: Call, state: tenacity.RetryCallState) -> None:
    log.warning(
        "%s: attempt %d failed (%s); the next follows in %.1f s.",
        call.operation,
        state.attempt_number,
        state.outcome.exception() if state.outcome else "",
        state.upcoming_sleep,
    )
