# SPDX-License-Identifier: MIT
"""Snapshots from /proc through psutil, for hosts without the kernel modules."""

import os
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from so1.model import Process, Snapshot

_STATES = {
    psutil.STATUS_RUNNING: 0,
    psutil.STATUS_SLEEPING: 1,
    psutil.STATUS_DISK_SLEEP: 2,
    psutil.STATUS_STOPPED: 4,
    psutil.STATUS_TRACING_STOP: 8,
    psutil.STATUS_DEAD: 16,
    psutil.STATUS_ZOMBIE: 32,
    psutil.STATUS_PARKED: 64,
    psutil.STATUS_IDLE: 1026,
}
_RUNTIME = re.compile(
    r"(?:(?:docker|libpod|cri-containerd|crio|nerdctl)-([0-9a-f]{64})\.scope|([0-9a-f]{64}))"
)
_NAME = 15
"""Bytes of a name; psutil completes longer ones from the command line."""
_KERNEL_THREAD = 0x200000
_WORK = re.compile(r"^(kworker/u?[0-9]+:[0-9]+H?)[-+].*", re.DOTALL)
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_ATTRIBUTES = [
    *("pid", "ppid", "uids", "name", "status", "num_threads"),
    *("memory_info", "cpu_times"),
]


def container_id(cgroups: str) -> str | None:
    """Find the container in the text of /proc/PID/cgroup.

    The same rule as the kernel module's: from the root to the leaf, and nothing beneath a systemd
    unit that is not a container itself. Hosts with cgroup v1 have several lines; any may tell.
    """
    for line in cgroups.splitlines():
        for component in line.partition(":")[2].partition(":")[2].split("/"):
            if found := _RUNTIME.fullmatch(component):
                return found[1] or found[2]
            if component.endswith((".service", ".scope")):
                break
    return None


def escape(name: str) -> str:
    r"""Write a name as the kernel modules do: a backslash doubled, an invalid byte as \xNN."""
    raw = os.fsencode(name.replace("\\", "\\\\"))
    return raw.decode("utf-8", "backslashreplace")


def unescape(name: str) -> bytes:
    """Give back the bytes that `escape`, or a kernel module, wrote."""

    def original(match: re.Match[bytes]) -> bytes:
        return b"\\" if match[1] is None else bytes([int(match[1], 16)])

    return re.sub(rb"\\(?:\\|x([0-9a-f]{2}))", original, name.encode())


def _stat(stat: bytes) -> tuple[int, int]:
    """Find the flags and the start in the text of /proc/PID/stat, its fields 9 and 22.

    The start is in nanoseconds since boot; psutil gives it as a time of day, which moves whenever
    the clock is set.
    """
    fields = stat.rpartition(b")")[2].split()
    return int(fields[6]), int(fields[19]) * 1_000_000_000 // _CLOCK_TICKS


def _process(info: dict[str, Any], proc: Path, now_ns: int, total_ram: int) -> Process | None:
    pid = info["pid"]
    memory, times, uids = info["memory_info"], info["cpu_times"], info["uids"]
    if memory is None or times is None or uids is None:  # it exited meanwhile
        return None
    try:
        flags, start_ns = _stat((proc / str(pid) / "stat").read_bytes())
        cgroups = (proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    cpu_ns = round((times.user + times.system) * 1e9)
    rss = memory.rss // 1024
    name = str(info["name"])[:_NAME]
    if flags & _KERNEL_THREAD:
        # /proc adds what a worker did last; its name proper stays the same.
        name = _WORK.sub(r"\1", name)
    return Process(
        pid=pid,
        ppid=info["ppid"],
        uid=uids.real,
        name=escape(name),
        threads=info["num_threads"] or 0,
        rss=rss,
        vsz=memory.vms // 1024,
        mem_percent=rss * 100 // total_ram,
        cpu=cpu_ns * 100 // max(1, now_ns - start_ns),
        start_ns=start_ns,
        cpu_ns=cpu_ns,
        state=_STATES.get(str(info["status"]), 1),
        container_id=container_id(cgroups),
    )


def take(proc: Path = Path("/proc")) -> Snapshot:
    """Walk /proc; a process that exits meanwhile is left out."""
    psutil.PROCFS_PATH = str(proc)
    # What it remembers of a pid may be of a process that is gone.
    psutil.process_iter.cache_clear()
    memory = psutil.virtual_memory()
    total, free = memory.total // 1024, memory.free // 1024
    taken_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    processes = []
    by_container: dict[str, list[Process]] = defaultdict(list)
    for entry in psutil.process_iter(_ATTRIBUTES):
        process = _process(entry.info, proc, taken_ns, total)
        if process:
            processes.append(process)
            if process.container_id:
                by_container[process.container_id].append(process)
    return Snapshot(
        source="procfs",
        taken_ns=taken_ns,
        total_ram=total,
        free_ram=free,
        used_ram=total - free,
        processes=processes,
        by_container=dict(by_container),
    )
