# SPDX-License-Identifier: MIT
"""Snapshots from /proc through psutil, for hosts without the kernel modules."""

import os
import re
import time
from pathlib import Path
from typing import Any

import psutil

from so1.model import Process, Snapshot
from so1.sources import cgroups

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
_CONTAINER = re.compile(
    r"/(?:[^/]+\.slice/)*"
    r"(?:docker|libpod|cri-containerd|crio|nerdctl)-(?P<scope>[0-9a-f]{64})\.scope(?:/.*)?"
    r"|/(?:docker|kubepods/(?:burstable/|besteffort/)?pod[^/]*)/(?P<bare>[0-9a-f]{64})(?:/.*)?",
    re.DOTALL,
)
_NAME = 15
"""Bytes of a name; psutil completes longer ones from the command line."""
_KERNEL_THREAD = 0x200000
_WORK = re.compile(r"^(kworker/u?[0-9]+:[0-9]+H?)[-+].*", re.DOTALL)
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLIND = (
    "Processes of other users are hidden: {} does not show process 1. Load the kernel modules, or"
    " mount it without hidepid or with gid= of the daemon's group"
)
_ATTRIBUTES = [
    *("pid", "ppid", "uids", "name", "status", "num_threads"),
    *("memory_info", "cpu_times"),
]


def container_id(text: str) -> str | None:
    """Find the container in the text of /proc/PID/cgroup.

    The same rule as the kernel module's: from the root slices are passed through, and then comes
    what a runtime made, or nothing. Beneath a directory that somebody was given anybody makes any
    names. Hosts with cgroup v1 have several lines; any may tell.
    """
    for line in text.splitlines():
        if found := _CONTAINER.fullmatch(line.partition(":")[2].partition(":")[2]):
            return found["scope"] or found["bare"]
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


class _Places:
    """Inode numbers of cgroups by their path, each looked up once in a snapshot."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._inodes: dict[str, int] = {}

    def of(self, text: str) -> int:
        """Find the inode number in the text of /proc/PID/cgroup; 0 where there is none."""
        for line in text.splitlines():
            if line.startswith("0::/"):
                path = line[3:]
                if path not in self._inodes:
                    self._inodes[path] = self._look(path)
                return self._inodes[path]
        return 0

    def _look(self, path: str) -> int:
        # A leading /.. is a cgroup outside of our own namespace, and not beneath our root.
        if ".." in path.split("/"):
            return 0
        try:
            return os.lstat(self._root + path).st_ino
        except (OSError, ValueError):
            return 0


def _first_thread_gone(folder: Path) -> tuple[int, int]:
    """Find RSS and size, in bytes, of a process whose first thread has exited: another has them."""
    for thread in folder.glob("task/*/statm"):
        try:
            size, resident, *_ = map(int, thread.read_bytes().split())
        except (OSError, ValueError):
            continue
        if size:
            return resident * _PAGE, size * _PAGE
    return 0, 0


def _process(
    info: dict[str, Any], proc: Path, now_ns: int, total_ram: int, places: _Places
) -> Process | None:
    pid = info["pid"]
    memory, times, uids = info["memory_info"], info["cpu_times"], info["uids"]
    if memory is None or times is None or uids is None:  # it exited meanwhile
        return None
    folder = proc / str(pid)
    try:
        flags, start_ns = _stat((folder / "stat").read_bytes())
        text = (folder / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    threads = info["num_threads"] or 0
    resident, size = memory.rss, memory.vms
    if info["status"] == psutil.STATUS_ZOMBIE and threads > 1:
        resident, size = _first_thread_gone(folder)
    cpu_ns = round((times.user + times.system) * 1e9)
    rss = resident // 1024
    name = str(info["name"])[:_NAME]
    if flags & _KERNEL_THREAD:
        # /proc adds what a worker did last; its name proper stays the same.
        name = _WORK.sub(r"\1", name)
    return Process(
        pid=pid,
        ppid=info["ppid"],
        uid=uids.real,
        name=escape(name),
        threads=threads,
        rss=rss,
        vsz=size // 1024,
        mem_percent=rss * 100 // total_ram,
        cpu=cpu_ns * 100 // max(1, now_ns - start_ns),
        start_ns=start_ns,
        cpu_ns=cpu_ns,
        state=_STATES.get(str(info["status"]), 1),
        container_id=container_id(text),
        cgroup=places.of(text),
    )


def take(proc: Path = Path("/proc"), cgroup_root: Path = cgroups.ROOT) -> Snapshot:
    """Walk /proc; a process that exits meanwhile is left out."""
    psutil.PROCFS_PATH = str(proc)
    # What it remembers of a pid may be of a process that is gone.
    psutil.process_iter.cache_clear()
    memory = psutil.virtual_memory()
    total, free = memory.total // 1024, memory.free // 1024
    taken_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    places = _Places(cgroup_root)
    found = (
        _process(entry.info, proc, taken_ns, total, places)
        for entry in psutil.process_iter(_ATTRIBUTES)
    )
    processes = [process for process in found if process]
    return Snapshot(
        source="procfs",
        taken_ns=taken_ns,
        total_ram=total,
        free_ram=free,
        used_ram=total - free,
        available_ram=memory.available // 1024,
        processes=processes,
        blind=None if any(p.pid == 1 for p in processes) else _BLIND.format(proc),
    )
