# SPDX-License-Identifier: Apache-2.0
"""
The newest progress of a function that works on a job, for the page that shows jobs.

CodePipeline shows progress only with a result. Nothing is decided by this record, and no work fails since it
cannot be written. If Airflow's API server is away, the first call waits until Airflow gives up.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from airflow_codepipeline_partner._masking import masked
from airflow_codepipeline_partner._protocol.results import ExecutionDetails
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import PROGRESS_KEY

log = logging.getLogger(__name__)

#: Records that are written at once; then one in this many seconds. A loop may say its progress very often.
BURST, INTERVAL = 20, 5.0
#: If Airflow took longer for one, in seconds, there is no other: the work is more important.
MAX_SECONDS = 2.0


class ProgressRecord:
    """
    Writes the progress of one try of a task into its XCom.

    :param store: The task instance's own XCom.
    :param clock: Seconds that pass; for tests.
    """

    def __init__(self, store: RecordStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._begun = clock()
        self._written = 0
        self._is_off = False
        self._process = os.getpid()

    def write(self, job_id: str, details: ExecutionDetails) -> None:
        """
        Write the progress, unless there is too much of it.

        :param job_id: The job.
        :param details: How far the work is.
        """
        begun = self._clock()
        is_too_much = self._written >= BURST + (begun - self._begun) / INTERVAL
        # Only the task's own process can ask Airflow, not one that the work has forked.
        if self._is_off or is_too_much or os.getpid() != self._process:
            return
        # Counted first: threads may come here together.
        self._written += 1
        try:
            # The task's own logs mask it, too.
            summary = None if details.summary is None else masked(details.summary)
            record = {"job_id": job_id, "percent": details.percent_complete, "summary": summary}
            self._store.write(PROGRESS_KEY, {**record, "at": datetime.now(UTC).isoformat()})
        except Exception as trouble:
            # Of whatever kind: an XCom backend may raise anything.
            log.warning(
                "The progress is not shown on the page CodePipeline jobs: %s.", type(trouble).__name__
            )
            self._is_off = True
        self._is_off = self._is_off or self._clock() - begun > MAX_SECONDS
