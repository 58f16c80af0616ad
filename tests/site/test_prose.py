# SPDX-License-Identifier: Apache-2.0
"""The reader of the prose finds what it looks for, where it is, and does not read code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from proselint.checks import __register__ as proselint_checks
from proselint.registry import CheckRegistry

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("prose", ROOT / "docs" / "site" / "prose.py")
prose = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(prose)


@pytest.fixture(scope="module", autouse=True)
def _rules_of_proselint():
    CheckRegistry().register_many(proselint_checks)


@pytest.fixture
def lines(tmp_path):
    """Return a function that returns the lines of a page in which something is wrong."""

    def found(text):
        page = tmp_path / "page.md"
        page.write_text(text)
        return [line for line, _ in prose.findings(page)]

    return found


@pytest.mark.parametrize(
    "avoided", ["It tells you.", "a call of ours", "Whoever reports,", "It is in doubt."]
)
def test_a_word_to_avoid_is_found_in_its_line(lines, avoided):
    assert lines(f"# A page\n\nA line.\n{avoided}\n") == [4]


def test_a_rule_of_proselint_is_found_in_its_line(lines):
    assert lines("# A page\n\nA line.\nIt is very good.\n") == [4]


@pytest.mark.parametrize("words", [35, 36])
def test_a_sentence_may_have_35_words(lines, words):
    text = "# A page\n\nA short one. " + " ".join(f"word{number}" for number in range(words)) + ".\n"
    assert lines(text) == ([] if words == 35 else [3])


def test_items_of_a_list_are_sentences_of_their_own(lines):
    item = "- " + " ".join(f"word{number}" for number in range(20)) + "\n"
    assert lines(f"# A page\n\n{item * 3}") == []


def test_code_is_not_read(lines):
    assert lines("# A page\n\nRun `told`.\n\n```text\nIt told nobody.\n```\n\nSee [it](told.md).\n") == []


def test_the_pages_are_found():
    names = {str(page.relative_to(ROOT)) for page in prose.pages()}
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "docs/index.md",
        "docs/decisions/0002-one-shared-poll.md",
    } <= names
