# SPDX-License-Identifier: Apache-2.0
"""What the instances of a task have in XCom, although one of the values cannot be read."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._worker import record_store
from airflow_codepipeline_partner._worker.record_store import values_of

NAMES = {"dag_id": "dag", "run_id": "run", "task_id": "claim"}


class Unreadable:
    """Instances 0 and 2 have a value; that of 1 is of a class that is gone."""

    def __init__(self, error):
        self.error = error

    def get_all(self, **names):
        raise self.error

    def get_one(self, map_index, **names):
        if map_index == 1:
            raise self.error
        return {0: "a", 2: "c"}.get(map_index)


@pytest.mark.parametrize(
    "error", [ImportError("gone"), TypeError("not a class"), ValueError("no JSON")], ids=repr
)
def test_one_value_that_cannot_be_read_hides_no_other(monkeypatch, caplog, error):
    monkeypatch.setattr(record_store, "XCom", Unreadable(error))
    monkeypatch.setattr(record_store, "count_instances", lambda **names: 3)
    assert values_of("key", **NAMES) == ["a", "c"]
    assert "instance 1" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("server error"), OSError("no connection")], ids=repr)
def test_a_server_that_does_not_answer_is_no_absence(monkeypatch, error):
    monkeypatch.setattr(record_store, "XCom", Unreadable(error))
    with pytest.raises(type(error)):
        values_of("key", **NAMES)
