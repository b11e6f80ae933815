# SPDX-License-Identifier: MIT
"""A history as the daemon would have written it, made up, of any length."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

MIGRATIONS = Path(__file__).parents[2] / "python/src/so1/store/migrations"
INTERVAL_MS = 20_000
CLASSES = ("low", "high", "unmanaged")
STATES = ("running", "sleeping", "idle", "disk-sleep", "zombie")


def create(path: Path) -> sqlite3.Connection:
    """Make an empty database with the project's migrations."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    for script in sorted(MIGRATIONS.glob("*.sql")):
        connection.executescript(script.read_text(encoding="utf-8"))
    return connection


def _rows(tick: int, processes: int, chance: random.Random) -> Iterator[tuple[object, ...]]:
    for pid in range(1, processes + 1):
        yield tick, pid, f"process-{pid}", chance.randrange(100, 500_000), chance.randrange(100)


def fill(
    connection: sqlite3.Connection, *, end: int, ticks: int, processes: int, containers: int
) -> None:
    """Add `ticks` ticks, 20 seconds apart, the last at `end` (epoch ms)."""
    chance = random.Random(539)  # noqa: S311 - the same history each time
    for number in range(ticks):
        now = end - (ticks - 1 - number) * INTERVAL_MS
        used = chance.randrange(2_000_000, 7_000_000)
        removed = int(number % 50 == 25)
        connection.execute(
            "INSERT INTO metrics (timestamp, total_ram, free_ram, used_ram, container_count,"
            " process_count, deleted_count, source, cpu_usage, available_ram, troubles)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                now,
                8_000_000,
                8_000_000 - used,
                used,
                containers,
                processes,
                removed,
                "module",
                12.5,
                8_000_000 - used * 3 // 4,
                "Docker does not answer.",
            ),
        )
        connection.executemany(
            "INSERT INTO process_stats (timestamp, pid, name, ram_usage, cpu_usage)"
            " VALUES (?, ?, ?, ?, ?)",
            _rows(now, processes, chance),
        )
        connection.executemany(
            "INSERT INTO process_states (timestamp, state, process_count) VALUES (?, ?, ?)",
            [(now, state, processes // len(STATES)) for state in STATES],
        )
        connection.executemany(
            "INSERT INTO memory_limits (timestamp, pid, process_name, limit_bytes, size_bytes,"
            " set_at, set_by) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (*(now, 1, "process-1", 2**63 - 1, 400 << 20), end - 5_000, 0),
                (*(now, 2, "process-2", 512 << 20, 384 << 20), end - 9_000, 1000),
                (*(now, 3, "process-3", 256 << 20, 512 << 20), end - 7_000, 0),
            ],
        )
        generation = number // 90  # containers come and go: another ten every half an hour
        totals = []
        for index in range(containers):
            ram = chance.randrange(1_000, 90_000)
            id_ = f"{generation * containers + index:064x}"
            name, class_ = f"so1-{generation}-{index}", CLASSES[index % 3]
            charged = (ram, 1 << 17, int(number % 90 == index), 0.5, 0.1, 0, "healthy")
            totals.append((now, id_, name, "alpine", class_, 2, ram, 3.5, *charged))
        connection.executemany(
            "INSERT INTO container_totals (timestamp, container_id, container_name, image, class,"
            " process_count, ram_usage, cpu_usage, memory, memory_limit, oom_kills, cpu_throttled,"
            " memory_pressure, restarts, health)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            totals,
        )
        connection.executemany(
            "INSERT INTO container_stats (timestamp, container_id, container_name, pid,"
            " process_name, ram_usage, cpu_usage) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(now, row[1], row[2], 1, "sleep", row[6], 3) for row in totals],
        )
        if removed:
            connection.execute(
                "INSERT INTO events (timestamp, kind, outcome, container_id, container_name, image,"
                " class, ram_usage, cpu_usage, rule, detail, recreate)"
                " VALUES (?, 'remove', 'done', ?, ?, 'alpine', 'low', 4096, 1.5, 'class',"
                " 'Removed as the largest of its class.', 'docker run alpine')",
                (now, "0" * 64, f"so1-{number}"),
            )
        connection.execute(
            "INSERT INTO decisions (timestamp, mode, maximum, keep_low, keep_high, grace,"
            " unfinished) VALUES (?, ?, 10, 3, 2, 30, 0)",
            # The governor enforced until just now.
            (now, "observe" if now == end else "enforce"),
        )
        if number % 50 == 26:
            connection.execute(
                "INSERT INTO events (timestamp, kind, outcome, detail)"
                " VALUES (?, 'docker', 'failed', 'Docker does not answer.')",
                (now,),
            )
    connection.commit()
