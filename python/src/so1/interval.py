# SPDX-License-Identifier: MIT
"""CPU over the time between two snapshots."""

from so1.model import Process, Snapshot


class Interval:
    """Remembers the last snapshot's CPU times by (pid, start), so a reused pid inherits nothing."""

    def __init__(self) -> None:
        """Start without a history: the first snapshot's processes all use 0 percent."""
        self._cpu: dict[tuple[int, int], int] = {}
        self._taken_ns: int | None = None
        self._used: dict[tuple[int, int], int] = {}
        self._percent: dict[tuple[int, int], float] = {}

    def advance(self, snapshot: Snapshot) -> None:
        """Make this snapshot the end of the interval."""
        before = self._cpu
        self._cpu = {(p.pid, p.start_ns): p.cpu_ns for p in snapshot.processes}
        since = self._taken_ns
        self._taken_ns = snapshot.taken_ns
        self._used = {}
        self._percent = {}
        if since is None:
            return
        # Most processes of a host sleep: only those whose counter moved are looked at.
        for key, cpu_ns in self._cpu.items() - before.items():
            # It started meanwhile, or else nothing is known of what it used before.
            then = before.get(key, 0 if key[1] >= since else cpu_ns)
            if cpu_ns > then:
                self._used[key] = cpu_ns - then
        elapsed = snapshot.taken_ns - since
        if elapsed > 0:
            self._percent = {key: used * 100 / elapsed for key, used in self._used.items()}

    def used_ns(self, process: Process) -> int:
        """CPU time that the process used over the interval, in nanoseconds."""
        return self._used.get((process.pid, process.start_ns), 0)

    def percent(self, process: Process) -> float:
        """Percent of one CPU that the process used over the interval."""
        return self._percent.get((process.pid, process.start_ns), 0.0)
