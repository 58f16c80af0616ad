# SPDX-License-Identifier: Apache-2.0
"""The examples and the pages write results and action types in one way, although the code accepts several."""

from __future__ import annotations

import ast

import pytest

from tests.docs.pages import REPO, all_pages, blocks_of

AWS_SPELLING = {
    "percentComplete",
    "externalExecutionId",
    "changeIdentifier",
    "revisionSummary",
}
SOURCES = {
    **{str(path.relative_to(REPO)): path.read_text() for path in (REPO / "example_dags").glob("*.py")},
    **{
        f"{path.relative_to(REPO)}, block {number}": code
        for path in all_pages()
        for number, code in enumerate(blocks_of(str(path.relative_to(REPO)), "python"), 1)
    },
}


def mappings(code):
    """Yield the literal keys of each mapping in the code."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Dict):
            yield {key.value for key in node.keys if isinstance(key, ast.Constant)}


@pytest.mark.parametrize("where", SOURCES)
def test_results_are_written_in_snake_case(where):
    assert [keys & AWS_SPELLING for keys in mappings(SOURCES[where]) if keys & AWS_SPELLING] == []


@pytest.mark.parametrize("where", SOURCES)
def test_an_action_type_says_its_owner(where):
    types = [keys for keys in mappings(SOURCES[where]) if {"category", "provider"} <= keys]
    assert [keys for keys in types if "owner" not in keys] == []
