# SPDX-License-Identifier: Apache-2.0
"""
Airflow's simple auth manager, with users who may see some DAGs only.

Loaded by Airflow's own processes, from a folder with nothing else. ``VISIBLE_DAGS`` is JSON: user → DAG ids.
A user who is not named there sees all.
"""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class DagRights(SimpleAuthManager):
    """Asked by Airflow for each DAG."""

    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        visible = json.loads(os.environ["VISIBLE_DAGS"]).get(user.username)
        if visible is not None and details is not None and details.id not in (None, *visible):
            return False
        return super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
