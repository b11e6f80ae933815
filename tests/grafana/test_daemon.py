# SPDX-License-Identifier: MIT
"""The queries on a database that a real daemon filled, while it goes on writing."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import plugin

TICKS = 4
DEADLINE_S = 60
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("daemon")
    database = folder / "metrics.db"
    config = folder / "config.toml"
    config.write_text(
        "interval = 1\n"
        '[snapshot]\nsource = "procfs"\n'
        f'[docker]\nhost = "unix://{folder}/absent.sock"\n'
        f'[store]\npath = "{database}"\n'
    )
    program = Path(sys.executable).with_name("so1")
    daemon = subprocess.Popen([program, "--config", config, "daemon"])
    try:
        wait_for_ticks(database, daemon)
        yield database
        assert daemon.poll() is None, "the daemon ended while it was read"
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)


def wait_for_ticks(database: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert daemon.poll() is None, "the daemon did not start"
        try:
            connection = plugin.connect(database)
            (ticks,) = connection.execute("SELECT COUNT(*) FROM metrics").fetchone()
            connection.close()
        except sqlite3.OperationalError:
            ticks = 0  # not made yet
        if ticks >= TICKS:
            return
        time.sleep(0.2)
    pytest.fail(f"no {TICKS} ticks within {DEADLINE_S} s")


@pytest.mark.parametrize("name", ["system", "containers"])
def test_every_query_while_the_daemon_writes(live: Path, name: str) -> None:
    dashboard = plugin.load(name)
    now = time.time_ns() // 1_000_000
    for query in plugin.queries(dashboard):
        connection = plugin.connect(live)
        cursor = connection.execute(plugin.substitute(query, dashboard, now - HOUR_MS, now))
        columns = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
        connection.close()
        # This host has no annotated event, and perhaps no limiter.
        always = not query.place.endswith((": annotation Events", ": Limited processes"))
        if name == "system" and always:
            assert rows, query.place
            assert all(value is not None for row in rows for value in row), query.place
        for row in rows:
            if "time" in columns:
                assert now / 1000 - 2 * DEADLINE_S <= row[columns.index("time")] <= now / 1000 + 1


def test_the_daemon_and_the_dashboard_agree(live: Path) -> None:
    dashboard = plugin.load("system")
    now = time.time_ns() // 1_000_000
    by_title = {query.place: query for query in plugin.queries(dashboard)}

    def cell(title: str) -> object:
        connection = plugin.connect(live)
        sql = plugin.substitute(by_title[f"SO1 System: {title}"], dashboard, now - HOUR_MS, now)
        (row,) = connection.execute(sql).fetchall()
        connection.close()
        return row[0]

    assert cell("Source") == "procfs"
    processes = cell("Processes")
    assert isinstance(processes, int)
    running = len([p for p in Path("/proc").iterdir() if p.name.isdigit()])
    assert running / 2 < processes < running * 2
    assert 0 <= float(str(cell("Last tick"))) <= DEADLINE_S
