# SPDX-License-Identifier: Apache-2.0
"""
Looks into JSON values in queries, one of which may be no JSON.

PostgreSQL and MySQL refuse to store such a value. SQLite stores it, and one would end each query that looks
into it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class ValidJson(FunctionElement[Any]):
    """A JSON value; SQL's NULL if it is no JSON."""

    type = JSON()
    inherit_cache = True


@compiles(ValidJson)
def _as_it_is(element: Any, compiler: Any, **options: Any) -> str:
    text: str = compiler.process(element.clauses, **options)
    return text


@compiles(ValidJson, "sqlite")
def _checked(element: Any, compiler: Any, **options: Any) -> str:
    value = compiler.process(element.clauses, **options)
    return f"CASE WHEN json_valid({value}) THEN {value} END"
