# SPDX-License-Identifier: Apache-2.0
"""A declaration as text: what is read of it, and what is refused by its line and without its content."""

from __future__ import annotations

import io
import json
import sys

import pytest
import yaml

from airflow_codepipeline_partner.action_types.yaml_file import MAX_BYTES, dump, parse, read_file
from airflow_codepipeline_partner.exceptions import InvalidInput


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1", 1),
        ("-5", -5),
        ("0", 0),
        ("yes", True),
        ("false", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("text", "text"),
        ("'1'", "1"),
        # What PyYAML makes something else of: an octal, a number, a date, one of base 60, a float.
        ("010", "010"),
        ("1_0", "1_0"),
        ("0x1f", "0x1f"),
        ("2026-01-31", "2026-01-31"),
        ("1:30", "1:30"),
        ("1.0", "1.0"),
        ("1e3", "1e3"),
    ],
)
def test_a_plain_value_is_what_it_looks_like(written, read):
    value = parse(f"version: {written}\n")["version"]
    assert (value, type(value)) == (read, type(read))


def test_json_is_read_with_tabs_and_all():
    value = {"category": "Build", "list": [1, True, None, "ü"], "nested": {"a": "b"}}
    assert parse(json.dumps(value, indent="\t")) == value


def test_anchors_and_merges_are_yaml_too():
    assert parse("base: &base {secret: false, key: false}\nmine: {<<: *base, key: true}") == {
        "base": {"secret": False, "key": False},
        "mine": {"secret": False, "key": True},
    }


def test_what_is_dumped_is_read_back():
    value = {"b": "1", "a": ["yes", "010", "2026-01-31", "ü" * 200, "null", ""], "n": 1, "t": True}
    assert parse(dump(value)) == value
    assert list(parse(dump(value))) == list(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("planted: 1\nb:\n  planted: 1\n  c: 2\n  planted: 3\n", "line 5, column 3: this key occurs twice"),
        ('{"planted": 1, "planted": 2}', "line 1, column 16: this key occurs twice"),
        ('{\n\t"a": {\n\t\t"planted": 1,\n\t\t"planted": 2}}', "line 4, column 3: this key occurs twice"),
        ("a: b: planted", "line 1, column 5: mapping values are not allowed here"),
        ("a: 1\n\tplanted: 1", "line 2, column 1: while scanning for the next token: found character '\\t'"),
        ("a: 'planted", "line 1, column 12: while scanning a quoted scalar: found unexpected end of stream"),
        ("a: *planted", "line 1, column 4: found undefined alias …"),
        ("a: &planted 1\nb: &planted 1", "line 2, column 4: found duplicate anchor …"),
        ("a: !planted b", "line 1, column 4: could not determine a constructor for the tag"),
        ("a:\n  b: !Ref planted", "line 2, column 6: !Ref is a function of CloudFormation. Write a"),
        ("a: !Sub '${planted}'", "!Sub is a function of CloudFormation"),
        ("a: !GetAtt planted.Arn", "!GetAtt is a function of CloudFormation"),
        ("a: !Join ['', [planted]]", "!Join is a function of CloudFormation"),
        ("a: !If {planted: 1}", "!If is a function of CloudFormation"),
        ("a: !!python/object/apply:os.planted []", "line 1, column 4: could not determine a constructor"),
        ("a: !<planted> b", "line 1, column 4: could not determine a constructor for the tag …"),
        ("? [planted]\n: 1", "line 1, column 3: a key must be a text"),
        ("a: 1\n---\nplanted: 1", "line 2, column 1: expected a single document in the stream"),
        (
            "a: |\n  planted\n planted",
            "line 3, column 2: while parsing a block mapping: expected <block end>",
        ),
        ("a: " + "9" * 5000, "line 1, column 4: this value does not fit its type"),
        ("a: !!timestamp planted", "line 1, column 4: this value does not fit its type"),
        ("a: !!bool planted", "line 1, column 4: this value does not fit its type"),
        ("!!map [planted]", "line 1, column 1: expected a mapping node, but found sequence"),
        ("a: planted\x00", "it holds characters that YAML does not allow"),
        ("[" * 100_000, "it is nested too deeply"),
        ("- " * 100_000 + "planted", "it is nested too deeply"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_what_is_no_yaml_is_named_by_its_line(text, said):
    """Nothing of its content is shown."""
    with pytest.raises(InvalidInput) as refusal:
        parse(text)
    assert said in str(refusal.value)
    assert "planted" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_the_safe_loader_itself_stays_as_it_was():
    assert yaml.safe_load("a: 010\na: 9") == {"a": 9}


def test_a_file_is_named_where_it_cannot_be_read(tmp_path):
    path = tmp_path / "file.yaml"
    wrong = {
        b"\xff": "is not in UTF-8",
        b" " * (MAX_BYTES + 1): "has more than 1048576 bytes",
        b"a: b: c": "line 1",
    }
    for content, said in wrong.items():
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=f"^{path}:? .*{said}"):
            read_file(str(path))
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        read_file(str(tmp_path))
    with pytest.raises(InvalidInput, match="no file can have this name"):
        read_file("a\x00b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("AWSTemplateFormatVersion: '2010-09-09'\nplanted: 1", "this is a template of CloudFormation"),
        ('{"Resources": {"planted": {}}}', "this is a template of CloudFormation"),
        (
            "Type: AWS::CodePipeline::CustomActionType\nProperties: {Version: planted}",
            "this is a resource of",
        ),
        ("Category: planted\nProvider: P", "its keys are written as in CloudFormation"),
        ("category: Build\nprovider: {Ref: planted}", "a function of CloudFormation, such as Ref"),
        ("tags: {Team: {Ref: planted}}", "a function of CloudFormation, such as Ref"),
        ('{"tags": [{"key": {"Fn::Sub": "planted"}}]}', "a function of CloudFormation, such as Ref"),
    ],
)
def test_a_template_of_cloudformation_is_told_for_what_it_is(tmp_path, content, said):
    path = tmp_path / "template.yaml"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=said) as refusal:
        read_file(str(path))
    assert "Write a declaration of the action type alone" in str(refusal.value)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    ["category: Ref", "settings: {Ref: 1, b: 2}", "tags: {Ref: main}", "- Ref", "description: '!Ref x'"],
)
def test_what_only_mentions_cloudformation_is_read(tmp_path, content):
    path = tmp_path / "declaration.yaml"
    path.write_text(content)
    assert read_file(str(path))


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_file(str(path)) == {"a": 1}


def test_the_standard_input_is_read_as_a_file(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1")))
    assert read_file("-") == {"a": 1}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    with pytest.raises(InvalidInput, match=r"^The standard input is not in UTF-8\."):
        read_file("-")
