# SPDX-License-Identifier: MIT
"""CPU over the time between two snapshots."""

from so1.model import Process, Snapshot


class Interval:
    """Remembers the last snapshot; a process is its pid and its start, or a reused pid inherits."""

    def __init__(self) -> None:
        """Start without a history: the first snapshot's processes all use 0 percent."""
        self._last: dict[int, Process] = {}
        self._taken_ns: int | None = None
        self._used: dict[tuple[int, int], int] = {}
        self._percent: dict[tuple[int, int], float] = {}
        self.busy: list[Process] = []
        """The last snapshot's processes that used any CPU over the interval."""

    def advance(self, snapshot: Snapshot) -> None:
        """Make this snapshot the end of the interval."""
        last, since = self._last, self._taken_ns
        self._last = {p.pid: p for p in snapshot.processes}
        self._taken_ns = snapshot.taken_ns
        self._used, self._percent, self.busy = {}, {}, []
        if since is None:
            return
        for process in snapshot.processes:
            before = last.get(process.pid)
            # Most processes of a host sleep: what this costs is what a tick costs.
            if before and before.cpu_ns == process.cpu_ns and before.start_ns == process.start_ns:
                continue
            used = process.cpu_ns - _then(process, before, since)
            if used > 0:
                self._used[process.key] = used
                self.busy.append(process)
        elapsed = snapshot.taken_ns - since
        if elapsed > 0:
            self._percent = {key: used * 100 / elapsed for key, used in self._used.items()}

    def used_ns(self, process: Process) -> int:
        """CPU time that the process used over the interval, in nanoseconds."""
        return self._used.get(process.key, 0)

    def percent(self, process: Process) -> float:
        """Percent of one CPU that the process used over the interval."""
        return self._percent.get(process.key, 0.0)


def _then(process: Process, before: Process | None, since: int) -> int:
    """Tell what a process had used when the interval began."""
    if before and before.start_ns == process.start_ns:
        return before.cpu_ns
    # It started meanwhile, or else nothing is known of what it used before.
    return 0 if process.start_ns >= since else process.cpu_ns
