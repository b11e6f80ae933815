# SPDX-License-Identifier: MIT
"""What a query costs on a week of history, counted in SQLite's steps: the same on every machine.

`make bench-grafana` measures the time, which is the machine's and its load's too.
"""

from pathlib import Path

import pytest

from benchmarks.dashboards import history, plugin

HOUR_MS = 3_600_000
WEEK_MS = 168 * HOUR_MS
MOST = 1_500_000
"""Steps: some 30 ms; the goal is 50 ms."""
COUNTED = 1_000
QUERIES = [
    pytest.param(name, query, id=query.place)
    for name in ("system", "containers")
    for query in plugin.queries(plugin.load(name))
]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, now: int) -> Path:
    path = tmp_path_factory.mktemp("week") / "metrics.db"
    connection = history.create(path)
    ticks = WEEK_MS // history.INTERVAL_MS
    history.fill(connection, end=now, ticks=ticks, processes=20, containers=10)
    connection.close()
    return path


def steps(path: Path, sql: str) -> int:
    """Run a query and count what SQLite's machine does for it."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += COUNTED

    connection = plugin.connect(path)
    connection.set_progress_handler(count, COUNTED)
    connection.execute(sql).fetchall()
    connection.close()
    return counted


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_a_query_is_cheap_over_an_hour_and_a_week(
    week: Path, now: int, name: str, query: plugin.StoredQuery
) -> None:
    dashboard = plugin.load(name)
    for length in (HOUR_MS, WEEK_MS):
        # With the interval that Grafana sends for this range and this panel.
        sql = plugin.substitute(query, dashboard, now - length, now)
        assert steps(week, sql) < MOST


def test_a_query_that_reads_every_row_would_be_noticed(week: Path) -> None:
    assert steps(week, "SELECT SUM(ram_usage) FROM process_stats") > MOST
