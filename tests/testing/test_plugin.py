# SPDX-License-Identifier: Apache-2.0
"""The plugin costs nothing where nobody asks for its fixture, and says what it needs."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.testing.users_project import run_pytest, write


def test_the_plugin_loads_nothing_but_itself():
    program = (
        "import json, sys, pytest\nbefore = set(sys.modules)\n"
        "import airflow_codepipeline_partner._pytest_plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    package = "airflow_codepipeline_partner"
    assert json.loads(done.stdout) == [package, f"{package}._pytest_plugin"]


def test_other_tests_notice_nothing(tmp_path):
    test = "import sys\n\ndef test_it(request):\n    assert 'airflow' not in sys.modules\n"
    write(tmp_path, {"test_it.py": f"{test}    assert 'codepipeline' not in request.fixturenames\n"})
    assert "1 passed" in run_pytest(tmp_path)


def test_a_missing_extra_is_named(tmp_path):
    write(
        tmp_path,
        {
            "conftest.py": "import sys\n\nsys.modules['moto'] = None\n",
            "test_it.py": "def test_it(codepipeline):\n    pass\n",
        },
    )
    printed = run_pytest(tmp_path)
    assert "1 error" in printed
    assert "The fixture codepipeline cannot be used." in printed
    assert "In a checkout of the package: pip install '.[local]'" in printed
    assert "Traceback" not in printed
