# SPDX-License-Identifier: MIT
"""The daemon as systemd runs it, read as Prometheus reads it."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so1 import sources
from so1.config import Config, Metrics, Store
from so1.daemon import Daemon
from so1.exposition.publisher import Publisher
from so1.notify import Notifier
from so1.store.database import Database
from tests.so1.exposition.samples import complaints, of, series
from tests.so1.test_daemon import Fake

_RUN = "from so1.cli import main; main()"


def scrape(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()


def wait(port: int) -> str:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError, AssertionError):
            return scrape(port)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(port: int) -> None:
    """Wait until nothing listens any more; a scrape under way may be cut off."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with contextlib.suppress(ConnectionResetError, http.client.HTTPException):
                scrape(port)
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail("still served")


def configuration(folder: Path, metrics: str) -> Path:
    path = folder / "config.toml"
    path.write_text(
        f'interval = 1\n[store]\npath = "{folder}/metrics.db"\n'
        f'[docker]\nhost = "unix://{folder}/none"\n[metrics]\n{metrics}\n'
    )
    return path


@contextlib.contextmanager
def running(path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, "--config", path, "daemon"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    ) as daemon:
        try:
            yield daemon
        finally:
            daemon.kill()


def test_from_start_to_stop(tmp_path: Path, port: int) -> None:
    path = configuration(tmp_path, f"enabled = true\nport = {port}")
    with running(path) as daemon:
        shown = wait(port)
        assert complaints(shown) == ""
        assert of(shown, "so1_host_memory_size_bytes") > 0
        assert of(shown, "so1_docker_up") == 0
        assert len(series(shown)) <= 400
        assert of(shown, "process_resident_memory_bytes") < 64 << 20
        # Threads of the server must not take the signal that ends the daemon.
        daemon.send_signal(signal.SIGTERM)
        _, said = daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    assert "The daemon stopped." in said
    assert "Traceback" not in said
    with pytest.raises(ConnectionRefusedError):
        scrape(port)


def test_a_reload_moves_it_and_turns_it_off(tmp_path: Path, port: int) -> None:
    path = configuration(tmp_path, f"enabled = true\nport = {port}")
    with running(path) as daemon:
        before = of(wait(port), "so1_ticks_total")
        configuration(tmp_path, f'enabled = true\nport = {port}\naddress = "127.0.0.2"')
        daemon.send_signal(signal.SIGHUP)
        gone(port)
        configuration(tmp_path, f"enabled = true\nport = {port}")
        daemon.send_signal(signal.SIGHUP)
        assert of(wait(port), "so1_ticks_total") > before
        configuration(tmp_path, "enabled = false")
        daemon.send_signal(signal.SIGHUP)
        gone(port)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0


def test_an_address_that_cannot_be_had_costs_no_tick(tmp_path: Path, port: int) -> None:
    path = configuration(tmp_path, f'enabled = true\nport = {port}\naddress = "192.0.2.1"')
    with running(path) as daemon:
        assert daemon.stderr
        seen = []
        for line in daemon.stderr:
            seen.append(line)
            if "cannot be served" in line:
                break
        configuration(tmp_path, f"enabled = true\nport = {port}")
        daemon.send_signal(signal.SIGHUP)
        # What did not answer at first is said to, once it does.
        assert of(wait(port), "so1_ticks_total") >= 1
        for line in daemon.stderr:
            if "served again" in line:
                break
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    assert sum("cannot be served" in line for line in seen) == 1


def test_a_scrape_collects_nothing(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0
    take = sources.take

    def counted(*arguments: object) -> object:
        nonlocal taken
        taken += 1
        return take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sources, "take", counted)
    settled = Config(
        store=Store(path=str(tmp_path / "metrics.db")), metrics=Metrics(enabled=True, port=port)
    )
    publisher = Publisher()
    fake = Fake()
    fake.listed = []
    database = Database(tmp_path / "metrics.db")
    daemon = Daemon(
        settled,
        database,
        containers=fake,
        reload=lambda: settled,
        notifier=Notifier({}),
        publisher=lambda: publisher,
    )
    daemon.tick()
    with contextlib.closing(publisher), contextlib.closing(database):
        # Not even the daemon's own figures are read again: byte for byte the same.
        assert len({scrape(port) for _ in range(200)}) == 1
        assert taken == 1
        first = scrape(port)
        daemon.tick()
        assert taken == 2
        assert scrape(port) != first


def test_off_it_is_not_even_loaded_until_a_reload_turns_it_on(tmp_path: Path, port: int) -> None:
    watch = (
        "import sys, so1.cli\n"
        "so1.cli.main.get_command(None, 'daemon')\n"
        "heavy = {'prometheus_client', 'bcrypt', 'http.server'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    path = configuration(tmp_path, f"enabled = false\nport = {port}")
    with running(path) as daemon:
        assert daemon.stderr
        for line in daemon.stderr:
            if "Snapshots come from" in line:
                break
        sockets = subprocess.run(
            ["ss", "-tlnpH"], capture_output=True, text=True, check=True
        ).stdout
        assert f"pid={daemon.pid}," not in sockets
        configuration(tmp_path, f"enabled = true\nport = {port}")
        daemon.send_signal(signal.SIGHUP)
        wait(port)
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
