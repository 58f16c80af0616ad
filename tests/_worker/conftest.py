# SPDX-License-Identifier: Apache-2.0
"""An XCom in memory."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._worker import record_search, record_store


@pytest.fixture
def xcom(monkeypatch):
    """Airflow's XCom, as a mapping of map index and key to value."""
    held = {}

    class XCom:
        @staticmethod
        def set(key, value, map_index, **names):
            held[map_index, key] = value

        @staticmethod
        def get_one(key, map_index, **names):
            return held.get((map_index, key))

        @staticmethod
        def get_all(key, **names):
            return [value for (_, found), value in sorted(held.items()) if found == key]

        @staticmethod
        def delete(key, map_index, **names):
            held.pop((map_index, key), None)

    monkeypatch.setattr(record_store, "XCom", XCom)
    for module in (record_store, record_search):
        monkeypatch.setattr(module, "OUTDATED_TRIES_WRITE", False)
    return held
