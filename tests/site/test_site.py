# SPDX-License-Identifier: Apache-2.0
"""The built site is whole: nothing is loaded from elsewhere, each module has its page, diagrams are drawn."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "docs"
PAGES = sorted(SITE.rglob("*.html"))
# It imports Airflow, which is not here.
PUBLIC_IMPORTS = ROOT / "tests" / "docs" / "test_public_imports.py"


class Loaded(HTMLParser):
    """Collects what a browser loads by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get("href") or "")
        elif tag != "a":
            self.found.append(given.get("src") or "")


def test_the_pages_are_found():
    assert {"index.html", "404.html", "parameters.html"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_a_page_loads_nothing_from_elsewhere(page):
    loaded = Loaded()
    loaded.feed(page.read_text())
    assert loaded.found
    assert [url for url in loaded.found if re.match(r"\w+:|//", url) and not url.startswith("data:")] == []


def test_each_public_module_is_in_the_reference():
    [listed] = re.findall(r"^PUBLIC = (\[.*?\])", PUBLIC_IMPORTS.read_text(), re.MULTILINE | re.DOTALL)
    described = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        described.update(
            re.findall(r"^::: airflow_codepipeline_partner\.(\w+)$", page.read_text(), re.MULTILINE)
        )
    assert described == set(ast.literal_eval(listed))


def test_a_reference_says_what_is_templated():
    page = (SITE / "reference" / "operators.html").read_text()
    claim = page[page.index('id="airflow_codepipeline_partner.operators.CodePipelineClaimJobOperator"') :]
    table = claim[claim.index("<table>") : claim.index("</table>")]
    assert "<th>Templated</th>" in table
    rows = {re.search(r"<code>(\w+)</code>", row)[1]: "<td>yes</td>" in row for row in table.split("<tr")[2:]}
    assert (rows["job"], rows["unknown_claim"]) == (True, False)


def test_a_page_with_a_diagram_brings_what_draws_it():
    drawn = [page for page in PAGES if '<pre class="mermaid">' in page.read_text()]
    assert drawn
    for page in drawn:
        [script] = re.findall(r'<script src="([^"]*mermaid[^"]*)">', page.read_text())
        assert (page.parent / script).stat().st_size > 1_000_000


def test_a_file_outside_the_documentation_has_a_page():
    page = (SITE / "failures.html").read_text()
    assert (
        'href="files/tests/chaos/README.md.html#' in page or 'href="files/tests/chaos/README.md.html"' in page
    )


def test_the_tools_of_the_site_are_pinned():
    lines = (ROOT / "constraints" / "docs.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!]+", line)] == []
    assert any(line.startswith("mkdocs-material==") for line in pinned)
