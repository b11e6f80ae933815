# SPDX-License-Identifier: MIT
"""A dashboard's queries, answered as Grafana and its datasources would answer them."""

import contextlib
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.dashboards import plugin

Frame = dict[str, Any]
Frames = dict[str, list[Frame]]
SCRAPE_S = 60
"""How often the made-up Prometheus scrapes."""


def field(name: str, kind: str, values: list[Any], **more: object) -> dict[str, Any]:
    """Make a column of a frame."""
    return {"name": name, "type": kind, "values": values, "config": {}, **more}


def frame(fields: list[dict[str, Any]], ref_id: str) -> Frame:
    """Make a frame of columns of the same length."""
    return {"refId": ref_id, "fields": fields, "length": len(fields[0]["values"])}


def _of_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], times: Sequence[str]) -> Frame:
    fields = []
    for number, name in enumerate(columns):
        values = [row[number] for row in rows]
        # The plugin takes a column's type from its first value.
        first = next((value for value in values if value is not None), None)
        if name in times:
            fields.append(field(name, "time", [v and round(v * 1000) for v in values]))
        else:
            kind = "number" if isinstance(first, int | float) else "string"
            fields.append(field(name, kind, values))
    return frame(fields, "A")


def database(
    path: Path, dashboard: dict[str, Any], start: int, end: int
) -> tuple[Frames, list[float]]:
    """Ask a database, over a range of epoch milliseconds: frames by panel, times of annotations."""
    frames: Frames = {}
    events: list[float] = []
    with contextlib.closing(plugin.connect(path)) as connection:
        # The moment that is drawn, not the one in which the drawing has come to it.
        connection.create_function("strftime", 2, lambda *_: str(end // 1000))

        def ask(query: plugin.StoredQuery) -> Frame:
            cursor = connection.execute(plugin.substitute(query, dashboard, start, end))
            columns = [column[0] for column in cursor.description]
            return _of_rows(columns, cursor.fetchall(), query.time_columns)

        panels = iter(dashboard["panels"])
        for query in plugin.queries(dashboard):
            if query.shown == "annotation":
                events += [
                    e for f in ask(query)["fields"] if f["name"] == "time" for e in f["values"]
                ]
            elif query.shown != "variable":
                frames[str(next(panels)["id"])] = [ask(query)]
    return frames, events


class Prometheus:
    """A server's HTTP API, at a URL."""

    def __init__(self, url: str) -> None:
        """Ask the server at `url`."""
        self._url = url

    def result(self, path: str, **query: object) -> list[dict[str, Any]]:
        """Give a query's result; raises HTTPError where it is wrong."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - always http
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def frames(self, dashboard: dict[str, Any], start: int, end: int) -> Frames:
        """Ask what the panels ask, over a range of epoch milliseconds."""
        values = {v["name"]: v["current"]["value"] for v in dashboard["templating"]["list"]}
        return {
            str(panel["id"]): [
                made
                for target in panel["targets"]
                for made in self._frames(panel, target, values, start, end)
            ]
            for panel in dashboard["panels"]
        }

    def _frames(
        self,
        panel: dict[str, Any],
        target: dict[str, Any],
        values: dict[str, str],
        start: int,
        end: int,
    ) -> list[Frame]:
        least = plugin.milliseconds(panel.get("interval") or "20s")
        points = int(panel.get("maxDataPoints") or 1_000)
        step = plugin.interval(end - start, points, least) // 1000
        known = {
            **values,
            "__interval": f"{step}s",
            "__range": f"{(end - start) // 1000}s",
            "__rate_interval": f"{max(step + SCRAPE_S, 4 * SCRAPE_S)}s",
        }
        expr = re.sub(r"\$(\w+)", lambda m: known[m[1]], target["expr"])
        if target.get("format") == "table":
            return self._table(expr, target["refId"], end, alone=len(panel["targets"]) == 1)
        if target.get("instant"):
            found = self.result("query", query=expr, time=end / 1000)
            found = [{**one, "values": [one["value"]]} for one in found]
        else:
            span = {"start": start // 1000 // step * step, "end": end // 1000 // step * step}
            found = self.result("query_range", query=expr, step=step, **span)
        return [_of_series(one, target) for one in found]

    def _table(self, expr: str, ref_id: str, end: int, *, alone: bool) -> list[Frame]:
        found = self.result("query", query=expr, time=end / 1000)
        if not found:
            return []
        labels = sorted({name for one in found for name in one["metric"]})
        fields = [
            field("Time", "time", [round(one["value"][0] * 1000) for one in found]),
            *(field(n, "string", [one["metric"].get(n, "") for one in found]) for n in labels),
            field(
                "Value" if alone else f"Value #{ref_id}",
                "number",
                [float(one["value"][1]) for one in found],
            ),
        ]
        return [frame(fields, ref_id)]


def _of_series(one: dict[str, Any], target: dict[str, Any]) -> Frame:
    legend = target.get("legendFormat") or ""
    name = re.sub(r"{{(\w+)}}", lambda m: one["metric"].get(m[1], ""), legend)
    config = {"config": {"displayNameFromDS": name} if name else {}}
    times = [round(at * 1000) for at, _ in one["values"]]
    numbers = [float(value) for _, value in one["values"]]
    value = field("Value", "number", numbers, labels=one["metric"], **config)
    return frame([field("Time", "time", times), value], target["refId"])
