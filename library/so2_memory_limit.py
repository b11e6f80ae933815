#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: so2_memory_limit
short_description: Cap the address space that a running process may have
version_added: "0.1.0"
description:
  - Sets, changes or lifts a limit of the SO1 memory limiter. Beyond its limit a process is refused
    memory (ENOMEM) and lives on; nothing is killed.
  - Uses the device of the kernel module C(so2_memlimit), or the system calls of a patched kernel.
options:
  pid:
    description: The process, by its number on the host. Its threads share the limit.
    type: int
    required: true
  limit:
    description:
      - The address space that the process may have, in bytes, or with V(K), V(M), V(G) or V(T) for
        powers of 1024.
      - Below what it has already, it keeps that and gets no more.
      - Required where O(state=present).
    type: str
  state:
    description:
      - V(present) has the process limited to O(limit).
      - V(absent) has it unlimited, with what limits it had before. A process that is not there is
        not limited.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    support: full
    platforms: linux
notes:
  - Needs root (CAP_SYS_ADMIN), so most users need C(become).
  - A child has the limit that its parent had when it was forked, without an entry of its own.
  - A limit goes with its process. For a service, C(LimitAS=) in its unit stays over restarts.
seealso:
  - module: so1_facts
author:
  - SO1 contributors (@so1)
"""

EXAMPLES = r"""
- name: A process may have 512 MiB
  so2_memory_limit:
    pid: 4242
    limit: 512M
  become: true

- name: It has the limits that it had before
  so2_memory_limit:
    pid: 4242
    state: absent
  become: true
"""

RETURN = r"""
pid:
  description: The process.
  returned: success
  type: int
  sample: 4242
limit:
  description: Its limit in bytes; null where it has none. In check mode, what it would be.
  returned: success
  type: int
  sample: 536870912
"""

import ctypes
import errno
import fcntl
import os
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # has no types
from ansible.module_utils.common.text.formatters import (  # type: ignore[import-untyped]  # has no types
    human_to_bytes,
)

# The protocol is that of kernel/memlimit/so2_memlimit_uapi.h.
DEVICE = Path("/proc/so2_memlimit")
LIST = Path("/proc/so2_memory_limits")
LISTED = 101
NOT_LISTED = 102
LIMIT_MAX = (1 << 64) - 1
SYSCALLS = {"add": 557, "get": 558, "update": 559, "remove": 560}
IOCTLS = {"add": 0x4010B900, "get": 0xC018B901, "update": 0x4010B902, "remove": 0x4004B903}
FIRST_ROOM = 256
KERNEL_THREAD = 0x200000
"""PF_KTHREAD, in the flags of /proc/PID/stat."""


class Entry(ctypes.Structure):
    """struct memory_limitation."""

    _fields_ = (("pid", ctypes.c_int32), ("padding", ctypes.c_uint32), ("limit", ctypes.c_uint64))


class Get(ctypes.Structure):
    """struct so2_get."""

    _fields_ = (
        ("processes", ctypes.c_uint64),
        ("max_entries", ctypes.c_uint64),
        ("processes_returned", ctypes.c_uint64),
    )


class LimiterError(Exception):
    """The kernel refused; code is its number, the text a sentence that says what to do."""

    def __init__(self, code: int, pid: int) -> None:
        """Turn a code into its sentence."""
        sentences = {
            errno.EPERM: "Only root may set limits; use become.",
            errno.EINVAL: f"Process {pid} cannot be limited: it is a thread of the kernel.",
            errno.ESRCH: f"There is no process {pid}.",
            errno.ENOMEM: "The list is full; raise the parameter max_entries of so2_memlimit.",
            LISTED: f"Process {pid} has been limited by somebody else meanwhile.",
            NOT_LISTED: f"Process {pid} has been freed by somebody else meanwhile.",
        }
        super().__init__(sentences.get(code, f"The limiter failed: {os.strerror(code)}."))
        self.code = code


def ioctl(request: int, argument: bytes | ctypes.Structure) -> int:
    """Ask the device; return 0 or the kernel's code."""
    try:
        file = os.open(DEVICE, os.O_RDONLY)
    except OSError as error:
        return error.errno or errno.EIO
    try:
        fcntl.ioctl(file, request, argument)
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        os.close(file)
    return 0


def syscall(number: int, *arguments: object) -> int:
    """Make the system call; return 0 or the kernel's code."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return ctypes.get_errno() if libc.syscall(ctypes.c_long(number), *arguments) == -1 else 0


def change(operation: str, pid: int, limit: int) -> None:
    """Add, update or remove; raises LimiterError."""
    if DEVICE.exists():
        entry = Entry(pid, 0, limit)
        argument = bytes(ctypes.c_int32(pid)) if operation == "remove" else bytes(entry)
        code = ioctl(IOCTLS[operation], argument)
    else:
        words: list[t.Any] = [ctypes.c_int32(pid)]
        if operation != "remove":
            words.append(ctypes.c_uint64(limit))
        code = syscall(SYSCALLS[operation], *words)
    if code:
        raise LimiterError(code, pid)


def limits() -> dict[int, int]:
    """Return every limited process with its limit; raises LimiterError."""
    room = FIRST_ROOM
    while True:
        entries = (Entry * room)()
        returned = ctypes.c_int32()
        if DEVICE.exists():
            where = (ctypes.addressof(entries), room, ctypes.addressof(returned))
            code = ioctl(IOCTLS["get"], Get(*where))
        else:
            size = ctypes.c_size_t(room)
            code = syscall(SYSCALLS["get"], entries, size, ctypes.byref(returned))
        if code:
            raise LimiterError(code, 0)
        if returned.value < room:
            return {one.pid: one.limit for one in entries[: returned.value]}
        room *= 4


def parse_limit(text: str) -> int:
    """Return the bytes that text says; raises ValueError with a sentence."""
    try:
        # human_to_bytes() goes by way of a float, which has no place for the last of many digits.
        size = int(text) if text.isdigit() else int(human_to_bytes(text))
    except (TypeError, ValueError):
        size = 0
    if not 0 < size <= LIMIT_MAX:
        raise ValueError(f"The option limit must be bytes, or a size such as 512M; it is {text}.")
    return size


def foresee(pid: int) -> None:
    """Say of a process what the kernel would say to limiting it; raises LimiterError."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        raise LimiterError(errno.ESRCH, pid) from None
    if int(text.rpartition(b")")[2].split()[6]) & KERNEL_THREAD:
        raise LimiterError(errno.EINVAL, pid)


def apply(pid: int, wanted: int | None, *, dry: bool) -> tuple[int | None, bool]:
    """Have the process limited to wanted, None for not at all.

    Return the limit it had and whether something had to change; raises LimiterError.
    """
    before = limits().get(pid)
    if before == wanted:
        return before, False
    if not dry:
        operation = "remove" if wanted is None else "add" if before is None else "update"
        change(operation, pid, wanted or 0)
    return before, True


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "pid": {"type": "int", "required": True},
            "limit": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["limit"])],
        supports_check_mode=True,
    )
    pid = module.params["pid"]
    if pid <= 0:
        module.fail_json(msg="The option pid must be the number of a process.")
    if not LIST.exists():
        module.fail_json(
            msg="This kernel has no memory limiter; load so2_memlimit"
            " (ansible-playbook site.yml --tags kernel)."
        )
    wanted = None
    try:
        if module.params["state"] == "present":
            wanted = parse_limit(module.params["limit"])
            # Check mode says so too.
            foresee(pid)
        before, changed = apply(pid, wanted, dry=module.check_mode)
    except (ValueError, LimiterError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        pid=pid,
        limit=wanted,
        diff={"before": {"limit": before}, "after": {"limit": wanted}},
    )


if __name__ == "__main__":
    main()
