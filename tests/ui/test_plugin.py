# SPDX-License-Identifier: Apache-2.0
"""The plugin: how Airflow finds it, what it puts where, and that it costs other processes nothing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import resources

from support import REPO

from airflow_codepipeline_partner.ui.plugin import URL_PREFIX, CodePipelineJobsPlugin

IMPORTS = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
import airflow_codepipeline_partner.ui.plugin
print(*sorted(set(sys.modules) - before))
"""


def test_the_entry_point_names_the_plugin():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    [target] = project["entry-points"]["airflow.plugins"].values()
    assert target == f"{CodePipelineJobsPlugin.__module__}:{CodePipelineJobsPlugin.__qualname__}"


def test_importing_the_plugin_imports_nothing_else():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True, timeout=120
    )
    found = set(done.stdout.splitlines()[-1].split())
    package = "airflow_codepipeline_partner"
    assert found - {package} == {f"{package}.ui", f"{package}.ui.addresses", f"{package}.ui.plugin"}


def test_airflow_accepts_the_app_and_the_views():
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse, FastAPIAppResponse

    [app] = CodePipelineJobsPlugin.fastapi_apps
    assert callable(app["app"])
    assert FastAPIAppResponse(**app | {"app": "a name"}).url_prefix == URL_PREFIX
    views = [ExternalViewResponse(**view) for view in CodePipelineJobsPlugin.external_views]
    assert [view.destination for view in views] == ["nav", "dag_run"]
    assert len({view.url_route for view in views}) == 2
    assert all(view.href.startswith(URL_PREFIX) for view in views)


def test_behind_a_path_of_its_own_airflow_finds_the_page(monkeypatch):
    from airflow_codepipeline_partner.ui import plugin

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team/")
    assert plugin._address("/") == "/team/codepipeline-jobs/"


def test_links_keep_the_path_that_airflow_lies_behind(jobs, log_in):
    jobs.add_job("one")
    browser = log_in()
    page = browser.get("/").text
    assert f'href="{URL_PREFIX}/static/page.css"' in page
    assert 'target="_top" href="/dags/scans/runs/' in page
    behind = log_in(root_path="/team").get("/").text
    assert f'href="/team{URL_PREFIX}/static/page.css"' in behind
    assert 'target="_top" href="/team/dags/scans/runs/' in behind


def test_static_files_are_served_and_in_the_package(jobs, log_in):
    folder = resources.files("airflow_codepipeline_partner.ui")
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        assert (folder / "static" / name).is_file()
        answer = log_in(None).get(f"/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    assert log_in(None).get("/static/../app.py").status_code == 404
    assert log_in(None).get("/static/%2e%2e/app.py").status_code == 404


def test_no_part_of_a_page_is_from_elsewhere():
    folder = resources.files("airflow_codepipeline_partner.ui")
    for name in ("static", "templates"):
        for file in (folder / name).iterdir():
            text = file.read_text(encoding="utf-8")
            assert "://" not in text.replace("http://www.w3.org/", ""), file
            # The policy lets none of these work.
            assert " style=" not in text, file
            assert "onclick=" not in text, file
            assert "|safe" not in text, file
            assert "innerHTML = " not in text, file
