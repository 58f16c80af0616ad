# SPDX-License-Identifier: Apache-2.0
"""What we show users imports only what is public: examples, pages, demo, clients and benchmarks."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.docs.pages import REPO, all_pages, blocks_of

PACKAGE = "airflow_codepipeline_partner"
PUBLIC = [
    "action_types",
    "artifacts",
    "assets",
    "client_tokens",
    "dags",
    "decorators",
    "emulator",
    "exceptions",
    "hooks",
    "jobs",
    "links",
    "notifications",
    "operators",
    "pipelines",
    "sensors",
    "testing",
    "triggers",
]
#: The entry points are not imported by users' code, except where the demo runs a command in its own process.
ENTRY_POINTS = {"cli": {"main"}, "doctor": set(), "provider_info": {"get_provider_info"}, "ui": set()}
#: The benchmark measures the transfer by itself, without the claim and the folder around it.
EXCEPTIONS = {
    ("benchmarks/artifacts.py", "artifacts.job_storage", "JobStorage"),
    ("benchmarks/artifacts.py", "artifacts.extract", "extract"),
}


def exported(module):
    """Return what a public module exports, or None if it is none."""
    if module in ENTRY_POINTS:
        return ENTRY_POINTS[module]
    if module not in PUBLIC:
        return None
    found = importlib.import_module(f"{PACKAGE}.{module}")
    own = {name for name, value in vars(found).items() if getattr(value, "__module__", "") == found.__name__}
    return set(getattr(found, "__all__", {name for name in own if not name.startswith("_")}))


def imports_of(code):
    """Yield what code imports of the package: the module below the package, and the name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, module = alias.name.partition(".")
                if top == PACKAGE:
                    yield module, None
        elif isinstance(node, ast.ImportFrom) and node.module:
            top, _, module = node.module.partition(".")
            if top == PACKAGE:
                yield from ((module, alias.name) for alias in node.names)


def is_public(module, name):
    """Return whether a user may import this name from this module of the package."""
    if not module:
        return name in (None, "__version__", *PUBLIC)
    names = exported(module)
    return names is not None and (name is None or name in names)


def sources():
    """Yield all code that is shown to users: where it is, and the code."""
    for folder in ("example_dags", "demo", "tests/clients", "benchmarks"):
        for path in sorted((REPO / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield str(path.relative_to(REPO)), path.read_text()
    for path in all_pages():
        name = str(path.relative_to(REPO))
        for number, code in enumerate(blocks_of(name, "python"), 1):
            yield f"{name}, block {number}", code


SOURCES = dict(sources())


@pytest.mark.parametrize("where", SOURCES)
def test_only_public_names_are_imported(where):
    found = [
        (module, name)
        for module, name in imports_of(SOURCES[where])
        if not is_public(module, name) and (where, module, name) not in EXCEPTIONS
    ]
    assert found == []


def test_the_exceptions_are_still_needed():
    used = {(where, *each) for where, code in SOURCES.items() for each in imports_of(code)}
    assert used >= EXCEPTIONS


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_lists_what_it_exports_in_order(module):
    found = importlib.import_module(f"{PACKAGE}.{module}")
    assert len(found.__all__) == len(set(found.__all__))
    assert list(found.__all__) == sorted(found.__all__, key=isort_style)
    assert all(hasattr(found, name) for name in found.__all__)


def isort_style(name):
    """Return the key by which ruff sorts ``__all__`` (RUF022): constants, classes, then the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_all_public_modules_are_named_here():
    there = {
        path.stem if path.is_file() else path.name
        for path in (REPO / PACKAGE).iterdir()
        if not path.name.startswith(("_", ".")) and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert there == {*PUBLIC, *ENTRY_POINTS}
