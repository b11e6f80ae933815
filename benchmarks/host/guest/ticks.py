# SPDX-License-Identifier: MIT
"""What the daemon costs the host, tick by tick, and what the exporters cost it meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sqlite3
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = 10
REQUESTS = 20
DATABASE = "/var/lib/so1/metrics.db"
ENGINE = "/run/docker.sock"
UNITS = {
    "daemon": "so1.service",
    "process_exporter": "prometheus-process-exporter.service",
    "node_exporter": "prometheus-node-exporter.service",
}
PAGES = {
    "process_exporter": "http://127.0.0.1:9256/metrics",
    "node_exporter": "http://127.0.0.1:9100/metrics",
}
TICK_SECONDS = 120
TICKS = 3
"""In one sample: a minute of the default interval, in which the daemon asks Docker once."""


def _systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


@contextlib.contextmanager
def containers() -> Iterator[None]:
    """Have as many as the policy keeps, and others that are none of the governor's business."""
    low, high = "so1-lab/alpine", "so1-lab/stress"
    kept = [("low", low)] * 3 + [("high", high)] * 2
    names = [f"so1-bench-{i}" for i in range(CONTAINERS)]
    try:
        for i, name in enumerate(names):
            class_, image = kept[i] if i < len(kept) else ("", low)
            labels = ["--label=so1.managed=true", f"--label=so1.class={class_}"] if class_ else []
            subprocess.run(
                ["docker", "run", "--detach", f"--name={name}", *labels, image, "sleep", "86400"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", *names], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def daemon_stopped() -> Iterator[None]:
    """Keep the daemon out of the way while the reads are timed."""
    _systemctl("stop", UNITS["daemon"])
    try:
        yield
    finally:
        _systemctl("start", UNITS["daemon"])


def _cpu_ms(unit: str) -> float:
    group = _systemctl("show", "--property=ControlGroup", "--value", unit)
    text = Path(f"/sys/fs/cgroup{group}/cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1000


def _scrape(url: str) -> int:
    with urllib.request.urlopen(url, timeout=TICK_SECONDS) as answer:
        return len(answer.read())


def _ticks(database: sqlite3.Connection) -> int:
    (number,) = database.execute("SELECT COUNT(*) FROM metrics").fetchone()
    return int(number)


def _next_tick(database: sqlite3.Connection) -> None:
    seen = _ticks(database)
    deadline = time.monotonic() + TICK_SECONDS
    while _ticks(database) == seen:
        if time.monotonic() > deadline:
            raise SystemExit(f"no tick within {TICK_SECONDS} s: see journalctl -u so1")
        time.sleep(0.25)
    time.sleep(1)  # what it does after the write is the tick's as well


def _bytes(database: sqlite3.Connection) -> int:
    """Bytes in use; the size of the file grows by whole pages."""
    (used,) = database.execute("SELECT SUM(pgsize - unused) FROM dbstat").fetchone()
    return int(used)


def _engine_ms() -> float:
    """CPU of the Docker Engine for the one request that the daemon makes in a sample."""
    before = _cpu_ms("docker.service")
    for _ in range(REQUESTS):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(ENGINE)
        connection.request("GET", "/containers/json")
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"the Docker Engine answers {answer.status}")
        answer.read()
        connection.close()
    return (_cpu_ms("docker.service") - before) / REQUESTS


def _memory_kib() -> dict[str, int]:
    pid = _systemctl("show", "--property=MainPID", "--value", UNITS["daemon"])
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        key: int(kib)
        for key, kib in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE)
    }


def measure(number: int) -> dict[str, object]:
    """CPU milliseconds of each unit for doing its work once, for each of so many samples.

    An exporter does it once in a sample, the daemon TICKS times, of which the mean is taken.
    """
    database = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    for url in PAGES.values():
        _scrape(url)
    # The first tick of a daemon is not like the others.
    _next_tick(database)
    _next_tick(database)
    began_bytes, began_ticks = _bytes(database), _ticks(database)
    ticks = began_ticks
    before = {name: _cpu_ms(unit) for name, unit in UNITS.items()}
    cpu_ms: dict[str, list[float]] = {name: [] for name in UNITS}
    sizes: dict[str, int] = {}
    for _ in range(number):
        for name, url in PAGES.items():
            sizes[name] = _scrape(url)
        for _ in range(TICKS):
            _next_tick(database)
        now = {name: _cpu_ms(unit) for name, unit in UNITS.items()}
        # On a slow machine it ticked during a scrape, too.
        ticked = _ticks(database)
        times = {"daemon": ticked - ticks}
        for name in UNITS:
            cpu_ms[name].append((now[name] - before[name]) / times.get(name, 1))
        before, ticks = now, ticked
    bytes_per_tick = (_bytes(database) - began_bytes) / (ticks - began_ticks)
    (processes, source, seen) = database.execute(
        "SELECT process_count, source, container_count FROM metrics ORDER BY id DESC LIMIT 1"
    ).fetchone()
    database.close()
    if source != "module" or seen != CONTAINERS:
        raise SystemExit(f"the daemon saw {seen} containers, by way of {source}")
    return {
        "processes": processes,
        "cpu_ms": cpu_ms,
        "engine_ms": [_engine_ms() for _ in range(number)],
        "scrape_bytes": sizes,
        "bytes_per_tick": bytes_per_tick,
        "memory_kib": _memory_kib(),
    }
