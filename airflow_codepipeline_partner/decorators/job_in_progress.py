# SPDX-License-Identifier: Apache-2.0
"""The types that the function of a ``@task.codepipeline_job`` gets and may return."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from airflow_codepipeline_partner._job_log import job_fields, place_of, progress_text
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

    from airflow_codepipeline_partner._worker.progress_record import ProgressRecord
    from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
    from airflow_codepipeline_partner.artifacts.workspace import Workspace
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Continuation:
    """
    Return this if the action continues. CodePipeline creates a new job for the action, with your token.

    :param token: The ``continuation_token`` of the new job, 1 to 2048 characters. It must hold no secret: it
        is stored in CodePipeline and in Airflow's database.
    :param execution_details: The progress so far: an ExecutionDetails or a mapping with its members. If None,
        the last values of ``progress`` are used.
    :raises InvalidInput: A value does not fit.
    """

    token: str
    execution_details: ExecutionDetails | Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", requests.check_users_token(self.token))
        details = ExecutionDetails.from_value(self.execution_details)
        object.__setattr__(self, "execution_details", details)


@dataclass(frozen=True)
class Completion:
    """
    Return this if a custom action is complete and has output variables.

    :param execution_details: How the work ended: an ExecutionDetails or a mapping with its members. If None,
        the last values of ``progress`` are used.
    :param output_variables: Values for later actions of the pipeline, for a custom job only: a mapping of
        names (of ``0-9 A-Z a-z @ _ -``) to texts, at most 122,880 bytes in all. It must hold no secrets.
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
    A claimed job, for the function that works on it.

    :param job: The claimed job.
    :param hook: The hook that asks for the job's details.
    :param record: Where the progress is written for the page that shows jobs, or None.
    """

    def __init__(self, job: ClaimedJob, hook: CodePipelineHook, record: ProgressRecord | None = None) -> None:
        self._job = job
        self._hook = hook
        self._record = record
        self._current_revision: CurrentRevision | None = None
        self._progress: ExecutionDetails | None = None
        self._failed_uploads: set[str] = set()

    @property
    def job(self) -> ClaimedJob:
        """The job: its client, pipeline, stage, action and the places of its artifacts; no secrets."""
        return self._job

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def continuation_token(self) -> str | None:
        """The token that ended the action's former job, or None for its first job."""
        return self._job.continuation_token

    @property
    def hook(self) -> CodePipelineHook:
        """The hook, with the task's parameters."""
        return self._hook

    def details(self) -> JobDetails:
        """
        Ask CodePipeline for all details of the job, with fresh artifact credentials.

        The details hold secrets. Never log them, and never return them.

        Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
        """
        return self._hook.details(self._job)

    @cached_property
    def configuration(self) -> Mapping[str, str]:
        """The action's configuration, asked for once. The customer's secrets in it are in plain text."""
        return self._hook.ask_details(self._job.job).configuration

    @property
    def current_revision(self) -> CurrentRevision | None:
        """
        The revision that is reported with the result, or None.

        Set a CurrentRevision or a mapping with ``revision`` and ``changeIdentifier``.
        """
        return self._current_revision

    @current_revision.setter
    def current_revision(self, revision: object) -> None:
        self._current_revision = CurrentRevision.from_value(revision)

    def progress(self, percent: int | None = None, summary: str | None = None) -> None:
        """
        Record the progress of the work.

        The progress is logged. From Airflow 3.3 on, the page “CodePipeline jobs” shows it: the first 20
        values, then one in 5 s; the others are left out. It is reported with the result if the function
        returns no execution details.

        :param percent: 0 to 100. If None, the last value stays.
        :param summary: A sentence for the customer, cut to 2048 characters. If None, the last value stays.
        :raises InvalidInput: A value does not fit, or neither is given.
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
        with job_fields(self._job):
            log.info("Working on %s: %s", place_of(self._job), progress_text(self._progress))
            if self._record is not None:
                self._record.write(self.job_id, self._progress)

    def workspace(
        self, *, limits: ArchiveLimits | None = None, parent: str | os.PathLike[str] | None = None
    ) -> Workspace:
        """
        Return a folder for the job's artifacts. Use it in a ``with`` statement, which removes it at the end.

        :param limits: How much an archive may hold. If None, the default limits are used.
        :param parent: Where to make the folder. If None, the system's folder for temporary files is used.
        """
        # botocore takes long to import, so do not import it while a DAG is parsed.
        from airflow_codepipeline_partner.artifacts.workspace import Workspace

        return Workspace(
            self._job, self._hook, limits=limits, parent=parent, failed_uploads=self._failed_uploads
        )

    def __repr__(self) -> str:
        """Return the job's id, and no more: details may be secret."""
        return f"{type(self).__name__}({self.job_id})"

    def serialize(self) -> NoReturn:
        """
        Keep the job's secrets out of XCom: Airflow calls this for a value that a task stores.

        :raises InvalidInput: Always.
        """
        raise InvalidInput(
            f"Job {self.job_id} in progress cannot be stored in XCom, since it may hold secrets. Store its "
            "job.to_xcom(), which names the job and holds no secret.",
            job_id=self.job_id,
        )


def check_uploads(job: JobInProgress) -> None:
    """
    Check that each failed upload was later repeated successfully. Otherwise the job fails.

    :raises ArtifactError: An upload failed and was not repeated successfully.
    """
    if job._failed_uploads:
        names = ", ".join(sorted(job._failed_uploads))
        raise ArtifactError(
            f"The upload of {names} failed and was not repeated with success, so job {job.job_id} failed.",
            job_id=job.job_id,
        )
