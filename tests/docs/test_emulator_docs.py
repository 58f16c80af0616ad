# SPDX-License-Identifier: Apache-2.0
"""What docs/emulator.md shows works."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "emulator.md").read_text()


def test_the_pipeline_that_is_shown_runs(capsys):
    [(language, code)] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert language == "python"
    names = {}
    exec(compile(code, "emulator.md", "exec"), names)  # noqa: S102 - that is what it is for
    for each in ("s3", "iam", "codepipeline"):
        names[each].close()
    assert capsys.readouterr().out.splitlines() == [
        "Build {'configuration': {}}",
        "Scan {'configuration': {'Image': 'shop:1'}}",
        "['Succeeded', 'Succeeded']",
    ]
