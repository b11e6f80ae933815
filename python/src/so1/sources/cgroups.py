# SPDX-License-Identifier: MIT
"""What the kernel charges each container: the files of its directory in cgroup version 2.

The engine tells a container's first process, and the kernel in which cgroup that is. Names on the
way there are believed no further than that the container's own id must be among them: a pid that
was given to another process since then leads to a directory without it.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from so1.model import Charged, Container

ROOT = Path("/sys/fs/cgroup")

_ID = re.compile(r"[0-9a-f]{64}")
_FILES = (
    *("memory.current", "memory.stat", "memory.max", "memory.events", "cpu.stat", "io.stat"),
    *("pids.current", "cpu.pressure", "memory.pressure", "io.pressure"),
)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = b"-"
"""What stands for a file that is not there; an empty one may be, and says something."""
_LARGEST = 16_384
"""Bytes of a file at most; memory.stat has some 2,000."""
_BENEATH_MAX = 1_000
"""Directories beneath a container's own that are looked through; anybody inside may make more."""
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Seen(msgspec.Struct, frozen=True):
    """A container's cgroup at one moment.

    inodes are those of its directory and of all beneath: whoever is in one of them belongs to the
    container. started_ns is when its first process started, in nanoseconds after boot.
    """

    charged: Charged
    inodes: tuple[int, ...]
    started_ns: int


class _UnmeasuredError(Exception):
    """Why a container's cgroup cannot be read, as the end of a sentence."""


class Cgroups:
    """Reads the cgroups of containers tick after tick, through descriptors that stay open."""

    def __init__(self, proc: Path = Path("/proc"), root: Path = ROOT) -> None:
        """Begin without a container; `root` is where cgroup version 2 is mounted."""
        self._proc = proc
        self._root = root
        self._open: dict[str, _Directory] = {}

    def look(self, containers: Iterable[Container]) -> tuple[dict[str, Seen], dict[str, str]]:
        """Read the containers' cgroups; those that are not among them are let go.

        Gives what was seen, and for each that could not be read why not, both by the full id.
        """
        seen: dict[str, Seen] = {}
        why: dict[str, str] = {}
        before, self._open = self._open, {}
        for container in containers:
            id_ = container.id
            known = before.pop(id_, None)
            try:
                if known and known.pid != container.pid:
                    known.close()
                    known = None
                directory = known or self._find(container)
                try:
                    seen[id_] = directory.read()
                except OSError as error:
                    directory.close()
                    raise _UnmeasuredError(_gone(error)) from error
            except _UnmeasuredError as error:
                why[id_] = str(error)
            else:
                self._open[id_] = directory
        for directory in before.values():
            directory.close()
        return seen, why

    def close(self) -> None:
        """Let go of all descriptors."""
        self.look(())

    def _find(self, container: Container) -> "_Directory":
        pid = container.pid
        if not pid or not _ID.fullmatch(container.id):
            raise _UnmeasuredError("the engine did not tell its first process")
        try:
            started_ns = _started_ns(self._proc, pid)
            text = (self._proc / str(pid) / "cgroup").read_bytes()
            if _started_ns(self._proc, pid) != started_ns:
                raise _UnmeasuredError("its first process ended while it was looked at")
        except OSError as error:
            raise _UnmeasuredError(
                f"its first process, {pid}, cannot be looked at ({error.strerror})"
            ) from error
        except (ValueError, IndexError) as error:
            raise _UnmeasuredError(f"/proc/{pid}/stat is not what the kernel writes") from error
        try:
            return _Directory(pid, started_ns, self._enter(_components(text, container.id)))
        except OSError as error:
            raise _UnmeasuredError(_gone(error)) from error

    def _enter(self, components: list[str]) -> int:
        """Go down one by one: nothing on the way may be a link to elsewhere."""
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for component in components:
            above = here
            try:
                here = os.open(component, _DIRECTORY, dir_fd=above)
            finally:
                os.close(above)
        return here


class _Directory:
    """A container's directory and its files, open."""

    def __init__(self, pid: int, started_ns: int, directory: int) -> None:
        self.pid = pid
        self._started_ns = started_ns
        self._directory = directory
        self._files: list[int] = []
        try:
            for name in _FILES:
                self._files.append(_open(name, directory))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for file in (*self._files, self._directory):
            if file >= 0:
                os.close(file)

    def read(self) -> Seen:
        current, stat, most, events, cpu, io, pids, *pressures = map(_read, self._files)
        stalled = [_times(_number(_stalled(text)), 1_000) for text in pressures]
        status = os.fstat(self._directory)
        used = _number(current)
        cache = _field(stat, b"inactive_file ")
        limit = _number(most)
        charged = Charged(
            memory=None if used is None or cache is None else max(0, used - cache) // 1024,
            memory_limit=None if limit is None else limit // 1024,
            oom_kills=_field(events, b"oom_kill "),
            cpu_ns=_times(_field(cpu, b"usage_usec "), 1_000),
            throttled_ns=_times(_field(cpu, b"throttled_usec "), 1_000),
            read_bytes=_sum(io, b"rbytes="),
            written_bytes=_sum(io, b"wbytes="),
            pids=_number(pids),
            cpu_pressure_ns=stalled[0],
            memory_pressure_ns=stalled[1],
            io_pressure_ns=stalled[2],
        )
        inodes: tuple[int, ...] = (status.st_ino,)
        if status.st_nlink != 2:  # it has directories of its own, or the file system does not count
            inodes += tuple(self._beneath())
        return Seen(charged, inodes, self._started_ns)

    def _beneath(self) -> Iterable[int]:
        count = 0
        for _, names, _, here in os.fwalk(".", dir_fd=self._directory):
            for name in names:
                count += 1
                if count > _BENEATH_MAX:
                    return
                with contextlib.suppress(FileNotFoundError):
                    yield os.stat(name, dir_fd=here, follow_symlinks=False).st_ino


def _open(name: str, directory: int) -> int:
    try:
        return os.open(name, _FILE, dir_fd=directory)
    except FileNotFoundError:
        return -1  # its controller is not switched on


def _read(file: int) -> bytes:
    if file < 0:
        return _ABSENT
    try:
        return os.pread(file, _LARGEST, 0)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # pressure is compiled in, and switched off
            return _ABSENT
        raise


def _gone(error: OSError) -> str:
    if error.errno in (errno.ENODEV, errno.ENOENT):
        return "its cgroup is gone, or not where cgroup version 2 is mounted"
    return f"its cgroup cannot be read ({error.strerror})"


def _components(text: bytes, id_: str) -> list[str]:
    """Find the way to a container's directory in the text of /proc/PID/cgroup."""
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("0::/"):
            way = line[4:].split("/")
            # What the process itself may have made beneath the container's own is not all of it.
            ends = next((n for n, part in enumerate(way, 1) if id_ in part), 0)
            if not ends or ".." in way or "" in way[:ends]:
                raise _UnmeasuredError("its first process is not in a cgroup with its id")
            return way[:ends]
    raise _UnmeasuredError("this host has no cgroup version 2")


def _started_ns(proc: Path, pid: int) -> int:
    fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19]) * 1_000_000_000 // _CLOCK_TICKS


def _number(text: bytes) -> int | None:
    text = text.strip()
    return int(text) if text.isdigit() else None


def _field(text: bytes, name: bytes) -> int | None:
    """Read the number behind a name at the beginning of a line."""
    start = 0 if text.startswith(name) else text.find(b"\n" + name) + 1
    if not start and not text.startswith(name):
        return None
    start += len(name)
    end = text.find(b"\n", start)
    return _number(text[start : end if end >= 0 else None])


def _sum(text: bytes, name: bytes) -> int | None:
    """Add up what stands behind a name, over all devices; an empty file is no I/O yet."""
    if text == _ABSENT:
        return None
    total = 0
    for part in text.split():
        if part.startswith(name):
            total += _number(part[len(name) :]) or 0
    return total


def _stalled(text: bytes) -> bytes:
    """Find the total of the first line, «some»."""
    return text.partition(b"\n")[0].rpartition(b"total=")[2]


def _times(number: int | None, factor: int) -> int | None:
    return None if number is None else number * factor
