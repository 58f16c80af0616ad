# SPDX-License-Identifier: Apache-2.0
"""What the pages point at is there: links, anchors, example DAGs, make targets."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import REPO, all_pages

PAGES = [str(path.relative_to(REPO)) for path in all_pages()]


def without_code(text):
    """Return a page without its code blocks, in which brackets are no links."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """Return the anchors of a page's headings, as GitHub and most site builders make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pages_are_found():
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "tests/chaos/README.md"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_lead_somewhere(name):
    path = REPO / name
    links = re.findall(r"\]\((?!https?://|mailto:)([^)#]*)(?:#([^)]*))?\)", without_code(path.read_text()))
    for target, anchor in links:
        leads_to = (path.parent / target).resolve() if target else path
        assert leads_to.exists(), target
        assert not anchor or anchor in anchors(leads_to), (target, anchor)


@pytest.mark.parametrize("name", PAGES)
def test_the_example_dags_that_are_named_are_there(name):
    for dag_id in set(re.findall(r"\bexample_[a-z_]+\b", (REPO / name).read_text())) - {"example_dags"}:
        assert (REPO / "example_dags" / f"{dag_id}.py").exists(), dag_id


@pytest.mark.parametrize("name", PAGES)
def test_the_make_targets_that_are_named_are_there(name):
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (REPO / name).read_text(), re.MULTILINE))
    assert named <= targets
