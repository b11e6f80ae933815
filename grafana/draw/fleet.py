# SPDX-License-Identifier: MIT
"""A fleet made up, in a Prometheus of its own."""

import contextlib
import math
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from draw.ask import Prometheus

HOSTS = tuple(f"srv-{number:02d}" for number in range(1, 17))
FULL, BUSY, SLOW, FALLBACK, GONE = "srv-03", "srv-05", "srv-13", "srv-07", "srv-10"
"""The hosts with something wrong: RAM, CPU and removals, ticks, source, no answer."""
STEP_S, HOURS = 60, 6
GONE_S, SLOW_S = 20 * 60, 7 * 60
ALERTS = (
    ("So1HostOrDaemonGone", GONE, "critical", GONE_S - 120),
    ("So1TicksLate", SLOW, "critical", SLOW_S - 60),
    ("So1MemoryNearlyFull", FULL, "critical", 5 * 3_600),
    ("So1RemovalFailed", BUSY, "warning", 5 * 3_600),
    ("So1FallbackSource", FALLBACK, "info", 5 * 3_600),
)
"""Name, host, severity, and for how many seconds it has fired."""
PROCESSES = (
    *("java", "postgres", "node", "nginx", "dockerd", "redis-server", "python3", "prometheus"),
    *("so1", "sshd", "systemd", "containerd", "cron", "rsyslogd"),
)
CONTAINERS = (
    *(("shop-db", 414, 0.05), ("grafana_so1", 238, 0.01), ("so1-high-cdd7af89", 2, 0.93)),
    *(("so1-high-bb55e98e", 2, 0.9), ("so1-low-6009b470", 0.7, 0.0)),
)
"""Name, MiB, CPUs."""


class _Series:
    """Samples by metric, written as OpenMetrics: in order, each metric in one piece."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[str, list[tuple[int, float]]]] = {}

    def add(self, name: str, at: int, value: float, /, **labels: str) -> None:
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        self._samples.setdefault(name, {}).setdefault(text, []).append((at, value))

    def write(self, path: Path) -> None:
        with path.open("w") as file:
            for name, series in self._samples.items():
                counter = name.endswith("_total")
                kind = "counter" if counter else "gauge"
                file.write(f"# TYPE {name.removesuffix('_total')} {kind}\n")
                for labels, samples in series.items():
                    file.writelines(f"{name}{{{labels}}} {value} {at}\n" for at, value in samples)
            file.write("# EOF\n")


def _host(series: _Series, host: str, number: int, now: int, chance: random.Random) -> None:
    size = (16, 32, 8, 64)[number % 4] * 2**30
    base = {FULL: 0.93, FALLBACK: 0.81, GONE: 0.75}.get(host, chance.uniform(0.25, 0.6))
    removed = failed = 0
    cpu: dict[str, float] = {}
    for at in range(now - HOURS * 3_600, now + 1, STEP_S):
        age = now - at
        labels = {"instance": host, "job": "so1"}

        def add(name: str, value: float, at: int = at, /, **more: str) -> None:
            series.add(name, at, value, **labels, **more)  # noqa: B023 - called at once

        down = host == GONE and age < GONE_S
        add("up", int(not down))
        if down:
            continue
        used = min(0.97, base + 0.05 * math.sin(at / 3_600 + number) + chance.gauss(0, 0.004))
        add("so1_host_memory_size_bytes", size)
        add("so1_host_memory_available_bytes", int(size * (1 - used)))
        load = 0.88 if host == BUSY else 0.1 + 0.015 * number
        add("so1_host_cpu_busy_ratio", min(1.0, max(0.01, load + chance.gauss(0, 0.03))))
        for state, count in (("running", 2), ("sleeping", 150 + number * 9), ("idle", 70)):
            add("so1_host_processes", count, state=state)
        late = host == SLOW and age < SLOW_S
        add("so1_tick_timestamp_seconds", (now - SLOW_S if late else at) - chance.uniform(5, 19))
        add("so1_tick_interval_seconds", 20)
        lateness = 3.2 if host == SLOW else 0.01
        add("so1_tick_lateness_seconds", lateness * chance.uniform(0.5, 1.5))
        for source in ("module", "procfs"):
            is_it = (source == "procfs") == (host == FALLBACK)
            add("so1_snapshot_source", int(is_it), source=source)
        for class_, kept in (("low", 3), ("high", 2), ("unmanaged", number % 4)):
            add("so1_containers", kept + int(chance.random() < 0.05), **{"class": class_})
        removed += int(chance.random() < 0.08)
        failed += int(host == BUSY and chance.random() < 0.05)
        for outcome, count in (("done", removed), ("failed", failed)):
            add("so1_governor_removals_total", count, outcome=outcome, rule="excess-low")
        add("so1_governor_enforcing", int(number % 8 != 7))
        add("so1_docker_up", 1)
        add("so1_build_info", 1, version="1.0.0", python="3.11.2")
        if number < 2 or host == GONE:
            _inside(add, cpu, chance)


def _inside(add: Any, cpu: dict[str, float], chance: random.Random) -> None:  # noqa: ANN401
    for place, name in enumerate(PROCESSES):
        busy = (0.9, 0.4, 0.2)[place] if place < 3 else 0.02
        size = (3, 1.2, 0.7, 0.1)[min(place, 3)] * 2**30
        cpu[name] = cpu.get(name, 0) + STEP_S * busy * chance.uniform(0.7, 1.3)
        add(
            "so1_process_group_resident_memory_bytes",
            int(size * chance.uniform(0.97, 1)),
            name=name,
        )
        add("so1_process_group_cpu_seconds_total", round(cpu[name], 3), name=name)
    for name, size, busy in CONTAINERS:
        cpu[name] = cpu.get(name, 0) + STEP_S * busy
        add("so1_container_resident_memory_bytes", int(size * 2**20), name=name)
        add("so1_container_cpu_seconds_total", round(cpu[name], 3), name=name)


def write(path: Path, now: int) -> None:
    """Write hours of samples up to `now` (epoch seconds) as OpenMetrics."""
    chance, series = random.Random(539), _Series()  # noqa: S311 - the same fleet each time
    for number, host in enumerate(HOSTS):
        _host(series, host, number, now, chance)
    for name, host, severity, since in ALERTS:
        for at in range(now - since // STEP_S * STEP_S, now + 1, STEP_S):
            labels = {"alertname": name, "instance": host, "severity": severity, "job": "so1"}
            series.add("ALERTS", at, 1, alertstate="firing", **labels)
            series.add("ALERTS_FOR_STATE", at, now - since, **labels)
    series.write(path)


@contextlib.contextmanager
def prometheus(now: int) -> Iterator[Prometheus]:
    """Run a Prometheus that holds the fleet's history up to `now` (epoch seconds)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "fleet.om", now)
        (folder / "empty.yml").write_text("{}\n")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", "fleet.om", "data"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        server = subprocess.Popen(
            [
                *("prometheus", "--config.file=empty.yml", "--storage.tsdb.path=data"),
                *("--storage.tsdb.retention.time=10y", f"--web.listen-address={address}"),
            ],
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(f"http://{address}/-/ready")
            yield Prometheus(f"http://{address}")
        finally:
            server.terminate()
            server.wait(timeout=30)


def _await(url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")
