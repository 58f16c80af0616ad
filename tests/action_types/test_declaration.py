# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a declaration: all of it is reported, by path and limit, and no value is."""

from __future__ import annotations

import copy
import pickle

import pytest

from airflow_codepipeline_partner.action_types.declaration import InvalidDeclaration, read_declaration
from airflow_codepipeline_partner.exceptions import InvalidInput

GOOD = {
    "category": "Build",
    "provider": "Airflow",
    "version": "1",
    "settings": {
        "entityUrlTemplate": "https://airflow.example.com/dags/{Config:Target}",
        "executionUrlTemplate": "https://airflow.example.com/{Config:Target}/{ExternalExecutionId}",
    },
    "configurationProperties": [
        {"name": "Target", "required": True, "key": True},
        {"name": "Token", "required": True, "secret": True},
        {"name": "Mode", "type": "String", "description": "How"},
    ],
    "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    "tags": {"Team": "build"},
}
NONE = object()


def changed(path, value):
    """A good declaration with another value at a place, or without what is there."""
    declaration = copy.deepcopy(GOOD)
    held = declaration
    for step in path[:-1]:
        held = held[step]
    if value is NONE:
        del held[path[-1]]
    elif isinstance(held, list) and path[-1] == len(held):
        held.append(value)
    else:
        held[path[-1]] = value
    return declaration


def faults_of(declaration):
    with pytest.raises(InvalidDeclaration) as refusal:
        read_declaration(declaration)
    return list(refusal.value.faults)


def test_the_good_one_is_read_under_its_snake_case_names():
    read = read_declaration(GOOD)
    assert read["input_artifact_details"] == {"minimum_count": 0, "maximum_count": 5}
    assert read["configuration_properties"][0] == {"name": "Target", "required": True, "key": True}
    assert list(read["settings"]) == ["entity_url_template", "execution_url_template"]
    assert read["tags"] == {"Team": "build"}


PROPERTIES = "configurationProperties"
LONG_URL = "https://planted.example/" + "p" * 2048
#: Where → what is given there, and what the fault begins with and says besides.
WRONG = [
    ((["category"]), NONE, "category: is missing", ""),
    ((["category"]), None, "category: is missing", ""),
    ((["category"]), "planted", "category: must be one of Source, Build", "7 characters"),
    ((["provider"]), NONE, "provider: is missing", ""),
    ((["provider"]), "planted" * 6, "provider: has 42 characters", "1 to 35"),
    ((["provider"]), "planted space", "provider: (13 characters) must match", "[0-9A-Za-z_-]+"),
    ((["provider"]), "", "provider: has 0 characters", "1 to 35"),
    ((["version"]), "1234567890", "version: has 10 characters", "1 to 9"),
    ((["version"]), "1.0", "version: (3 characters) must match", "no dot: write 1 or 1_0"),
    ((["version"]), "1 0", "version: (3 characters) must match", "[0-9A-Za-z_-]+"),
    ((["version"]), 1.5, "version: must be a string, not float", "no dot"),
    ((["version"]), True, "version: must be a string, not bool", "quotes"),
    ((["owner"]), "AWS", "owner: must be Custom, or left out", "only AWS creates its own"),
    ((["owner"]), "ThirdParty", "owner: must be Custom, or left out", "partners (ThirdParty)"),
    ((["owner"]), ["planted"], "owner: must be Custom, or left out", ""),
    ((["extra"]), "planted", "It has no field 'extra'", "category, owner, provider"),
    ((["Category"]), 1, "It has no field 'Category'; did you mean 'category'?", ""),
    (([7]), 1, "It has no field (1 characters); it has", ""),
    ((["settings"]), ["planted"], "settings: must be a mapping with thirdPartyConfigurationUrl", "a list"),
    ((["settings", "extra"]), "planted", "settings: has no field 'extra'", "entityUrlTemplate"),
    (
        (["settings", "executionUrlTemplate"]),
        LONG_URL,
        "settings.executionUrlTemplate: has 2072",
        "1 to 2048",
    ),
    ((["settings", "entityUrlTemplate"]), LONG_URL, "settings.entityUrlTemplate: has 2072", "1 to 2048"),
    ((["settings", "revisionUrlTemplate"]), LONG_URL, "settings.revisionUrlTemplate: has 2072", "2048"),
    ((["settings", "thirdPartyConfigurationUrl"]), LONG_URL, "settings.thirdPartyConfigurationUrl: has", ""),
    ((["settings", "thirdPartyConfigurationUrl"]), "", "settings.thirdPartyConfigurationUrl: has 0", ""),
    (
        (["settings", "revisionUrlTemplate"]),
        "https://a/{Config:planted}",
        "settings.revisionUrlTemplate: has at character 11 a {Config:…} that names none",
        "configurationProperties",
    ),
    (
        (["settings", "revisionUrlTemplate"]),
        "{Config:Token}",
        "settings.revisionUrlTemplate: has at character 1 a {Config:…} that names configurationProperties[1]",
        "which is secret",
    ),
    (
        (["settings", "revisionUrlTemplate"]),
        "{Config:Mode}",
        "settings.revisionUrlTemplate: has at character 1 a {Config:…} that names configurationProperties[2]",
        "which is not required",
    ),
    (
        (["settings", "revisionUrlTemplate"]),
        "https://a/{Planted}/{config:Target}",
        "settings.revisionUrlTemplate: has at character 21 a misspelled {Config:name}",
        "",
    ),
    (
        (["settings", "executionUrlTemplate"]),
        "https://a/{ExternalExecutionID}",
        "settings.executionUrlTemplate: has at character 11 a misspelled {ExternalExecutionId}",
        "",
    ),
    (
        (["settings", "entityUrlTemplate"]),
        " JavaScript:planted()",
        "settings.entityUrlTemplate: must be a link that begins with http:// or https://",
        "",
    ),
    (
        (["settings", "thirdPartyConfigurationUrl"]),
        "planted:8080/x",
        "settings.thirdPartyConfigurationUrl: must be a link",
        "",
    ),
    (
        ([PROPERTIES]),
        {"planted": {}},
        "configurationProperties: must be a list of mappings with name",
        "a dict",
    ),
    (([PROPERTIES, 2]), "planted", "configurationProperties[2]: must be a mapping with name", "a str"),
    (([PROPERTIES, 2]), {}, "configurationProperties[2].name: is missing", ""),
    (([PROPERTIES, 2, "name"]), "p" * 51, "configurationProperties[2].name: has 51", "1 to 50"),
    (([PROPERTIES, 2, "name"]), "", "configurationProperties[2].name: has 0", ""),
    (
        ([PROPERTIES, 2, "name"]),
        False,
        "configurationProperties[2].name: must be a string, not bool",
        "quotes",
    ),
    (([PROPERTIES, 2, "name"]), "Token", "configurationProperties[2].name: is already the name of", "[1]"),
    (
        ([PROPERTIES, 2, "description"]),
        "p" * 161,
        "configurationProperties[2].description: has 161",
        "1 to 160",
    ),
    (([PROPERTIES, 2, "description"]), "", "configurationProperties[2].description: has 0", ""),
    (
        ([PROPERTIES, 2, "type"]),
        "planted",
        "configurationProperties[2].type: must be one of String, Number",
        "",
    ),
    (([PROPERTIES, 2, "typ"]), "String", "configurationProperties[2]: has no field", "did you mean 'type'?"),
    (
        ([PROPERTIES, 2, "required"]),
        "planted",
        "configurationProperties[2].required: must be true or",
        "a str",
    ),
    (([PROPERTIES, 2, "key"]), 1, "configurationProperties[2].key: must be true or false", "a int"),
    (([PROPERTIES, 2, "secret"]), "no", "configurationProperties[2].secret: must be true or false", ""),
    (([PROPERTIES, 2, "queryable"]), [], "configurationProperties[2].queryable: must be true or false", ""),
    (
        ([PROPERTIES, 2, "queryable"]),
        True,
        "configurationProperties[2].queryable: can be true only",
        "required",
    ),
    (
        ([PROPERTIES, 1, "queryable"]),
        True,
        "configurationProperties[1].queryable: can be true only",
        "secret",
    ),
    ((["inputArtifactDetails"]), 3, "inputArtifactDetails: must be a mapping with minimumCount", "a int"),
    ((["inputArtifactDetails", "minimumCount"]), 6, "inputArtifactDetails.minimumCount: is 6", "at most 5"),
    (
        (["inputArtifactDetails", "minimumCount"]),
        -1,
        "inputArtifactDetails.minimumCount: is -1",
        "at least 0",
    ),
    ((["outputArtifactDetails", "maximumCount"]), 6, "outputArtifactDetails.maximumCount: is 6", "at most 5"),
    (
        (["outputArtifactDetails", "maximumCount"]),
        "1",
        "outputArtifactDetails.maximumCount: must be a",
        "str",
    ),
    ((["outputArtifactDetails", "maximumCount"]), True, "outputArtifactDetails.maximumCount: must be a", ""),
    ((["outputArtifactDetails", "max"]), 1, "outputArtifactDetails: has no field", "maximumCount"),
    (
        (["inputArtifactDetails"]),
        {"minimumCount": 3, "maximumCount": 2},
        "inputArtifactDetails: minimumCount 3 is over maximumCount 2",
        "",
    ),
    ((["tags"]), "planted", "tags: must be a mapping, or a list", "a str"),
    ((["tags"]), ["planted"], "tags[0]: must be a mapping with key, value", "a str"),
    ((["tags"]), [{"value": "planted"}], "tags[0].key: is missing", ""),
    (
        (["tags"]),
        [{"key": "a", "value": "b"}, {"key": "a"}],
        "tags[1].key: is already the key of an earlier",
        "",
    ),
    ((["tags"]), {"p" * 129: "v"}, "tags[0].key: has 129", "1 to 128"),
    ((["tags"]), {"": "v"}, "tags[0].key: has 0", "1 to 128"),
    ((["tags"]), {"k": "p" * 257}, "tags[0].value: has 257", "0 to 256"),
    ((["tags"]), {"a": "b", "AWS:planted": "v"}, "tags[1].key: begins with aws:", ""),
    ((["tags"]), {"k": True}, "tags[0].value: must be a string, not bool", "quotes"),
    ((["tags"]), {str(n): "planted" for n in range(51)}, "tags: has 51 tags", "at most 50"),
]


@pytest.mark.parametrize(("path", "value", "beginning", "also"), WRONG, ids=[each[2][:60] for each in WRONG])
def test_a_fault_is_told_once_by_its_path_and_its_limit(path, value, beginning, also):
    [fault] = faults_of(changed(path, value))
    assert fault.startswith(beginning)
    assert also in fault
    assert "planted" not in fault
    assert "pppp" not in fault


@pytest.mark.parametrize("value", [None, "planted", ["planted"], 7, []])
def test_what_is_no_mapping_is_refused(value):
    [fault] = faults_of(value)
    assert fault.startswith("It must be a mapping with category, owner, provider, version")
    assert "planted" not in fault


def test_at_most_ten_properties():
    ten = [{"name": f"Property{number}"} for number in range(10)]
    assert len(read_declaration({**GOOD, "settings": None, PROPERTIES: ten})[PROPERTIES_READ]) == 10
    [fault] = faults_of({**GOOD, "settings": None, PROPERTIES: [*ten, {"name": "One"}]})
    assert fault == "configurationProperties: has 11 properties; CodePipeline takes at most 10"


PROPERTIES_READ = "configuration_properties"


def test_fifty_tags_are_not_too_many():
    assert len(read_declaration({**GOOD, "tags": {str(number): "v" for number in range(50)}})["tags"]) == 50


def test_at_most_one_property_is_queryable():
    one = {"required": True, "queryable": True}
    assert read_declaration({**GOOD, "settings": None, PROPERTIES: [{"name": "A", **one}]})
    properties = [{"name": "A", **one}, {"name": "B"}, {"name": "C", **one}]
    [fault] = faults_of({**GOOD, "settings": None, PROPERTIES: properties})
    assert fault.startswith("configurationProperties[2].queryable: is true, as it is for")
    assert "configurationProperties[0]" in fault


def test_all_faults_are_told_at_once():
    faults = faults_of(
        {
            "provider": "a b",
            "version": "too-long-a-version",
            "owner": "AWS",
            "settings": {"entityUrlTemplate": "{Config:B}{Config:X}", "nonsense": 1},
            PROPERTIES: [
                {"name": "A", "type": "Text", "key": 1},
                {"name": "A"},
                {"name": "B", "queryable": True},
            ],
            "inputArtifactDetails": {"minimumCount": 9, "maximumCount": "many"},
            "tags": {"aws:one": None},
        }
    )
    assert [fault.partition(": ")[0] for fault in faults] == [
        "category",
        "provider",
        "version",
        "owner",
        "configurationProperties[0].type",
        "configurationProperties[0].key",
        "configurationProperties[2].queryable",
        "configurationProperties[1].name",
        "settings",
        "settings.entityUrlTemplate",
        "settings.entityUrlTemplate",
        "inputArtifactDetails.minimumCount",
        "inputArtifactDetails.maximumCount",
        "tags[0].key",
    ]


@pytest.mark.parametrize(
    "properties",
    [
        "planted",
        [{"name": 1.5, "required": True}],
        [{"name": "Late", "required": "yes"}],
        ["planted"],
    ],
)
def test_a_placeholder_for_an_unread_property_is_no_fault(properties):
    """The property has a fault of its own already."""
    declaration = {**GOOD, "settings": {"entityUrlTemplate": "{Config:Late}"}, PROPERTIES: properties}
    assert not any(fault.startswith("settings") for fault in faults_of(declaration))


def test_the_error_is_one_of_ours_tells_all_and_pickles():
    with pytest.raises(InvalidInput, match=r"has 2 faults:\n  category: is missing\.\n  provider") as refusal:
        read_declaration({})
    twin = pickle.loads(pickle.dumps(refusal.value))  # noqa: S301 - our own bytes
    assert (str(twin), twin.faults) == (str(refusal.value), refusal.value.faults)
    with pytest.raises(InvalidInput, match="has 1 fault:\n"):
        read_declaration({"category": "Build"})


def test_both_spellings_are_taken_and_not_together():
    snake = {"minimum_count": 1, "maximum_count": 1}
    read = read_declaration({"category": "Build", "provider": "P", "input_artifact_details": snake})
    assert read["input_artifact_details"] == snake
    [fault] = faults_of({**GOOD, "input_artifact_details": snake})
    assert fault == "It has inputArtifactDetails twice, in both spellings"


def test_a_number_is_a_version_and_a_tag_too():
    read = read_declaration({**GOOD, "version": 1, "tags": {"CostCenter": 4711, 7: None}})
    assert read["version"] == "1"
    assert read["tags"] == {"CostCenter": "4711", "7": ""}


def test_tags_may_have_the_shape_of_aws():
    tags = [{"key": "Team", "value": "build"}, {"key": "Empty"}]
    assert read_declaration({**GOOD, "tags": tags})["tags"] == {"Team": "build", "Empty": ""}


def test_a_placeholder_without_config_is_codepipelines():
    template = "https://a/{ExternalExecutionId}/{RevisionId}/{}/{Config}"
    assert read_declaration({**GOOD, "settings": {"revisionUrlTemplate": template}})
