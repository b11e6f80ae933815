# SPDX-License-Identifier: MIT
"""What the fleet's dashboard asks of Prometheus."""

import json
import re
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
