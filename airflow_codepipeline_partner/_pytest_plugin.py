# SPDX-License-Identifier: Apache-2.0
"""
The plugin for pytest. It gives tests the fixture ``codepipeline``.

pytest loads it in each of its runs, wherever this package is installed. So it imports nothing but pytest, has
no autouse fixture, and does nothing until a test asks for its fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_codepipeline_partner.testing import CodePipeline

__all__: list[str] = []


@pytest.fixture
def codepipeline(request: pytest.FixtureRequest) -> Iterator[CodePipeline]:
    """An emulated CodePipeline, and an Airflow that runs DAGs in this process; without an AWS account."""
    try:
        from airflow_codepipeline_partner.testing import CodePipeline
    except ModuleNotFoundError as missing:
        # What is missing, and how to install it, is all that matters.
        pytest.fail(f"The fixture codepipeline cannot be used. {missing}", pytrace=False)
    temporary: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    home = temporary.getbasetemp() / "codepipeline-airflow-home"
    with CodePipeline(home) as running:
        yield running
