# SPDX-License-Identifier: MIT
"""From a sample to the rows of one tick; nothing here reads the host or writes to it.

Each table's row is a type whose fields are its columns, in order and by name (`class_` is the
column class); only the timestamp, which comes first in every table, is left to the tick.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import NamedTuple

import msgspec

from so1.cpu_usage import CpuUsage
from so1.model import ContainerUsage, Exit, MemoryLimit, Process
from so1.sample import Sample
from so1.store.event import Event

STATES = {
    0: "running",
    1: "sleeping",
    2: "disk-sleep",
    4: "stopped",
    8: "traced",
    16: "dead",
    32: "zombie",
    64: "parked",
    1026: "idle",
}
OTHER = "(other)"
"""Who the rest is counted for, where not all processes have a row."""

_EXITS = 200
"""Exits that one tick keeps; in a storm of them the rest is only counted."""
_LARGE_KIB = 100 << 10
_LARGE_NS = 1_000_000_000
"""An exit with code 0 is kept where the process had so much memory, or used so much CPU."""
_INTEGER_MAX = (1 << 63) - 1
"""The largest number that SQLite stores."""
_rss = attrgetter("rss")
_state = attrgetter("state")


class MetricsRow(NamedTuple):
    """A tick: RAM in KiB, CPU in percent of all CPUs, docker_age in seconds.

    troubles has a line for each thing that did not work; None where all did. exits is how many
    processes ended since the tick before, exits_missed of how many of them nothing more is known.
    """

    total_ram: int
    free_ram: int
    used_ram: int
    container_count: int
    process_count: int
    deleted_count: int
    source: str
    cpu_usage: float
    available_ram: int | None = None
    docker_age: float | None = None
    troubles: str | None = None
    exits: int | None = None
    exits_missed: int | None = None


class ContainerProcessRow(NamedTuple):
    """A container's process; pid 0 is all of its others."""

    container_id: str
    container_name: str
    pid: int
    process_name: str
    ram_usage: int
    cpu_usage: int


class ProcessRow(NamedTuple):
    """A process; pid 0 is all others."""

    pid: int
    name: str
    ram_usage: int
    cpu_usage: int


class ContainerRow(NamedTuple):
    """A container; what was not seen or not measured is None."""

    container_id: str
    container_name: str
    image: str
    class_: str
    process_count: int | None
    ram_usage: int | None
    cpu_usage: float | None
    memory: int | None = None
    memory_limit: int | None = None
    oom_kills: int | None = None
    cpu_throttled: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    pids: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None
    restarts: int | None = None
    health: str | None = None
    age_ns: int | None = None
    looping: int = 0
    volumes_at_stake: int = 0


class StateRow(NamedTuple):
    """How many processes are in a state."""

    state: str
    process_count: int


class LimitRow(NamedTuple):
    """A limited process; sizes in bytes."""

    pid: int
    process_name: str
    limit_bytes: int
    size_bytes: int
    set_at: int
    set_by: int


class ExitRow(NamedTuple):
    """A process that ended; ended_at is Unix epoch milliseconds, peak_ram KiB."""

    ended_at: int
    pid: int
    ppid: int
    uid: int
    name: str
    container_id: str | None
    container_name: str | None
    code: int
    signal: int
    oom_killed: int
    lived_ms: int
    cpu_ms: int
    peak_ram: int
    read_bytes: int | None = None
    written_bytes: int | None = None


class DecisionRow(NamedTuple):
    """A decision of the governor; timestamp is that of the tick it decided upon.

    seen, held and spared are JSON, None where there is nothing in them.
    """

    timestamp: int
    mode: str
    maximum: int
    keep_low: int
    keep_high: int
    grace: float
    unfinished: int
    seen: str | None = None
    held: str | None = None
    spared: str | None = None


COLUMNS: dict[str, tuple[str, ...]] = {
    "metrics": MetricsRow._fields,
    "container_stats": ContainerProcessRow._fields,
    "process_stats": ProcessRow._fields,
    "container_totals": ContainerRow._fields,
    "process_states": StateRow._fields,
    "memory_limits": LimitRow._fields,
    "exits": ExitRow._fields,
    "decisions": DecisionRow._fields[1:],
    "events": Event.__struct_fields__[1:],
}


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick writes; timestamp is Unix epoch milliseconds."""

    timestamp: int
    metrics: MetricsRow
    container_stats: Sequence[ContainerProcessRow] = ()
    process_stats: Sequence[ProcessRow] = ()
    container_totals: Sequence[ContainerRow] = ()
    process_states: Sequence[StateRow] = ()
    memory_limits: Sequence[LimitRow] = ()
    exits: Sequence[ExitRow] = ()
    decisions: Sequence[DecisionRow] = ()
    events: Sequence[Event] = ()


def state_name(state: int) -> str:
    """Name the kernel's number; of several bits the lowest decides (258 is a disk sleep)."""
    return STATES.get(state) or STATES.get(state & -state, "sleeping")


def states(processes: Iterable[Process]) -> Counter[str]:
    """Count processes by the name of their state."""
    result: Counter[str] = Counter()
    for state, count in Counter(map(_state, processes)).items():
        result[state_name(state)] += count
    return result


def build(
    sample: Sample,
    *,
    top: int,
    removed: int,
    troubles: Sequence[str],
    events: Sequence[Event],
    decisions: Sequence[DecisionRow] = (),
) -> Tick:
    """Lay out a tick's rows.

    top is how many processes to keep by RAM, how many by CPU, and how many limits; 0 for all.
    removed is how many containers were since the tick before; troubles are sentences. decisions are
    of earlier ticks, or of this one: the governor does not wait for it to be stored.
    """
    snapshot = sample.snapshot
    containers = sample.everyone
    ended = len(sample.exits) + (sample.exits_missed or 0)
    return Tick(
        timestamp=round(sample.timestamp * 1000),
        metrics=MetricsRow(
            total_ram=snapshot.total_ram,
            free_ram=snapshot.free_ram,
            used_ram=snapshot.used_ram,
            container_count=len(containers),
            process_count=len(snapshot.processes),
            deleted_count=removed,
            source=snapshot.source,
            cpu_usage=sample.host_cpu,
            available_ram=snapshot.available_ram,
            docker_age=sample.docker_age,
            troubles="\n".join(troubles) or None,
            exits=None if sample.exits_missed is None else ended,
            exits_missed=sample.exits_missed,
        ),
        container_stats=_container_processes(containers, sample.cpu, top),
        process_stats=_processes(snapshot.processes, sample.cpu, top),
        container_totals=[_container(usage, snapshot.taken_ns) for usage in containers],
        process_states=[StateRow(*row) for row in sorted(states(snapshot.processes).items())],
        memory_limits=_limits(sample.limits, top),
        exits=_exits(sample),
        decisions=decisions,
        events=events,
    )


def _container(usage: ContainerUsage, taken_ns: int) -> ContainerRow:
    charged, spent, container = usage.charged, usage.spent, usage.container
    known = bool(usage.processes)
    return ContainerRow(
        container_id=container.id,
        container_name=container.name,
        image=container.image,
        class_=container.class_,
        process_count=usage.processes if known else None,
        ram_usage=min(usage.ram, _INTEGER_MAX) if known else None,
        cpu_usage=usage.cpu if known or spent.cpu is not None else None,
        memory=usage.memory,
        memory_limit=charged.memory_limit if charged else None,
        oom_kills=spent.oom_kills,
        cpu_throttled=spent.throttled,
        read_bytes=spent.read_bytes,
        written_bytes=spent.written_bytes,
        pids=charged.pids if charged else None,
        cpu_pressure=spent.cpu_pressure,
        memory_pressure=spent.memory_pressure,
        io_pressure=spent.io_pressure,
        restarts=container.restarts,
        health=container.health,
        age_ns=None if container.started_ns is None else taken_ns - container.started_ns,
        looping=container.looping,
        volumes_at_stake=container.volumes_at_stake,
    )


def _largest_and_busiest(
    processes: Sequence[Process], busy: Iterable[tuple[int, Process]], top: int
) -> list[Process]:
    """Keep the `top` largest and the `top` busiest, in the order of their pids.

    busy are those that used CPU, each behind how much.
    """
    largest = heapq.nlargest(top, processes, key=_rss)
    busiest = heapq.nlargest(top, ((used, p.pid, p) for used, p in busy))
    chosen = {p.pid: p for p in largest} | {pid: p for _, pid, p in busiest}
    return [chosen[pid] for pid in sorted(chosen)]


def _processes(processes: Sequence[Process], cpu: CpuUsage, top: int) -> list[ProcessRow]:
    kept = processes
    if top and len(processes) > top:
        kept = _largest_and_busiest(processes, cpu.used, top)
    rows = [ProcessRow(p.pid, p.name, p.rss, round(cpu.percent(p))) for p in kept]
    # Of those that came and went, a name is what is left.
    ended = heapq.nlargest(top or len(cpu.ended_ns), cpu.ended_ns.items(), key=itemgetter(1))
    ended = [(name, used) for name, used in ended if round(cpu.share(used))]
    rows += [ProcessRow(0, name, 0, round(cpu.share(used))) for name, used in ended]
    # The sums over the table stay those of the host.
    ram = sum(map(_rss, processes)) - sum(map(_rss, kept))
    used = sum(cpu.used_ns.values()) - sum(map(cpu.of, kept))
    used += sum(cpu.ended_ns.values()) - sum(used for _, used in ended)
    if len(kept) < len(processes) or round(cpu.share(used)):
        rows.append(ProcessRow(0, OTHER, min(ram, _INTEGER_MAX), round(cpu.share(used))))
    return rows


def _container_processes(
    containers: Sequence[ContainerUsage], cpu: CpuUsage, top: int
) -> list[ContainerProcessRow]:
    """Lay out the processes of all containers; what is left of each is one more row."""
    inside = {p.pid: usage.container.id for usage in containers for p in usage.members}
    busy = [(used, p) for used, p in cpu.used if p.pid in inside]
    kept = [p for usage in containers for p in usage.members]
    if top and len(kept) > top:
        kept = _largest_and_busiest(kept, busy, top)
    own: defaultdict[str, list[Process]] = defaultdict(list)
    for p in kept:
        own[inside[p.pid]].append(p)
    spent: Counter[str] = Counter()
    for used, p in busy:
        spent[inside[p.pid]] += used
    rows = []
    for usage in containers:
        id_, name = usage.container.id, usage.container.name
        shown = own[id_]
        rows += [
            ContainerProcessRow(id_, name, p.pid, p.name, p.rss, round(cpu.percent(p)))
            for p in shown
        ]
        if len(shown) < len(usage.members):
            ram = min(usage.ram - sum(map(_rss, shown)), _INTEGER_MAX)
            rest = cpu.share(spent[id_] - sum(map(cpu.of, shown)))
            rows.append(ContainerProcessRow(id_, name, 0, OTHER, ram, round(rest)))
    return rows


def _exits(sample: Sample) -> list[ExitRow]:
    """Lay out the exits that are worth keeping: killed for memory, failed, or large before."""
    worth = [one for one in sample.exits if one.failed or _was_large(one)]
    kept = heapq.nlargest(
        _EXITS, worth, key=lambda one: (one.oom_killed, one.failed, one.peak_rss, -one.seq)
    )
    names = {usage.container.id: usage.container.name for usage in sample.everyone}
    booted_ms = sample.timestamp * 1000 - sample.snapshot.taken_ns / 1e6
    return [exit_row(one, booted_ms, names) for one in sorted(kept, key=lambda one: one.seq)]


def exit_row(one: Exit, booted_ms: float, names: Mapping[str, str]) -> ExitRow:
    """Lay out an exit; booted_ms is when the host booted by today's clock, names are by id."""
    return ExitRow(
        ended_at=round(booted_ms + one.end_ns / 1e6),
        pid=one.pid,
        ppid=one.ppid,
        uid=one.uid,
        name=one.name,
        container_id=one.container_id,
        container_name=names.get(one.container_id or ""),
        code=one.code,
        signal=one.signal,
        oom_killed=one.oom_killed,
        lived_ms=max(0, one.end_ns - one.start_ns) // 1_000_000,
        cpu_ms=one.cpu_ns // 1_000_000,
        peak_ram=one.peak_rss,
        read_bytes=one.read_bytes,
        written_bytes=one.written_bytes,
    )


def _was_large(one: Exit) -> bool:
    return one.peak_rss >= _LARGE_KIB or one.cpu_ns >= _LARGE_NS


def _limits(limits: Sequence[MemoryLimit], top: int) -> list[LimitRow]:
    """Lay out the limits, the one that is nearest to being reached first."""
    kept = heapq.nlargest(top or len(limits), limits, key=lambda one: one.size / one.limit)
    return [
        LimitRow(
            pid=one.pid,
            process_name=one.name,
            limit_bytes=min(one.limit, _INTEGER_MAX),
            size_bytes=one.size,
            set_at=one.set_at,
            set_by=one.set_by,
        )
        for one in kept
    ]
