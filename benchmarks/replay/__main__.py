# SPDX-License-Identifier: MIT
"""Print how long `so1 replay` takes on thirty days of history, made up as the daemon writes it."""

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.dashboards import history

DAY_MS = 86_400_000
GOAL_S = 10
SO1 = "from so1.cli import main; main()"
TRIED = (
    (),
    ("--keep-low", "1", "--keep-high", "1"),
    ("--keep-low", "0", "--keep-high", "0"),
    ("--maximum", "6", "--keep-high", "1", "--grace", "120"),
    ("--keep-low", "20", "--keep-high", "20", "--maximum", "40"),
)
LIFE = 90
"""Ticks that a container lives: half an hour, as that of the test load."""
_CONTAINERS = (
    "INSERT INTO container_totals (timestamp, container_id, container_name, image, class,"
    " process_count, ram_usage, cpu_usage, memory, memory_limit, oom_kills, cpu_throttled,"
    " read_bytes, written_bytes, pids, cpu_pressure, memory_pressure, io_pressure, restarts,"
    " health, age_ns, looping, volumes_at_stake)"
    " VALUES (?, ?, ?, ?, ?, 2, 9000, ?, ?, 131072, 0, 0.5, 0, 0, 3, 0.1, 0.1, 0.1, 0, NULL, ?,"
    " 0, 0)"
)


def containers(
    tick: int, timestamp: int, count: int, chance: random.Random
) -> Iterator[tuple[object, ...]]:
    """Give the containers of one tick; each comes at another time than the others."""
    for place in range(count):
        born = (tick + place * LIFE // count) // LIFE
        age = (tick + place * LIFE // count) % LIFE
        class_, image = (("low", "alpine"), ("high", "polinux/stress"))[place % 2]
        id_ = f"{born * count + place:064x}"
        memory = chance.randrange(1_000, 90_000)
        age_ns = age * history.INTERVAL_MS * 1_000_000
        yield timestamp, id_, f"so1-{place}", image, class_, memory / 1e3, memory, age_ns


def fill(connection: sqlite3.Connection, *, end: int, days: int, count: int) -> int:
    """Write so many days; gives how many ticks those have."""
    chance = random.Random(539)  # noqa: S311 - the same history each time
    ticks = days * DAY_MS // history.INTERVAL_MS
    for tick in range(ticks):
        now = end - (ticks - 1 - tick) * history.INTERVAL_MS
        connection.execute(
            "INSERT INTO metrics (timestamp, container_count) VALUES (?, ?)", (now, count)
        )
        connection.executemany(_CONTAINERS, containers(tick, now, count, chance))
        connection.execute(
            "INSERT INTO decisions (timestamp, mode, maximum, keep_low, keep_high, grace,"
            " unfinished) VALUES (?, 'observe', 10, 3, 2, 30, 0)",
            (now,),
        )
    connection.commit()
    return ticks


def main() -> None:
    """Make the history, run the command, print the table; exit 1 where the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--containers", type=int, default=10, help="managed ones in each tick")
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        configuration = Path(folder) / "config.toml"
        configuration.write_text(f'[store]\npath = "{path}"\n', encoding="utf-8")
        connection = history.create(path)
        end = time.time_ns() // 1_000_000
        ticks = fill(connection, end=end, days=options.days, count=options.containers)
        size = path.stat().st_size / 2**20
        print(f"{ticks:,} ticks of {options.containers} containers, {size:,.0f} MiB")  # noqa: T201
        print(f"| so1 replay | removals | seconds | under {GOAL_S} |")  # noqa: T201
        print("| --- | ---: | ---: | --- |")  # noqa: T201
        for tried in TRIED:
            command = [sys.executable, "-c", SO1, "--config", str(configuration), "replay"]
            command += ["--json", "--since", f"{options.days}d", *tried]
            start = time.perf_counter()
            body = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603
            took = time.perf_counter() - start
            missed |= took >= GOAL_S
            print(  # noqa: T201
                f"| {' '.join(tried) or 'as it ran'} | {len(body['removals']):,} | {took:.1f}"
                f" | {'yes' if took < GOAL_S else 'NO'} |"
            )
        connection.close()
    if missed:
        sys.exit(f"{GOAL_S} s or more")


main()
