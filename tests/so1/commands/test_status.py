# SPDX-License-Identifier: MIT
import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from so1.store.database import Database
from so1.store.event import Event
from so1.store.rows import ContainerRow, MetricsRow, Tick
from tests.so1.store.ticks import event

_HOLDER = """
import sys
from pathlib import Path
from so1.store import lock
lock.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def fill(
    store: Path,
    age: float,
    source: str = "procfs",
    troubles: str | None = None,
    docker_age: float | None = 0.5,
) -> None:
    now = round((time.time() - age) * 1000)
    database = Database(store)
    database.write_tick(
        Tick(
            timestamp=now,
            metrics=MetricsRow(
                *(2048, 1024, 1024, 3, 40, 0, source, 1.5), docker_age=docker_age, troubles=troubles
            ),
            container_totals=[
                ContainerRow("a" * 64, "one", "alpine", "low", 1, 10, 0.0),
                ContainerRow("b" * 64, "two", "alpine", "low", 1, 10, 0.0),
                ContainerRow("c" * 64, "three", "grafana", "unmanaged", 1, 10, 0.0),
            ],
            events=[
                Event(
                    timestamp=now,
                    kind="remove",
                    outcome="done",
                    detail="one \x1b[31m[red]line",
                    container_name="gone",
                )
            ],
        )
    )
    database.close()


@contextlib.contextmanager
def held(store: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds the lock, as the daemon does."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        try:
            assert daemon.stdout
            daemon.stdout.readline()
            yield daemon
        finally:
            daemon.kill()


def test_all_is_well(so1: Callable[..., Result], store: Path) -> None:
    fill(store, 0)
    with held(store) as daemon:
        result = so1("status")
        as_json = so1("status", "--json")
    assert result.exit_code == 0
    assert f"running (pid {daemon.pid})" in result.output
    assert "40 processes, 3 containers" in result.output
    assert "2 low (keeps 3), 0 high (keeps 2), 1 not managed; at most 10" in result.output
    assert "one \\x1b[31m[red]line" in result.output
    report = json.loads(as_json.output)
    assert report["governor"]["mode"] == "enforce"
    assert report["daemon"] == {"running": True, "pid": daemon.pid}
    assert report["tick"]["process_count"] == 40
    assert report["containers"] == {"low": 2, "high": 0, "unmanaged": 1}
    assert report["problems"] == []
    assert report["database"]["ticks"] == 1
    assert report["wastebasket"] == 0
    assert "wastebasket" not in result.output


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (0.26, "last heard 0.3 s before that tick"),
        (312.0, "last heard 312.0 s before that tick"),
        (None, "not heard before that tick"),
    ],
)
def test_the_age_of_docker_s_word_is_shown(
    so1: Callable[..., Result], store: Path, age: float | None, said: str
) -> None:
    fill(store, 0, docker_age=age)
    with held(store):
        lines = so1("status").output.splitlines()
        tick = json.loads(so1("status", "--json").output)["tick"]
    assert [line for line in lines if line.startswith("docker:")] == [f"docker:         {said}"]
    assert tick["docker_age"] == age


@pytest.mark.parametrize(
    ("configured", "source", "degraded"),
    [
        ("auto", "module", False),
        ("auto", "procfs", True),
        ("module", "module", False),
        ("procfs", "procfs", False),
    ],
)
def test_the_source_in_use_is_named(
    so1: Callable[..., Result],
    tmp_path: Path,
    store: Path,
    configured: str,
    source: str,
    *,
    degraded: bool,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace('"procfs"', f'"{configured}"'))
    fill(store, 0, source)
    with held(store):
        result = so1("status")
        report = json.loads(so1("status", "--json").output)
    assert f" ago from {source}: 40 processes" in result.output
    assert report["tick"]["source"] == source
    said = ["the kernel modules are not in use, snapshots come from /proc"] if degraded else []
    assert report["problems"] == said
    assert [line for line in result.output.splitlines() if line.startswith("degraded")] == [
        f"degraded: {problem}" for problem in said
    ]
    assert result.exit_code == (3 if degraded else 0)


@pytest.mark.parametrize(
    ("listing", "number", "line"),
    [
        (None, None, None),
        ("[]", 0, "memory limits:  0 set"),
        (
            '[{"pid":7,"name":"web","limit":8,"size":4,"set_at":5,"set_by":0}]',
            1,
            "memory limits:  1 set",
        ),
        ("[", None, "degraded: "),
    ],
)
def test_limited_processes_are_counted(
    so1: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listing: str | None,
    number: int | None,
    line: str | None,
) -> None:
    if listing is not None:
        (tmp_path / "so2_memory_limits").write_text(listing)
    monkeypatch.setattr("so1.commands.status._PROC", tmp_path)
    report = json.loads(so1("status", "--json").output)
    assert report["limited_processes"] == number
    assert any("so2_memory_limits" in one for one in report["problems"]) == (listing == "[")
    output = so1("status").output
    assert line in output if line else "limits" not in output


def test_an_old_tick_and_no_daemon(so1: Callable[..., Result], store: Path) -> None:
    fill(store, 3600)
    result = so1("status")
    assert result.exit_code == 3
    assert "degraded: the daemon does not run" in result.output
    assert "degraded: the last tick is 3600 s old" in result.output


@pytest.mark.parametrize(("intervals", "late"), [(2.8, False), (3.2, True)])
def test_a_tick_is_late_after_three_intervals(
    so1: Callable[..., Result], store: Path, intervals: float, *, late: bool
) -> None:
    fill(store, intervals * 20)
    with held(store):
        result = so1("status")
    assert result.exit_code == (3 if late else 0)
    assert ("one is due every 20 s" in result.output) == late


def test_a_clock_that_was_wrong_is_told_and_hides_no_silence(
    so1: Callable[..., Result], store: Path
) -> None:
    fill(store, -72 * 365 * 86_400)
    with held(store):
        wrong = so1("status")
    assert wrong.exit_code == 3
    assert "degraded: the last tick is dated 20" in wrong.output
    fill(store, 0)
    database = Database(store)
    database.add_events([event(1, "The clock was set back by 26280 days."), event(2)])
    database.close()
    with sqlite3.connect(store) as other:
        other.execute("UPDATE events SET kind = 'clock' WHERE timestamp = 1")
    other.close()
    with held(store):
        right = so1("status")
        clock = json.loads(so1("status", "--json").output)["clock"]
    assert right.exit_code == 0
    said = "The clock was set back by 26280 days. It was wrong: dated later than now are 1 of"
    assert f"clock:          {said}" in right.output
    assert clock == {"last_set": "The clock was set back by 26280 days.", "ticks_ahead": 1}
    fill(store, 3_600)
    with held(store):
        silent = so1("status")
    assert "degraded: the last tick is 360" in silent.output


def test_nothing_there(so1: Callable[..., Result]) -> None:
    result = so1("status", "--json")
    assert result.exit_code == 3
    report = json.loads(result.output)
    assert report["daemon"]["running"] is False
    assert len(report["problems"]) == 2
    assert "tick" not in report


def test_no_tick_yet(so1: Callable[..., Result], store: Path) -> None:
    Database(store).close()
    result = so1("status")
    assert result.exit_code == 3
    assert "no tick in the database yet" in result.output


def test_a_file_that_is_no_database(so1: Callable[..., Result], store: Path) -> None:
    store.write_bytes(b"garbage" * 1000)
    result = so1("status")
    assert result.exit_code == 3
    assert "not a database" in result.output


@pytest.mark.root  # only root can become another user
def test_another_user_is_told_what_may_not_be_seen(tmp_path: Path, store: Path) -> None:
    fill(store, 0)
    (store.parent / "metrics.db.lock").touch(mode=0o600)
    tmp_path.chmod(0o755)
    program = (
        "import os, sys\nfrom so1.cli import main\n"
        "from so1.commands import status\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "main(['--config', 'config.toml', 'status'])"
    )
    (tmp_path / "config.toml").write_text('[store]\npath = "metrics.db"\n')
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 3
    assert "whether the daemon runs cannot be told" in result.stdout
    assert "metrics.db cannot be read" in result.stdout
    assert "group so1" in result.stdout
    assert result.stderr == ""


def test_what_did_not_work_at_the_last_tick_is_said(
    so1: Callable[..., Result], store: Path
) -> None:
    fill(store, 0, troubles="Processes are hidden.\nDocker does not answer.")
    result = so1("status", "--json")
    assert result.exit_code == 3
    problems = json.loads(result.output)["problems"]
    assert {"Processes are hidden.", "Docker does not answer."} <= set(problems)
    assert "degraded: Processes are hidden." in so1("status").output
