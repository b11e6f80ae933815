# SPDX-License-Identifier: MIT
"""What is known of a host's processes, containers and limits, whichever source told it."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MANAGED = "so1.managed"
CLASS = "so1.class"

SHORT_ID = 12
"""How many digits of a container's id stand for its name where the engine told none."""

Source = Literal["module", "procfs"]
ContainerClass = Literal["low", "high"]
_CLASSES: dict[str, ContainerClass] = {"low": "low", "high": "high"}

Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""What SQLite can store; a document with more is refused where it is read."""
KiB = Annotated[int, Meta(ge=0, le=1 << 47)]
"""Up to the whole address space of 57 bits; thousands of such still have a sum to be stored."""


class Process(msgspec.Struct, frozen=True, gc=False):
    """One thread group, as `/proc/sysinfo_so1_*` and `/proc/continfo_so1_*` give it.

    rss and vsz are KiB, mem_percent is a share of RAM, cpu a percentage of one CPU over the
    process's life. start_ns counts from boot, cpu_ns is user and system time of all threads,
    those that have exited too. (pid, start_ns) names a process for good; pid alone does not.
    cgroup is the inode number of its directory in cgroup version 2, 0 where that is not known;
    container_id is what the names on the way to it tell, None where they tell no container.
    """

    pid: Number
    ppid: Number
    uid: Number
    name: str
    threads: Number
    rss: KiB
    vsz: KiB
    mem_percent: Number
    cpu: Number
    start_ns: Number
    cpu_ns: Number
    state: Number = 0
    container_id: str | None = None
    cgroup: Annotated[int, Meta(ge=0)] = 0

    @property
    def key(self) -> tuple[int, int]:
        """What tells this process from a later one with the same pid."""
        return self.pid, self.start_ns


class Snapshot(msgspec.Struct, frozen=True):
    """All processes at one moment.

    taken_ns is CLOCK_BOOTTIME when the snapshot was taken, the clock that start_ns counts on.
    RAM is in KiB. available_ram is what programs could get without swapping, None where the source
    does not tell it. blind says in a sentence why processes of others are not in it, None where
    all are; passed_over why the kernel modules, which are there, were not what was read.
    """

    source: Source
    taken_ns: int
    total_ram: int
    free_ram: int
    used_ram: int
    processes: list[Process]
    available_ram: int | None = None
    blind: str | None = None
    passed_over: str | None = None


class Exit(msgspec.Struct, frozen=True, gc=False):
    """One process that ended, as `/proc/exits_so1_*` gives it.

    start_ns and end_ns are on CLOCK_BOOTTIME, peak_rss is KiB, cpu_ns user and system time of all
    threads. code is its exit code, signal the signal that ended it, 0 where none did. cgroup is the
    inode number of its directory; container_id is None where the way there names no container.
    """

    seq: Number
    pid: Number
    ppid: Number
    uid: Number
    name: str
    start_ns: Number
    end_ns: Number
    code: Annotated[int, Meta(ge=0, le=255)]
    signal: Annotated[int, Meta(ge=0, le=127)]
    oom_killed: bool
    threads: Number
    peak_rss: KiB
    cpu_ns: Number
    major_faults: Number
    read_bytes: Number | None = None
    written_bytes: Number | None = None
    cgroup: Annotated[int, Meta(ge=0)] = 0
    container_id: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than with exit code 0."""
        return bool(self.code or self.signal)


class MemoryLimit(msgspec.Struct, frozen=True, gc=False):
    """One limited process, as `/proc/so2_memory_limits` gives it.

    limit and size are bytes of address space, what it may have and what it has; limit is up to
    2^64-1. set_at is Unix epoch milliseconds, set_by a uid.
    """

    pid: Number
    name: str
    limit: Annotated[int, Meta(ge=1)]
    size: Number
    set_at: Number
    set_by: Number


class Container(msgspec.Struct, frozen=True):
    """A running container as the Docker Engine lists it.

    started_at is Unix epoch seconds, for people to read; nothing is decided by it, as clocks are
    set. pid is the container's first process, 0 where there is none or it was not asked for;
    started_ns is when that process started, on CLOCK_BOOTTIME, the clock of Process.start_ns, and
    None where that is not known. restarts is how often its restart policy has started it again,
    health what its health check says ('healthy', …), None where it has none; looping says that it
    ends again soon after every start; volumes_at_stake that the engine would remove volumes with
    it. labels are the container's with those that its image gave it;
    image_labels are the image's own, None where they are not known.
    """

    id: str
    name: str
    image: str
    labels: dict[str, str]
    started_at: float
    pid: int = 0
    started_ns: int | None = None
    restarts: int = 0
    health: str | None = None
    looping: bool = False
    image_labels: dict[str, str] | None = {}
    volumes_at_stake: bool = False

    @property
    def managed(self) -> bool:
        """Whether it was handed to the governor: the label so1.managed=true, and not by its image.

        `docker commit` copies labels into images, so a label of the image is nobody's consent.
        """
        return self.labels.get(MANAGED, "").lower() == "true" and self._given(MANAGED)

    @property
    def class_(self) -> Literal["low", "high", "unmanaged"]:
        """Its class: the label so1.class, or else its image, of which only alpine is low."""
        if not self.managed:
            return "unmanaged"
        if labelled := _CLASSES.get(self.labels.get(CLASS, "").lower()):
            return labelled
        repository = self.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
        return "low" if repository == "alpine" else "high"

    @property
    def odd_labels(self) -> list[str]:
        """What its labels ask for and do not get, a clause each."""
        value = self.labels.get(MANAGED)
        if value is None or value.lower() == "false":
            return []
        if value.lower() != "true":
            return [f"its label {MANAGED}={value} is neither true nor false; it is not managed"]
        if self.image_labels is None:
            unknown = "whether its image gave it that is not known"
            return [f"its label {MANAGED}={value} is not enough, as {unknown}; it is not managed"]
        if not self._given(MANAGED):
            return [f"its label {MANAGED}={value} is its image's, no consent; it is not managed"]
        class_ = self.labels.get(CLASS)
        if class_ is None or class_.lower() in _CLASSES:
            return []
        return [f"its label {CLASS}={class_} is neither low nor high; its class is {self.class_}"]

    def _given(self, label: str) -> bool:
        """Whether a label was given to the container itself."""
        return self.image_labels is not None and self.image_labels.get(label) != self.labels[label]


class Charged(msgspec.Struct, frozen=True, gc=False):
    """What the kernel charges a container: the files of its cgroup at one moment.

    memory is in KiB, without the file cache that is given back first; memory_limit is in KiB too,
    None where there is no limit. pids counts threads. The rest counts from the making of the
    cgroup: oom_kills in processes, times in nanoseconds. throttled_ns is how long a CPU quota made
    it wait, the pressures for how long some process stood still for want of CPU, memory or I/O.
    Each is None where the kernel does not tell.
    """

    memory: int | None = None
    memory_limit: int | None = None
    oom_kills: int | None = None
    cpu_ns: int | None = None
    throttled_ns: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    pids: int | None = None
    cpu_pressure_ns: int | None = None
    memory_pressure_ns: int | None = None
    io_pressure_ns: int | None = None


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What a container used over the interval, as its cgroup counts it.

    cpu, throttled and the pressures are percent of the interval, cpu and throttled of one CPU. Each
    is None where the kernel does not tell, or nothing is known of what was before.
    """

    cpu_ns: int | None = None
    cpu: float | None = None
    throttled_ns: int | None = None
    throttled: float | None = None
    oom_kills: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None


class ContainerUsage(msgspec.Struct, frozen=True):
    """A container with what it uses.

    ram is the sum of its processes' RSS, in KiB, cpu percent of one CPU over the interval: the
    cgroup's where that could be read, else the sum of its processes'; cpu_ns is the same as time.
    memory is what the kernel charges it, in KiB, without the file cache it gives back first; None
    where that could not be read. processes is how many members were seen; 0 of a running container
    says that none could be.
    """

    container: Container
    ram: int
    cpu: float
    processes: int
    memory: int | None = None
    members: Sequence[Process] = ()
    charged: Charged | None = None
    spent: Spent = Spent()
    cpu_ns: int = 0
