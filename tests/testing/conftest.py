# SPDX-License-Identifier: Apache-2.0
"""The DAGs of a team, for the tests of the kit."""

from __future__ import annotations

from pathlib import Path

import pytest

DAG_FILE = Path(__file__).with_name("worker_dags.py")


@pytest.fixture
def load(codepipeline):
    """Return a function that returns one of the team's DAGs."""
    return lambda dag_id: codepipeline.load_dag(DAG_FILE, dag_id)
