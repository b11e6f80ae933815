# SPDX-License-Identifier: MIT
"""Nothing is wrong with any dashboard of any host, on a small screen and on a large one."""

import re
import time
from typing import Any

import pytest

from benchmarks.dashboards import plugin
from draw import fleet
from draw.browser import Browser
from draw.faults import faults, idle_overrides
from draw.scenes import FILLED, SCENES, Scene, Sources
from tests.draw.conftest import Draw

WIDTHS = (1280, 1920)
DAY_MS = 86_400_000
GREYS = {"#ccccdc", "rgb(204, 204, 220)"}
"""The colour of text in a dark theme, as a threshold and as a mapping give it."""
ORANGE = "#FF9830"
BY_NAME = {scene.name: scene for scene in SCENES}


def test_the_scenes_are_told_apart_by_name() -> None:
    assert len(BY_NAME) == len(SCENES)
    assert set(BY_NAME) >= FILLED


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_nothing_is_wrong(drawn: Draw, scene: Scene, width: int) -> None:
    assert faults(drawn(scene, width), filled=scene.name in FILLED) == []


@pytest.mark.parametrize("dashboard", ["system", "containers", "fleet"])
def test_every_override_matches_something(drawn: Draw, dashboard: str) -> None:
    shown = [drawn(scene, WIDTHS[1]) for scene in SCENES if scene.dashboard == dashboard]
    assert idle_overrides(shown) == set()


def panels(drawn: Draw, name: str) -> dict[str, dict[str, Any]]:
    return {panel["title"]: panel for panel in drawn(BY_NAME[name], WIDTHS[1])["panels"]}


def figure(panel: dict[str, Any]) -> str:
    (shown,) = panel["figures"]
    text: str = shown["text"]
    return text


def test_light_is_as_sound_as_dark(browser: Browser, made: Sources) -> None:
    for name in FILLED:
        found = browser.draw(made.shown(BY_NAME[name], "light"), WIDTHS[0])
        assert faults(found, filled=True) == []


@pytest.mark.parametrize("name", ["system", "containers"])
def test_a_dead_daemon_is_seen(drawn: Draw, name: str) -> None:
    found = panels(drawn, f"{name}-dead")
    last = found.pop("Last tick")
    assert figure(last) == "20 mins"
    assert last["figures"][0]["color"] == "#F2495C", "red"
    for panel in found.values():
        if panel["type"] in {"stat", "gauge"}:
            # Neither good nor bad is known.
            assert figure(panel) == "no tick"
            assert panel["figures"][0]["color"] in GREYS
    empty = {panel["text"].splitlines()[-1] for panel in found.values() if panel.get("empty")}
    assert "No tick in this time range" in empty
    assert not any("Waiting" in text for text in empty)


@pytest.mark.parametrize("name", ["system", "containers"])
def test_a_fresh_install_is_not_taken_for_a_dead_daemon(drawn: Draw, name: str) -> None:
    found = panels(drawn, f"{name}-empty")
    assert found["Last tick"]["figures"][0]["color"] == ORANGE
    for panel in found.values():
        if panel["type"] in {"stat", "gauge"}:
            assert figure(panel) == "no tick yet"
            assert panel["figures"][0]["color"] in {*GREYS, ORANGE}


@pytest.mark.parametrize("name", ["system", "containers"])
def test_an_outage_is_a_gap_in_every_line(drawn: Draw, name: str) -> None:
    for panel in panels(drawn, f"{name}-outage").values():
        if panel["type"] == "timeseries":
            assert any(line["gaps"] for line in panel["series"]), panel["title"]
    for panel in panels(drawn, f"{name}-week").values():
        if panel["type"] == "timeseries":
            assert any(not line["gaps"] for line in panel["series"]), panel["title"]


PLOTS = """
[...document.querySelectorAll('[data-panel]')].map(panel => panel.querySelector('.u-over'))
    .filter(plot => plot).map(plot => plot.getBoundingClientRect())
    .map(({left, right}) => [Math.round(left), Math.round(right)])
"""
"""From where to where the plot of each graph reaches, in pixels."""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sorted(FILLED))
def test_graphs_below_each_other_line_up_in_time(
    browser: Browser, made: Sources, name: str, width: int
) -> None:
    browser.draw(made.shown(BY_NAME[name], "dark"), width)
    plots = browser.evaluate(PLOTS)
    assert len(plots) >= 4
    columns = {(left, right) for left, right in plots}
    assert len(columns) == 2, "all are in one of two columns"


def test_the_culprit_of_a_spike_has_a_name(drawn: Draw) -> None:
    found = panels(drawn, "system-busy")
    for title in ("CPU by process, % of one CPU", "RAM by process"):
        legend = found[title]["text"].split("Max")[1].split()
        assert legend[0] == "mysqldump", title


def test_nothing_is_said_of_states_that_there_are_not(drawn: Draw) -> None:
    states = panels(drawn, "system-idle")["Process states"]["text"].split()
    assert states[states.index("zombie") + 1] == "0"


def test_hosts_with_something_wrong_are_first(drawn: Draw) -> None:
    found = panels(drawn, "fleet-fleet-srv-01")
    cells = found["Hosts, the worst first"]["cells"]
    hosts = [(cell, cells[at + 1]) for at, cell in enumerate(cells) if cell in fleet.HOSTS]
    assert hosts[:5] == [
        (fleet.GONE, "GONE"),
        (fleet.SLOW, "late"),
        (fleet.FULL, "critical"),
        (fleet.BUSY, "warning"),
        (fleet.FALLBACK, "info"),
    ]
    assert {state for _, state in hosts[5:]} == {"up"}
    alerts = found["Alerts, the most severe first"]["cells"]
    assert [cell for cell in alerts if cell in {"critical", "warning", "info"}] == [
        *["critical"] * 3,
        "warning",
        "info",
    ]


def test_a_fleet_without_a_host_does_not_look_well(drawn: Draw) -> None:
    found = panels(drawn, "fleet-nothing-srv-01")
    shown = {title: panel["figures"][0] for title, panel in found.items() if "figures" in panel}
    assert {title: figure["text"] for title, figure in shown.items()} == {
        **dict.fromkeys(("Hosts up", "Hosts gone"), "no host scraped"),
        "Alerts": "no host answers",
        **dict.fromkeys(("Containers", "Removed in 1 h", "Without modules"), "no figures"),
    }
    assert {figure["color"] for figure in shown.values()} <= {*GREYS, ORANGE}


def test_a_host_that_is_gone_is_not_taken_for_current(drawn: Draw) -> None:
    found = panels(drawn, "fleet-fleet-srv-01")
    assert "srv-10, gone" in found["RAM of the hosts, the fullest"]["text"]
    assert "Last" not in found["RAM of the hosts, the fullest"]["text"]


def test_the_worst_host_is_shown_unless_one_is_chosen() -> None:
    variables = plugin.load("fleet")["templating"]["list"]
    (host,) = [variable for variable in variables if variable["name"] == "host"]
    # Grafana takes the first.
    assert host["sort"] == 0
    assert not host.get("current")
    asked = re.fullmatch(r"query_result\((.*)\)", host["query"])
    assert asked
    now = int(time.time())
    with fleet.prometheus(now) as prometheus:
        found = prometheus.result("query", query=asked[1], time=now)
    names = [one["metric"]["instance"] for one in found]
    assert names[:4] == [fleet.GONE, fleet.SLOW, fleet.FULL, fleet.BUSY]
    assert sorted(names) == [*fleet.HOSTS]
    told = f'{{instance="{names[0]}"}} 2 1764000000000'
    assert re.findall(host["regex"].strip("/"), told) == [fleet.GONE]


def test_above_the_quota_is_seen(drawn: Draw) -> None:
    found = panels(drawn, "containers-many")
    assert figure(found["Managed"]) == "100 of 10, over"
    colours = {found[title]["figures"][0]["color"] for title in ("Managed", "Low")}
    assert len(colours) == 2
    assert found["Low"]["figures"][0]["color"] != "#73BF69", "green"


@pytest.mark.parametrize("points", [60, 100, 300, 1_000])
def test_intervals_are_those_that_grafana_sends(browser: Browser, points: int) -> None:
    lengths = [60_000, 900_000, 3_600_000, 5_400_000, 6 * 3_600_000, 43_200_000]
    lengths += [DAY_MS, 2 * DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 90 * DAY_MS, 365 * DAY_MS]
    for length in lengths:
        sent = browser.evaluate(f"interval({length}, {points}, '20s')")
        assert plugin.interval(length, points, 20_000) == sent
        if points == 300 and length <= DAY_MS * 30:
            assert length / sent < plugin.MOST_POINTS
