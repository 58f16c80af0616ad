# SPDX-License-Identifier: Apache-2.0
"""The page of metrics, the dashboard, the alerts and the mapping name the metrics that there are."""

from __future__ import annotations

import configparser
import json
import re
import warnings

import pytest
import yaml

from airflow_codepipeline_partner._metrics import METRICS, TYPE_TAGS
from tests.docs.pages import REPO, blocks_of, page

MONITORING = REPO / "docs" / "monitoring"
#: Metric → its name in Prometheus.
IN_PROMETHEUS = {
    metric: f"airflow_{metric.name.replace('.', '_')}_{'total' if metric.kind == 'counter' else 'seconds'}"
    for metric in METRICS
}


def row_of(metric):
    of_type = ["action type"] if set(TYPE_TAGS) <= set(metric.tags) else []
    tags = ", ".join([*of_type, *(f"`{tag}`" for tag in metric.tags if tag not in TYPE_TAGS)])
    return f"| `{metric.name.removeprefix('codepipeline.')}` | {metric.kind} | {tags} | {metric.meaning} |"


def test_the_table_has_each_metric_as_the_code_has_it():
    rows = [
        line for line in page("docs/metrics.md").splitlines() if re.search(r"\| (counter|timer) \|", line)
    ]
    assert rows == [row_of(metric) for metric in METRICS]


def test_the_mapping_names_each_metric_once():
    mappings = yaml.safe_load((MONITORING / "statsd-exporter.yml").read_text())["mappings"]
    assert {each["match"]: each["name"] for each in mappings} == {
        f"airflow.{metric.name}": name for metric, name in IN_PROMETHEUS.items()
    }
    assert len(mappings) == len(METRICS)
    timers = [each for each in mappings if each.get("observer_type") == "histogram"]
    assert [each["name"] for each in timers] == [n for n in IN_PROMETHEUS.values() if n.endswith("_seconds")]
    for each in timers:
        buckets = each["histogram_options"]["buckets"]
        assert buckets == sorted(buckets)


def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text())


def alerts():
    [group] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return group["rules"]


def expressions():
    """Yield each query of the dashboard and of the alerts."""
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (alert["expr"] for alert in alerts())


def metrics_in(expression):
    """Return the names in a query; a histogram's are those of its buckets."""
    return {name.removesuffix("_bucket") for name in re.findall(r"airflow_\w+", expression)}


@pytest.mark.parametrize("expression", list(expressions()))
def test_a_query_uses_metrics_and_labels_that_there_are(expression):
    used = [metric for metric, name in IN_PROMETHEUS.items() if name in metrics_in(expression)]
    assert {IN_PROMETHEUS[metric] for metric in used} == metrics_in(expression) != set()
    labels = {
        label.strip() for some in re.findall(r"by \(([^)]*)\)", expression) for label in some.split(",")
    }
    labels |= set(re.findall(r"[{,](\w+)=", expression))
    for metric in used:
        assert labels - {"le"} <= set(metric.tags)
        assert (f"{IN_PROMETHEUS[metric]}_bucket" in expression) == (metric.kind == "timer")
    assert expression.count("(") == expression.count(")")


def test_the_dashboard_shows_each_metric():
    shown = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    assert set().union(*map(metrics_in, shown)) == set(IN_PROMETHEUS.values())


def test_texts_name_labels_of_their_query():
    texts = [(t["legendFormat"], t["expr"]) for p in dashboard()["panels"] for t in p.get("targets", ())]
    texts += [(each["annotations"]["summary"].replace("$labels.", ""), each["expr"]) for each in alerts()]
    for text, expression in texts:
        grouped = ", ".join(re.findall(r"by \(([^)]*)\)", expression)).split(", ")
        assert set(re.findall(r"{{ ?(\w+) ?}}", text)) <= set(grouped)


def test_the_page_has_each_alert():
    named = re.findall(r"^\| `(CodePipeline\w+)` \|", page("docs/metrics.md"), re.MULTILINE)
    assert named == [each["alert"] for each in alerts()]


def lost(given, read, path="dashboard"):
    """Yield what of a value is gone, or other, once it has been read and written."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(read, dict) or key not in read:
                yield f"{path}.{key}"
            else:
                yield from lost(value, read[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for index, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(one, other, f"{path}[{index}]")
    elif given != read:
        yield path


def test_grafanas_own_classes_know_all_that_the_dashboard_says():
    with warnings.catch_warnings():
        # Of the model that came before Grafana 12. Every Grafana reads it.
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.cog import encoder, plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard
    plugins.register_default_plugins()
    read = json.loads(encoder.JSONEncoder().encode(Dashboard.from_json(dashboard())))
    assert list(lost(dashboard(), read)) == []


def test_no_panels_overlap():
    taken = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


@pytest.mark.parametrize("block", blocks_of("docs/metrics.md", "ini"))
def test_the_settings_are_airflows(block):
    from airflow.configuration import conf

    given = configparser.ConfigParser()
    given.read_string(block)
    for section in given.sections():
        assert [name for name in given[section] if not conf.has_option(section, name)] == []
