# SPDX-License-Identifier: Apache-2.0
"""What the tests of the shared poller work with."""

from __future__ import annotations

import pytest
from fake_codepipeline import CodePipeline


@pytest.fixture
def codepipeline(monkeypatch):
    return CodePipeline(monkeypatch)
