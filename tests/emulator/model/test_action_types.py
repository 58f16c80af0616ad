# SPDX-License-Identifier: Apache-2.0
"""What an action of an action type can be configured with."""

from __future__ import annotations

import pytest
from declaring import CUSTOM_TYPE, code

from airflow_codepipeline_partner.emulator import ControlError

OWN = {"category": "Build", "provider": "Own", "version": "1"}
PROJECT = {"name": "Project", "required": True, "queryable": True}
PASSWORD = {"name": "Password", "secret": True}


@pytest.fixture
def w(custom_world):
    """An emulator without action types and pipelines."""
    return custom_world(pipeline=False)


def listed(w, **asked):
    return w.worker.client.list_action_types(**asked)["actionTypes"]


def delete(w, **changes):
    w.worker.client.delete_custom_action_type(**(OWN | changes))


def add(w, name="pipeline", **options):
    return w.emu.add_pipeline(name, **({"action_type": CUSTOM_TYPE, "input_artifacts": ()} | options))


def test_no_pipeline_is_added_for_a_deleted_action_type(w, http):
    w.create()
    delete(w)
    with pytest.raises(ControlError, match="Build/Custom/Own/1 was deleted"):
        add(w)
    body = {"name": "pipeline", "action_type": CUSTOM_TYPE}
    assert http(f"{w.emu.url}/_emu/pipelines", body)[0] == 409
    assert (w.emu.state.pipelines, listed(w)) == ({}, [])
    w.create()
    add(w)


def test_a_pipeline_that_is_refused_registers_no_action_type(w):
    for change in ({"stage_name": ""}, {"configuration": {"": ""}}):
        with pytest.raises(ControlError):
            add(w, **change)
    assert listed(w) == []
    assert code(w.worker.poll) == "ActionTypeNotFoundException"


ONE = {"minimumCount": 1, "maximumCount": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"configuration": {"Project": "p", "Typo": "x"}}, "no configuration property Typo"),
        ({"configuration": {}}, "the configuration property Project is required"),
        ({"configuration": {"Project": "p" * 21}}, "queryable property Project has 1 to 20"),
        ({"configuration": {"Project": "a b"}}, "queryable property Project has 1 to 20"),
        ({"configuration": {"Project": "ä"}}, "queryable property Project has 1 to 20"),
        ({"input_artifacts": []}, "1 to 1 input artifacts"),
        ({"input_artifacts": ["A", "B"]}, "1 to 1 input artifacts"),
        ({"output_artifacts": ["A", "B", "C"]}, "0 to 2 output artifacts"),
    ],
)
def test_an_action_is_checked_against_its_action_type(w, change, message):
    counts = {"inputArtifactDetails": ONE, "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 2}}
    w.create(PROJECT, PASSWORD, **counts)
    good = {
        "configuration": {"Project": "p" * 20},
        "input_artifacts": ["In"],
        "output_artifacts": ["Out", "Log"],
    }
    with pytest.raises(ControlError, match=message):
        add(w, **(good | change))
    assert w.emu.state.pipelines == {}
    add(w, **good)


def test_a_registered_action_type_accepts_any_configuration(w):
    add(w, configuration={"Any": "x y" * 9}, input_artifacts=["A", "B"], output_artifacts=["C"])
    assert "Any" in w.emu.state.pipelines["pipeline"].stages[1].actions[0].configuration


def test_secret_properties_are_secret_in_each_pipeline(w):
    w.create({"name": "Host"}, PASSWORD)
    add(w, "with", configuration={"Host": "h", "Password": "hush"})
    add(w, "without", configuration={"Host": "h"})
    more = {"configuration": {"Host": "h", "Password": "hush"}, "secret_configuration_keys": ["Host"]}
    add(w, "more", **more)
    shown = {
        name: pipeline["stages"][1]["actions"][0]["configuration"]
        for name in ("with", "without", "more")
        for pipeline in [w.worker.client.get_pipeline(name=name)["pipeline"]]
    }
    assert shown == {
        "with": {"Host": "h", "Password": "****"},
        "without": {"Host": "h"},
        "more": {"Host": "****", "Password": "****"},
    }
