# SPDX-License-Identifier: MIT
"""From a snapshot to the rows of one tick; nothing here reads the host or writes to it."""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from so1.model import Container, ContainerUsage, MemoryLimit, Process, Snapshot
from so1.store.database import Tick
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
SHORT_ID = 12
"""How many digits of a container's id stand for its name where Docker did not tell one."""

_INTEGER_MAX = (1 << 63) - 1
"""The largest number that SQLite stores."""

Percent = Callable[[Process], float]
_rss = attrgetter("rss")
_state = attrgetter("state")


def state_name(state: int) -> str:
    """Name the kernel's number; of several bits the lowest decides (258 is a disk sleep)."""
    return STATES.get(state) or STATES.get(state & -state, "sleeping")


def usages(
    containers: Sequence[Container],
    by_container: Mapping[str, Sequence[Process]],
    percent: Percent,
) -> list[ContainerUsage]:
    """Join each running container to what its processes use, by its id."""
    result = []
    for container in containers:
        processes = by_container.get(container.id, ())
        result.append(
            ContainerUsage(
                container=container,
                ram=sum(p.rss for p in processes),
                cpu=sum(map(percent, processes)),
                processes=len(processes),
            )
        )
    return result


def unknown(by_container: Mapping[str, object], known: Sequence[Container]) -> list[Container]:
    """Stand-ins for the containers that the kernel sees and Docker did not list."""
    listed = {c.id for c in known}
    return [
        Container(id=id_, name=id_[:SHORT_ID], image="", labels={}, started_at=0)
        for id_ in by_container
        if id_ not in listed
    ]


def _process_rows(
    processes: Sequence[Process], percent: Percent, busy: Sequence[Process], top: int
) -> list[tuple[object, ...]]:
    kept = processes
    if top and len(processes) > top:
        largest = sorted(processes, key=_rss)[-top:]
        busiest = sorted(busy, key=percent)[-top:]
        chosen = {p.key: p for p in (*largest, *busiest)}
        kept = [chosen[key] for key in sorted(chosen)]
    rows: list[tuple[object, ...]] = [(p.pid, p.name, p.rss, round(percent(p))) for p in kept]
    if len(kept) < len(processes):
        # The sums over the table stay those of the host.
        other_ram = sum(map(_rss, processes)) - sum(map(_rss, kept))
        other_cpu = sum(map(percent, busy)) - sum(map(percent, kept))
        rows.append((0, "(other)", other_ram, round(other_cpu)))
    return rows


def _limit_rows(limits: Sequence[MemoryLimit], top: int) -> list[tuple[object, ...]]:
    """Lay out the limits, the one that is nearest to being reached first."""
    kept = heapq.nlargest(top or len(limits), limits, key=lambda one: one.size / one.limit)
    return [
        (one.pid, one.name, min(one.limit, _INTEGER_MAX), one.size, one.set_at, one.set_by)
        for one in kept
    ]


def build(
    timestamp: int,
    snapshot: Snapshot,
    measured: Sequence[ContainerUsage],
    percent: Percent,
    classify: Callable[[Container], str],
    *,
    busy: Sequence[Process],
    limits: Sequence[MemoryLimit] = (),
    top: int,
    host_cpu: float,
    removed: int,
    events: Sequence[Event],
) -> Tick:
    """Lay out a tick's rows.

    timestamp is Unix epoch milliseconds, host_cpu percent of all CPUs; busy are the processes of
    which percent says more than 0; removed is how many containers were since the tick before; top
    is how many processes to keep by RAM, how many by CPU, and how many limits; 0 for all.
    """
    states: Counter[str] = Counter()
    for state, count in Counter(map(_state, snapshot.processes)).items():
        states[state_name(state)] += count
    return Tick(
        timestamp=timestamp,
        metrics=(
            *(snapshot.total_ram, snapshot.free_ram, snapshot.used_ram),
            *(len(measured), len(snapshot.processes)),
            *(removed, snapshot.source, host_cpu),
        ),
        container_stats=[
            (u.container.id, u.container.name, p.pid, p.name, p.rss, round(percent(p)))
            for u in measured
            for p in snapshot.by_container.get(u.container.id, ())
        ],
        process_stats=_process_rows(snapshot.processes, percent, busy, top),
        container_totals=[
            (
                *(u.container.id, u.container.name, u.container.image),
                classify(u.container) if u.container.managed else "unmanaged",
                *(u.processes, u.ram, u.cpu),
            )
            for u in measured
        ],
        process_states=sorted(states.items()),
        memory_limits=_limit_rows(limits, top),
        events=events,
    )
