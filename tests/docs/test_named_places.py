# SPDX-License-Identifier: Apache-2.0
"""The places that CONTRIBUTING.md and docs/architecture.md name are there, and no room has been left out."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.docs.pages import REPO, blocks_of, page

PACKAGE = "airflow_codepipeline_partner"


def rooms():
    """Return the paths in the tree of docs/architecture.md."""
    [tree] = [block for block in blocks_of("docs/architecture.md", "text") if f"{PACKAGE}/" in block]
    folders = {}
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        depth = len(indent) // 2
        folders[depth] = name
        yield "".join(folders[level] for level in range(depth)) + name


def places(name):
    """Return the paths that a page names as code."""
    named = re.findall(r"`([\w./-]+)`", page(name))
    named = [path for path in named if "/" in path.strip("/") or path.endswith(("/", ".md", ".yaml"))]
    # What is made there is not kept.
    return [path for path in named if not path.startswith("build/")]


def test_the_tree_of_the_architecture_is_there():
    paths = list(rooms())
    assert len(paths) > 30
    assert [path for path in paths if not (REPO / path).exists()] == []


def test_every_room_of_the_package_has_a_line():
    modules = (REPO / PACKAGE).glob("*.py")
    packages = (path.parent for path in (REPO / PACKAGE).glob("**/__init__.py"))
    there = {
        f"{path.relative_to(REPO)}{'/' if path.is_dir() else ''}"
        for path in (*modules, *packages)
        if path.name != "__init__.py"
    }
    assert there - set(rooms()) == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_places_that_a_page_names_are_there(name):
    named = [path for path in places(name) if path != ".venv/"]
    assert named
    assert [path for path in named if not (REPO / path).exists()] == []


def test_every_folder_is_named_to_contributors():
    made = {"build", "dist", f"{PACKAGE}.egg-info"}
    tracked = {path.parent.name for path in REPO.glob("[a-z]*/*") if path.is_file()} - made
    named = {path.split("/")[0] for path in places("CONTRIBUTING.md")}
    assert tracked - named == set()


def test_the_pre_commit_hooks_are_make_targets():
    configured = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in configured["repos"]] == ["local"]
    hooks = configured["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    called = {hook["entry"].removeprefix("make ") for hook in hooks}
    assert called <= targets
