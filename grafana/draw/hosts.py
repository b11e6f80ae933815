# SPDX-License-Identifier: MIT
"""Hosts made up, whose databases the project's own code writes, tick by tick."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from so1 import tick
from so1.model import Container, MemoryLimit, Process, Snapshot
from so1.store.database import Database
from so1.store.event import Event

TOTAL_RAM = 16_318_412
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
NAMES = (
    *("systemd", "java", "postgres", "dockerd", "containerd", "node", "nginx", "redis-server"),
    *("python3", "so1", "sshd", "cron", "rsyslogd", "systemd-journal", "chronyd", "bash"),
    *("kworker/0:1", "ksoftirqd/0", "rcu_preempt", "containerd-shim", "unattended-upgr"),
)
RSS = {
    "java": 2_900_000,
    "node": 520_000,
    "postgres": 310_000,
    "redis-server": 180_000,
    "python3": 140_000,
    "dockerd": 96_000,
    "systemd-journal": 72_000,
    "so1": 41_000,
}
SERVICES = (
    ("shop-db", "postgres:16", 412_000, 4.2, 14),
    ("grafana_so1", "grafana/grafana:12.3.2", 236_000, 1.2, 18),
    ("registry", "registry:2", 38_000, 0.1, 9),
)
"""Containers that nobody handed to the governor: name, image, KiB, percent of a CPU, processes."""
BACKUP = 4_242
"""The pid of what takes the CPU, and then the memory, while a backup runs."""
BUSY, UNINTERRUPTIBLE, ZOMBIE, KERNEL = 0, 2, 32, 1026


@dataclass(frozen=True)
class Host:
    """What there is to see on a host; times are milliseconds before the end of its history.

    churn is how often, of 1, a tick finds new containers.
    """

    length: int
    step: int = 20_000
    processes: int = 60
    containers: Literal["none", "few", "many"] = "none"
    churn: float = 0
    limits: bool = False
    outage: tuple[int, int] | None = None
    backup: tuple[int, int] | None = None
    trouble: bool = False


class _Containers:
    """What runs, and what the governor does about it."""

    def __init__(self, host: Host, chance: random.Random, start: int) -> None:
        self._host, self._chance = host, chance
        self.running: list[tuple[Container, float, int]] = []
        if host.containers == "none":
            return
        for name, image, ram, cpu, _ in SERVICES:
            self._start(name, image, "", start, (cpu, ram))
        few = {"few": (3, 2), "many": (60, 40)}[host.containers]
        for count, class_ in zip(few, ("low", "high"), strict=True):
            for _ in range(count):
                self._add(class_, start)

    def _start(self, name: str, image: str, class_: str, now: int, uses: tuple[float, int]) -> None:
        labels = {"so1.managed": "true", "so1.class": class_} if class_ else {}
        id_ = f"{self._chance.getrandbits(256):064x}"
        made = Container(id=id_, name=name, image=image, labels=labels, started_at=now / 1000)
        self.running.append((made, *uses))

    def _add(self, class_: str, now: int) -> None:
        name = f"so1-{class_}-{self._chance.getrandbits(32):08x}"
        if class_ == "low":
            self._start(name, "alpine", class_, now, (0.0, self._chance.randrange(700, 1_400)))
        else:
            hog = self._chance.random() < 0.5
            self._start(
                name, "polinux/stress", class_, now, (2.0, 260_000) if hog else (93.0, 1_900)
            )

    def pass_to(self, now: int) -> tuple[list[Event], int]:
        """Let some start, and the governor go down to what is kept."""
        if not self._host.churn:
            return [], 0
        if self._chance.random() < self._host.churn:
            for _ in range(self._chance.randrange(1, 4)):
                self._add(self._chance.choice(("low", "high")), now)
        events, removed = [], 0
        for class_, keep in (("low", 3), ("high", 2)):
            old = [one for one in self.running if one[0].labels.get("so1.class") == class_]
            for one in old[: max(0, len(old) - keep)]:
                failed = self._chance.random() < 0.02
                events.append(_removal(now, one[0], one[1:], class_, failed=failed))
                if not failed:
                    self.running.remove(one)
                    removed += 1
        return events, removed


def _removal(
    now: int, of: Container, uses: tuple[float, int], class_: str, *, failed: bool
) -> Event:
    why = f"of 5 {class_} containers {3 if class_ == 'low' else 2} are kept"
    if failed:
        detail = (
            f"Not removed: {why}; Docker answered 500: driver failed to remove root filesystem:"
            " device or resource busy."
        )
    else:
        detail = f"Removed: {why}."
    run = (
        f"docker run --detach --name {of.name} --label so1.class={class_} --label so1.managed=true"
        f" --memory 64m --cpus 0.5 --stop-signal SIGKILL {of.image} sleep 600"
    )
    return Event(
        timestamp=now + 300,
        kind="remove",
        outcome="failed" if failed else "done",
        detail=detail,
        container_id=of.id,
        container_name=of.name,
        image=of.image,
        class_=class_,
        cpu_usage=uses[0],
        ram_usage=uses[1],
        rule=f"excess-{class_}",
        recreate=None if failed else run,
    )


def _told(now: int, kind: str, outcome: str, detail: str) -> Event:
    return Event(timestamp=now, kind=kind, outcome=outcome, detail=detail)  # type: ignore[arg-type]


def _process(pid: int, name: str, rss: int, state: int, container: str | None = None) -> Process:
    kernel = state == KERNEL
    return Process(
        pid=pid,
        ppid=1,
        uid=0,
        name=name,
        threads=1,
        rss=0 if kernel else rss,
        vsz=rss * 3,
        mem_percent=0,
        cpu=0,
        start_ns=pid,
        cpu_ns=0,
        state=state,
        container_id=container,
    )


def _within(now: int, end: int, span: tuple[int, int] | None) -> bool:
    return bool(span) and end - span[0] <= now < end - span[1]  # type: ignore[index]


class _Machine:
    """Its processes at one moment, and how busy each is."""

    def __init__(self, host: Host, chance: random.Random, end: int) -> None:
        self._host, self._chance, self._end = host, chance, end

    def at(
        self, now: int, containers: list[tuple[Container, float, int]]
    ) -> tuple[list[Process], dict[int, float]]:
        chance, processes, busy = self._chance, [], dict[int, float]()
        for number in range(self._host.processes):
            name = NAMES[number % len(NAMES)]
            pid = 1 if number == 0 else 300 + number * 37
            kernel = name.startswith(("kworker", "ksoftirqd", "rcu"))
            size = int(RSS.get(name, 9_000) * (0.7 + number % 7 / 12) * (1 + chance.random() / 50))
            if number >= len(NAMES):
                size //= 6
            busy[pid] = {"java": 22.0, "postgres": 9.0, "node": 6.0}.get(
                name, 0.2
            ) * chance.random()
            processes.append(_process(pid, name, size, KERNEL if kernel else 1))
        if _within(now, self._end, self._host.backup):
            processes.append(_process(BACKUP, "mysqldump", 5_900_000, UNINTERRUPTIBLE))
            busy[BACKUP] = 210 + 20 * chance.random()
        if self._host.trouble and now % DAY_MS // HOUR_MS % 2:
            processes.extend(_process(9_000 + n, "node", 0, ZOMBIE) for n in range(7))
        processes.append(_process(299, "so1", 41_000, BUSY))
        for number, (container, cpu, ram) in enumerate(containers):
            pid = 20_000 + number
            name = (
                "stress"
                if container.image.endswith("stress")
                else container.image.partition(":")[0][-15:]
            )
            processes.append(
                _process(pid, name, int(ram * (1 + chance.random() / 60)), 1, container.id)
            )
            busy[pid] = max(0.0, cpu + chance.gauss(0, 0.4)) if cpu else 0.0
        return processes, busy


def _limits(now: int, end: int) -> list[MemoryLimit]:
    return [
        MemoryLimit(
            337, "java", 4 << 30, int((3.4 + math.sin(now / 3e6) / 5) * 2**30), end - 2 * DAY_MS, 0
        ),
        MemoryLimit(3_120, "python3", 512 << 20, 509 << 20, end - 2 * HOUR_MS, 1000),
        MemoryLimit(485, "node", 1 << 30, 402 << 20, end - DAY_MS, 0),
    ]


def _trouble(end: int) -> list[Event]:
    at = end - 5 * HOUR_MS
    refused = "Docker does not answer: [Errno 111] Connection refused."
    return [
        _told(at, "docker", "failed", refused),
        _told(at + MINUTE_MS, "docker", "done", "Docker answers again."),
        _told(end - 9 * MINUTE_MS, "config", "done", "The configuration was reloaded."),
    ]


def write(path: Path, host: Host | None, end: int) -> None:
    """Write a database whose last tick is at `end` (epoch ms); without a host there is no tick."""
    database = Database(path)
    if host:
        _fill(database, host, end)
    database.close()


def _fill(database: Database, host: Host, end: int) -> None:
    chance = random.Random(539)  # noqa: S311 - the same host each time
    start = end - host.length
    containers, machine = _Containers(host, chance, start), _Machine(host, chance, end)
    events = [_told(start, "daemon", "done", "The daemon started.")]
    waiting = sorted(_trouble(end) if host.trouble else [], key=lambda event: event.timestamp)
    for now in range(end - host.length // host.step * host.step, end + 1, host.step):
        if _within(now, end, host.outage):
            continue
        if host.outage and now == end - host.outage[1]:
            events.append(_told(now, "daemon", "done", "The daemon started."))
        while waiting and waiting[0].timestamp <= now:
            events.append(waiting.pop(0))
        done, removed = containers.pass_to(now)
        _write_tick(
            database, host, now, end, chance, containers, machine, [*events, *done], removed
        )
        events.clear()


def _write_tick(
    database: Database,
    host: Host,
    now: int,
    end: int,
    chance: random.Random,
    containers: _Containers,
    machine: _Machine,
    events: list[Event],
    removed: int,
) -> None:
    processes, busy = machine.at(now, containers.running)
    used = min(int(TOTAL_RAM * 0.97), int(sum(p.rss for p in processes) * 1.1) + 2_400_000)
    by_container: dict[str, list[Process]] = {}
    for process in processes:
        if process.container_id:
            by_container.setdefault(process.container_id, []).append(process)
    snapshot = Snapshot("module", now, TOTAL_RAM, TOTAL_RAM - used, used, processes, by_container)

    def percent(process: Process) -> float:
        return busy.get(process.pid, 0.0)

    running = [container for container, _, _ in containers.running]
    database.write_tick(
        tick.build(
            now,
            snapshot,
            tick.usages(running, by_container, percent),
            percent,
            lambda container: container.labels.get("so1.class", "high"),
            busy=[p for p in processes if busy.get(p.pid)],
            limits=_limits(now, end) if host.limits else [],
            top=100,
            host_cpu=min(100.0, sum(busy.values()) / 4 + 3 + abs(chance.gauss(0, 2))),
            removed=removed,
            events=events,
        )
    )
