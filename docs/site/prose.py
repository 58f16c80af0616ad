# SPDX-License-Identifier: Apache-2.0
"""
Read the prose of the pages, as ``make prose`` does: proselint's rules, and a few of this project's own.

This is the one home of rules about prose. What concerns the code in the pages is in
``tests/docs/test_style.py``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from proselint.checks import __register__ as PROSELINT_CHECKS
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parents[2]
MAX_WORDS = 35
#: What to write instead. A pattern is matched as whole words, in any case.
AVOIDED = {
    r"tells?|told": "say, report, show, name: a program does not tell",
    r"is (?-i:none)": "say what is missing: there is no …",
    r"of ours": "our, or the name of the thing",
    r"whoever": "the task that, the worker that",
    r"so many": "the number, or: that many",
    r"in doubt|doubtful": "unknown: the glossary's word for a claim or a call without an answer",
    r"nobody's": "not yet claimed",
    r"simply|obviously|of course": "leave it out",
    r"e\.g\.|i\.e\.": "for example, that is",
    r"utili[sz]e[sd]?": "use",
    r"in order to": "to",
    r"blacklist|whitelist": "deny list, allow list",
}
#: Of proselint's rules, those that do not fit: quotation marks and signs of code, and taste.
LEFT_OUT = ("typography", "restricted")
BLOCK = re.compile(r"^(?: *)```.*?^ *```$|<!--.*?-->|\A---\n.*?\n---$|^::: .*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"``.*?``|`[^`\n]*(?:\n[^`\n]+)?`")
TARGET = re.compile(r"\]\([^)]*\)|<https?:[^>]*>")
SENTENCE_END = re.compile(r"(?<=[.!?:;])[)\"”*_]*\s+(?=\S)")


def pages() -> list[Path]:
    """Return the pages that people read."""
    top = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))
    fragments = (ROOT / "changelog.d").glob("*.md")
    return sorted(page for page in (*top, *fragments, *(ROOT / "docs").rglob("*.md")) if page.exists())


def prose_of(markdown: str) -> str:
    """Return a page with its code and its links' targets blanked, each word where it was."""
    for pattern, filling in ((BLOCK, " "), (CODE, "X"), (TARGET, " ")):
        markdown = pattern.sub(lambda match, filling=filling: re.sub(r"[^\n]", filling, match[0]), markdown)
    return markdown


def findings(page: Path) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a page: line and message."""
    prose = prose_of(page.read_text())
    for pattern, instead in AVOIDED.items():
        for match in re.finditer(rf"\b(?:{pattern})\b", prose, re.IGNORECASE):
            yield line_of(prose, match.start()), f"“{match[0]}”: {instead}"
    for start, words in long_sentences(prose):
        yield line_of(prose, start), f"a sentence of {words} words: one fact a sentence"
    checks = {name: True for name in DEFAULT["checks"] if not name.startswith(LEFT_OUT)}
    for found in LintFile(page.name, prose).lint(Config(max_errors=1000, checks=checks)):
        # proselint puts an empty line before the text. A heading and what follows it are no repetition.
        start, end = (position - 1 for position in found.check_result.span)
        if "\n\n" not in prose[start:end].strip():
            start += len(prose[start:end]) - len(prose[start:end].lstrip())
            yield line_of(prose, start), f"{found.check_result.message} ({found.check_result.check_path})"


def long_sentences(prose: str) -> Iterator[tuple[int, int]]:
    """Yield where a sentence of too many words begins, and how many it has; tables have none."""
    for paragraph in re.finditer(r"(?:^(?![#|]|\s*$).*\n?)+", prose, re.MULTILINE):
        for item in re.finditer(r".+?(?=\n\s*(?:[-*]|\d+\.) |\Z)", paragraph[0], re.DOTALL):
            begin = paragraph.start() + item.start()
            for end in (*(match.end() for match in SENTENCE_END.finditer(item[0])), len(item[0])):
                sentence = prose[begin : paragraph.start() + item.start() + end]
                words = len(re.findall(r"\w[\w'-]*", sentence))
                if words > MAX_WORDS:
                    yield begin, words
                begin = paragraph.start() + item.start() + end


def line_of(text: str, position: int) -> int:
    """Return the number of the line of a position."""
    return text.count("\n", 0, position) + 1


def main() -> int:
    """Print what is wrong, and return the exit code."""
    CheckRegistry().register_many(PROSELINT_CHECKS)
    wrong = 0
    for page in pages():
        for line, message in sorted(set(findings(page))):
            wrong += 1
            print(f"{page.relative_to(ROOT)}:{line}: {message}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
