# SPDX-License-Identifier: Apache-2.0
"""AWS as the DAGs reach it: the same connection, region and endpoint, but with short waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from airflow_codepipeline_partner._aws_errors import ServiceError, is_access_denied
from airflow_codepipeline_partner._endpoints import endpoint_of, is_of_aws
from airflow_codepipeline_partner._secrets import in_closed_frames
from airflow_codepipeline_partner._token_probe import NO_JOB, NO_TOKEN
from airflow_codepipeline_partner.doctor.examination import Shared
from airflow_codepipeline_partner.doctor.findings import CannotCheck, LeftOut

#: How long one call may take, in seconds and attempts: within :data:`LIMIT`.
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 3, 5, 2
#: How long a check may take, in seconds.
LIMIT = 20.0
#: What to do about a call that failed for no reason of its own.
SEE_AWS = "See what the checks of AWS say."
#: The credentials are wrong, whatever was asked.
_REFUSED_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
#: The request's time is too far from AWS's.
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFutureException"})


class NoRegion(CannotCheck):
    """No region is set, so nothing can be asked."""


@dataclass(frozen=True)
class Answer:
    """
    How a call ended.

    :param code: The error code of the service, None if it did what was asked.
    :param operation: The operation that answered: another one if the credentials could not be got.
    :param error_name: The class of the error if there was no answer, else None.
    :param value: What it returned. It is never shown.
    :param date: The service's time, if it gave one.
    :param asked_at: When the answer came, by this machine's clock.
    """

    code: str | None
    operation: str
    error_name: str | None = None
    value: Any = None
    date: datetime | None = None
    asked_at: datetime | None = None

    @property
    def is_denied(self) -> bool:
        """Whether the credentials are known, and may not do this."""
        return self.code is not None and is_access_denied(self.code)

    @property
    def is_of_bad_credentials(self) -> bool:
        """Whether the credentials themselves were refused."""
        return self.code is not None and (self.code in _REFUSED_CREDENTIALS or self.code in SKEWED)

    @property
    def is_transient(self) -> bool:
        """Whether the service was too busy, or broke, so that its answer says nothing."""
        return self.code is not None and ServiceError(self.code, 0, "", self.operation).is_transient

    @property
    def is_of_codepipeline(self) -> bool:
        """Whether CodePipeline answered the question, and no service that should give the credentials."""
        return self.operation in ("GetJobDetails", "GetThirdPartyJobDetails")

    @property
    def said(self) -> str:
        """What came of the call, without the service's own text, which may quote a secret."""
        if self.error_name is not None:
            return f"no answer ({self.error_name})"
        return "an answer" if self.code is None else f"the answer {self.code}"


class AwsAccess:
    """
    Calls with the credentials that DAGs have.

    :param aws_conn_id: The ``aws`` connection, or None for boto3's default credentials.
    :param region_name: The region, or None for the connection's.
    :param is_partner: Whether the jobs are those of partner actions.
    :param limit: How long all of a call may take, in seconds.
    """

    def __init__(
        self, aws_conn_id: str | None, region_name: str | None, *, is_partner: bool, limit: float = LIMIT
    ) -> None:
        self.aws_conn_id = aws_conn_id
        #: Whether it is known that the connection cannot be used, so that nothing else has a meaning.
        self.is_unusable = False
        self.is_partner = is_partner
        self._region_name = region_name
        self._limit = limit
        self._hook = Shared(lambda: in_closed_frames(self._make_hook), limit)
        self._clients: dict[str, Shared[Any]] = {}
        self._knock = Shared(self._make_knock, limit)
        self._caller = Shared(lambda: self.ask("sts", "get_caller_identity"), limit)

    @property
    def hook(self) -> Any:
        """
        The hook, as DAGs have it.

        :raises CannotCheck: It could not be made.
        """
        return self._hook.get()

    @property
    def knock(self) -> Answer:
        """How CodePipeline answers a question about a job that cannot exist. It is asked once."""
        return self._knock.get()

    def check_answers(self) -> None:
        """
        Check that CodePipeline answers, and accepts the credentials. Else there is no use in other calls.

        :raises LeftOut: It does not. The checks of endpoint, credentials and clock say why.
        """
        knock = self.knock
        if (
            knock.error_name is not None
            or knock.is_of_bad_credentials
            or (knock.code or "").isdigit()
            or not knock.is_of_codepipeline
        ):
            raise LeftOut

    @property
    def caller(self) -> Answer:
        """Whose credentials these are, as STS says it."""
        return self._caller.get()

    @property
    def region_name(self) -> str:
        """The region, such as ``eu-central-1``."""
        return str(self.client("codepipeline").meta.region_name)

    @property
    def partition(self) -> str:
        """AWS's partition, such as ``aws``."""
        return str(self.client("codepipeline").meta.partition)

    @property
    def endpoint(self) -> str:
        """CodePipeline's URL, without a user and password that it may hold."""
        parts = urlsplit(self.client("codepipeline").meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def is_aws(self) -> bool:
        """Whether that is AWS, and no emulator."""
        return is_of_aws(self.client("codepipeline").meta.endpoint_url)

    def client(self, service: str) -> Any:
        """
        Return a client of boto3's.

        :param service: The service, as boto3 names it.
        :raises CannotCheck: It could not be made.
        """
        if self.is_unusable:
            raise LeftOut
        if service not in self._clients:
            make = Shared(lambda: in_closed_frames(lambda: self._make_client(service)), self._limit)
            self._clients[service] = make
        try:
            return self._clients[service].get()
        except CannotCheck:
            raise
        except Exception as error:
            raise _no_client(type(error).__name__) from None

    def ask(self, service: str, method: str, **arguments: Any) -> Answer:
        """
        Make a call.

        :param service: The service, as boto3 names it.
        :param method: The method of its client.
        :raises CannotCheck: There is no client to ask with.
        """
        client = self.client(service)
        return in_closed_frames(lambda: answer_of(client, method, arguments))

    def _make_hook(self) -> Any:
        from airflow_codepipeline_partner.hooks import CodePipelineHook

        return CodePipelineHook(aws_conn_id=self.aws_conn_id, region_name=self._region_name, config=_config())

    def _make_client(self, service: str) -> Any:
        hook = self.hook
        session = hook.get_session(hook.region_name)
        endpoint_url = hook.conn_config.get_service_endpoint_url(service)
        if service != "codepipeline":
            endpoint_url = endpoint_of(hook.conn_config, service)
        return session.client(service, endpoint_url=endpoint_url, config=hook.config, verify=hook.verify)

    def _make_knock(self) -> Answer:
        if self.is_partner:
            return self.ask("codepipeline", "get_third_party_job_details", jobId=NO_JOB, clientToken=NO_TOKEN)
        return self.ask("codepipeline", "get_job_details", jobId=NO_JOB)


def _config() -> Mapping[str, Any]:
    return {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
    }


def _no_client(error_name: str) -> CannotCheck:
    if error_name == "NoRegionError":
        return NoRegion("No region is set.", "Set region_name in the connection, or give --region.")
    if error_name == "ProfileNotFound":
        return CannotCheck(
            "The connection names a profile that AWS's configuration files do not have.",
            "Change profile_name in the connection, or add the profile.",
        )
    return CannotCheck(
        f"boto3's client could not be made: {error_name}.",
        "Check the extra of the aws connection: config_kwargs, session_kwargs, role_arn.",
    )


def answer_of(client: Any, method: str, arguments: Mapping[str, Any]) -> Answer:
    """Make a call, and return how it ended, whatever that is."""
    operation = client.meta.method_to_api_mapping.get(method, method)
    answered: Mapping[str, Any]
    code, name, value = None, operation, None
    try:
        call: Callable[..., Any] = getattr(client, method)
        answered = value = call(**arguments)
    except Exception as error:
        refusal = ServiceError.of(error)
        if refusal is None:
            return Answer(None, operation, error_name=type(error).__name__)
        code, name = refusal.code or str(refusal.status), refusal.operation
        answered = getattr(error, "response", None) or {}
    headers = (answered.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    return Answer(
        code,
        name,
        value=value,
        date=_date(headers.get("date")),
        asked_at=_now(),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _date(text: str | None) -> datetime | None:
    try:
        found = None if text is None else parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)
