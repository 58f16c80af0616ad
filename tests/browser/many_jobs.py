# SPDX-License-Identifier: Apache-2.0
"""Thousands of jobs that have ended: copies of one, straight into Airflow's database."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator

from browser.world import World

#: What the copies' runs begin with.
PREFIX = "copy-"


@contextlib.contextmanager
def many_jobs(world: World, name: str, count: int) -> Iterator[None]:
    """
    Let Airflow have many jobs more, each with a run and a claiming task of its own.

    :param world: The world.
    :param name: The job that is copied.
    :param count: How many.
    """
    shown = world.jobs[name]
    with contextlib.closing(sqlite3.connect(world.airflow.home / "airflow.db", timeout=60)) as database:
        database.row_factory = sqlite3.Row
        of_run = (shown.dag_id, shown.run_id)
        where = "WHERE dag_id = ? AND run_id = ?"
        [run] = database.execute(f"SELECT * FROM dag_run {where}", of_run).fetchall()  # noqa: S608
        claim = f"{where} AND task_id = 'claim'"
        [task] = database.execute(f"SELECT * FROM task_instance {claim}", of_run).fetchall()  # noqa: S608
        records = database.execute(
            f"SELECT * FROM xcom {claim} AND key IN ('codepipeline_claim', 'codepipeline_result')",  # noqa: S608
            of_run,
        ).fetchall()
        first = database.execute("SELECT max(id) + 1 FROM dag_run").fetchone()[0]
        numbers = range(first, first + count)
        with database:
            for table, rows in (("dag_run", [run]), ("task_instance", [task]), ("xcom", records)):
                for row in rows:
                    columns = row.keys()
                    marks = ", ".join("?" * len(columns))
                    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
                    database.executemany(statement, (_copy(table, row, number) for number in numbers))
        try:
            yield
        finally:
            with database:
                for table in ("xcom", "task_instance", "dag_run"):
                    database.execute(f"DELETE FROM {table} WHERE run_id LIKE ?", (f"{PREFIX}%",))  # noqa: S608


def _copy(table: str, row: sqlite3.Row, number: int) -> list[object]:
    """Return the values of a row's copy, for the run with this number."""
    new = {
        "run_id": f"{PREFIX}{number}",
        "dag_run_id": number,
        "id": number if table == "dag_run" else uuid.UUID(int=number).hex,
        "logical_date": None,
    }
    return [new.get(name, row[name]) for name in row.keys()]  # noqa: SIM118 - a row's own iteration is its values
