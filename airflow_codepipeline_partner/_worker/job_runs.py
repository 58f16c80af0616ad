# SPDX-License-Identifier: Apache-2.0
"""The runs of a job: which id its next one has, if it may have one."""

from __future__ import annotations

import hashlib
import logging
import re
from typing import Any

from airflow_codepipeline_partner._worker.dag import in_parts
from airflow_codepipeline_partner._worker.record_search import LIVING, has_claimed

log = logging.getLogger(__name__)

#: How the ids of the runs begin that are started for jobs.
RUN_ID_PREFIX = "codepipeline__"
#: A job's id that may be part of a run's id as it is. CodePipeline's are UUIDs, but its API allows any text.
#: At its end, what looks like the number of an attempt would be another job's.
_PLAIN_ID = re.compile(r"(?!.*__\d+$)[A-Za-z0-9_.~:+-]{1,100}")

#: Most runs of one job; each of them but the last ended without a claim. A custom action may take 24 hours,
#: and a sensor may be offered its job once a minute.
MAX_ATTEMPTS = 1500


def free_run_id(ti: Any, dag_id: str, job_id: str) -> str | None:
    """Return the id of a job's next run; None if a run of it has claimed the job, or still may."""
    first = first_run_id(job_id)
    ids = [first, *(f"{first}__{number}" for number in range(2, MAX_ATTEMPTS + 1))]
    last: str | None = None
    for some in in_parts(ids):
        attempts: int = ti.get_dr_count(dag_id=dag_id, run_ids=some)
        if attempts == 0:
            break
        if ti.get_dr_count(dag_id=dag_id, run_ids=some, states=list(LIVING)):
            return None
        # If a user has deleted some, the last one comes later than their count says.
        number, middle, behind = attempts - 1, attempts, len(some)
        while number + 1 < behind:
            if ti.get_dr_count(dag_id=dag_id, run_ids=some[middle:behind]):
                number = middle
            else:
                behind = middle
            middle = (number + behind) // 2
        last = some[number]
        if last != some[-1]:
            break
    if last is None:
        return first
    if has_claimed(ti, dag_id, last, job_id):
        return None
    later = ids[ids.index(last) + 1 :]
    if not later:
        log.error("Job %s has had %d runs, none of which claimed it; there is no other.", job_id, len(ids))
        return None
    return later[0]


def first_run_id(job_id: str) -> str:
    """Return the id of a job's first run: with the job's id, or its hash if it would not do in a run's id."""
    name = job_id if _PLAIN_ID.fullmatch(job_id) else hashlib.sha256(job_id.encode()).hexdigest()[:40]
    return f"{RUN_ID_PREFIX}{name}"
