# SPDX-License-Identifier: Apache-2.0
"""The limits, against the service model of the installed botocore and against what is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from airflow_codepipeline_partner._limits import (
    ACTION_TYPE_NUMBERS,
    ACTION_TYPE_TEXTS,
    CATEGORIES,
    FAILURE_TYPES,
    JOB_TEXTS,
    MAX_CONFIGURATION_PROPERTIES,
    NUMBERS,
    OWNERS,
    PROPERTY_TYPES,
    TEXTS,
)

OPERATIONS = (
    # First those of custom jobs, whose ids are UUIDs, which nothing has to be that we take.
    "PollForJobs",
    "GetJobDetails",
    "AcknowledgeJob",
    "PutJobSuccessResult",
    "PutJobFailureResult",
    "PollForThirdPartyJobs",
    "GetThirdPartyJobDetails",
    "AcknowledgeThirdPartyJob",
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
)


def service_model() -> Any:
    return botocore.session.get_session().get_service_model("codepipeline")


def leaves(shape: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every member of a shape that is neither structure nor map, with its path."""
    if shape.type_name == "map":
        yield f"{path}.key", shape.key
        yield f"{path}.value", shape.value
        return
    if shape.type_name != "structure":
        yield path, shape
        return
    for name, member in shape.members.items():
        yield from leaves(member, f"{path}.{name}" if path else name)


def inputs() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for operation in OPERATIONS:
        found.update(leaves(service_model().operation_model(operation).input_shape))
    return found


@pytest.mark.parametrize("field", sorted(TEXTS))
def test_a_text_has_the_limits_of_the_service_model(field):
    shape_name, limit = TEXTS[field]
    shape = inputs()[field] if field in JOB_TEXTS else service_model().shape_for(shape_name)
    assert shape.name == shape_name
    assert shape.type_name == "string"
    if shape.enum:
        assert list(limit.one_of) == list(shape.enum)
        assert (limit.max_chars, limit.pattern) == (None, None)
    else:
        assert limit.one_of is None
        assert limit.min_chars == shape.metadata.get("min", 0)
        assert limit.max_chars == shape.metadata.get("max")
        assert limit.pattern == shape.metadata.get("pattern")


@pytest.mark.parametrize("field", sorted(NUMBERS))
def test_a_number_has_the_limits_of_the_service_model(field):
    shape_name, limit = NUMBERS[field]
    shape = inputs()[field]
    assert shape.name == shape_name
    assert shape.type_name == "integer"
    # Where it names none, only the type limits it: an integer has 32 bits.
    most = shape.metadata.get("max", 2**31 - 1)
    assert (limit.minimum, limit.maximum) == (shape.metadata.get("min"), most)


def test_each_constrained_member_of_the_calls_has_its_limit():
    constrained = {
        path
        for path, shape in inputs().items()
        if any(rule in shape.metadata for rule in ("min", "max", "pattern", "enum"))
    }
    assert constrained == {*JOB_TEXTS, *NUMBERS}


def test_only_a_time_and_a_variables_value_have_no_limit():
    assert set(inputs()) - {*JOB_TEXTS, *NUMBERS} == {"currentRevision.created", "outputVariables.value"}


def test_the_named_choices_are_those_of_the_fields():
    assert TEXTS["actionTypeId.category"][1].one_of == CATEGORIES
    assert TEXTS["actionTypeId.owner"][1].one_of == OWNERS
    assert TEXTS["failureDetails.type"][1].one_of == FAILURE_TYPES


def test_only_text_for_people_is_free():
    assert {field for field, (_, limit) in TEXTS.items() if limit.free} == {
        "currentRevision.revisionSummary",
        "executionDetails.summary",
        "failureDetails.message",
        "approval.summary",
        "stop.reason",
    }


# A custom action type.


def create_input() -> Any:
    return service_model().operation_model("CreateCustomActionType").input_shape


def leaves_in_lists(shape: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every member that is neither structure nor list, named as if there were no list."""
    if shape.type_name == "list":
        yield from leaves_in_lists(shape.member, path)
    elif shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from leaves_in_lists(member, f"{path}.{name}" if path else name)
    else:
        yield path, shape


@pytest.mark.parametrize("field", sorted(ACTION_TYPE_TEXTS))
def test_a_text_of_an_action_type_has_the_models_limits(field):
    shape_name, limit = ACTION_TYPE_TEXTS[field]
    shape = dict(leaves_in_lists(create_input()))[field]
    assert shape.name == shape_name
    assert shape.type_name == "string"
    assert limit.one_of == (tuple(shape.enum) or None)
    assert limit.max_chars == shape.metadata.get("max")
    assert limit.pattern == shape.metadata.get("pattern")
    if not shape.enum:
        assert limit.min_chars == shape.metadata.get("min", 0)


@pytest.mark.parametrize("field", sorted(ACTION_TYPE_NUMBERS))
def test_a_number_of_an_action_type_has_the_models_limits(field):
    shape_name, limit = ACTION_TYPE_NUMBERS[field]
    shape = dict(leaves_in_lists(create_input()))[field]
    assert shape.name == shape_name
    assert (limit.minimum, limit.maximum) == (shape.metadata["min"], shape.metadata["max"])


def test_each_member_of_an_action_type_has_its_limit():
    """Except the flags."""
    all_of_it = dict(leaves_in_lists(create_input()))
    flags = {path for path, shape in all_of_it.items() if shape.type_name == "boolean"}
    assert flags == {f"configurationProperties.{name}" for name in ("required", "key", "secret", "queryable")}
    assert set(all_of_it) - flags == {*ACTION_TYPE_TEXTS, *ACTION_TYPE_NUMBERS}


def test_the_lists_of_an_action_type_have_the_models_limits():
    members = create_input().members
    lists = {name: shape.metadata for name, shape in members.items() if shape.type_name == "list"}
    assert lists["configurationProperties"].get("max") == MAX_CONFIGURATION_PROPERTIES
    # That of the tags is in AWS's guide only; should the model come to name it, this test is to compare it.
    assert "max" not in lists["tags"]
    assert set(lists) == {"configurationProperties", "tags"}


def test_the_types_of_a_property_are_those_of_the_service_model():
    assert ACTION_TYPE_TEXTS["configurationProperties.type"][1].one_of == PROPERTY_TYPES
