# SPDX-License-Identifier: MIT
"""The queries on databases that real daemons filled, while they go on writing."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.dashboards import plugin
from so1.sources import limits
from tests.dashboards.shape import Rows, ask, check_shape
from tests.support.cgroups import Mirror
from tests.support.docker_engine import LiveEngine

TICKS = 4
DEADLINE_S = 60
HOUR_MS = 3_600_000
MAY_BE_EMPTY = {"Troubles at the last tick"}
if not limits.available():
    MAY_BE_EMPTY.add("Limited processes")


_WITH_CGROUPS = 'mount --bind "$0" /sys/fs/cgroup && exec "$@"'


@contextlib.contextmanager
def daemon(folder: Path, host: str, cgroups: Path | None = None) -> Iterator[Path]:
    """Run `so1 daemon`; its database has a few ticks when it is given.

    `cgroups` is what it sees of cgroup version 2, which takes root.
    """
    database = folder / "metrics.db"
    config = folder / "config.toml"
    config.write_text(
        "interval = 1\n"
        '[snapshot]\nsource = "procfs"\n'
        "[governor]\nmaximum = 6\nkeep_low = 2\nkeep_high = 1\nstop_timeout = 1\n"
        f'[docker]\nhost = "{host}"\n'
        f'[store]\npath = "{database}"\n'
    )
    program = Path(sys.executable).with_name("so1")
    command = [str(program), "--config", str(config), "daemon"]
    if cgroups:
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _WITH_CGROUPS]
        command = [*inside, str(cgroups), *command]
    running = subprocess.Popen(command)
    try:
        wait_for_ticks(database, running)
        yield database
        assert running.poll() is None, "the daemon ended while it was read"
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=30)


def wait_for_ticks(database: Path, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert running.poll() is None, "the daemon did not start"
        try:
            with contextlib.closing(plugin.connect(database)) as connection:
                (ticks,) = connection.execute("SELECT COUNT(*) FROM metrics").fetchone()
        except sqlite3.OperationalError:
            ticks = 0  # not made yet
        if ticks >= TICKS:
            return
        time.sleep(0.2)
    pytest.fail(f"no {TICKS} ticks within {DEADLINE_S} s")


@pytest.fixture(scope="module")
def without_docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("daemon")
    with daemon(folder, f"unix://{folder}/absent.sock") as database:
        yield database


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Containers of every class, of which those above the maximum were removed."""
    with tempfile.TemporaryDirectory(prefix="so1-grafana-") as folder:
        engine = LiveEngine(Path(folder))
        try:
            for number in range(4):
                engine.managed(f"low-{number}", "low")
            for number in range(3):
                engine.managed(f"high-{number}", "high")
            engine.start("web")
            mirror = Mirror(Path(folder) / "cgroup")
            mirror.update()
            made = tmp_path_factory.mktemp("governed")
            with daemon(made, engine.host, mirror.root) as database:
                yield database
        finally:
            engine.stop()


def asked(database: Path, name: str) -> dict[str, Rows]:
    """Every query's rows, which have the right shape and are of now, by the panel's title."""
    dashboard = plugin.load(name)
    now = time.time_ns() // 1_000_000
    found = {}
    for query in plugin.queries(dashboard):
        columns, rows = ask(database, dashboard, query, now, HOUR_MS)
        check_shape(query, columns, rows)
        for row in rows:
            if "time" in row:
                assert now / 1000 - 2 * DEADLINE_S <= row["time"] <= now / 1000 + 1
        found[query.place.partition(": ")[2]] = rows
    return found


def without_rows(found: dict[str, Rows]) -> set[str]:
    return {title for title, rows in found.items() if not rows} - MAY_BE_EMPTY


def test_the_system_while_the_daemon_writes(without_docker: Path) -> None:
    found = asked(without_docker, "system")
    assert without_rows(found) == set()
    for title, rows in found.items():
        if not title.startswith("annotation"):
            assert all(None not in row.values() for row in rows), title
    assert found["Source"] == [{"source": "procfs"}]
    ((processes,),) = [row.values() for row in found["Processes"]]
    running = len([p for p in Path("/proc").iterdir() if p.name.isdigit()])
    assert running / 2 < processes < running * 2
    ((age,),) = [row.values() for row in found["Last tick"]]
    assert 0 <= age <= DEADLINE_S


def test_the_containers_without_docker(without_docker: Path) -> None:
    found = asked(without_docker, "containers")
    (failed,) = [row for row in found["Governor and daemon events"] if row["kind"] == "docker"]
    assert failed["outcome"] == "failed"


@pytest.mark.engine
def test_every_panel_has_rows_where_containers_are_governed(governed: Path) -> None:
    # Nothing failed, and no container has a limit.
    assert without_rows(asked(governed, "system")) == {"What failed last"}
    nothing = {"What failed last", "RAM per container, % of its limit"}
    assert without_rows(asked(governed, "containers")) == nothing


@pytest.mark.engine
def test_the_containers_are_those_that_the_governor_left(governed: Path) -> None:
    found = asked(governed, "containers")
    assert found["Low"] == [{"containers": "2 of 3"}]
    assert found["High"] == [{"containers": "1 of 2"}]
    assert found["Removed"] == [{"removed": "4 in 1 h"}]
    # Another engine of this machine may have containers too.
    left = {row["name"] for row in found["Containers"] if row["image"]}
    assert len(left) == 4
    assert "web" in left
    assert {row["container"].strip() for row in found["RAM now"]} >= left
    gone = [row for row in found["Governor and daemon events"] if row["kind"] == "remove"]
    assert {row["outcome"] for row in gone} == {"done"}
    commands = found["Bring a removed container back"]
    assert {row["container"] for row in commands} == {row["container"] for row in gone}
    assert all(row["command"].startswith("docker run ") for row in commands)
    assert {row["container"] for row in gone} & left == set()
    # The largest by name, the rest by class, or one alone by its name.
    named = {row["name"] for row in found["RAM per container"]}
    rest = {name for name in named if name.startswith("sum of ")}
    assert len(named - rest) >= 4
    assert named - rest <= left | {row["container"] for row in gone}
    assert left <= named or rest
    # What is routine is no annotation.
    drawn = {row["title"] for row in found["annotation Events"]}
    assert drawn >= {"daemon done", "source done"}
    assert "remove done" not in drawn
