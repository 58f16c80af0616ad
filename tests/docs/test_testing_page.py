# SPDX-License-Identifier: Apache-2.0
"""What docs/testing.md shows works, in a user's folder with its DAGs and tests."""

from __future__ import annotations

import re
import textwrap

import pytest

from tests.docs.pages import blocks, blocks_of, page
from tests.docs.test_readme import DAG as RECOMMENDED
from tests.testing.users_project import message_of, run_pytest, write

PAGE = "docs/testing.md"
PROGRAM = "with CodePipeline() as codepipeline:"
FAILS = """
def test_message(codepipeline):
    job = codepipeline.queue_job("Deploy/Custom/Example/1")
    codepipeline.run(codepipeline.load_dag("dags/shop.py"))
    job.assert_succeeded(summary="Deployed shop.")
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What pytest prints in a folder with all that the page shows, and with a test that fails."""
    folder = tmp_path_factory.mktemp("project")
    files = {"test_message.py": FAILS, "dags/deploy.py": RECOMMENDED}
    for code in blocks_of(PAGE, "python"):
        if found := re.search(r"^def (\w+)\(\):$", code, re.MULTILINE):
            files[f"dags/{found[1]}.py"] = code
        elif PROGRAM in code:
            files["test_program.py"] = f"def test_program():\n{textwrap.indent(code, '    ')}"
        else:
            files[f"test_{len(files)}.py"] = code
    write(folder, files)
    return run_pytest(folder, "-n", "2", "-W", "error").replace(f"{folder}/", "")


def test_each_block_is_run_here():
    assert [language for language, _ in blocks(PAGE) if language != "python"] == ["bash", "text"]


def test_every_test_of_the_page_passes(printed):
    count = page(PAGE).count("\ndef test_") + 1
    assert count > 10
    assert f"1 failed, {count} passed" in printed, printed[-5000:]


def test_the_message_is_the_one_that_is_shown(printed):
    [shown] = blocks_of(PAGE, "text")
    assert message_of("test_message", printed) == shown.strip()
