# SPDX-License-Identifier: Apache-2.0
"""How figures are judged, kept and shown; docs/performance.md says what the kept files say."""

from __future__ import annotations

import importlib
import json
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.request import Request

import pytest
from support import REPO

from benchmarks import constructing, page
from benchmarks.__main__ import BENCHMARKS, LONG_ONLY, main
from benchmarks.apart import run_apart, served_apart
from benchmarks.counting_server import _OPENER, counted, counting_server, offer
from benchmarks.event_loop import Lag
from benchmarks.figures import Figure, Point, curve
from benchmarks.plot import plot
from benchmarks.real_airflow import DAGS

CURVE = Figure(
    "calls",
    "ours",
    "theirs",
    "polls",
    curve([[1, 2, 6], [1, 4, 2]], [1, 10, 1000]),
    at_most=3,
    axis="waiters",
)


def figure(ours, against=(), **more):
    return Figure("one", "ours", "theirs", "ms", [Point(ours, against)], **more)


def square(number):
    return number * number


def call(url, operation, arguments):
    head = {"X-Amz-Target": f"CodePipeline_20150709.{operation}"}
    with _OPENER.open(Request(url, json.dumps(arguments).encode(), head)) as answer:  # noqa: S310 - ours
        return json.load(answer)


def test_a_ratio_is_of_the_same_round():
    assert Point([2, 30, 4], [1, 10, 4]).judged == [2, 3, 1]
    assert Point([2, 30, 4], [1, 10, 4]).median == 2


def test_without_another_the_value_itself_is_judged():
    assert Point([2, 30, 4]).median == 4


def test_what_costs_nothing_on_both_sides_is_equal():
    assert Point([0.0], [0.0]).median == 1


def test_a_curve_is_compared_with_its_own_first_place():
    assert [point.judged for point in CURVE.points] == [[1, 1], [2, 4], [6, 2]]


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [({"at_most": 2}, True), ({"at_most": 1.9}, False), ({"at_least": 2}, True), ({"at_least": 2.1}, False)],
)
def test_the_median_is_held_against_the_goal(goal, is_met):
    assert figure([2, 4], [1, 2], **goal).is_met is is_met


def test_without_a_goal_nothing_is_met_or_missed():
    assert figure([1]).is_met is None


def test_the_worst_point_of_a_curve_counts():
    assert CURVE.worst.at == 1000
    assert CURVE.is_met is False


def test_the_short_form_fails_far_beyond_the_goal_only():
    assert not figure([2], [1], at_most=1).is_alarming
    assert not figure([2], [1], at_most=1, alarm=2).is_alarming
    assert figure([2], [1], at_most=1, alarm=1.9).is_alarming
    assert figure([2], [1], at_least=9, alarm=3).is_alarming


def test_a_figure_is_the_same_after_json():
    again = Figure.from_json(json.loads(json.dumps(CURVE.to_json())))
    assert again.to_json() == CURVE.to_json()


def test_a_plot_is_well_formed_and_has_each_place():
    texts = [each.text for each in ElementTree.fromstring(plot(CURVE)).iter() if each.text]  # noqa: S314 - ours
    assert {"1", "10", "1,000", "goal: at most 3", "waiters"} <= set(texts)
    assert [text for text in texts if text in ("0", "2", "4", "6", "8")] == ["0", "2", "4", "6", "8"]


def test_what_is_kept_comes_back(tmp_path):
    page.keep("some", [CURVE, figure([1])], tmp_path)
    assert [each.name for each in page.kept(["none", "some"], tmp_path)] == ["calls", "one"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.json"]


def test_a_new_page_keeps_what_people_wrote():
    text = page.PAGE.read_text()
    made = page.made_page(text, [CURVE])
    assert made.startswith(text.partition("<!--")[0])
    assert "| calls | ours | theirs | 4 × (2 to 6), at 1,000 | ≤ 3 × | **no** |" in made
    assert "![calls](benchmarks/calls.svg)" in made
    assert page.made_page(made, page.kept(BENCHMARKS)) == page.made_page(text, page.kept(BENCHMARKS))


def test_the_page_says_what_the_kept_files_say():
    assert page.made_page(page.PAGE.read_text(), page.kept(BENCHMARKS)) == page.PAGE.read_text()


def test_the_kept_plots_are_those_of_the_kept_figures():
    plots = {f"{each.name}.svg": plot(each) for each in page.kept(BENCHMARKS) if page.is_curve(each)}
    assert {path.name: path.read_text() for path in page.RESULTS.glob("*.svg")} == plots
    assert {path.stem for path in page.RESULTS.glob("*.json")} <= set(BENCHMARKS)


def test_figures_have_names_of_their_own():
    names = [each.name for each in page.kept(BENCHMARKS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_is_a_module_that_the_readme_names(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").measure)
    assert f"| `{name}` |" in (REPO / "benchmarks" / "README.md").read_text()


def test_only_benchmarks_are_left_out_of_the_short_form():
    assert set(BENCHMARKS) > LONG_ONLY


def test_a_function_runs_in_a_process_of_its_own():
    assert run_apart(square, 3, environment={"PYTHONPATH": str(Path(__file__).parent)}) == 9


def test_the_counting_server_counts():
    with served_apart(counting_server) as url:
        assert counted(url) == {"jobs": 0}


def test_the_counting_server_offers_each_job_once():
    named = {"jobId": "one", "clientId": "somebody"}
    poll = {"actionTypeId": {}, "maxBatchSize": 10}
    with served_apart(counting_server) as url:
        offer(url, [{**named, "token": "next"}])
        assert counted(url) == {"jobs": 1}
        assert call(url, "PollForThirdPartyJobs", poll) == {"jobs": [named]}
        assert call(url, "PollForThirdPartyJobs", poll) == {"jobs": []}
        details = call(url, "GetThirdPartyJobDetails", {"jobId": "one"})["jobDetails"]
        assert details["data"] == {"continuationToken": "next"}
        assert counted(url) == {"PollForThirdPartyJobs": 2, "GetThirdPartyJobDetails": 1, "jobs": 0}


def test_the_command_line_says_what_is_far_beyond(monkeypatch, tmp_path, capsys):
    made = [figure([9], [1], at_most=1.0, alarm=3.0)]
    monkeypatch.setattr("benchmarks.hook.measure", lambda short: made)
    assert main(["hook", "--short", "--json", str(tmp_path / "found.json")]) == 1
    assert "Far beyond the goal: one" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["short"] is True
    assert [Figure.from_json(each).worst.median for each in found["figures"]] == [9]


@pytest.mark.parametrize(("arguments", "exit_code"), [(["hook"], 1), (["hook", "--short"], 0)])
def test_a_missed_goal_fails_the_long_form_only(arguments, exit_code, monkeypatch):
    monkeypatch.setattr("benchmarks.hook.measure", lambda short: [figure([2], [1], at_most=1.0, alarm=3.0)])
    assert main(arguments) == exit_code


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["hok"])
    assert "there is no hok" in capsys.readouterr().err


@pytest.mark.parametrize("dag_id", DAGS)
def test_the_dags_of_the_benchmarks_are_dags(dag_id):
    # Under another name than the package's, as Airflow reads them.
    found = runpy.run_path(str(REPO / "benchmarks" / "dags" / "benchmark_dags.py"))
    assert dag_id in found


def test_both_dags_of_constructing_have_one_shape():
    ours, empty = constructing.our_dag(), constructing.empty_dag()
    assert len(ours.task_dict) == len(empty.task_dict) == 100
    shapes = [sorted(len(task.downstream_task_ids) for task in dag.tasks) for dag in (ours, empty)]
    assert shapes[0] == shapes[1]


def test_percentiles_of_the_lag():
    lag = Lag([float(number) for number in range(1001)])
    assert lag.percentiles() == {"p50": 500, "p99": 990, "p99.9": 999, "max": 1000}
