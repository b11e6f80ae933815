# SPDX-License-Identifier: MIT
"""Print how long each query takes, over an hour and over a week, on a week of history."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.dashboards import history, plugin

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
GOAL_MS = 50
RUNS = 5


def _took(path: Path, sql: str) -> float:
    """Milliseconds, the median of a few runs, each on a connection of its own as in the plugin."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        connection = plugin.connect(path)
        connection.execute(sql).fetchall()
        connection.close()
        times.append((time.perf_counter() - start) * 1_000)
    return sorted(times)[RUNS // 2]


def main() -> None:
    """Make the history, run the queries, print the table; exit 1 where the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--processes", type=int, default=200, help="rows kept of each tick")
    parser.add_argument("--containers", type=int, default=10)
    options = parser.parse_args()
    end = time.time_ns() // 1_000_000
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        connection = history.create(path)
        history.fill(
            connection,
            end=end,
            ticks=options.days * DAY_MS // history.INTERVAL_MS,
            processes=options.processes,
            containers=options.containers,
        )
        (rows,) = connection.execute("SELECT COUNT(*) FROM process_stats").fetchone()
        connection.close()
        print(f"{rows:,} process rows, {path.stat().st_size / 2**20:,.0f} MiB; median of {RUNS}")  # noqa: T201
        print(f"| query | 1 hour, ms | {options.days} days, ms | under {GOAL_MS} ms |")  # noqa: T201
        print("| --- | ---: | ---: | --- |")  # noqa: T201
        for name in ("system", "containers"):
            dashboard = plugin.load(name)
            for query in plugin.queries(dashboard):
                hour, week = (
                    _took(path, plugin.substitute(query, dashboard, end - length, end))
                    for length in (HOUR_MS, options.days * DAY_MS)
                )
                verdict = "yes" if max(hour, week) < GOAL_MS else "NO"
                if verdict == "NO":
                    missed.append(query.place)
                print(f"| {query.place} | {hour:.1f} | {week:.1f} | {verdict} |")  # noqa: T201
    if missed:
        sys.exit(f"{GOAL_MS} ms or more: {', '.join(missed)}")


main()
