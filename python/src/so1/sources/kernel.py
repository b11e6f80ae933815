# SPDX-License-Identifier: MIT
"""Snapshots from the kernel modules: one read and one decode of a file."""

import os
import time
from pathlib import Path

import msgspec
import psutil
from msgspec.structs import replace

from so1.model import KiB, Number, Process, Snapshot
from so1.sources.error import SourceError


class _SysInfo(msgspec.Struct, frozen=True):
    total_ram: KiB
    free_ram: KiB
    used_ram: KiB
    processes: list[Process]
    available_ram: KiB | None = None
    taken_ns: Number | None = None


_sysinfo = msgspec.json.Decoder(_SysInfo)
_continfo = msgspec.json.Decoder(list[Process])
_READ = 1 << 20


def _paths(suffix: str, proc: Path) -> tuple[Path, Path]:
    return proc / f"sysinfo_so1_{suffix}", proc / f"continfo_so1_{suffix}"


def available(suffix: str, proc: Path) -> bool:
    """Whether both files are there and readable."""
    return all(os.access(path, os.R_OK) for path in _paths(suffix, proc))


def _read(path: Path) -> bytes:
    """Read a document whole; the kernel serves it from one snapshot however often we read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror}); load the kernel modules,"
            " or be a member of the group so1"
        ) from error
    try:
        parts = []
        while part := os.read(file, _READ):
            parts.append(part)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(file)
    return b"".join(parts)


def take(suffix: str, proc: Path = Path("/proc")) -> Snapshot:
    """Read the processes, and which containers they are in.

    Modules of before tell the latter in a file of its own. Raises SourceError where one is missing,
    unreadable or not what the modules write.
    """
    host_path, containers_path = _paths(suffix, proc)
    began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    try:
        host = _sysinfo.decode(_read(host_path))
        processes = host.processes
        if host.taken_ns is None:
            contained = _continfo.decode(_read(containers_path))
            inside = {p.key: p.container_id for p in contained if p.container_id}
            processes = [
                replace(p, container_id=inside[p.key]) if p.key in inside else p for p in processes
            ]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{proc} holds a document that is not SO1's: {error}") from error
    available = host.available_ram
    return Snapshot(
        source="module",
        taken_ns=began_ns if host.taken_ns is None else host.taken_ns,
        total_ram=host.total_ram,
        free_ram=host.free_ram,
        used_ram=host.used_ram,
        available_ram=psutil.virtual_memory().available // 1024 if available is None else available,
        processes=processes,
    )
