# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from simulation import simulate


@pytest.fixture(autouse=True)
def airflow_without_a_server(monkeypatch):
    """The connections that the hooks look for."""
    for name, value in simulate.connections().items():
        monkeypatch.setenv(name, value)
