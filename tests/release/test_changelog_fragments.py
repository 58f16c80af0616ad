# SPDX-License-Identifier: Apache-2.0
"""The fragments in changelog.d become a section of CHANGELOG.md, in the form that the file has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from support import REPO

from airflow_codepipeline_partner import __version__

# It comes with the group dev, which only the newest Airflow's environment has.
pytest.importorskip("towncrier")

FRAGMENTS = REPO / "changelog.d"
SETTINGS = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["towncrier"]
TYPES = [each["directory"] for each in SETTINGS["type"]]
LONG = "It is a word in a line. " * 8


def built(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--date", "2026-12-01", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path):
    """A project with this one's settings, changelog and template, but no fragment."""
    (tmp_path / "airflow_codepipeline_partner").mkdir()
    (tmp_path / "changelog.d").mkdir()
    for name in (
        "pyproject.toml",
        "CHANGELOG.md",
        "airflow_codepipeline_partner/__init__.py",
        "changelog.d/template.md",
        "changelog.d/README.md",
    ):
        shutil.copy(REPO / name, tmp_path / name)
    return tmp_path


def test_a_draft_of_the_fragments_that_are_there_builds():
    done = built(REPO, "--draft")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"## [{__version__}] - 2026-12-01\n")


def test_a_release_goes_below_what_is_not_released(project):
    before = (project / "CHANGELOG.md").read_text()
    (project / "changelog.d/+pages.added.md").write_text(LONG.replace(". It", ".\nIt", 1))
    (project / "changelog.d/+lost.fixed.md").write_text("What was lost is not.\n")
    done = built(project, "--yes")
    assert done.returncode == 0, done.stderr
    section = (
        f"## [{__version__}] - 2026-12-01\n\n"
        f"### Added\n- {LONG[:125].strip()}\n  {LONG[125:].strip()}\n\n### Fixed\n- What was lost is not.\n\n"
    )
    unreleased = "## [Unreleased]\n\n"
    assert (project / "CHANGELOG.md").read_text() == before.replace(unreleased, unreleased + section)
    assert list((project / "changelog.d").glob("+*")) == []


@pytest.mark.parametrize("name", ["+pages.new.md", "pages.md"])
def test_a_fragment_of_an_unknown_type_is_an_error(project, name):
    (project / "changelog.d" / name).write_text("A page.\n")
    done = built(project, "--draft")
    assert done.returncode != 0
    assert name in done.stderr


def test_a_release_without_fragments_says_so(project):
    assert "Nothing that users see." in built(project, "--draft").stdout


@pytest.mark.parametrize("path", sorted(FRAGMENTS.glob("[!.]*")), ids=lambda path: path.name)
def test_each_fragment_is_a_sentence_or_two(path):
    if path.name in ("README.md", "template.md"):
        return
    assert re.fullmatch(rf"\+[a-z0-9-]+\.({'|'.join(TYPES)})\.md", path.name)
    text = path.read_text()
    assert text[:1] not in ("", "-", "*", "#", " ", "\n")
    assert text.rstrip().endswith((".", ")"))
