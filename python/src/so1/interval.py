# SPDX-License-Identifier: MIT
"""CPU over the time between two snapshots."""

from so1.model import Process, Snapshot


class Interval:
    """Remembers the last snapshot's CPU times by (pid, start), so a reused pid inherits nothing."""

    def __init__(self) -> None:
        """Start without a history: the first snapshot's processes all use 0 percent."""
        self._cpu: dict[tuple[int, int], int] = {}
        self._taken_ns: int | None = None
        self._elapsed = 0
        self._used: dict[tuple[int, int], int] = {}

    def advance(self, snapshot: Snapshot) -> None:
        """Make this snapshot the end of the interval."""
        before, self._cpu = self._cpu, {p.key: p.cpu_ns for p in snapshot.processes}
        since = self._taken_ns
        self._taken_ns = snapshot.taken_ns
        self._elapsed = snapshot.taken_ns - since if since is not None else 0
        self._used = {}
        if since is None:
            return
        for process in snapshot.processes:
            then = before.get(process.key)
            if then is None:
                # It started meanwhile, or else nothing is known of what it used before.
                then = 0 if process.start_ns >= since else process.cpu_ns
            self._used[process.key] = max(0, process.cpu_ns - then)

    def percent(self, process: Process) -> float:
        """Percent of one CPU that the process used over the interval."""
        if self._elapsed <= 0:
            return 0.0
        return self._used.get(process.key, 0) * 100 / self._elapsed
