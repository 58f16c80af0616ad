# SPDX-License-Identifier: Apache-2.0
"""What the users' functions did, as they say it themselves: one line when one begins, one when it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

FILE_NAME = "work.jsonl"


@dataclasses.dataclass(frozen=True)
class WorkEntry:
    """
    A user's function began or ended.

    :param job_id: The job that it worked on.
    :param try_number: Airflow's, from 1; a retry and a clear raise it.
    :param time: Seconds since the epoch.
    :param airflow: In which Airflow: a name, or ``""`` for the first. Its log does not say it.
    """

    what: Literal["begin", "end"]
    job_id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    time: float = 0.0
    airflow: str = ""


def append(folder: Path, entry: WorkEntry) -> None:
    """Write an entry; several processes may do so at the same time, and die right after it."""
    line = json.dumps(dataclasses.asdict(entry) | {"time": time.time()}) + "\n"
    file = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(folder: Path, airflow: str = "") -> Iterator[WorkEntry]:
    """Yield all entries of one Airflow."""
    file = folder / FILE_NAME
    if file.exists():
        for line in file.read_text().splitlines():
            yield WorkEntry(**{**json.loads(line), "airflow": airflow})
