# SPDX-License-Identifier: MIT
"""The fleet's dashboard is what the SDK builds, and everything a wall needs is in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from so1.exposition.families import Families
from tests.exposition.rounds import series, text, told

GRAFANA = Path(__file__).parents[2] / "grafana"
FILE = GRAFANA / "dashboards/fleet.json"


@pytest.fixture
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_the_committed_one_is_the_built_one(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "generator", tmp_path],
        cwd=GRAFANA,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        timeout=60,
    )
    assert (tmp_path / "fleet.json").read_text() == FILE.read_text(), (
        "fleet.json is out of date: run `python -m generator` in grafana/"
    )


def test_every_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] == "so1-fleet"
    assert len({panel["title"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["thresholds"]["steps"], panel["title"]
        assert len(defaults["noValue"]) > len("No data"), panel["title"]


def test_panels_do_not_overlap_and_leave_no_gap(dashboard: dict[str, Any]) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        columns, rows = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        own = {(x, y) for x in columns for y in rows}
        assert not own & cells, panel["title"]
        cells |= own
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


def test_the_datasource_is_the_variable_everywhere(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    role = GRAFANA.parent / "roles/grafana/templates/fleet.yaml.j2"
    described = yaml.safe_load(re.sub(r"{{.*?}}", "x", role.read_text()))
    (source,) = described["datasources"]
    assert variables["prometheus"]["query"] == source["type"]
    assert variables["prometheus"]["current"]["value"] == source["uid"]
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    for user in [*dashboard["panels"], *targets, variables["host"]]:
        assert user["datasource"] == {"type": "prometheus", "uid": "${prometheus}"}


def test_every_metric_is_one_that_the_daemon_serves(dashboard: dict[str, Any]) -> None:
    served = {name for name, _ in series(text(Families(), told()))}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert set(re.findall(r"\bso1_\w+", target["expr"])) <= served, panel["title"]


def test_the_columns_of_the_hosts_are_the_queries(dashboard: dict[str, Any]) -> None:
    (hosts,) = [p for p in dashboard["panels"] if p["title"].startswith("Hosts, ")]
    organize = {t["id"]: t["options"] for t in hosts["transformations"]}["organize"]
    asked = {f"Value #{target['refId']}" for target in hosts["targets"]}
    assert asked | {"instance"} == organize["renameByName"].keys() == organize["indexByName"].keys()
    shown = {*organize["renameByName"].values()}
    named = {override["matcher"]["options"] for override in hosts["fieldConfig"]["overrides"]}
    assert named <= shown
