# SPDX-License-Identifier: MIT
"""Hosts made up, whose databases the project's own code writes, tick by tick."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from so1.store.database import Database
from so1.store.event import Event
from so1.store.rows import (
    ContainerRow,
    DecisionRow,
    LimitRow,
    MetricsRow,
    ProcessRow,
    StateRow,
    Tick,
)

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
    ("shop-db", "postgres:16", 412_000, 4.2),
    ("grafana_so1", "grafana/grafana:12.3.2", 236_000, 1.2),
    ("registry", "registry:2", 38_000, 0.1),
)
"""Containers that nobody handed to the governor: name, image, KiB, percent of a CPU."""
KERNEL = ("kworker/0:1", "ksoftirqd/0", "rcu_preempt")
TROUBLE = "The Docker Engine took 4 s to answer."
BACKUP = 4_242
"""The pid of what takes the CPU, and then the memory, while a backup runs."""


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


@dataclass(frozen=True)
class _Container:
    id: str
    name: str
    image: str
    class_: str
    cpu: float
    ram: int
    health: str | None = None


class _Containers:
    """What runs, and what the governor does about it."""

    def __init__(self, host: Host, chance: random.Random) -> None:
        self._host, self._chance = host, chance
        self.running: list[_Container] = []
        if host.containers == "none":
            return
        for name, image, ram, cpu in SERVICES:
            ill = host.trouble and name == "registry"
            self._start(name, image, "unmanaged", cpu, ram, "unhealthy" if ill else None)
        few = {"few": (3, 2), "many": (60, 40)}[host.containers]
        for count, class_ in zip(few, ("low", "high"), strict=True):
            for _ in range(count):
                self._add(class_)

    def _start(
        self,
        name: str,
        image: str,
        class_: str,
        cpu: float,
        ram: int,
        health: str | None = None,
    ) -> None:
        id_ = f"{self._chance.getrandbits(256):064x}"
        self.running.append(_Container(id_, name, image, class_, cpu, ram, health))

    def _add(self, class_: str) -> None:
        name = f"so1-{class_}-{self._chance.getrandbits(32):08x}"
        if class_ == "low":
            self._start(name, "alpine", class_, 0.0, self._chance.randrange(700, 1_400))
        else:
            cpu, ram = self._chance.choice(((2.0, 260_000), (93.0, 1_900)))
            self._start(name, "polinux/stress", class_, cpu, ram)

    def pass_to(self, now: int) -> tuple[list[Event], int]:
        """Let some start, and the governor go down to what is kept."""
        if not self._host.churn:
            return [], 0
        if self._chance.random() < self._host.churn:
            for _ in range(self._chance.randrange(1, 4)):
                self._add(self._chance.choice(("low", "high")))
        events, removed = [], 0
        for class_, keep in (("low", 3), ("high", 2)):
            old = [one for one in self.running if one.class_ == class_]
            for one in old[: max(0, len(old) - keep)]:
                failed = self._chance.random() < 0.02
                events.append(_removal(now, one, keep, failed=failed))
                if not failed:
                    self.running.remove(one)
                    removed += 1
        return events, removed

    def rows(self, now: int, end: int) -> list[ContainerRow]:
        """Lay out what they use."""
        return [self._row(one, now, end) for one in self.running]

    def _row(self, one: _Container, now: int, end: int) -> ContainerRow:
        chance = self._chance
        ram = int(one.ram * (1 + chance.random() / 60))
        tight = one.name == "shop-db" and self._host.trouble
        return ContainerRow(
            container_id=one.id,
            container_name=one.name,
            image=one.image,
            class_=one.class_,
            process_count=1,
            ram_usage=int(ram * 1.2),
            cpu_usage=max(0.0, one.cpu + chance.gauss(0, 0.4)) if one.cpu else 0.0,
            memory=ram,
            memory_limit=430_000 if tight else None if one.class_ == "unmanaged" else 1 << 19,
            oom_kills=int(tight and now == end - 10 * MINUTE_MS),
            cpu_throttled=12.0 if one.cpu > 90 else 0.0,
            pids=3,
            cpu_pressure=chance.random(),
            memory_pressure=31.0 if tight else 0.0,
            io_pressure=chance.random(),
            restarts=4 if tight else 0,
            health=one.health,
        )


def _removal(now: int, of: _Container, keep: int, *, failed: bool) -> Event:
    why = f"of {keep + 1} {of.class_} containers {keep} are kept"
    if failed:
        detail = (
            f"Not removed: {why}; Docker answered 500: driver failed to remove root filesystem:"
            " device or resource busy."
        )
    else:
        detail = f"Removed: {why}."
    run = (
        f"docker run --detach --name {of.name} --label so1.class={of.class_}"
        " --label so1.managed=true --memory 64m --cpus 0.5 --stop-signal SIGKILL"
        f" {of.image} sleep 600"
    )
    return Event(
        timestamp=now + 300,
        kind="remove",
        outcome="failed" if failed else "done",
        detail=detail,
        container_id=of.id,
        container_name=of.name,
        image=of.image,
        class_=of.class_,
        cpu_usage=of.cpu,
        ram_usage=of.ram,
        rule=f"excess-{of.class_}",
        recreate=None if failed else run,
    )


def _told(now: int, kind: str, outcome: str, detail: str) -> Event:
    return Event(timestamp=now, kind=kind, outcome=outcome, detail=detail)  # type: ignore[arg-type]


def _within(now: int, end: int, span: tuple[int, int] | None) -> bool:
    return bool(span) and end - span[0] <= now < end - span[1]  # type: ignore[index]


class _Machine:
    """Its processes at one moment, and their states."""

    def __init__(self, host: Host, chance: random.Random, end: int) -> None:
        self._host, self._chance, self._end = host, chance, end

    def processes(self, now: int, containers: list[ContainerRow]) -> list[ProcessRow]:
        chance, rows = self._chance, [ProcessRow(299, "so1", RSS["so1"], 0)]
        for number in range(self._host.processes):
            name = NAMES[number % len(NAMES)]
            pid = 1 if number == 0 else 300 + number * 37
            size = int(RSS.get(name, 9_000) * (0.7 + number % 7 / 12) * (1 + chance.random() / 50))
            if name in KERNEL:
                size = 0
            elif number >= len(NAMES):
                size //= 6
            busy = {"java": 22, "postgres": 9, "node": 6}.get(name, 0) * chance.random()
            rows.append(ProcessRow(pid, name, size, round(busy)))
        if _within(now, self._end, self._host.backup):
            rows.append(ProcessRow(BACKUP, "mysqldump", 5_900_000, 210 + chance.randrange(20)))
        for number, one in enumerate(containers):
            name = one.image.partition(":")[0].rpartition("/")[2]
            rows.append(
                ProcessRow(20_000 + number, name, one.ram_usage or 0, round(one.cpu_usage or 0))
            )
        return rows

    def states(self, now: int, processes: list[ProcessRow]) -> list[StateRow]:
        idle = sum(row.name in KERNEL for row in processes)
        waits = int(_within(now, self._end, self._host.backup))
        rows = [
            StateRow("running", 1),
            StateRow("idle", idle),
            StateRow("sleeping", len(processes) - idle - waits - 1),
        ]
        if waits:
            rows.append(StateRow("disk-sleep", waits))
        if self._host.trouble and now % DAY_MS // HOUR_MS % 2:
            rows.append(StateRow("zombie", 7))
        return rows


def _limits(now: int, end: int) -> list[LimitRow]:
    swing = int((3.4 + math.sin(now / 3e6) / 5) * 2**30)
    return [
        LimitRow(3_120, "python3", 512 << 20, 509 << 20, end - 2 * HOUR_MS, 1000),
        LimitRow(337, "java", 4 << 30, swing, end - 2 * DAY_MS, 0),
        LimitRow(485, "node", 1 << 30, 402 << 20, end - DAY_MS, 0),
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
    containers, machine = _Containers(host, chance), _Machine(host, chance, end)
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
        made = _tick(now, end, host, containers, machine)
        metrics = made.metrics._replace(deleted_count=removed)
        database.write_tick(replace(made, metrics=metrics, events=[*events, *done]))
        events.clear()


def _tick(now: int, end: int, host: Host, containers: _Containers, machine: _Machine) -> Tick:
    inside = containers.rows(now, end)
    processes = machine.processes(now, inside)
    states = machine.states(now, processes)
    used = min(int(TOTAL_RAM * 0.97), sum(row.ram_usage for row in processes) + 1_400_000)
    free = (TOTAL_RAM - used) // 3
    return Tick(
        timestamp=now,
        metrics=MetricsRow(
            total_ram=TOTAL_RAM,
            free_ram=free,
            used_ram=TOTAL_RAM - free,
            container_count=len(inside),
            process_count=sum(row.process_count for row in states),
            deleted_count=0,
            source="module",
            cpu_usage=min(100.0, sum(row.cpu_usage for row in processes) / 4 + 4),
            available_ram=TOTAL_RAM - used,
            docker_age=1.0,
            troubles=TROUBLE if host.trouble else None,
        ),
        process_stats=processes,
        container_totals=inside,
        process_states=states,
        memory_limits=_limits(now, end) if host.limits else [],
        decisions=[DecisionRow(now, "enforce", 10, 3, 2, 30, unfinished=0)],
    )
