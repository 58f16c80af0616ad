# SPDX-License-Identifier: Apache-2.0
"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
# The commands of this Python come first, as in an environment that is switched on.
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def all_pages() -> list[Path]:
    """Return every Markdown file of the repository."""
    found = [
        *REPO.glob("*.md"),
        REPO / "changelog.d/README.md",
        *(page for folder in ("docs", "tests", "benchmarks") for page in (REPO / folder).rglob("*.md")),
    ]
    return sorted(page for page in found if "node_modules" not in page.parts)


def page(name: str) -> str:
    """Return the text of a page, by its path in the repository."""
    return (REPO / name).read_text()


def blocks(name: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page: language and code."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def blocks_of(name: str, language: str) -> list[str]:
    """Return the code of a page's blocks in one language."""
    return [code for found, code in blocks(name) if found == language]


def in_shell(commands: str, emulator: Any, folder: Path) -> str:
    """Run a block of commands against the emulator, and return what they print."""
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env={
            **os.environ,
            "PATH": PATH,
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
