# SPDX-License-Identifier: MIT
"""The two sources as each other's oracle, on a host with the modules loaded.

Run it on the host with the daemon's Python, as a member of the group so1 (or root):

    python agreement.py [SUFFIX]

It takes the kernel's snapshot between two of /proc and compares every field of every process that
was the same before and after. What differs in every one of several rounds is printed, a line each.
Exit codes: 0 they agree, 1 they do not.
"""

import os
import sys
import time
from collections.abc import Iterable

from so1.model import Process, Snapshot
from so1.sources import SourceError, kernel, procfs

ROUNDS = 6
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_EXACT = ("ppid", "uid", "name", "threads", "rss", "vsz", "state", "container_id")

Difference = tuple[int, str, str]
"""A pid, the field, and what was seen."""


def _within(process: Process, before: Process, after: Process) -> Iterable[Difference]:
    """Compare what moves: /proc tells both times in clock ticks, each rounded down."""
    if not 0 <= process.start_ns - before.start_ns < TICK_NS:
        yield process.pid, "start_ns", f"{process.start_ns} for {before.start_ns}"
    # A thread that runs at the moment is counted up to its last tick; user and system time are
    # rounded down one by one.
    if not before.cpu_ns - TICK_NS <= process.cpu_ns <= after.cpu_ns + 2 * TICK_NS:
        yield process.pid, "cpu_ns", f"{process.cpu_ns} for {before.cpu_ns} to {after.cpu_ns}"
    if abs(process.mem_percent - before.mem_percent) > 1:
        yield process.pid, "mem_percent", f"{process.mem_percent} for {before.mem_percent}"


def _lifetime(process: Process, before: Snapshot, after: Snapshot) -> Iterable[Difference]:
    """Compare `cpu` with the process's time over its age, which it had between the two."""
    least, most = (
        process.cpu_ns * 100 // max(1, taken_ns - process.start_ns)
        for taken_ns in (after.taken_ns, before.taken_ns)
    )
    # The module divides the age as well.
    if not least <= process.cpu <= most + 1:
        yield process.pid, "cpu", f"{process.cpu} for {least} to {most}"


def compare(before: Snapshot, kernel_says: Snapshot, after: Snapshot) -> set[Difference]:
    """Tell where the kernel's snapshot differs from two of /proc around it."""
    found: set[Difference] = set()
    earlier = {p.key: p for p in before.processes}
    later = {p.key: p for p in after.processes}
    stable = [(earlier[key], later[key]) for key in earlier.keys() & later.keys()]
    by_pid = {p.pid: p for p in kernel_says.processes}
    if len(by_pid) != len(kernel_says.processes):
        found.add((0, "processes", "one of them appears twice"))
    if kernel_says.total_ram != before.total_ram:
        found.add((0, "total_ram", f"{kernel_says.total_ram} for {before.total_ram}"))
    if kernel_says.used_ram != kernel_says.total_ram - kernel_says.free_ram:
        found.add((0, "used_ram", "it is not total less free"))
    for first, last in stable:
        process = by_pid.get(first.pid)
        if process is None:
            found.add((first.pid, "pid", f"{first.name} is missing"))
            continue
        for field in _EXACT:
            was, is_, said = (getattr(p, field) for p in (first, last, process))
            if was == is_ != said:
                found.add((first.pid, field, f"{said!r} for {was!r}"))
        if process.cgroup and first.cgroup == last.cgroup != process.cgroup:
            found.add((first.pid, "cgroup", f"{process.cgroup} for {first.cgroup}"))
        found.update(_within(process, first, last))
        found.update(_lifetime(process, before, after))
    known = {p.pid for p in (*before.processes, *after.processes)}
    for pid in by_pid.keys() - known:
        found.add((pid, "pid", f"{by_pid[pid].name} is not in /proc"))
    return found


def lasting(rounds: Iterable[set[Difference]]) -> list[Difference]:
    """Keep what differs in every round, by process and field: the rest was on the move."""
    kept: dict[tuple[int, str], str] | None = None
    for differences in rounds:
        now = {(pid, field): seen for pid, field, seen in differences}
        kept = now if kept is None else {key: now[key] for key in kept.keys() & now.keys()}
    return sorted((pid, field, seen) for (pid, field), seen in (kept or {}).items())


def _round(suffix: str) -> set[Difference]:
    # By then what the round before disturbed has settled.
    time.sleep(0.3)
    before = procfs.take()
    said = kernel.take(suffix)
    return compare(before, said, procfs.take())


def main() -> int:
    """Compare, print what differs and how much was compared."""
    suffix = sys.argv[1] if len(sys.argv) > 1 else "202300539"
    differences = lasting(_round(suffix) for _ in range(ROUNDS))
    for pid, field, seen in differences:
        sys.stdout.write(f"pid {pid}: {field}: the kernel says {seen} in /proc\n")
    said = kernel.take(suffix)
    containers = {p.container_id for p in said.processes if p.container_id}
    sys.stdout.write(
        f"{len(said.processes)} processes, {len(containers)} containers,"
        f" {len(differences)} differences\n"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SourceError as error:
        sys.exit(str(error))
