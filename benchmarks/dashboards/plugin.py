# SPDX-License-Identifier: MIT
"""What Grafana and the SQLite plugin do with a dashboard's queries, for the tests and the bench."""

import functools
import json
import re
import sqlite3
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).parents[2] / "grafana"
_MACRO = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\$(?P<bare>__\w+)")


@dataclass(frozen=True)
class StoredQuery:
    """A query as a dashboard's JSON holds it; `place` says where, `shown` in what kind of panel."""

    place: str
    shown: str
    sql: str
    query_type: str
    time_columns: tuple[str, ...]
    max_points: int = 1_000
    min_interval_ms: int = 1_000
    transformations: tuple[dict[str, Any], ...] = ()


def load(name: str) -> dict[str, Any]:
    """Read `dashboards/NAME.json`."""
    dashboard: dict[str, Any] = json.loads((GRAFANA / f"dashboards/{name}.json").read_text())
    return dashboard


@functools.cache
def datasource() -> dict[str, Any]:
    """Read the datasource as Grafana is given it."""
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/so1.yaml").read_text())
    sources: list[dict[str, Any]] = provisioned["datasources"]
    (source,) = sources
    return source


_S, _MIN, _HOUR = 1_000, 60_000, 3_600_000
_ROUND = (
    *((10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500)),
    *((1_500, _S), (3_500, 2 * _S), (7_500, 5 * _S), (12_500, 10 * _S), (17_500, 15 * _S)),
    *((25_000, 20 * _S), (45_000, 30 * _S), (90_000, _MIN), (210_000, 2 * _MIN)),
    *((450_000, 5 * _MIN), (750_000, 10 * _MIN), (1_050_000, 15 * _MIN), (1_500_000, 20 * _MIN)),
    *((2_700_000, 30 * _MIN), (5_400_000, _HOUR), (9_000_000, 2 * _HOUR), (16_200_000, 3 * _HOUR)),
    *((32_400_000, 6 * _HOUR), (86_400_000, 12 * _HOUR), (604_800_000, 24 * _HOUR)),
)
"""Below how many milliseconds a point Grafana takes which interval (rangeUtil.roundInterval)."""

MOST_POINTS = 361
"""Of a panel that asks for 300: Grafana sends 360 intervals over 6 hours, and one has begun."""


def milliseconds(text: str) -> int:
    """Read an interval as panels have it, in seconds."""
    return int(text.removesuffix("s")) * 1_000


def interval(length: int, points: int, least: int) -> int:
    """Give the interval that Grafana sends for a range of milliseconds and a panel's settings."""
    wanted = length / points
    return max(least, next((taken for below, taken in _ROUND if wanted < below), 7 * 24 * _HOUR))


def queries(dashboard: dict[str, Any]) -> Iterator[StoredQuery]:
    """Every query of panels, annotations and query variables."""
    title = dashboard["title"]
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield StoredQuery(
                f"{title}: {panel['title']}",
                panel["type"],
                target["rawQueryText"],
                target["queryType"],
                tuple(target["timeColumns"]),
                int(panel.get("maxDataPoints") or 1_000),
                milliseconds(panel.get("interval") or "1s"),
                tuple(panel.get("transformations", ())),
            )
    for annotation in dashboard["annotations"]["list"]:
        target = annotation["target"]
        yield StoredQuery(
            f"{title}: annotation {annotation['name']}",
            "annotation",
            target["rawQueryText"],
            target["queryType"],
            tuple(target["timeColumns"]),
        )
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield StoredQuery(
                f"{title}: variable {variable['name']}", "variable", variable["query"], "table", ()
            )


def substitute(query: StoredQuery, dashboard: dict[str, Any], start: int, end: int) -> str:
    """Fill in what Grafana fills in, for a time range in epoch milliseconds.

    Raises KeyError where the query names a variable that there is not.
    """
    taken = interval(end - start, query.max_points, query.min_interval_ms)
    values: dict[str, str] = {
        "__from": str(start),
        "__to": str(end),
        "__interval_ms": str(taken),
        **{
            variable["name"]: variable["current"]["value"]
            for variable in dashboard["templating"]["list"]
        },
    }

    def fill(match: re.Match[str]) -> str:
        value: str = values[match["braced"] or match["bare"]]
        if match["format"] == "sqlstring":
            return "'" + value.replace("'", "''") + "'"
        return value

    return _MACRO.sub(fill, query.sql)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database with the options of the provisioned datasource, at a path of one's own.

    What they call `_pragma` is of the plugin's driver, and no part of SQLite's URI.
    """
    settings = datasource()["jsonData"]
    options = urllib.parse.parse_qs(settings["pathOptions"], strict_parsing=True)
    pragmas = options.pop("_pragma", [])
    query = urllib.parse.urlencode(options, doseq=True)
    connection = sqlite3.connect(f"{settings['pathPrefix']}{path}?{query}", uri=True, timeout=0)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
