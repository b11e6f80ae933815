# SPDX-License-Identifier: MIT
"""What is wrong with a dashboard is found: each fault, put into one that has none."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from draw.browser import Browser
from draw.faults import faults, idle_overrides
from draw.scenes import SCENES, Sources

Shown = dict[str, Any]
(CONTAINERS,) = [scene for scene in SCENES if scene.name == "containers-busy"]


def panel(shown: Shown, title: str) -> dict[str, Any]:
    (found,) = [one for one in shown["dashboard"]["panels"] if one["title"] == title]
    assert isinstance(found, dict)
    return found


def unknown_option(shown: Shown) -> None:
    panel(shown, "Removed")["options"]["colour"] = "red"


def unknown_field_option(shown: Shown) -> None:
    panel(shown, "CPU now, % of one CPU")["fieldConfig"]["defaults"]["decimal"] = 1


def unknown_type(shown: Shown) -> None:
    panel(shown, "Removed")["type"] = "piechart"


def empty(shown: Shown) -> None:
    (frame,) = shown["frames"][str(panel(shown, "Containers")["id"])]
    frame["length"] = 0
    for field in frame["fields"]:
        field["values"] = []


def sentence_in_a_cell(shown: Shown) -> None:
    panel(shown, "Governor and daemon events")["fieldConfig"]["overrides"].pop(0)


def lone_point(shown: Shown) -> None:
    custom = panel(shown, "Containers by class")["fieldConfig"]["defaults"]["custom"]
    custom["showPoints"] = "never"
    (frame,) = shown["frames"][str(panel(shown, "Containers by class")["id"])]
    low = next(field for field in frame["fields"] if field["name"] == "low")
    low["values"] = [1, *[None] * (frame["length"] - 1)]


def long_legend(shown: Shown) -> None:
    (frame,) = shown["frames"][str(panel(shown, "CPU per container, % of one CPU")["id"])]
    name = next(field for field in frame["fields"] if field["name"] == "name")
    name["values"] = [f"container-{number % 20}" for number in range(frame["length"])]


def long_word(shown: Shown) -> None:
    (frame,) = shown["frames"][str(panel(shown, "Containers")["id"])]
    frame["fields"][1]["values"][0] = "w" * 200


def wide_column(shown: Shown) -> None:
    overrides = panel(shown, "Containers")["fieldConfig"]["overrides"]
    overrides[-1]["properties"].append({"id": "custom.width", "value": 2_000})


def error(shown: Shown) -> None:
    panel(shown, "Containers")["transformations"] = [{"id": "organise", "options": {}}]


FAULTS: dict[Callable[[Shown], None], str] = {
    unknown_option: "has no option colour",
    unknown_field_option: "has no option decimal",
    unknown_type: "cannot draw a piechart",
    empty: "Containers: is empty",
    sentence_in_a_cell: "a cell reads what the panel says",
    lone_point: "1 lone points of low are not drawn",
    long_legend: "the legend has 20 entries",
    long_word: "cut: www",
    wide_column: "columns lie beyond the edge",
    error: '"organise" not found',
}


@pytest.fixture(scope="module")
def sound(made: Sources) -> Shown:
    return made.shown(CONTAINERS, "dark")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_it_is_found(browser: Browser, sound: Shown, fault: Callable[[Shown], None]) -> None:
    shown = copy.deepcopy(sound)
    fault(shown)
    found = faults(browser.draw(shown, 1280), filled=True)
    assert any(FAULTS[fault] in one for one in found), found


def test_an_override_that_matches_nothing_is_found(browser: Browser, sound: Shown) -> None:
    shown = copy.deepcopy(sound)
    panel(shown, "Containers")["fieldConfig"]["overrides"][-1]["matcher"]["options"] = "Id"
    idle = idle_overrides([browser.draw(shown, 1280)])
    assert "table Containers: byName Id" in idle
