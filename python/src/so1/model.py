# SPDX-License-Identifier: MIT
"""What a snapshot of the host holds, whichever source took it."""

from typing import Annotated, Literal

import msgspec

MANAGED = "so1.managed"
CLASS = "so1.class"

Source = Literal["module", "procfs"]
ContainerClass = Literal["low", "high"]


class Process(msgspec.Struct, frozen=True, gc=False):
    """One thread group, as `/proc/sysinfo_so1_*` and `/proc/continfo_so1_*` give it.

    rss and vsz are KiB, mem_percent is a share of RAM, cpu a percentage of one CPU over the
    process's life. start_ns counts from boot, cpu_ns is user and system time of all threads,
    those that have exited too. (pid, start_ns) names a process for good; pid alone does not.
    """

    pid: int
    ppid: int
    uid: int
    name: str
    threads: int
    rss: int
    vsz: int
    mem_percent: int
    cpu: int
    start_ns: int
    cpu_ns: int
    state: int = 0
    container_id: str | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What tells this process from a later one with the same pid."""
        return self.pid, self.start_ns


class Snapshot(msgspec.Struct, frozen=True):
    """All processes at one moment.

    taken_ns is CLOCK_BOOTTIME when the snapshot was taken, the clock that start_ns counts on.
    RAM is in KiB. by_container holds the processes of each container, by its full id; they are
    among processes too.
    """

    source: Source
    taken_ns: int
    total_ram: int
    free_ram: int
    used_ram: int
    processes: list[Process]
    by_container: dict[str, list[Process]]


class MemoryLimit(msgspec.Struct, frozen=True, gc=False):
    """One limited process, as `/proc/so2_memory_limits` gives it.

    limit and size are bytes of address space, what it may have and what it has; limit is up to
    2^64-1. set_at is Unix epoch milliseconds, set_by a uid.
    """

    pid: int
    name: str
    limit: Annotated[int, msgspec.Meta(ge=1)]
    size: int
    set_at: int
    set_by: int


class Container(msgspec.Struct, frozen=True):
    """A running container as the Docker Engine lists it.

    started_at is Unix epoch seconds: when it was created or, where an inspection has shown a later
    start, that one. labels decide everything the governor may do. pid is the container's first
    process, 0 where no inspection has told it; started_ns is when that process started, on
    CLOCK_BOOTTIME, the clock of Process.start_ns.
    """

    id: str
    name: str
    image: str
    labels: dict[str, str]
    started_at: float
    pid: int = 0
    started_ns: int | None = None

    @property
    def managed(self) -> bool:
        """Whether it was handed to the governor: the label so1.managed=true."""
        return self.labels.get(MANAGED) == "true"


class ContainerUsage(msgspec.Struct, frozen=True):
    """A container with what it uses.

    ram is the sum of its processes' RSS, in KiB, cpu percent of one CPU over the interval. memory
    is what the kernel charges it, in KiB, without the file cache it gives back first; None where
    that could not be read.
    """

    container: Container
    ram: int
    cpu: float
    processes: int
    memory: int | None = None
