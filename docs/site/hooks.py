# SPDX-License-Identifier: Apache-2.0
"""
What MkDocs does besides for this site.

Pages link to files of the repository that are no pages: example DAGs, READMEs of folders. On GitHub such a
link leads to the file; here the file becomes a page of its own, so that the site needs no address of a
repository. And Mermaid, which draws the diagrams, comes with the site: Material would load it from elsewhere.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
#: Where the pages of files outside docs/ are in the site.
FILES = "files"
MERMAID = "assets/mermaid.min.js"
#: ``make docs`` puts it there.
MERMAID_SOURCE = ROOT / ".venv" / "docs" / "mermaid" / "package" / "dist" / "mermaid.min.js"
REFERENCE_BOOST = 0.001
LINK = re.compile(r"(\]\()((?!https?://|mailto:|#)[^)#\s]+)(#[^)\s]*)?(?=\))")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, theirs too, and Mermaid."""
    todo = [(page.src_uri, page.content_string) for page in files.documentation_pages()]
    made: set[str] = set()
    while todo:
        uri, markdown = todo.pop()
        for name in sorted(outside(uri, markdown) - made):
            made.add(name)
            content = page_of(name)
            file = File.generated(config, uri_of(name), content=content)
            files.append(file)
            todo.append((file.src_uri, content))
    if not MERMAID_SOURCE.exists():
        raise PluginError("Mermaid is not there; make docs fetches it.")
    files.append(File.generated(config, MERMAID, abs_src_path=str(MERMAID_SOURCE)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files outside docs/ lead to their pages."""

    def link(match: re.Match[str]) -> str:
        uri = page.file.src_uri
        target = resolved(uri, match[2])
        if in_repository(target):
            return match[1] + relative(uri_of(target), uri) + (match[3] or "")
        if uri.startswith(f"{FILES}/") and target.startswith("docs/"):
            return match[1] + relative(target.removeprefix("docs/"), uri) + (match[3] or "")
        return match[0]

    return outside_code(markdown, lambda text: LINK.sub(link, text))


def on_env(env: Any, config: MkDocsConfig, files: Files) -> Any:
    """Let guides come before references in the search: a word in a title weighs a thousand times more."""
    for file in files.documentation_pages():
        inside = file.src_uri.startswith(("decisions/", "architecture"))
        if file.page is not None and (inside or "\n::: " in file.content_string):
            file.page.meta.setdefault("search", {"boost": REFERENCE_BOOST})
    return env


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load Mermaid where there is a diagram; Material draws it with what is loaded already."""
    if '<pre class="mermaid">' not in output:
        return output
    script = (
        f'<script src="{posixpath.relpath(MERMAID, posixpath.dirname(page.file.dest_uri) or ".")}"></script>'
    )
    return output.replace("</head>", script + "</head>", 1)


def outside(uri: str, markdown: str) -> set[str]:
    """Return the paths, from the root of the repository, of the files outside docs/ that a page links to."""
    text = CODE.sub("", markdown)
    return {name for match in LINK.finditer(text) if in_repository(name := resolved(uri, match[2]))}


def resolved(uri: str, target: str) -> str:
    """Return what a link of a page leads to, from the root of the repository."""
    is_page_of_file = uri.startswith(f"{FILES}/")
    origin = uri.removeprefix(f"{FILES}/").removesuffix(".md") if is_page_of_file else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def in_repository(name: str) -> bool:
    """Whether a path names a file that is no page by itself."""
    return not name.startswith(("docs/", "..")) and (ROOT / name).exists()


def uri_of(name: str) -> str:
    """Return the page of a file: a folder has the page of its README, if it has one."""
    if (ROOT / name / "README.md").exists():
        name = f"{name}/README.md"
    return f"{FILES}/{name}.md"


def page_of(name: str) -> str:
    """Return the Markdown of the page of a file or folder."""
    path = ROOT / name
    head = "---\nsearch:\n  exclude: true\n---\n\n"
    if path.is_dir():
        path = path / "README.md"
        if not path.exists():
            entries = sorted(each for each in (ROOT / name).iterdir() if each.name[0] not in "._")
            listed = "".join(f"- `{each.name}{'/' if each.is_dir() else ''}`\n" for each in entries)
            return f"{head}# {name}/\n\n{listed}"
    if path.suffix == ".md":
        return head + path.read_text()
    language = LANGUAGES.get(path.suffix, "text")
    return f"{head}# {name}\n\n````{language}\n{path.read_text()}\n````\n"


def relative(target: str, page: str) -> str:
    """Return the link from one page to another."""
    return os.path.relpath(target, posixpath.dirname(page) or ".")


def outside_code(markdown: str, change: Any) -> str:
    """Change a page except its code blocks."""
    parts = re.split(f"({CODE.pattern})", markdown, flags=CODE.flags)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))
