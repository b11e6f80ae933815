# SPDX-License-Identifier: MIT
"""CPU over the time between two snapshots."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from so1.model import Exit, Process, Snapshot

Key = tuple[int, int]


class CpuUsage(msgspec.Struct, frozen=True):
    """What the processes of a snapshot used since the one before.

    elapsed_ns is the time between the two, 0 where there was none before. used_ns is CPU time by
    Process.key, of those that used any; busy are these processes, in the same order. ended_ns is
    what processes used that are in no snapshot any more, by name, where exits are known.
    """

    elapsed_ns: int = 0
    used_ns: Mapping[Key, int] = {}
    busy: tuple[Process, ...] = ()
    ended_ns: Mapping[str, int] = {}

    @property
    def used(self) -> Iterable[tuple[int, Process]]:
        """Those that used CPU, each behind how much, in nanoseconds."""
        return zip(self.used_ns.values(), self.busy, strict=True)

    def of(self, process: Process) -> int:
        """CPU time that the process used, in nanoseconds."""
        return self.used_ns.get((process.pid, process.start_ns), 0)

    def percent(self, process: Process) -> float:
        """Percent of one CPU that the process used."""
        return self.share(self.of(process))

    def share(self, used_ns: int) -> float:
        """Say CPU time as percent of one CPU over the interval."""
        return used_ns * 100 / self.elapsed_ns if self.elapsed_ns > 0 else 0.0


def lifetime(snapshot: Snapshot) -> CpuUsage:
    """Take the average over each process's life, where there is no second snapshot."""
    second = 1_000_000_000
    used = {p.key: p.cpu * second // 100 for p in snapshot.processes if p.cpu}
    busy = tuple(p for p in snapshot.processes if p.cpu)
    return CpuUsage(second, used, busy)


class Interval:
    """Remembers the last snapshot; a process is its pid and its start, or a reused pid inherits."""

    def __init__(self) -> None:
        """Start without a history: the first snapshot's processes all use 0 percent."""
        self._last: dict[int, Process] = {}
        self._taken_ns: int | None = None
        self._later: list[Exit] = []
        """Exits after the last snapshot: what they had used until then is in that one."""

    def advance(self, snapshot: Snapshot, exits: Sequence[Exit] = ()) -> CpuUsage:
        """Make this snapshot the end of the interval; exits are those told since the last time."""
        last, since = self._last, self._taken_ns
        ended = [one for one in (*self._later, *exits) if one.end_ns <= snapshot.taken_ns]
        self._later = [one for one in exits if one.end_ns > snapshot.taken_ns]
        self._last = {p.pid: p for p in snapshot.processes}
        self._taken_ns = snapshot.taken_ns
        if since is None:
            return CpuUsage()
        used_ns: dict[Key, int] = {}
        busy = []
        for process in snapshot.processes:
            before = last.get(process.pid)
            # Most processes of a host sleep: what this costs is what a tick costs.
            if before and before.cpu_ns == process.cpu_ns and before.start_ns == process.start_ns:
                continue
            used = process.cpu_ns - _then(process, before, since)
            if used > 0:
                used_ns[process.key] = used
                busy.append(process)
        ended_ns: Counter[str] = Counter()
        for one in ended:
            ended_ns[one.name] += max(0, one.cpu_ns - _then(one, last.get(one.pid), since))
        elapsed_ns = max(0, snapshot.taken_ns - since)
        return CpuUsage(elapsed_ns, used_ns, tuple(busy), +ended_ns)


def _then(process: Process | Exit, before: Process | None, since: int) -> int:
    """Tell what a process had used when the interval began."""
    if before and before.start_ns == process.start_ns:
        return before.cpu_ns
    # It started meanwhile, or else nothing is known of what it used before.
    return 0 if process.start_ns >= since else process.cpu_ns
