# SPDX-License-Identifier: MIT
"""The committed dashboards are what the SDK builds, and everything a wall needs is in them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from benchmarks.dashboards import plugin

GRAFANA = Path(__file__).parents[2] / "grafana"
ON_SQLITE = ("system", "containers")
NAMES = (*ON_SQLITE, "fleet")


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return plugin.load(request.param)


@pytest.fixture(params=ON_SQLITE)
def on_sqlite(request: pytest.FixtureRequest) -> dict[str, Any]:
    return plugin.load(request.param)


def test_committed_dashboards_are_the_built_ones(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "generator", str(tmp_path)],
        cwd=GRAFANA,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        timeout=60,
    )
    for name in NAMES:
        built = (tmp_path / f"{name}.json").read_text()
        assert built == (GRAFANA / "dashboards" / f"{name}.json").read_text(), (
            f"{name}.json is out of date: run `python -m generator` in grafana/"
        )


def lost(before: object, after: object, where: str = "") -> list[str]:
    """Name what is not in `after` as it is in `before`; the SDK may add its defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            part
            for key, value in before.items()
            for part in lost(value, after.get(key), f"{where}/{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [p for b, a in zip(before, after, strict=True) for p in lost(b, a, where)]
    return [] if before == after or before == [] else [where]


def test_the_sdk_reads_them_back_without_loss(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    for part in ("uid", "title", "time", "refresh", "links", "templating"):
        assert again.get(part) == dashboard.get(part)
    for before, after in zip(dashboard["panels"], again["panels"], strict=True):
        # Targets are the plugin's own, which the SDK does not know.
        assert lost({**before, "targets": []}, after) == []


def test_range_and_refresh(dashboard: dict[str, Any]) -> None:
    assert dashboard["refresh"] == "20s"
    assert dashboard["time"] == {"from": "now-1h", "to": "now"}


def test_each_links_to_the_others_that_there_are(dashboard: dict[str, Any]) -> None:
    assert dashboard["tags"] == ["so1"]
    (others,) = [link for link in dashboard["links"] if link["type"] == "dashboards"]
    assert others["tags"] == ["so1"]
    assert others["keepTime"]


def test_the_fleet_links_to_the_host_that_it_shows() -> None:
    (host,) = [link for link in plugin.load("fleet")["links"] if link["type"] == "link"]
    assert host["url"] == "http://$host:$grafana_port/d/so1-system"


def test_a_wall_shows_first_whether_the_daemon_is_alive(on_sqlite: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in on_sqlite["panels"][:3]]
    assert titles[0] == "Last tick"
    assert "Failures" in titles


def test_no_cell_says_what_an_empty_table_says(dashboard: dict[str, Any]) -> None:
    tables = [panel for panel in dashboard["panels"] if panel["type"] == "table"]
    assert tables
    for panel in tables:
        first = panel["fieldConfig"]["overrides"][0]
        assert first["matcher"] == {"id": "byRegexp", "options": "/.*/"}
        assert first["properties"] == [{"id": "noValue", "value": ""}]


REQUIRED = {
    "system": [
        ("All CPUs", "gauge", "percent"),
        ("RAM used", "stat", "percent"),
        ("Processes", "stat", "short"),
        ("What failed last", "table", "string"),
        ("CPU of the host, % of all CPUs", "timeseries", "percent"),
        ("RAM of the host", "timeseries", "kbytes"),
        ("CPU by process, % of one CPU", "timeseries", "percent"),
        ("RAM by process", "timeseries", "kbytes"),
        ("Process states", "timeseries", "short"),
        ("Top processes now, by RAM", "bargauge", "kbytes"),
        ("Top processes now, by CPU, % of one CPU", "bargauge", "percent"),
    ],
    "containers": [
        ("Managed", "stat", "string"),
        ("Low", "stat", "string"),
        ("High", "stat", "string"),
        ("Governor", "stat", "string"),
        ("What failed last", "table", "string"),
        ("Containers by class", "timeseries", "short"),
        ("Removals and failures", "timeseries", "short"),
        ("RAM per container", "timeseries", "kbytes"),
        ("CPU per container, % of one CPU", "timeseries", "percent"),
        ("RAM per container, % of its limit", "timeseries", "percent"),
        ("RAM now", "bargauge", "kbytes"),
        ("CPU now, % of one CPU", "bargauge", "percent"),
        ("Containers", "table", "string"),
        ("Governor and daemon events", "table", "string"),
        ("Bring a removed container back", "table", "string"),
    ],
}
"""What must be seen, whatever else is: titles, panel types and units."""


@pytest.mark.parametrize("name", ON_SQLITE)
def test_what_must_be_seen_is_there(name: str) -> None:
    dashboard = plugin.load(name)
    assert dashboard["uid"] == f"so1-{name}"
    there = [
        (panel["title"], panel["type"], panel["fieldConfig"]["defaults"]["unit"])
        for panel in dashboard["panels"]
    ]
    assert set(REQUIRED[name]) <= set(there)
    assert len({title for title, _, _ in there}) == len(there)
    (events,) = dashboard["annotations"]["list"]
    assert events["enable"]
    assert "FROM events" in events["target"]["rawQueryText"]


def test_ram_is_shown_used_and_free() -> None:
    (ram,) = [
        panel for panel in plugin.load("system")["panels"] if panel["title"] == "RAM of the host"
    ]
    (target,) = ram["targets"]
    assert 'AS "used"' in target["rawQueryText"]
    assert 'AS "free"' in target["rawQueryText"]


def test_every_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["thresholds"]["steps"], panel["title"]
        assert len(defaults["noValue"]) >= len("No tick yet"), panel["title"]


def test_a_share_of_cpu_says_of_what(dashboard: dict[str, Any]) -> None:
    shares = {"percent", "percentunit"}
    for panel in dashboard["panels"]:
        if "CPU" in panel["title"] and panel["fieldConfig"]["defaults"]["unit"] in shares:
            assert re.search("all CPUs|% of one CPU", panel["title"], re.IGNORECASE), panel["title"]
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["options"] != "CPU", panel["title"]


def test_panels_do_not_overlap_and_leave_no_gap(dashboard: dict[str, Any]) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


def test_the_datasource_is_the_variable_everywhere(on_sqlite: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in on_sqlite["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "frser-sqlite-datasource"
    source = plugin.datasource()
    assert variables["datasource"]["current"]["value"] == source["uid"]
    users = [*on_sqlite["panels"], *on_sqlite["annotations"]["list"]]
    targets = [t for panel in on_sqlite["panels"] for t in panel["targets"]]
    targets += [annotation["target"] for annotation in on_sqlite["annotations"]["list"]]
    for user in [*users, *targets]:
        assert user["datasource"] == {"type": source["type"], "uid": "${datasource}"}


def test_the_pictures_in_the_documents_are_small() -> None:
    pictures = {path.stem: path for path in (GRAFANA.parent / "docs").glob("*.png")}
    assert set(NAMES) <= set(pictures)
    for path in pictures.values():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 300_000, path
