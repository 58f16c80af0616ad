# SPDX-License-Identifier: Apache-2.0
"""The page of parameters has all of them: of each operator and sensor, with the rows that it refers to."""

from __future__ import annotations

import inspect
import re

import pytest
from support import REPO

from airflow_codepipeline_partner import operators, sensors
from airflow_codepipeline_partner._base_operator import CodePipelineBaseOperator

PAGE = (REPO / "docs" / "parameters.md").read_text()
KINDS = [
    kind
    for module in (operators, sensors)
    for kind in (getattr(module, name) for name in module.__all__)
    if inspect.isclass(kind)
]
#: Its rows say that the rest is as for the other.
REST = {
    "CodePipelineRetryStageOperator": ["CodePipelineStartPipelineOperator"],
    "CodePipelineRollbackStageOperator": ["CodePipelineStartPipelineOperator"],
    "PutJobSuccessResultOperator": ["PutThirdPartyJobSuccessResultOperator"],
    "PutThirdPartyJobFailureResultOperator": ["PutThirdPartyJobSuccessResultOperator"],
    "PutJobFailureResultOperator": [
        "PutThirdPartyJobSuccessResultOperator",
        "PutThirdPartyJobFailureResultOperator",
    ],
}
#: Users call its function.
KINDS.remove(operators.CodePipelineFinishJobOperator)


def parameters_of(kind):
    """Return the names of what a kind and its parents take, but for what every operator does."""
    found = set()
    for each in kind.__mro__:
        if each is CodePipelineBaseOperator:
            break
        given = inspect.signature(each.__init__).parameters if "__init__" in vars(each) else {}
        found |= {name for name, of in given.items() if of.kind is of.KEYWORD_ONLY}
    return found


def rows_of(name):
    """Return all that the page says of a piece."""
    said, is_in_it = [], False
    for line in PAGE.splitlines():
        match = re.match(r"\| ?(.*?) ?\|", line)
        if match is None:
            is_in_it = False
        elif match[1]:
            is_in_it = f"`{name}`" in match[1]
        said += [line] * is_in_it
    return "\n".join(said)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_parameter_is_on_the_page(kind):
    name = kind.__name__
    said = "".join(map(rows_of, [name, *REST.get(name, ())]))
    missing = {each for each in parameters_of(kind) if f"`{each}`" not in said}
    assert said
    assert not missing


@pytest.mark.parametrize(
    "kind", [*KINDS, operators.CodePipelineFinishJobOperator], ids=lambda kind: kind.__name__
)
def test_a_docstring_says_what_is_templated(kind):
    """The site's reference has a column of it."""
    described = re.findall(
        r"^:param (\w+): (.*?)(?=^:|^\S|\Z)", inspect.getdoc(kind), re.MULTILINE | re.DOTALL
    )
    marked = {name for name, text in described if "(templated)" in text}
    assert marked == {name for name, _ in described} & set(kind.template_fields)
