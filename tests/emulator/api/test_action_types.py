# SPDX-License-Identifier: Apache-2.0
"""The calls about action types."""

from __future__ import annotations

import pytest
from declaring import ACTION_TYPE, CUSTOM_TYPE, code

OWN = {"category": "Build", "provider": "Own", "version": "1"}
PROJECT = {"name": "Project", "required": True, "queryable": True}
PASSWORD = {"name": "Password", "secret": True}
URL = "https://own.example/{Config:Project}/{ExternalExecutionId}"


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


def test_a_created_action_type_is_returned_and_listed(w):
    """Without the types of its properties, as AWS does."""
    settings = {"executionUrlTemplate": URL, "entityUrlTemplate": "https://own.example"}
    project = PROJECT | {"description": "Which", "type": "String"}
    counts = {"minimumCount": 1, "maximumCount": 2}
    made = w.create(project, PASSWORD, settings=settings, inputArtifactDetails=counts)
    assert made == {
        "id": CUSTOM_TYPE,
        "settings": settings,
        "actionConfigurationProperties": [
            {**PROJECT, "description": "Which", "key": False, "secret": False},
            {**PASSWORD, "required": False, "key": False},
        ],
        "inputArtifactDetails": counts,
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    }
    assert listed(w) == [made]


def test_tags_are_answered_and_not_listed(w):
    tags = [{"key": "Team", "value": "build"}]
    counts = {"minimumCount": 0, "maximumCount": 0}
    details = {"inputArtifactDetails": counts, "outputArtifactDetails": counts}
    answer = w.worker.client.create_custom_action_type(**OWN, **details, tags=tags)
    assert answer["tags"] == tags
    assert "tags" not in listed(w)[0]
    assert set(listed(w)[0]) == {"id", "inputArtifactDetails", "outputArtifactDetails"}


def test_what_is_there_can_be_created_again_only_as_it_is(w):
    first = w.create(PROJECT, PASSWORD)
    assert w.create(PROJECT, PASSWORD) == first
    # Tags are no part of what it is.
    assert w.create(PROJECT, PASSWORD, tags=[{"key": "a", "value": "b"}]) == first
    for properties in ((PROJECT,), (PASSWORD, PROJECT), (PROJECT, PASSWORD | {"key": True}), ()):
        assert code(w.create, *properties) == "ActionTypeAlreadyExistsException"
    assert listed(w) == [first]
    w.create(version="2")
    assert len(listed(w)) == 2


def test_a_deleted_action_type_can_be_created_as_it_was(w):
    """And only so; until then it is gone."""
    first = w.create(PROJECT)
    delete(w)
    assert listed(w) == []
    assert code(w.worker.poll, query={"Project": "p"}) == "ActionTypeNotFoundException"
    assert code(w.create) == "ActionTypeAlreadyExistsException"
    assert listed(w) == []
    assert w.create(PROJECT) == first
    assert w.worker.poll(query={"Project": "p"}) == []
    delete(w)
    # A test can have it back by its name.
    w.emu.add_action_type(CUSTOM_TYPE)
    assert listed(w) == [first]


def test_deleting_an_unknown_action_type_does_nothing(w):
    """It is no error, and leaves nothing behind."""
    delete(w)
    add(w)
    delete(w)
    delete(w)
    assert listed(w) == []


def test_a_registered_action_type_cannot_be_created(w):
    """It differs from every definition."""
    add(w, configuration={"Any": "thing"})
    assert code(w.create, PROJECT) == "ActionTypeAlreadyExistsException"
    # So the jobs of its pipelines stay where polls find them.
    w.start()
    assert len(w.worker.poll()) == 1


def test_a_region_has_fifty_custom_action_types(w):
    w.emu.add_action_type(ACTION_TYPE)
    w.emu.add_action_type(CUSTOM_TYPE | {"version": "0"})
    for version in range(1, 50):
        w.create(version=str(version))
    assert code(w.create, version="50") == "LimitExceededException"
    # What is there is not one more, and what was deleted does not count.
    w.create(version="49")
    delete(w, version="7")
    w.create(version="50")
    assert code(w.create, version="7") == "LimitExceededException"


def test_action_types_are_listed_in_pages_and_by_owner(w):
    for version in range(45):
        w.create(version=str(version))
        w.emu.add_action_type(ACTION_TYPE | {"version": str(version)})
    pages = w.worker.client.get_paginator("list_action_types").paginate(actionOwnerFilter="Custom")
    versions = [[each["id"]["version"] for each in page["actionTypes"]] for page in pages]
    assert [len(page) for page in versions] == [20, 20, 5]
    assert [version for page in versions for version in page] == sorted(map(str, range(45)))
    pages = w.worker.client.get_paginator("list_action_types").paginate()
    owners = [each["id"]["owner"] for page in pages for each in page["actionTypes"]]
    assert (owners.count("Custom"), owners.count("ThirdParty")) == (45, 45)
    assert listed(w, actionOwnerFilter="AWS") == []
    for wrong in ("nonsense", "46", "²", "-1"):
        asked = {"actionOwnerFilter": "Custom", "nextToken": wrong}
        assert code(w.worker.client.list_action_types, **asked) == "InvalidNextTokenException"


def test_get_action_type_serves_only_those_of_partners(w):
    w.create()
    w.emu.add_action_type(ACTION_TYPE)
    get = w.worker.client.get_action_type
    shown = get(**ACTION_TYPE)["actionType"]
    assert shown["id"] == ACTION_TYPE
    assert shown["executor"]["type"] == "JobWorker"
    assert shown["inputArtifactDetails"] == {"minimumCount": 0, "maximumCount": 5}
    # AWS's model knows no owner Custom here.
    assert code(get, **CUSTOM_TYPE) == "ValidationException"
    assert code(get, **(ACTION_TYPE | {"version": "2"})) == "ActionTypeNotFoundException"


SECRET_QUERY = PROJECT | {"secret": True}
MIXED = {"minimumCount": 2, "maximumCount": 1}


@pytest.mark.parametrize(
    ("properties", "definition", "message"),
    [
        ([PROJECT, PROJECT], {}, "a name of its own"),
        ([PROJECT, PROJECT | {"name": "Other"}], {}, "only one can be queryable"),
        ([PROJECT | {"required": False}], {}, "required and not secret"),
        ([SECRET_QUERY], {}, "required and not secret"),
        ([], {"inputArtifactDetails": MIXED}, "inputArtifactDetails: minimumCount is above"),
        ([], {"outputArtifactDetails": MIXED}, "outputArtifactDetails: minimumCount is above"),
        ([], {"outputArtifactDetails": {"minimumCount": 0, "maximumCount": 6}}, "less than or equal to 5"),
        ([{"name": f"p{number}"} for number in range(11)], {}, "less than or equal to 10"),
        ([PROJECT | {"description": "x" * 161}], {}, "less than or equal to 160"),
        ([PROJECT | {"type": "Text"}], {}, "enum value set: .String, Number, Boolean"),
        ([], {"provider": "x" * 36}, "less than or equal to 35"),
        ([], {"settings": {"executionUrlTemplate": "x" * 2049}}, "less than or equal to 2048"),
        *(
            (
                properties,
                {"settings": {f"{url}UrlTemplate": URL}},
                f"settings.{url}UrlTemplate: .Config:Project",
            )
            for url, properties in (
                ("execution", []),
                ("entity", [{"name": "Project"}]),
                ("revision", [{"name": "Project", "required": True, "secret": True}]),
            )
        ),
    ],
)
def test_an_action_type_that_cannot_be_is_refused(w, properties, definition, message):
    with pytest.raises(w.worker.error.ValidationException, match=message):
        w.create(*properties, **definition)
    assert listed(w) == []
    [refused] = w.emu.ledger.where(operation="CreateCustomActionType")
    assert (refused.kind, refused.outcome) == ("call", "ValidationException")


def test_calls_about_action_types_are_in_the_ledger(w):
    w.create(PASSWORD)
    listed(w)
    delete(w)
    said = [(entry.operation, entry.outcome, dict(entry.details)) for entry in w.emu.ledger]
    assert said == [
        ("CreateCustomActionType", "ok", OWN),
        ("ListActionTypes", "ok", {}),
        ("DeleteCustomActionType", "ok", OWN),
    ]


def test_a_filter_of_another_region_lists_nothing(w):
    w.create()
    asked = {"actionOwnerFilter": "Custom", "regionFilter": "eu-west-1"}
    assert w.worker.client.list_action_types(**asked)["actionTypes"] == []
    w.emu.configure(region="us-east-1")
    assert w.worker.client.list_action_types(**asked)["actionTypes"] == []
    asked["regionFilter"] = "us-east-1"
    assert len(w.worker.client.list_action_types(**asked)["actionTypes"]) == 1
