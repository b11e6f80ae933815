# SPDX-License-Identifier: MIT
"""What the fleet's dashboard asks of Prometheus."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from so1.exposition.families import Families
from tests.so1.exposition.samples import series, text, told

GRAFANA = Path(__file__).parents[2] / "grafana"
FILE = GRAFANA / "dashboards/fleet.json"


@pytest.fixture
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_its_panels_are_told_apart_by_title(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] == "so1-fleet"
    assert len({panel["title"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_datasource_is_the_variable_everywhere(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    role = GRAFANA.parent / "roles/so1_grafana/templates/fleet.yaml.j2"
    described = yaml.safe_load(re.sub(r"{{.*?}}", "x", role.read_text()))
    (source,) = described["datasources"]
    assert variables["prometheus"]["query"] == source["type"]
    assert variables["prometheus"]["current"]["value"] == source["uid"]
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    for user in [*dashboard["panels"], *targets, variables["host"]]:
        assert user["datasource"] == {"type": "prometheus", "uid": "${prometheus}"}


def test_every_metric_is_one_that_the_daemon_serves(dashboard: dict[str, Any]) -> None:
    exposed = text(Families(), told())
    # What a host measures of nothing now has no series, but is declared.
    served = {name for name, _ in series(exposed)} | {*re.findall(r"# TYPE (\S+)", exposed)}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert set(re.findall(r"\bso1_\w+", target["expr"])) <= served, panel["title"]


def test_the_columns_of_the_hosts_are_the_queries(dashboard: dict[str, Any]) -> None:
    (hosts,) = [p for p in dashboard["panels"] if p["title"].startswith("Hosts, ")]
    organize = {t["id"]: t["options"] for t in hosts["transformations"]}["organize"]
    asked = {f"Value #{target['refId']}" for target in hosts["targets"]}
    shown = organize["renameByName"]
    assert asked | {"instance"} == shown.keys() | (organize["excludeByName"].keys() - {"Time"})
    assert shown.keys() == organize["indexByName"].keys()
    named = {
        override["matcher"]["options"]
        for override in hosts["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byName"
    }
    assert named <= {*shown.values()}


def test_the_worst_host_is_first(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] == "table":
            steps = {step["id"]: step["options"] for step in panel["transformations"]}
            ((by,),) = [steps["sortBy"]["sort"]]
            assert by["desc"]
            # What is sorted by is a number that is not shown.
            assert steps["organize"]["excludeByName"][by["field"]]


def panel(dashboard: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = [one for one in dashboard["panels"] if one["title"] == title]
    return dict(found)


def promtool(folder: Path, series: dict[str, str], at: str, asked: list[dict[str, Any]]) -> str:
    """Say what is wrong where expressions do not give what is expected of them at a time."""
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": "1m", "input_series": inputs}
    case["promql_expr_test"] = [{**one, "eval_time": at} for one in asked]
    (folder / "case.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", folder / "case.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


def firing(severity: str) -> str:
    return f'ALERTS{{alertstate="firing",alertname="So1X",severity="{severity}",instance="a"}}'


SEEN = {
    "nothing": ("up", {}),
    "gone": ("GONE", {'up{job="so1",instance="a"}': "1x9 0x60"}),
    "late": ("late", {'so1_tick_timestamp_seconds{instance="a"}': "0x90"}),
    "critical": ("critical", {firing("critical"): "1x90"}),
    "full": ("critical", {'so1_host_memory_available_bytes{instance="a"}': "9x90"}),
    "warning": ("warning", {firing("warning"): "1x90"}),
    "failed": (
        "warning",
        {
            'so1_governor_removals_total{outcome="failed",rule="r",instance="a"}': "0x20 1x60",
            # The same state of two causes is no cause for two rows.
            'so1_snapshot_blind{instance="a"}': "1x90",
        },
    ),
    "blind": ("warning", {'so1_snapshot_blind{instance="a"}': "1x90"}),
    "engine": ("warning", {'so1_docker_up{instance="a"}': "0x90"}),
    "looping": ("warning", {'so1_looping_containers{instance="a"}': "2x90"}),
    "info": ("info", {firing("info"): "1x90"}),
    "procfs": ("info", {'so1_snapshot_source{source="procfs",instance="a"}': "1x90"}),
    "worst of two": ("critical", {firing("info"): "1x90", firing("critical"): "1x90"}),
}
WELL = {
    'up{job="so1",instance="a"}': "1x90",
    'up{job="so1",instance="silent"}': "1x90",
    'so1_tick_timestamp_seconds{instance="a"}': "0+60x90",
    'so1_tick_interval_seconds{instance="a"}': "20x90",
    'so1_host_memory_available_bytes{instance="a"}': "50x90",
    'so1_host_memory_size_bytes{instance="a"}': "100x90",
    'so1_governor_removals_total{outcome="failed",rule="r",instance="a"}': "0x90",
    'so1_snapshot_blind{instance="a"}': "0x90",
    'so1_docker_up{instance="a"}': "1x90",
    'so1_looping_containers{instance="a"}': "0x90",
    'so1_snapshot_source{source="procfs",instance="a"}': "0x90",
    'so1_snapshot_source{source="module",instance="a"}': "1x90",
}
"""A host with nothing wrong, and one that answers and has not ticked yet."""


@pytest.mark.parametrize(("text", "series"), SEEN.values(), ids=SEEN)
def test_whatever_is_wrong_with_a_host_is_its_state(
    dashboard: dict[str, Any], tmp_path: Path, text: str, series: dict[str, str]
) -> None:
    hosts = panel(dashboard, "Hosts, the worst first")
    organize = {t["id"]: t["options"] for t in hosts["transformations"]}["organize"]
    (column,) = [key for key, name in organize["renameByName"].items() if name == "state"]
    (by,) = {t["id"]: t["options"] for t in hosts["transformations"]}["sortBy"]["sort"]
    exprs = {f"Value #{target['refId']}": target["expr"] for target in hosts["targets"]}
    (override,) = [
        o for o in hosts["fieldConfig"]["overrides"] if o["matcher"]["options"] == "state"
    ]
    (mapping,) = {p["id"]: p["value"] for p in override["properties"]}["mappings"]
    state = {shown["text"]: int(number) for number, shown in mapping["options"].items()}
    worst_first = ["GONE", "late", "critical", "warning", "info", "up"]
    assert sorted(state, key=state.__getitem__, reverse=True) == worst_first
    fullness = 0.91 if "so1_host_memory_available_bytes" in "".join(series) else 0.5
    expected: list[tuple[str, dict[str, float]]] = [
        (exprs[column], {"a": state[text], "silent": state["up"]}),
        # The worst state first, and of the same state the fullest.
        (exprs[by["field"]], {"a": state[text] + fullness, "silent": state["up"]}),
    ]
    asked = [
        {
            "expr": f"round({expr}, 0.001)",
            "exp_samples": [
                {"labels": f'{{instance="{name}"}}', "value": value}
                for name, value in values.items()
            ],
        }
        for expr, values in expected
    ]
    assert promtool(tmp_path, {**WELL, **series}, "45m", asked) == ""


@pytest.mark.parametrize(
    ("series", "shown"),
    [
        ({}, []),
        ({'up{job="so1",instance="a"}': "0x9"}, []),
        ({'up{job="so1",instance="a"}': "1x9"}, [0]),
        ({'up{job="so1",instance="a"}': "0x9", firing("critical"): "1x9"}, [1]),
    ],
    ids=["no host", "none answers", "well", "none answers, an alert"],
)
def test_no_alert_is_good_only_where_a_host_answers(
    dashboard: dict[str, Any], tmp_path: Path, series: dict[str, str], shown: list[int]
) -> None:
    (target,) = panel(dashboard, "Alerts")["targets"]
    asked = {"expr": target["expr"], "exp_samples": [{"labels": "{}", "value": v} for v in shown]}
    assert promtool(tmp_path, series, "5m", [asked]) == ""


def test_no_host_up_is_not_good(dashboard: dict[str, Any]) -> None:
    first = panel(dashboard, "Hosts up")["fieldConfig"]["defaults"]["thresholds"]["steps"][0]
    assert first["color"] == "red"
