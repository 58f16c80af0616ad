# SPDX-License-Identifier: Apache-2.0
"""What the function of a ``@task.codepipeline_job`` works with, and what it may return."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.job_details import JobDetails
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._protocol.results import (
    CurrentRevision,
    ExecutionDetails,
    read_output_variables,
)
from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput

if TYPE_CHECKING:
    import os

    from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveLimits
    from airflow_codepipeline_partner.artifacts.workspace import Workspace
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Continuation:
    """
    Return this where the action goes on: CodePipeline makes a new job of it, with your token.

    :param token: 1 to 2048 characters, which the new job's ``continuation_token`` will be. No secret: it lies
        in CodePipeline and in Airflow's database.
    :param execution_details: How the work stands: an ExecutionDetails or a mapping of that kind. None takes
        what ``progress`` told last.
    :raises InvalidInput: A value does not fit.
    """

    token: str
    execution_details: ExecutionDetails | Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", requests.check_continuation_token(self.token))
        details = ExecutionDetails.from_value(self.execution_details)
        object.__setattr__(self, "execution_details", details)


@dataclass(frozen=True)
class Completion:
    """
    Return this where a custom action is complete and has output variables.

    :param execution_details: How the work ended: an ExecutionDetails or a mapping of that kind. None takes
        what ``progress`` told last.
    :param output_variables: For later actions of the pipeline, and for a custom job only: a mapping of names
        (of ``0-9 A-Z a-z @ _ -``) to texts, at most 122,880 bytes in all. No secrets.
    :raises InvalidInput: A value does not fit.
    """

    execution_details: ExecutionDetails | Mapping[str, object] | None = None
    output_variables: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        details = ExecutionDetails.from_value(self.execution_details)
        object.__setattr__(self, "execution_details", details)
        object.__setattr__(self, "output_variables", read_output_variables(self.output_variables))


class JobInProgress:
    """
    A claimed job, in the hands of the function that works on it.

    :param job: The claimed job.
    :param hook: What asks for its details.
    """

    def __init__(self, job: ClaimedJob, hook: CodePipelineHook) -> None:
        self._job = job
        self._hook = hook
        self._current_revision: CurrentRevision | None = None
        self._progress: ExecutionDetails | None = None
        self._failed_uploads: set[str] = set()

    @property
    def job(self) -> ClaimedJob:
        """The job: whose it is, pipeline, stage and action, the artifacts' places. It holds no secret."""
        return self._job

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def continuation_token(self) -> str | None:
        """The token that the action's former job was ended with, or None for its first job."""
        return self._job.continuation_token

    @property
    def hook(self) -> CodePipelineHook:
        """The hook, with the task's parameters."""
        return self._hook

    def details(self) -> JobDetails:
        """
        Ask for all that CodePipeline tells about the job, with fresh artifact credentials.

        The answer holds secrets: never log it, never return it.

        Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
        """
        return self._hook.details(self._job)

    @cached_property
    def configuration(self) -> Mapping[str, str]:
        """The action's configuration, asked for once; the customer's secrets are in clear."""
        return self.details().configuration

    @property
    def current_revision(self) -> CurrentRevision | None:
        """
        The revision that is told with the result, or None.

        Set a CurrentRevision or a mapping with ``revision`` and ``changeIdentifier``.
        """
        return self._current_revision

    @current_revision.setter
    def current_revision(self, revision: object) -> None:
        self._current_revision = CurrentRevision.from_value(revision)

    def progress(self, percent: int | None = None, summary: str | None = None) -> None:
        """
        Tell how the work stands.

        It is in the task's log at once, and is told with the result where the function returns no execution
        details.

        :param percent: 0 to 100; None leaves what was told before.
        :param summary: A sentence for the customer, cut to 2048 characters; None leaves what was told before.
        :raises InvalidInput: A value does not fit, or there is none.
        """
        if percent is None and summary is None:
            raise InvalidInput("progress needs percent (0 to 100), summary, or both.", job_id=self.job_id)
        now = ExecutionDetails(summary, None, percent)
        before = self._progress or ExecutionDetails()
        self._progress = replace(
            before,
            summary=before.summary if summary is None else now.summary,
            percent_complete=before.percent_complete if percent is None else now.percent_complete,
        )
        shown = ["" if percent is None else f"{now.percent_complete}%", now.summary or ""]
        log.info("Job %s: %s", self.job_id, " ".join(filter(None, shown)))

    def workspace(
        self, *, limits: ArchiveLimits | None = None, parent: str | os.PathLike[str] | None = None
    ) -> Workspace:
        """
        Return a folder for the job's artifacts, to be used in a ``with``, which removes it.

        :param limits: How much an archive may hold; None takes the defaults.
        :param parent: Where the folder is made; None takes the system's folder for temporary files.
        """
        # botocore takes long to import: not while a DAG is parsed.
        from airflow_codepipeline_partner.artifacts.workspace import Workspace

        return Workspace(
            self._job, self._hook, limits=limits, parent=parent, failed_uploads=self._failed_uploads
        )

    def __repr__(self) -> str:
        """Name the job, and no more."""
        return f"{type(self).__name__}({self.job_id})"

    def serialize(self) -> NoReturn:
        """
        Keep the job's secrets out of XCom: this is what Airflow calls for a value that a task stores.

        :raises InvalidInput: Always.
        """
        raise InvalidInput(
            f"Job {self.job_id} in progress cannot be stored in XCom, since it may hold secrets. Store "
            "job.to_xcom() of its member job, which names the job and holds none.",
            job_id=self.job_id,
        )


def check_uploads(job: JobInProgress) -> None:
    """
    Check that each failed upload was repeated with success: without its artifacts, success would be a lie.

    :raises ArtifactError: One was not.
    """
    if job._failed_uploads:
        names = ", ".join(sorted(job._failed_uploads))
        raise ArtifactError(
            f"The upload of {names} failed and was not repeated with success, so job {job.job_id} failed.",
            job_id=job.job_id,
        )
