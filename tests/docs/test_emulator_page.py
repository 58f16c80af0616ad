# SPDX-License-Identifier: Apache-2.0
"""What docs/emulator.md shows works."""

from __future__ import annotations

from tests.docs.pages import blocks

PAGE = "docs/emulator.md"


def run_block(place, *clients):
    language, code = blocks(PAGE)[place]
    assert language == "python"
    names = {}
    exec(compile(code, PAGE, "exec"), names)  # noqa: S102 - that is what it is for
    for each in clients:
        names[each].close()


def test_each_block_is_run_here():
    assert len(blocks(PAGE)) == 3


def test_the_pipeline_that_is_shown_runs(capsys):
    run_block(0, "s3", "iam", "codepipeline")
    assert capsys.readouterr().out.splitlines() == [
        "Build {'configuration': {}}",
        "Scan {'configuration': {'Image': 'shop:1'}}",
        "['Succeeded', 'Succeeded']",
    ]


def test_what_fails_and_what_asks_is_seen(capsys):
    run_block(1, "iam", "codepipeline")
    assert capsys.readouterr().out.splitlines() == ["Failed", "InProgress", "Succeeded"]


def test_a_queue_gets_the_events_that_a_rule_names(capsys):
    run_block(2, "events", "sqs")
    assert capsys.readouterr().out == "shop Partner STARTED\n"
