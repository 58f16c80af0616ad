# SPDX-License-Identifier: Apache-2.0
"""What docs/emulator.md shows works."""

from __future__ import annotations

from tests.docs.pages import blocks

PAGE = "docs/emulator.md"


def test_the_pipeline_that_is_shown_runs(capsys):
    [(language, code)] = blocks(PAGE)
    assert language == "python"
    names = {}
    exec(compile(code, PAGE, "exec"), names)  # noqa: S102 - that is what it is for
    for each in ("s3", "iam", "codepipeline"):
        names[each].close()
    assert capsys.readouterr().out.splitlines() == [
        "Build {'configuration': {}}",
        "Scan {'configuration': {'Image': 'shop:1'}}",
        "['Succeeded', 'Succeeded']",
    ]
