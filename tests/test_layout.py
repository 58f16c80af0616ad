# SPDX-License-Identifier: Apache-2.0
"""The floors of the package: imports go down only, in no circle; the core needs neither Airflow nor boto3."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import pytest
from support import REPO

PACKAGE = "airflow_codepipeline_partner"

#: From the ground up. A module may import those of its own floor and of lower ones.
FLOORS = (
    (
        *("_limits", "_suggestions", "_masking", "_secrets", "_compat", "_aws_errors", "_metrics", "_spans"),
        *("provider_info", "links"),
    ),
    ("_limit_checks", "exceptions", "_client_conn_ids", "_connections", "_iam_policies", "_command_runs"),
    ("_protocol",),
    (
        *("jobs", "client_tokens", "_endpoints", "_connected_hook", "_transport", "_wake_queue_stack"),
        *("_job_log", "_pipeline_methods", "_stage_methods", "hooks", "_token_probe"),
    ),
    ("_aws_parameters", "_templates", "_trigger_arguments"),
    ("_worker", "_polling", "artifacts", "action_types", "pipelines", "_base_operator", "_claiming_operator"),
    (
        "_pipeline_events",
        "triggers",
        "operators",
        "decorators",
        "sensors",
        "_watching",
        "_execution_wait",
        "notifications",
        "assets",
        "dags",
        "doctor",
        "cli",
        "ui",
        "__main__",
        "testing",
        "_pytest_plugin",
    ),
)
#: A house of its own: it imports none of the floors, and no floor imports it, except what tests use.
EMULATOR = "emulator"
TESTING = {"testing", "_pytest_plugin"}
SDKS = {"airflow", "boto3", "botocore", "s3transfer"}
MAX_LINES = 450
#: Of a file of tests, and of a test's name.
MAX_TEST_LINES, MAX_NAME = 500, 59
#: Names that say nothing.
NO_NOUNS_OF_THE_FIELD = {"utils", "util", "common", "helpers", "helper", "misc"}


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imported_names(node: ast.AST) -> Iterator[str]:
    """Yield the full names that are imported when the code runs, in functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "Imports are absolute."
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif is_for_type_checkers(child):
            for other in child.orelse:
                yield from imported_names(ast.Module([other], []))
        else:
            yield from imported_names(child)


def read_package() -> dict[str, str]:
    """Return the source of each module, by its full name."""
    found = {}
    for path in sorted((REPO / PACKAGE).rglob("*.py")):
        parts = path.relative_to(REPO).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


SOURCES = read_package()
IMPORTED = {module: set(imported_names(ast.parse(source))) for module, source in SOURCES.items()}


def module_of(name: str) -> str:
    """Return the module of ours that a name is in."""
    while name not in SOURCES:
        name = name.rpartition(".")[0]
    return name


def is_ours(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE


#: Module → the modules of ours that it imports.
GRAPH = {
    module: {module_of(name) for name in names if is_ours(name)} - {module}
    for module, names in IMPORTED.items()
}


def room_of(module: str) -> str:
    """Return the first part of a module's name within the package; empty for the package itself."""
    return module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


def all_imports_of(room: str) -> dict[str, set[str]]:
    """Return what the modules of a room import, and what these import, in any depth: module → names."""
    todo = [module for module in GRAPH if room_of(module) == room]
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += GRAPH[module]
    return {module: IMPORTED[module] for module in seen}


FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
INNER = sorted(module for module in SOURCES if room_of(module) not in ("", EMULATOR))


def test_each_module_has_its_floor():
    rooms = {room_of(module) for module in SOURCES} - {"", EMULATOR}
    assert rooms == set(FLOOR_OF)


@pytest.mark.parametrize("module", INNER)
def test_imports_go_down_only(module):
    floor = FLOOR_OF[room_of(module)]
    # The package itself holds only the version.
    others = {other for other in GRAPH[module] if other != PACKAGE}
    if room_of(module) in TESTING:
        others = {other for other in others if room_of(other) != EMULATOR}
    assert [other for other in sorted(others) if FLOOR_OF.get(room_of(other), len(FLOORS)) > floor] == []


def test_no_modules_import_each_other_in_a_circle():
    circle = []
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == []


def test_the_package_itself_imports_nothing_of_ours():
    assert GRAPH[PACKAGE] == set()


@pytest.mark.parametrize("room", ["_protocol", "exceptions", "_limits", "_aws_errors"])
def test_the_core_imports_neither_airflow_nor_boto3(room):
    found = {
        (module, name)
        for module, names in all_imports_of(room).items()
        for name in names
        if name.partition(".")[0] in SDKS
    }
    assert found == set()


def test_the_emulator_imports_no_airflow():
    names = {name for names in all_imports_of(EMULATOR).values() for name in names}
    assert "airflow" not in {name.partition(".")[0] for name in names}


def test_the_emulator_and_the_client_do_not_know_each_other():
    across = {
        (module, other)
        for module, others in GRAPH.items()
        for other in others - {PACKAGE}
        if (room_of(module) == EMULATOR) is not (room_of(other) == EMULATOR)
        and room_of(module) not in TESTING
    }
    assert across == set()


def test_nothing_but_the_plugin_imports_what_is_for_tests():
    users = {module for module, others in GRAPH.items() for other in others if room_of(other) in TESTING}
    assert {room_of(module) for module in users} == TESTING


def test_no_module_has_a_name_that_says_nothing():
    named = {module: {part.strip("_") for part in module.split(".")} for module in SOURCES}
    assert [module for module, parts in named.items() if parts & NO_NOUNS_OF_THE_FIELD] == []


def test_each_module_is_short_enough_to_be_read():
    lengths = {module: len(source.splitlines()) for module, source in SOURCES.items()}
    assert {module: length for module, length in lengths.items() if length > MAX_LINES} == {}


def test_each_file_of_tests_and_each_name_is_short_enough():
    files = {path.relative_to(REPO): path.read_text() for path in (REPO / "tests").rglob("test_*.py")}
    assert len(files) > 100
    lengths = {path: len(source.splitlines()) for path, source in files.items()}
    assert {path: length for path, length in lengths.items() if length > MAX_TEST_LINES} == {}
    tests = [name for source in files.values() for name in re.findall(r"def (test_\w+)", source)]
    assert [name for name in tests if len(name) > MAX_NAME] == []


def test_lazy_imports_are_seen_those_of_type_checkers_not():
    source = """
import a
from b import c, d

if TYPE_CHECKING:
    from only_for_types import e
else:
    import f

def work():
    try:
        import g.h
    except ImportError:
        from i import j
"""
    assert list(imported_names(ast.parse(source))) == ["a", "b.c", "b.d", "f", "g.h", "i.j"]
