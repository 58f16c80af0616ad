# SPDX-License-Identifier: Apache-2.0
"""Makes Markdown of the docstrings, which are written as Airflow's are: in reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`(?:[^`<]*<)?[~.]*([\w.]+)>?`")
FIELD = re.compile(r"^:\w+", re.MULTILINE)
SOURCE = re.compile(r"\n+(Source: .*)\Z", re.DOTALL)
LITERAL = re.compile(r"(\w?)::$", re.MULTILINE)
#: What Airflow calls of a task or a trigger, and nobody else.
CALLED_BY_AIRFLOW = re.compile(
    r"__\w+__|execute\w*|resume_execution|defer|poke|run|set_going|on_kill|notify|get_link|prepare_template"
    r"|render_template_fields|serialize|get_ui_field_behaviour|get_session|conn_config"
)


class MarkdownDocstrings(griffe.Extension):
    """Called by mkdocstrings for each object of the package."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the object's docstring in its place."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Give classes the parameters that they pass on to a parent, and leave out what no user calls."""
        for each in classes(pkg):
            inherit_parameters(each)
        for each in classes(pkg):
            for name in list(each.members):
                if name != "__init__" and CALLED_BY_AIRFLOW.fullmatch(name):
                    each.del_member(name)


def classes(module: griffe.Module) -> Iterator[griffe.Class]:
    """Yield the classes of a module and of those in it."""
    for member in module.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Class):
            yield member
        elif isinstance(member, griffe.Module):
            yield from classes(member)


def inherit_parameters(kind: griffe.Class) -> None:
    """Add to a class's own ``__init__`` what its docstring describes and only a parent's has."""
    own = kind.members.get("__init__")
    given = list(own.parameters) if isinstance(own, griffe.Function) else []
    names = {parameter.name for parameter in given}
    described = re.findall(r"^:param (\w+):", kind.docstring.value if kind.docstring else "", re.MULTILINE)
    for parent in kind.mro():
        theirs = parent.members.get("__init__")
        for parameter in theirs.parameters if isinstance(theirs, griffe.Function) else ():
            if parameter.name in described and parameter.name not in names:
                names.add(parameter.name)
                given.append(parameter)
    if names:
        # What takes the rest comes last.
        given.sort(key=lambda parameter: parameter.kind is griffe.ParameterKind.var_keyword)
        made = griffe.Function("__init__", parameters=griffe.Parameters(*given), parent=kind)
        if isinstance(own, griffe.Function):
            made.docstring, made.lineno, made.endlineno = own.docstring, own.lineno, own.endlineno
        kind.set_member("__init__", made)


def markdown(text: str) -> str:
    """
    Return a docstring in Markdown, except for its fields, which mkdocstrings reads.

    :param text: The docstring as it is written, with ``Source:`` at its end, after the fields.
    """
    text = ROLE.sub(lambda match: f"`{match[1]}`", text)
    text = LITERAL.sub(lambda match: match[1] and f"{match[1]}:", text)
    source, fields = SOURCE.search(text), FIELD.search(text)
    if source and fields and fields.start() < source.start():
        text = f"{text[: fields.start()]}{source[1]}\n\n{text[fields.start() : source.start()]}"
    return text
