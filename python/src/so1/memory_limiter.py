# SPDX-License-Identifier: MIT
"""The kernel's memory limiter, through whichever of its two doors this kernel has.

The protocol is that of kernel/memlimit/so2_memlimit_uapi.h.
"""

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

import msgspec

LISTED, NOT_LISTED = 101, 102
DEVICE = Path("/proc/so2_memlimit")
LIST = Path("/proc/so2_memory_limits")
LIMIT_MAX = (1 << 64) - 1
"""The largest limit, in bytes; 0 is none."""

_ADD, _GET, _UPDATE, _REMOVE = 557, 558, 559, 560
_IOC_ADD, _IOC_UPDATE, _IOC_REMOVE, _IOC_GET = 0x4010B900, 0x4010B902, 0x4004B903, 0xC018B901
_FIRST_ROOM = 256
_PID_MAX = (1 << 31) - 1


class LimiterError(Exception):
    """An operation failed; `code` is the kernel's, the message a sentence with the way out."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the kernel's code beside the sentence."""
        super().__init__(message)
        self.code = code


class Limit(msgspec.Struct, frozen=True):
    """A limited process; limit in bytes, pid in the caller's pid namespace."""

    pid: int
    limit: int


class _Entry(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_int32), ("padding", ctypes.c_uint32), ("limit", ctypes.c_uint64))


class _Get(ctypes.Structure):
    _fields_ = (
        ("processes", ctypes.c_uint64),
        ("max_entries", ctypes.c_uint64),
        ("processes_returned", ctypes.c_uint64),
    )


class _Door(Protocol):
    """Every operation returns 0 or the kernel's error code."""

    def add(self, pid: int, limit: int) -> int: ...
    def update(self, pid: int, limit: int) -> int: ...
    def remove(self, pid: int) -> int: ...
    def get(self, entries: ctypes.Array[_Entry], returned: ctypes.c_int32) -> int: ...


class _Syscalls:
    """The numbers 557 to 560 of a patched kernel."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long

    def _call(self, number: int, *arguments: object) -> int:
        done = self._libc.syscall(ctypes.c_long(number), *arguments)
        return ctypes.get_errno() if done == -1 else 0

    def add(self, pid: int, limit: int) -> int:
        return self._call(_ADD, ctypes.c_int32(pid), ctypes.c_uint64(limit))

    def update(self, pid: int, limit: int) -> int:
        return self._call(_UPDATE, ctypes.c_int32(pid), ctypes.c_uint64(limit))

    def remove(self, pid: int) -> int:
        return self._call(_REMOVE, ctypes.c_int32(pid))

    def get(self, entries: ctypes.Array[_Entry], returned: ctypes.c_int32) -> int:
        room = ctypes.c_size_t(len(entries))
        return self._call(_GET, entries, room, ctypes.byref(returned))


class _Device:
    """The module's ioctls."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _call(self, request: int, argument: bytes | ctypes.Structure) -> int:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return error.errno or errno.EIO
        try:
            fcntl.ioctl(file, request, argument)
        except OSError as error:
            return error.errno or errno.EIO
        finally:
            os.close(file)
        return 0

    def add(self, pid: int, limit: int) -> int:
        return self._call(_IOC_ADD, bytes(_Entry(pid, 0, limit)))

    def update(self, pid: int, limit: int) -> int:
        return self._call(_IOC_UPDATE, bytes(_Entry(pid, 0, limit)))

    def remove(self, pid: int) -> int:
        return self._call(_IOC_REMOVE, bytes(ctypes.c_int32(pid)))

    def get(self, entries: ctypes.Array[_Entry], returned: ctypes.c_int32) -> int:
        where = ctypes.addressof(entries), len(entries), ctypes.addressof(returned)
        return self._call(_IOC_GET, _Get(*where))


class Limiter:
    """The four operations."""

    def __init__(self, device: Path = DEVICE, listing: Path = LIST) -> None:
        """Find the door.

        Raises LimiterError where this kernel has none.
        """
        self._door: _Door
        if device.exists():
            self._door = _Device(device)
        elif listing.exists():
            # The numbers alone say nothing: another kernel may have other system calls there.
            self._door = _Syscalls()
        else:
            raise LimiterError(
                errno.ENOSYS,
                "this kernel has no memory limiter; load so2_memlimit"
                " (ansible-playbook site.yml --tags kernel) or boot a kernel with its system calls",
            )

    def add(self, pid: int, limit: int) -> None:
        """Limit a process to so many bytes of address space.

        Raises LimiterError.
        """
        _raise(self._door.add(_process(pid), limit), pid)

    def update(self, pid: int, limit: int) -> None:
        """Give a limited process another limit, in bytes.

        Raises LimiterError.
        """
        _raise(self._door.update(_process(pid), limit), pid)

    def remove(self, pid: int) -> None:
        """Give a process back the limits it had.

        Raises LimiterError.
        """
        _raise(self._door.remove(_process(pid)), pid)

    def limits(self) -> list[Limit]:
        """List the limited processes, the earliest limit first.

        Raises LimiterError.
        """
        room = _FIRST_ROOM
        while True:
            entries = (_Entry * room)()
            returned = ctypes.c_int32()
            _raise(self._door.get(entries, returned), None)
            if returned.value < room:
                return [Limit(one.pid, one.limit) for one in entries[: returned.value]]
            room *= 4


def _process(pid: int) -> int:
    """Give the pid back: one that does not fit into the protocol would be another process's."""
    if abs(pid) > _PID_MAX:
        _raise(errno.ESRCH, pid)
    return pid


def _raise(code: int, pid: int | None) -> None:
    if not code:
        return
    sentences = {
        errno.EPERM: "only root (CAP_SYS_ADMIN, outside of containers) may set limits; use sudo",
        errno.EINVAL: f"{pid} cannot be limited: it is a kernel thread, or no process's number",
        errno.ESRCH: f"there is no process {pid}",
        LISTED: f"process {pid} is limited already; `so1 limit update` changes its limit",
        NOT_LISTED: f"process {pid} is not limited",
        errno.ENOMEM: "the list is full; raise the parameter max_entries of so2_memlimit",
    }
    sentence = sentences.get(code, f"the memory limiter failed: {os.strerror(code)}")
    raise LimiterError(code, sentence)
