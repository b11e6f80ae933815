# SPDX-License-Identifier: MIT
"""What is wrong with a dashboard that was drawn."""

from collections.abc import Iterator
from typing import Any

LEGEND = 12
"""How many entries a legend may have; more is no legend."""


def faults(found: dict[str, Any], *, filled: bool) -> list[str]:
    """Name what is wrong; `filled` where no panel has a reason to be empty."""
    named = [
        f"{panel['title']}: {fault}" for panel in found["panels"] for fault in _of(panel, filled)
    ]
    return [*found["errors"], *named]


def _of(panel: dict[str, Any], filled: bool) -> Iterator[str]:  # noqa: FBT001
    if "missing" in panel:
        yield f"Grafana's libraries cannot draw a {panel['missing']}"
    for name in panel.get("unknown", ()):
        yield f"a {panel['type']} has no option {name}"
    if filled and panel.get("empty"):
        yield "is empty"
    sentence = panel.get("noValue")
    if sentence and any(sentence in cell for cell in panel["cells"]):
        yield "a cell reads what the panel says where it has no row"
    for line in panel.get("series", ()):
        if line["hidden"]:
            yield f"{line['hidden']} lone points of {line['name']} are not drawn"
    if panel["legend"] > LEGEND:
        yield f"the legend has {panel['legend']} entries, more than {LEGEND}"
    for text in dict.fromkeys(panel["cut"]):
        yield f"cut: {text}"
    if panel["beyond"]:
        yield f"columns lie beyond the edge, {panel['beyond']} pixels"


def idle_overrides(drawn: list[dict[str, Any]]) -> set[str]:
    """Name the overrides that match nothing in any of the drawings of a dashboard."""
    hits: dict[str, bool] = {}
    for found in drawn:
        for panel in found["panels"]:
            for override in panel.get("overrides", ()):
                key = f"{panel['type']} {panel['title']}: {override['name']}"
                hits[key] = hits.get(key, False) or override["hits"]
    return {key for key, hit in hits.items() if not hit}
