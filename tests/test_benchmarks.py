# SPDX-License-Identifier: Apache-2.0
"""How figures are judged, kept and shown; docs/performance.md says what the kept files say."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from support import REPO

from benchmarks import page
from benchmarks.__main__ import BENCHMARKS, LONG_ONLY
from benchmarks.apart import run_apart, served_apart
from benchmarks.counting_server import counted, counting_server
from benchmarks.figures import Figure, Point, curve
from benchmarks.plot import plot

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


def test_what_is_kept_comes_back(tmp_path):
    page.keep("some", [CURVE, figure([1])], tmp_path)
    assert [each.name for each in page.kept(["none", "some"], tmp_path)] == ["calls", "one"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.svg", "some.json"]


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
