# SPDX-License-Identifier: MIT
"""One tick's facts: everything that is known of a moment, as one value, made in one place."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from so1 import config, sources
from so1.cpu_usage import CpuUsage, Interval
from so1.model import (
    SHORT_ID,
    Charged,
    Container,
    ContainerUsage,
    Exit,
    MemoryLimit,
    Process,
    Snapshot,
    Spent,
)
from so1.sources import SourceError, cgroups, limits
from so1.sources.cgroups import Cgroups, Seen
from so1.sources.exits import Exits

Gap = Literal["source", "blind", "cgroups", "limits"]
"""What may not be known: from where, of whom, what is charged, what is limited."""


class Word(msgspec.Struct, frozen=True):
    """What the Docker Engine said last: the running containers, and when that was.

    heard_at is on CLOCK_MONOTONIC, in seconds; None where it has said nothing yet. trouble is a
    sentence where it did not answer when it was asked again.
    """

    containers: tuple[Container, ...] = ()
    heard_at: float | None = None
    trouble: str | None = None

    @property
    def age(self) -> float | None:
        """For how long this has stood, in seconds; None where nothing was said yet."""
        return None if self.heard_at is None else max(0.0, time.monotonic() - self.heard_at)

    @property
    def stands(self) -> bool:
        """Whether the engine answered when it was last asked."""
        return self.heard_at is not None and self.trouble is None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One tick.

    timestamp is Unix epoch seconds when it began. host_cpu is percent of all CPUs. containers are
    those that the engine told of, strangers those of which only names of cgroups tell. docker_age
    is how old the engine's word is, in seconds, docker_answers whether it did when last asked. gaps
    has a sentence for each thing that is not known. exits are the processes that ended since the
    sample before, exits_missed is how many more did; None where exits are not known.
    """

    timestamp: float
    snapshot: Snapshot
    cpu: CpuUsage
    host_cpu: float
    containers: Sequence[ContainerUsage] = ()
    strangers: Sequence[ContainerUsage] = ()
    limits: Sequence[MemoryLimit] = ()
    docker_age: float | None = None
    docker_answers: bool = False
    gaps: Mapping[Gap, str] = {}
    exits: Sequence[Exit] = ()
    exits_missed: int | None = None

    @property
    def everyone(self) -> list[ContainerUsage]:
        """All containers, whoever told of them."""
        return [*self.containers, *self.strangers]


class Sampler:
    """Takes a sample whenever it is asked to, and keeps what the next one is compared with."""

    def __init__(
        self,
        snapshot: config.Snapshot,
        *,
        proc: Path = Path("/proc"),
        cgroup_root: Path = cgroups.ROOT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin without a history; `clock` gives Unix epoch seconds."""
        self.settings = snapshot
        """Where snapshots come from; may be set between two samples."""
        self._proc = proc
        self._root = cgroup_root
        self._clock = clock
        self._cgroups = Cgroups(proc, cgroup_root)
        self._interval = Interval()
        self._exits: Exits | None = None
        self._source: str | None = None
        self._charged: dict[str, Seen] = {}
        self._charged_ns = 0
        psutil.cpu_percent()  # the first answer has nothing to compare with

    def take(self, word: Word) -> Sample:
        """Take a sample; raises SourceError where there is no snapshot."""
        # Before the snapshot: what was started after this is not the container that is measured.
        now = self._clock()
        snapshot = sources.take(self.settings.source, self.settings.suffix, self._proc, self._root)
        gaps: dict[Gap, str] = {}
        if snapshot.passed_over:
            gaps["source"] = f"The kernel modules are passed over: {snapshot.passed_over}."
        if snapshot.blind:
            gaps["blind"] = f"{snapshot.blind}."
        if snapshot.source != self._source:
            # Another source gives start times of another resolution: nothing can be compared.
            self._interval = Interval()
            self._source = snapshot.source
        # After the snapshot: nobody ends between the two and is in neither.
        exits, missed = self._ended()
        cpu = self._interval.advance(snapshot, exits)
        strangers = _strangers(snapshot.processes, word.containers)
        seen, why = self._cgroups.look([*word.containers, *strangers])
        spent = self._spent(seen)
        members = {} if snapshot.blind else _members(snapshot.processes, seen)
        usages = {
            c.id: _usage(c, members.get(c.id, ()), seen.get(c.id), spent.get(c.id), cpu)
            for c in (*word.containers, *strangers)
        }
        told = [usages[c.id] for c in word.containers]
        if not word.stands:
            # Some may have ended since: what shows no sign of life is left out.
            told = [u for u in told if u.processes or u.charged]
        unmeasured = {u.container.name: _why(u, why) for u in told if u.memory is None}
        if unmeasured:
            gaps["cgroups"] = _unmeasured(unmeasured)
        return Sample(
            timestamp=now,
            snapshot=snapshot,
            cpu=cpu,
            host_cpu=psutil.cpu_percent(),
            containers=told,
            strangers=[usages[c.id] for c in strangers if usages[c.id].processes],
            limits=self._limits(gaps),
            docker_age=word.age,
            docker_answers=word.stands,
            gaps=gaps,
            exits=exits,
            exits_missed=missed,
        )

    def close(self) -> None:
        """Let go of what is held open."""
        self._cgroups.close()

    def _ended(self) -> tuple[list[Exit], int | None]:
        try:
            if self._exits is None:
                self._exits = Exits(self.settings.suffix, self._proc)
            return self._exits.take()
        except SourceError:
            # Not loaded, as on a host without modules; or for a moment, while it is replaced.
            return [], None

    def _limits(self, gaps: dict[Gap, str]) -> list[MemoryLimit]:
        try:
            return limits.take(self._proc)
        except sources.SourceError as error:
            gaps["limits"] = f"The limited processes are not known: {error}."
            return []

    def _spent(self, seen: dict[str, Seen]) -> dict[str, Spent]:
        """Tell what was used since the last time, by what the cgroups count."""
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        before, since = self._charged, self._charged_ns
        self._charged, self._charged_ns = seen, now_ns
        if not since:
            return {}
        result = {}
        for id_, now in seen.items():
            then = before.get(id_)
            if then and then.inodes[0] == now.inodes[0]:
                result[id_] = _between(then.charged, now.charged, now_ns - since)
            elif now.started_ns >= since:
                result[id_] = _between(_NOTHING, now.charged, now_ns - since)
        return result


_NOTHING = Charged(
    oom_kills=0,
    cpu_ns=0,
    throttled_ns=0,
    read_bytes=0,
    written_bytes=0,
    cpu_pressure_ns=0,
    memory_pressure_ns=0,
    io_pressure_ns=0,
)
"""What a cgroup has counted when it is made."""


def _between(then: Charged, now: Charged, elapsed_ns: int) -> Spent:
    def grown(before: int | None, after: int | None) -> int | None:
        return None if before is None or after is None else max(0, after - before)

    def percent(before: int | None, after: int | None) -> float | None:
        used = grown(before, after)
        return None if used is None or elapsed_ns <= 0 else used * 100 / elapsed_ns

    return Spent(
        cpu_ns=grown(then.cpu_ns, now.cpu_ns),
        cpu=percent(then.cpu_ns, now.cpu_ns),
        throttled_ns=grown(then.throttled_ns, now.throttled_ns),
        throttled=percent(then.throttled_ns, now.throttled_ns),
        oom_kills=grown(then.oom_kills, now.oom_kills),
        read_bytes=grown(then.read_bytes, now.read_bytes),
        written_bytes=grown(then.written_bytes, now.written_bytes),
        cpu_pressure=percent(then.cpu_pressure_ns, now.cpu_pressure_ns),
        memory_pressure=percent(then.memory_pressure_ns, now.memory_pressure_ns),
        io_pressure=percent(then.io_pressure_ns, now.io_pressure_ns),
    )


def _strangers(processes: Iterable[Process], known: Sequence[Container]) -> list[Container]:
    """Stand-ins for the containers of which names tell, and no engine does."""
    listed = {c.id for c in known}
    first: dict[str, Process] = {}
    for process in processes:
        id_ = process.container_id
        if id_ and id_ not in listed:
            oldest = first.get(id_)
            if oldest is None or process.start_ns < oldest.start_ns:
                first[id_] = process
    return [
        Container(id=id_, name=id_[:SHORT_ID], image="", labels={}, started_at=0, pid=process.pid)
        for id_, process in first.items()
    ]


def _members(processes: Iterable[Process], seen: Mapping[str, Seen]) -> dict[str, list[Process]]:
    """Group processes by container: by the cgroup they are in, or else by its name."""
    owner = {inode: id_ for id_, each in seen.items() for inode in each.inodes if inode}
    result: dict[str, list[Process]] = {}
    for process in processes:
        id_ = owner.get(process.cgroup)
        if id_ is None:
            id_ = process.container_id
            # Whose cgroup is known has no members outside of it, whatever they are called.
            if id_ is None or (process.cgroup and id_ in seen):
                continue
        result.setdefault(id_, []).append(process)
    return result


def _usage(
    container: Container,
    members: Sequence[Process],
    seen: Seen | None,
    spent: Spent | None,
    cpu: CpuUsage,
) -> ContainerUsage:
    spent = spent or Spent()
    of_members = sum(map(cpu.of, members))
    cpu_ns = of_members if spent.cpu_ns is None else spent.cpu_ns
    return ContainerUsage(
        container=(
            msgspec.structs.replace(container, started_ns=seen.started_ns) if seen else container
        ),
        ram=sum(p.rss for p in members),
        cpu=cpu.share(of_members) if spent.cpu is None else spent.cpu,
        processes=len(members),
        memory=seen.charged.memory if seen else None,
        members=members,
        charged=seen.charged if seen else None,
        spent=spent,
        cpu_ns=cpu_ns,
    )


def _why(usage: ContainerUsage, why: Mapping[str, str]) -> str:
    return why.get(usage.container.id, "the memory controller is not switched on for its cgroup")


def _unmeasured(why: Mapping[str, str]) -> str:
    """Say which containers are not measured, in one sentence however many there are."""
    (name, reason), *others = sorted(why.items())
    more = f" and {len(others)} more" if others else ""
    return f"Not measured, so not ranked and not removed: {name}{more} ({reason})."
