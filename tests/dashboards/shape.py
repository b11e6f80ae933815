# SPDX-License-Identifier: MIT
"""What a query gives, and what the plugin and Grafana need of it to draw it."""

import contextlib
from pathlib import Path
from typing import Any

from benchmarks.dashboards import plugin

Rows = list[dict[str, Any]]
PARTED = (
    {
        "id": "partitionByValues",
        "options": {"fields": ["part"], "keepFields": False, "naming": {"asLabels": False}},
    },
)
PIVOTED = (
    {
        "id": "groupingToMatrix",
        "options": {
            "rowField": "time",
            "columnField": "name",
            "valueField": "value",
            "emptyValue": "null",
        },
    },
)


def ask(
    path: Path, dashboard: dict[str, Any], query: plugin.StoredQuery, end: int, length: int
) -> tuple[list[str], Rows]:
    """Run a query as the plugin does, over a range of epoch milliseconds."""
    with contextlib.closing(plugin.connect(path)) as connection:
        cursor = connection.execute(plugin.substitute(query, dashboard, end - length, end))
        columns = [column[0] for column in cursor.description]
        return columns, [dict(zip(columns, row, strict=True)) for row in cursor]


def check_shape(query: plugin.StoredQuery, columns: list[str], rows: Rows) -> None:
    """The plugin takes a column's type from its first value: it must be the same in all rows."""
    # For a «time series» with a text column the plugin fails where there is no row.
    assert query.query_type == "table"
    assert len(set(columns)) == len(columns)
    for column in columns:
        kinds = {type(row[column]) for row in rows} - {type(None)}
        assert len(kinds) <= 1, f"{column} holds {kinds}"
    if "time" in columns:
        assert "time" in query.time_columns
        assert all(isinstance(row["time"], int | float) for row in rows)
    if query.shown in {"timeseries", "table"}:
        # No row must become no frame, or one without a value: then the panel shows its noValue. Of
        # a frame that only lacks rows, Grafana 12 draws empty axes or a header without rows.
        if query.transformations == PIVOTED:
            assert columns == ["time", "name", "value"]
        else:
            assert query.transformations == PARTED
            assert "part" in columns
    if query.shown == "timeseries":
        times = [row["time"] for row in rows]
        assert times == sorted(times), "Grafana draws the points of a line in their order"
        if query.transformations == PIVOTED:
            assert len({(row["time"], row["name"]) for row in rows}) == len(rows)
        else:
            assert len(set(times)) == len(times)
        text = [c for c in columns if any(isinstance(row[c], str) for row in rows)]
        assert set(text) <= {"part", "name"}
    if query.transformations == PARTED:
        assert len({row["part"] for row in rows}) <= 1, "a panel draws the first frame alone"
