# SPDX-License-Identifier: Apache-2.0
"""A newcomer's questions, put to the site's own search: the page with the answer is among the first three."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "build" / "docs"
QUESTIONS = {
    "action stays in progress": {"troubleshooting"},
    "InvalidClientTokenException": {"troubleshooting"},
    "how long may a job take": {"long-work"},
    "MWAA": {"managed-airflow"},
    "test my DAG": {"testing"},
    "prometheus": {"metrics"},
    "permissions": {"reference/permissions"},
    "two Airflows one action type": {"custom-actions", "dag-steps"},
    "artifact download": {"artifacts"},
    "retry": {"user-actions", "function", "failures"},
    "console link": {"custom-actions"},
    "kubernetes": {"scale"},
    "rotate token": {"secrets-backends", "partner-actions"},
    "upgrade": {"upgrading"},
    "lambda": {"comparison"},
}


@pytest.fixture(scope="session")
def answers():
    """Return the pages that the search finds for each question, best first."""
    command = ["node", Path(__file__).with_name("search.mjs"), SITE, *QUESTIONS]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return {
        question: [location.partition("#")[0].removesuffix(".html") for location in found]
        for question, found in json.loads(done.stdout).items()
    }


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_right_page_is_among_the_first_three(answers, question):
    first = list(dict.fromkeys(answers[question]))[:3]
    assert set(first) & QUESTIONS[question], first
