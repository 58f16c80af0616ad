# SPDX-License-Identifier: Apache-2.0
"""
An S3 client with a job's artifact credentials from CodePipeline, and no others.

They are valid for about 15 minutes, and the response does not say until when. So they are requested again
by their age, and if S3 says that they have expired.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.credentials import Credentials, ReadOnlyCredentials

from airflow_codepipeline_partner._compat import threads_ask_in_turn
from airflow_codepipeline_partner._endpoints import endpoint_of
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.job_details import JobDetails
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._secrets import in_closed_frames
from airflow_codepipeline_partner._worker.awaited_job import awaited_token
from airflow_codepipeline_partner._worker.record_search import find_claim, find_claim_by
from airflow_codepipeline_partner.artifacts.errors import EXPIRED_CODES
from airflow_codepipeline_partner.exceptions import ArtifactError, CodePipelineProviderError, JobNotFound

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)

#: Age at which the credentials are requested again, in seconds.
REFRESH_AFTER = 600.0
#: Age up to which they are still used if new ones are not available, in seconds.
LIFETIME = 900.0
#: Seconds between two requests for new ones while the old ones are used.
REFRESH_PAUSE = 30.0
#: How often one request is sent again with new credentials.
_MAX_RENEWALS = 2
_RENEWALS = "codepipeline_renewals"


class JobCredentials(Credentials):
    """
    A job's artifact credentials, renewed in time.

    :param hook: The hook that requests the job's details.
    :param job: The job.
    :param clock: A clock in seconds, for the credentials' age.
    :param claimed_by: The task of another run that has claimed the job. None if a task of this run has.
    """

    def __init__(
        self,
        hook: CodePipelineHook,
        job: OfferedJob,
        clock: Callable[[], float] = time.monotonic,
        *,
        claimed_by: TaskInstanceRef | None = None,
    ) -> None:
        super().__init__(access_key="", secret_key="", method="codepipeline-job")
        self._hook = hook
        self._job = job
        self._clock = clock
        self._claimed_by = claimed_by
        self._lock = threading.Lock()
        self._details: JobDetails | None = None
        self._frozen: ReadOnlyCredentials | None = None
        self._requested_at = 0.0
        self._next_at = 0.0
        # For each thread: the access key of its last request.
        self._used = threading.local()

    @property
    def details(self) -> JobDetails:
        """The job's details as of the last request."""
        with self._lock:
            return self._details or self._request()

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """
        Return credentials that are valid; botocore calls it to sign each request.

        :raises ArtifactError: CodePipeline returns no credentials for the job, nor for a later job of the
            same action in this run.
        :raises CodePipelineProviderError: The job's details are not available.
        """
        with self._lock:
            if self._details is None:
                self._request()
            elif self._clock() >= self._next_at:
                self._try_to_renew()
            if self._frozen is None:
                raise ArtifactError(
                    f"CodePipeline returns no artifact credentials for job {self._job.job_id}: it has ended, "
                    "or its action has neither input nor output artifacts.",
                    job_id=self._job.job_id,
                )
            self._used.access_key = self._frozen.access_key
            return self._frozen

    def discard(self) -> None:
        """Discard this thread's credentials, which S3 no longer accepts; the next request renews them."""
        with self._lock:
            # Another thread may have renewed them meanwhile.
            if self._frozen is not None and self._frozen.access_key == self._used.access_key:
                self._frozen, self._next_at = None, 0.0

    def _try_to_renew(self) -> None:
        try:
            self._request()
        except CodePipelineProviderError as error:
            # Read the clock after the request, which may have taken long.
            if self._frozen is None or self._clock() - self._requested_at >= LIFETIME:
                if isinstance(error, JobNotFound):
                    # It was known before, and CodePipeline soon forgets a job that has ended.
                    raise ArtifactError(
                        f"CodePipeline no longer knows job {self._job.job_id}: it has ended.",
                        job_id=self._job.job_id,
                    ) from error
                raise
            self._next_at = self._clock() + REFRESH_PAUSE
            log.warning(
                "Job %s: the old artifact credentials stay in use; new ones are not available: %s",
                self._job.job_id,
                error,
            )

    def _request(self) -> JobDetails:
        with threads_ask_in_turn:
            details = self._details_of_action()
        self._details = details
        if (
            details.artifact_credentials
            or self._frozen is None
            or self._clock() - self._requested_at >= LIFETIME
        ):
            self._requested_at = self._clock()
            self._next_at = self._requested_at + REFRESH_AFTER
            self._frozen = in_closed_frames(lambda: _frozen(details))
        else:
            # The job has just ended. Perhaps another task goes on with the action, and claims its next job.
            self._next_at = self._clock() + REFRESH_PAUSE
        return details

    def _details_of_action(self) -> JobDetails:
        """Return the details of the job; if it has ended, those of the action's newest job in this run."""
        ended: JobNotFound | None = None
        try:
            details = self._hook.ask_details(self._job)
        except JobNotFound as error:
            ended = error
        else:
            if details.artifact_credentials:
                return details
        # A job without artifacts has no credentials either.
        has_ended = ended is not None or bool(details.input_artifacts or details.output_artifacts)
        newest = _newest_job(self._job, self._claimed_by, has_ended)
        if newest is not None:
            log.info("Job %s has ended; its action goes on in job %s.", self._job.job_id, newest.job_id)
            self._job = newest
            return self._hook.ask_details(newest)
        if ended is not None:
            raise ended
        return details

    def __repr__(self) -> str:
        """Show the job, and no credentials."""
        return f"{type(self).__name__}({self._job.job_id})"


def _frozen(details: JobDetails) -> ReadOnlyCredentials | None:
    given = details.artifact_credentials
    if not given:
        return None
    return ReadOnlyCredentials(given["accessKeyId"], given["secretAccessKey"], given["sessionToken"])


def _newest_job(job: OfferedJob, claimed_by: TaskInstanceRef | None, has_ended: bool) -> OfferedJob | None:
    """
    Return a later job of the same action that the run which has the job has claimed, or None.

    :param job: The job.
    :param claimed_by: The task that has claimed it. None if that is one of the running task's run.
    :param has_ended: Whether the job certainly has ended.
    :raises ArtifactError: The run has ended the job to go on in a next one, and has not claimed that yet; or
        another run may have, and has not recorded it yet.
    """
    from airflow.sdk import get_current_context

    try:
        if claimed_by is not None:
            claim = find_claim_by(claimed_by, job.job_id)
        else:
            claim = find_claim(get_current_context(), job.job_id)
        awaited = None if claim is None else awaited_token(claim)
        # The worker may have died as it ended the job, and will find that out when its task is retried.
        is_open = has_ended and claimed_by is not None and claim is not None and claim.results.best is None
    except Exception as error:
        # Without a task, or if Airflow does not answer: the given job is all that is known.
        log.info("Later jobs of the action of job %s are not known: %s.", job.job_id, type(error).__name__)
        return None
    if claim is None:
        return None
    newest = claim.record.job.job
    if awaited is not None or (is_open and newest.job_id == job.job_id):
        goes = "goes" if awaited is not None else "may go"
        raise ArtifactError(
            f"The action of job {job.job_id} {goes} on in a next job, which is not claimed yet.",
            job_id=job.job_id,
            failure_type="SystemUnavailable",
            retryable=True,
        )
    return newest if claim.counts_as_ours and newest.job_id != job.job_id else None


class _Provider:
    """
    A provider that gives a botocore session the job's credentials instead of the worker's.

    :param credentials: The job's.
    """

    def __init__(self, credentials: JobCredentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> JobCredentials:
        return self._credentials


def make_client(hook: CodePipelineHook, credentials: JobCredentials) -> Any:
    """
    Return an S3 client in the job's region that signs with the job's credentials only.

    :param hook: A hook with the connection to the job's CodePipeline.
    :param credentials: The job's.
    """
    client = in_closed_frames(lambda: _make_client(hook, credentials))
    client.meta.events.register_first("needs-retry.s3", partial(_renew_if_expired, credentials))
    return client


def _make_client(hook: CodePipelineHook, credentials: JobCredentials) -> Any:
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session()
    session.register_component("credential_provider", _Provider(credentials))
    endpoint_url = endpoint_of(hook.conn_config, "s3")
    # The emulator has no host name for each bucket.
    s3: Any = {} if endpoint_url is None else {"addressing_style": "path"}
    config = Config(s3=s3, retries={"mode": "standard", "total_max_attempts": 5})
    return session.create_client(
        "s3",
        region_name=hook.location[1],
        endpoint_url=endpoint_url,
        verify=hook.verify,
        config=config.merge(hook.config).merge(Config(signature_version="s3v4")),
    )


def _renew_if_expired(
    credentials: JobCredentials, *, response: Any, operation: Any, request_dict: Any, **_: Any
) -> int | None:
    """Return 0 to have botocore sign and send the request again at once, or None to leave it to others."""
    if response is None or not _is_expired(response, operation.name):
        return None
    context = request_dict["context"]
    context[_RENEWALS] = context.get(_RENEWALS, 0) + 1
    if context[_RENEWALS] > _MAX_RENEWALS:
        return None
    log.info("The job's artifact credentials have expired. Requesting new ones.")
    credentials.discard()
    return 0


def _is_expired(response: tuple[Any, Mapping[str, Any]], operation: str) -> bool:
    http, parsed = response
    if parsed.get("Error", {}).get("Code") in EXPIRED_CODES:
        return True
    # The response to a HEAD has no body with a code.
    return operation.startswith("Head") and http.status_code == 400
