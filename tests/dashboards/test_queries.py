# SPDX-License-Identifier: MIT
"""Every query of the dashboards runs, on history and on nothing, and gives what its panel needs."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.dashboards import history, plugin
from so1.store import rows as stored
from tests.dashboards.shape import Rows, ask, check_shape

HOUR_MS = 3_600_000
ALL = [
    pytest.param(dashboard, query, id=query.place)
    for dashboard in (plugin.load("system"), plugin.load("containers"))
    for query in plugin.queries(dashboard)
]


@pytest.mark.parametrize("length", [HOUR_MS, 7 * 24 * HOUR_MS], ids=["hour", "week"])
@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_history(
    filled: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery, length: int
) -> None:
    columns, rows = ask(filled, dashboard, query, now, length)
    assert rows
    check_shape(query, columns, rows)
    if "time" in columns:
        # Seconds: milliseconds taken for them would lie thousands of years ahead.
        assert all(
            (now - length) / 1000 - length / 300_000 <= row["time"] <= now / 1000 + 1
            for row in rows
        )
        assert len({row["time"] for row in rows}) <= 301
    for row in rows:
        assert all(value is not None for value in row.values()), row


@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_fresh_install(
    fresh: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery
) -> None:
    """Nothing fails, and every panel shows its noValue."""
    columns, rows = ask(fresh, dashboard, query, now, HOUR_MS)
    if query.shown in {"stat", "gauge"}:
        (row,) = rows
        assert not [value for value in row.values() if value is not None]
    else:
        assert rows == []
    check_shape(query, columns, rows)


@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_ticks_without_a_container(
    bare: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery
) -> None:
    """A count is then 0 and not unknown; what lists containers is empty, and says so."""
    columns, rows = ask(bare, dashboard, query, now, HOUR_MS)
    check_shape(query, columns, rows)
    listing = (" per container", " now", ": Containers")
    assert bool(rows) != query.place.endswith(listing)
    for row in rows:
        assert None not in row.values()


def figures(path: Path, now: int, name: str, title: str) -> Rows:
    dashboard = plugin.load(name)
    (query,) = [q for q in plugin.queries(dashboard) if q.place.endswith(f": {title}")]
    return ask(path, dashboard, query, now, HOUR_MS)[1]


def test_figures_are_those_of_the_last_tick(filled: Path, now: int) -> None:
    connection = plugin.connect(filled)
    (largest,) = connection.execute(
        "SELECT MAX(ram_usage) FROM process_stats WHERE timestamp = ?", (now,)
    ).fetchone()
    connection.close()
    assert figures(filled, now, "system", "Processes") == [{"processes": 40}]
    assert figures(filled, now, "system", "CPU") == [{"cpu": 12.5}]
    assert figures(filled, now, "system", "Source") == [{"source": "module"}]
    assert figures(filled, now, "system", "Top processes by RAM")[0]["value"] == largest
    assert figures(filled, now, "containers", "Class low") == [{"running": 3, "kept": 3}]
    assert figures(filled, now, "containers", "Class high") == [{"running": 3, "kept": 2}]
    assert figures(filled, now, "containers", "Unmanaged") == [{"unmanaged": 3}]
    assert figures(filled, now, "containers", "Managed, of the maximum") == [{"managed": 60.0}]
    assert len(figures(filled, now, "containers", "Containers")) == 9
    removed = figures(filled, now, "containers", "Removed")[0]["removed"]
    assert removed == len(figures(filled, now, "containers", "Governor and daemon events")) == 4


def test_the_limit_nearest_to_being_reached_is_first(filled: Path, now: int) -> None:
    rows = figures(filled, now, "system", "Limited processes")
    assert [(row["process"], row["percent"]) for row in rows] == [
        ("process-3", 200.0),
        ("process-2", 75.0),
        ("process-1", pytest.approx(0, abs=1e-6)),
    ]
    assert {key: value for key, value in rows[1].items() if key not in {"part", "since"}} == {
        "process": "process-2",
        "pid": 2,
        "limit": 512 << 20,
        "in use": 384 << 20,
        "percent": 75.0,
        "by uid": 1000,
    }
    # The unit of this column takes milliseconds.
    assert rows[1]["since"] == now - 9_000


def test_a_host_without_limits_has_no_rows_and_says_so(filled: Path, now: int) -> None:
    long_ago = now - 30 * 24 * HOUR_MS
    assert figures(filled, long_ago, "system", "Limited processes") == []
    panels = plugin.load("system")["panels"]
    (panel,) = [panel for panel in panels if panel["title"] == "Limited processes"]
    assert panel["fieldConfig"]["defaults"]["noValue"] == "No process was limited at the last tick"


def test_the_made_up_history_has_the_states_that_a_daemon_writes() -> None:
    assert set(history.STATES) <= set(stored.STATES.values())


def test_a_range_in_the_past_shows_the_past(filled: Path, now: int) -> None:
    before = now - HOUR_MS // 2
    first = figures(filled, before, "containers", "Containers")[0]["name"]
    assert first.startswith("so1-0-")
    assert figures(filled, now, "containers", "Containers")[0]["name"].startswith("so1-1-")
