# SPDX-License-Identifier: MIT
"""The program as systemd runs it."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

_RUN = "from so1.cli import main; main()"


@contextlib.contextmanager
def start(tmp_path: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, "--config", tmp_path / "config.toml", "daemon"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as daemon:
        try:
            yield daemon
        finally:
            daemon.kill()


def started(daemon: "subprocess.Popen[str]") -> list[str]:
    """Wait until snapshots are taken; gives what was logged."""
    assert daemon.stderr
    seen = []
    for line in daemon.stderr:
        seen.append(line)
        if "Snapshots come from" in line:
            return seen
    pytest.fail(f"the daemon ended: {seen}")


@pytest.mark.usefixtures("so1")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, JOURNAL_STREAM="8:1") as daemon:
        (first, *_) = started(daemon)
        daemon.send_signal(number)
        _, rest = daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    assert first == "<6>The daemon started.\n"
    assert rest.splitlines()[-1] == "<6>The daemon stopped."
    assert "Traceback" not in rest


@pytest.mark.usefixtures("so1")
def test_a_second_one_refuses(tmp_path: Path, so1: Callable[..., Result]) -> None:
    with start(tmp_path) as daemon:
        started(daemon)
        second = so1("daemon")
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    assert second.exit_code == 1
    assert f"another so1 daemon (pid {daemon.pid})" in second.output


def test_no_place_for_the_database(so1: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[store]\npath = "{tmp_path}/absent/metrics.db"\n')
    result = so1("daemon")
    assert result.exit_code == 1
    assert "its directory must exist" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('interval = "often"', "$.interval"),
        ("[governor]\nmaximun = 3", "`maximun`"),
        ("[governor]\nmaximum = 3", "governor.maximum"),
    ],
)
def test_a_wrong_key_is_named_at_the_start(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "config.toml").write_text(f'{text}\n[store]\npath = "{tmp_path}/metrics.db"\n')
    with start(tmp_path) as daemon:
        _, said = daemon.communicate(timeout=60)
    assert daemon.returncode == 1
    (sentence,) = said.splitlines()
    assert sentence.startswith(f"Error: {tmp_path}/config.toml: ")
    assert key in sentence
    assert not (tmp_path / "metrics.db").exists()


def configure(tmp_path: Path, top: int, rest: str = "") -> None:
    (tmp_path / "config.toml").write_text(
        f'interval = 1\n[snapshot]\nsource = "procfs"\n[docker]\nhost = "unix://{tmp_path}/none"\n'
        f'[store]\npath = "{tmp_path}/metrics.db"\ntop_processes = {top}\n{rest}\n'
    )


def wait(tmp_path: Path, query: str, count: int) -> list[tuple[Any, ...]]:
    """Wait until the database gives so many rows."""
    deadline = time.monotonic() + 60
    while True:
        with contextlib.closing(sqlite3.connect(tmp_path / "metrics.db")) as connection:
            rows = connection.execute(query).fetchall()
        if len(rows) >= count:
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)


def test_a_reload_takes_what_is_valid_and_nothing_else(tmp_path: Path) -> None:
    configure(tmp_path, top=1)
    events = "SELECT timestamp, outcome, detail FROM events WHERE kind = 'config' ORDER BY id"
    ticks = "SELECT count(*) FROM process_stats WHERE timestamp > {} GROUP BY timestamp"
    with start(tmp_path) as daemon:
        started(daemon)
        configure(tmp_path, top=3, rest="[governor]\nmaximun = 3")
        daemon.send_signal(signal.SIGHUP)
        ((at, outcome, detail),) = wait(tmp_path, events, 1)
        assert outcome == "failed"
        assert f"the one before stays: {tmp_path}/config.toml: " in detail
        assert "maximun" in detail
        # The largest, the busiest, and the rest in one row.
        assert all(rows <= 3 for (rows,) in wait(tmp_path, ticks.format(at), 2))
        configure(tmp_path, top=3)
        daemon.send_signal(signal.SIGHUP)
        (_, (at, *taken)) = wait(tmp_path, events, 2)
        assert taken == ["done", "The configuration was reloaded."]
        assert all(rows > 3 for (rows,) in wait(tmp_path, ticks.format(at), 2))
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    assert daemon.returncode == 0


@pytest.mark.usefixtures("so1")
def test_the_daemon_is_lean(tmp_path: Path) -> None:
    watch = (
        "import sys\n"
        "import so1.cli\n"
        "so1.cli.main.get_command(None, 'daemon')\n"
        "heavy = {'pandas', 'numpy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", watch], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    with start(tmp_path) as daemon:
        started(daemon)
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    assert int(line.split()[1]) < 45 * 1024
