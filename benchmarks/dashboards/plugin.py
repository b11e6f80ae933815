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


def _interval(text: str | None) -> int:
    return int((text or "1s").removesuffix("s")) * 1_000


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
                _interval(panel.get("interval")),
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
    interval = max(query.min_interval_ms, (end - start) // query.max_points)
    values: dict[str, str] = {
        "__from": str(start),
        "__to": str(end),
        "__interval_ms": str(interval),
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
