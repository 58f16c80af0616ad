# SPDX-License-Identifier: Apache-2.0
"""
S3 as one job may use it: with the credentials that CodePipeline gives for the job's artifacts, and no others.

They are valid for about 15 minutes, and the answer does not say until when. So they are asked for again by
their age, and where S3 says that they have expired.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.credentials import Credentials, ReadOnlyCredentials

from airflow_codepipeline_partner._endpoints import s3_endpoint_of
from airflow_codepipeline_partner._protocol.job_details import JobDetails
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner.artifacts.errors import EXPIRED_CODES
from airflow_codepipeline_partner.exceptions import ArtifactError, CodePipelineProviderError

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)

#: Age at which the credentials are asked for again, in seconds.
REFRESH_AFTER = 600.0
#: Age up to which they still serve where they cannot be had anew, in seconds.
LIFETIME = 900.0
#: Seconds between two attempts to have them anew, while the old ones serve.
REFRESH_PAUSE = 30.0
#: So often one request is sent again with new credentials.
_MOST_RENEWALS = 2
_RENEWALS = "codepipeline_renewals"
# Airflow 3.1 gives the answer to a look-up of a connection to whichever thread asks first.
_asking = threading.Lock()


class JobCredentials(Credentials):
    """
    A job's artifact credentials, new ones in time.

    :param hook: What asks for the job's details.
    :param job: The job.
    :param clock: Seconds, for the credentials' age.
    """

    def __init__(
        self,
        hook: CodePipelineHook,
        job: OfferedJob,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(access_key="", secret_key="", method="codepipeline-job")
        self._hook = hook
        self._job = job
        self._clock = clock
        self._lock = threading.Lock()
        self._details: JobDetails | None = None
        self._frozen: ReadOnlyCredentials | None = None
        self._asked_at = 0.0
        self._next_at = 0.0
        # In each thread: what it signed its last request with.
        self._used = threading.local()

    @property
    def details(self) -> JobDetails:
        """The job's details, as they were told last."""
        with self._lock:
            return self._details or self._ask()

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """
        Return credentials that are valid; botocore calls it to sign each request.

        :raises ArtifactError: CodePipeline gives none for the job.
        :raises CodePipelineProviderError: The details cannot be had.
        """
        with self._lock:
            if self._details is None:
                self._ask()
            elif self._clock() >= self._next_at:
                self._ask_again()
            if self._frozen is None:
                raise ArtifactError(
                    f"CodePipeline gives no artifact credentials for job {self._job.job_id}: it has ended, "
                    "or its action has neither input nor output artifacts.",
                    job_id=self._job.job_id,
                )
            self._used.access_key = self._frozen.access_key
            return self._frozen

    def discard(self) -> None:
        """Have the next request ask for new credentials, since S3 does not take this thread's any more."""
        with self._lock:
            # Others whose requests were under way may have had new ones meanwhile.
            if self._frozen is not None and self._frozen.access_key == self._used.access_key:
                self._frozen, self._next_at = None, 0.0

    def _ask_again(self) -> None:
        try:
            self._ask()
        except CodePipelineProviderError as error:
            # By the clock after it: the attempt may have taken long.
            if self._frozen is None or self._clock() - self._asked_at >= LIFETIME:
                raise
            self._next_at = self._clock() + REFRESH_PAUSE
            log.warning(
                "Job %s: its artifact credentials serve on; new ones could not be had: %s",
                self._job.job_id,
                error,
            )

    def _ask(self) -> JobDetails:
        with _asking:
            details = self._hook.details(self._job)
        self._details = details
        self._asked_at = self._clock()
        self._next_at = self._asked_at + REFRESH_AFTER
        given = details.artifact_credentials
        self._frozen = (
            ReadOnlyCredentials(given["accessKeyId"], given["secretAccessKey"], given["sessionToken"])
            if given
            else None
        )
        return details

    def __repr__(self) -> str:
        """Name the job, and no more."""
        return f"{type(self).__name__}({self._job.job_id})"


class _Provider:
    """
    Where a botocore session looks for credentials, instead of the worker's environment and files.

    :param credentials: The only ones that it finds.
    """

    def __init__(self, credentials: JobCredentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> JobCredentials:
        return self._credentials


def make_client(hook: CodePipelineHook, credentials: JobCredentials) -> Any:
    """
    Return an S3 client in the job's region that signs with the job's credentials only.

    :param hook: Whose connection leads to the job's CodePipeline.
    :param credentials: The job's.
    """
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session()
    session.register_component("credential_provider", _Provider(credentials))
    endpoint_url = s3_endpoint_of(hook.conn_config)
    # An emulator has no name for each bucket.
    s3: Any = {} if endpoint_url is None else {"addressing_style": "path"}
    config = Config(s3=s3, retries={"mode": "standard", "total_max_attempts": 5})
    client = session.create_client(
        "s3",
        region_name=hook.location[1],
        endpoint_url=endpoint_url,
        verify=hook.verify,
        config=config.merge(hook.config).merge(Config(signature_version="s3v4")),
    )
    events: Any = client.meta.events
    events.register_first("needs-retry.s3", partial(_renew_where_expired, credentials))
    return client


def _renew_where_expired(
    credentials: JobCredentials, *, response: Any, operation: Any, request_dict: Any, **_: Any
) -> int | None:
    """Answer botocore whether to send a request again: it is then signed anew. None leaves that to others."""
    if response is None or not _is_expired(response, operation.name):
        return None
    context = request_dict["context"]
    context[_RENEWALS] = context.get(_RENEWALS, 0) + 1
    if context[_RENEWALS] > _MOST_RENEWALS:
        return None
    log.info("The job's artifact credentials have expired; asking for new ones.")
    credentials.discard()
    return 0


def _is_expired(response: tuple[Any, Mapping[str, Any]], operation: str) -> bool:
    http, parsed = response
    if parsed.get("Error", {}).get("Code") in EXPIRED_CODES:
        return True
    # The answer to a HEAD has no body that could say so.
    return operation.startswith("Head") and http.status_code == 400
