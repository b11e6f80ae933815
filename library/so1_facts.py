#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
---
module: so1_facts
short_description: Return a host's processes, containers and memory from the SO1 kernel modules
version_added: "0.1.0"
description:
  - Reads the documents of the kernel modules C(sysinfo) and C(continfo) under C(/proc) and
    returns them as facts, all of one document from the same moment.
  - Where the host has the memory limiter, the limited processes too; where it has the daemon's
    database, what is in the wastebasket.
  - The lists are sorted and cut to the first O(top), so that a host with thousands of processes
    does not flood the terminal. The counts and sums are those of all processes, whatever O(top)
    is.
options:
  gather_subset:
    description:
      - What to return. Only the files needed for it are read.
      - V(memory) and V(processes) come from C(sysinfo), V(containers) from C(continfo), V(limits)
        from the memory limiter, V(wastebasket) from the daemon's database.
      - With V(all), a database that is not there or cannot be read is no failure, and there is
        nothing of the wastebasket among the facts. Asked for by name, V(wastebasket) is as any
        other.
      - The limiter is optional. With V(all), a host without it is no failure and has no limits
        among its facts; asked for by name, V(limits) is as any other.
      - V(modules) says whether the kernel modules are loaded. Asked for alone it reads no document
        and never fails.
    type: list
    elements: str
    choices: [all, memory, processes, containers, modules, limits, wastebasket]
    default: [all]
  sort:
    description:
      - What processes and containers are sorted by.
      - With V(pid) and V(name) the lowest comes first, with any other the highest. Equal ones are
        in order of pid.
      - A container is sorted by the sum over its processes, or by its first process where this is
        V(pid) or V(name).
      - Limits are always in the order in which they were set first.
    type: str
    choices: [threads, rss, vsz, cpu, cpu_ns, pid, name]
    default: rss
  top:
    description:
      - How many processes, containers, processes of each container, and limits are returned.
      - V(0) returns all.
    type: int
    default: 10
  missing:
    description:
      - What to do where a document cannot be had, because its kernel module is not loaded, the
        file may not be read by this user, or what it holds is not valid.
      - V(fail) fails with a sentence that says what to do.
      - V(absent) succeeds, leaves out what could not be read, sets RV(ansible_facts.so1.present)
        to V(false), and returns the same sentence in RV(ansible_facts.so1.reason).
    type: str
    choices: [fail, absent]
    default: fail
  suffix:
    description:
      - The end of the documents' names, as the kernel modules were given it by their parameter of
        the same name.
      - Letters, digits, V(-) and V(_), at most 32.
    type: str
    default: "202300539"
  proc_root:
    description: Where the proc file system of the host is mounted.
    type: path
    default: /proc
  sys_root:
    description: Where the sysfs file system of the host is mounted.
    type: path
    default: /sys
  database:
    description: The daemon's database, C(store.path) of its configuration.
    type: path
    default: /var/lib/so1/metrics.db
extends_documentation_fragment:
  - action_common_attributes
  - action_common_attributes.facts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  facts:
    support: full
  platform:
    support: full
    platforms: linux
notes:
  - The documents are readable by root and by the group C(so1), so most users need C(become).
  - Names of processes are returned as the documents have them. A name may hold any bytes. A
    backslash is written as two of them, and a byte that is not part of valid UTF-8 as C(\xNN), so
    the name V(a\\xff) is the bytes 61 ff. Every other character, control characters too, stands
    for itself.
  - Sizes are in KiB, but those of limits and of the wastebasket in bytes. Memory that processes
    share is counted for each of them, so sums of it may exceed the RAM.
  - C(cpu) is measured over the life of a process. For its use over an interval, compare two
    values of C(cpu_ns).
seealso:
  - module: so2_memory_limit
  - module: ansible.builtin.setup
author:
  - SO1 contributors (@so1)
"""

EXAMPLES = r"""
# From the command line:
# ansible all --become -m so1_facts -a 'top=5 sort=cpu'

- name: Gather everything, the ten largest processes and containers
  so1_facts:
  become: true

- name: Gather all containers, the one with the most CPU time first
  so1_facts:
    gather_subset: containers
    sort: cpu_ns
    top: 0
  become: true

- name: Gather from hosts of which some do not have the modules
  so1_facts:
    missing: absent
  become: true

- name: Show the used memory where it is known
  ansible.builtin.debug:
    msg: "{{ ansible_facts.so1.memory.used_ram }} KiB are used."
  when: ansible_facts.so1.present

- name: See whether the kernel modules are loaded
  so1_facts:
    gather_subset: modules

- name: Gather what could be taken back
  so1_facts:
    gather_subset: wastebasket
  become: true

- name: Gather every limited process
  so1_facts:
    gather_subset: limits
    top: 0
  become: true
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to those of the host.
  returned: success
  type: dict
  contains:
    so1:
      description: What the SO1 kernel modules say about the host.
      returned: success
      type: dict
      contains:
        present:
          description:
            - Whether everything that was asked for could be read.
            - With O(gather_subset=modules) alone, whether C(sysinfo) and C(continfo) are loaded.
          returned: success
          type: bool
          sample: true
        reason:
          description:
            - Why not, and what to do about it; V(null) where RV(ansible_facts.so1.present) is
              V(true).
          returned: success
          type: str
          sample: null
        memory:
          description: The RAM of the host.
          returned: O(gather_subset) has V(memory), and sysinfo could be read
          type: dict
          contains:
            total_ram:
              description: All RAM that the kernel manages, in KiB.
              returned: always
              type: int
              sample: 3047104
            free_ram:
              description: RAM that is used for nothing, not even a cache, in KiB.
              returned: always
              type: int
              sample: 2310400
            used_ram:
              description: The difference of the two, in KiB.
              returned: always
              type: int
              sample: 736704
            available_ram:
              description:
                - RAM that programs could get without swapping, in KiB; V(null) where the module is
                  of a release that did not tell it.
              returned: always
              type: int
              sample: 2601216
        taken_ns:
          description:
            - When the processes were looked at, in nanoseconds since the host booted, suspended or
              not; V(null) where the module is of a release that did not tell it. Two calls' values
              of C(cpu_ns) and of this give the use of CPU between them.
          returned: O(gather_subset) has V(processes), and sysinfo could be read
          type: int
          sample: 86400123456789
        process_count:
          description: How many processes there are.
          returned: O(gather_subset) has V(processes), and sysinfo could be read
          type: int
          sample: 112
        states:
          description:
            - How many processes are in each state, for the states that occur.
            - V(running) is the kernel's number 0, V(sleeping) 1, V(disk_sleep) 2, V(stopped) 4,
              V(traced) 8, V(dead) 16, V(zombie) 32, V(parked) 64, V(idle) 1026, and V(other) any
              other.
          returned: O(gather_subset) has V(processes), and sysinfo could be read
          type: dict
          sample: {"idle": 38, "running": 1, "sleeping": 73}
        processes:
          description: The first O(top) processes in the order of O(sort).
          returned: O(gather_subset) has V(processes), and sysinfo could be read
          type: list
          elements: dict
          contains:
            pid:
              description: The process's id in the host's pid namespace.
              returned: always
              type: int
              sample: 612
            ppid:
              description: The id of its parent, 0 where there is none.
              returned: always
              type: int
              sample: 1
            uid:
              description: Its real user's id.
              returned: always
              type: int
              sample: 0
            name:
              description: Its name, escaped as the notes say.
              returned: always
              type: str
              sample: dockerd
            state:
              description: The kernel's number of its state.
              returned: always
              type: int
              sample: 1
            threads:
              description: How many threads it has.
              returned: always
              type: int
              sample: 11
            rss:
              description: Its memory that is in RAM, in KiB; 0 for a kernel thread.
              returned: always
              type: int
              sample: 81432
            vsz:
              description: Its address space, in KiB; 0 for a kernel thread.
              returned: always
              type: int
              sample: 1863420
            mem_percent:
              description: Its RSS in percent of the RAM.
              returned: always
              type: int
              sample: 2
            cpu:
              description:
                - The CPU time of all its threads, in percent of the time since it started.
              returned: always
              type: int
              sample: 1
            start_ns:
              description: When it started, in nanoseconds since the host booted.
              returned: always
              type: int
              sample: 14730000000
            cpu_ns:
              description:
                - The CPU time of all its threads, those that have exited too, in nanoseconds.
              returned: always
              type: int
              sample: 6202118400
            swap:
              description:
                - Its memory that is swapped out, in KiB. Like the keys after it, V(null) where the
                  module is of a release that did not tell it.
              returned: always
              type: int
              sample: 0
            major_faults:
              description: Page faults of all its threads that had to wait for a disk.
              returned: always
              type: int
              sample: 12
            read_bytes:
              description:
                - Bytes that its threads had fetched from a disk; V(null) also where the kernel does
                  not count them.
              returned: always
              type: int
              sample: 1052672
            written_bytes:
              description: Bytes that its threads had sent to a disk; V(null) as C(read_bytes) is.
              returned: always
              type: int
              sample: 4096
            cgroup:
              description: The inode number of its cgroup's directory in version 2.
              returned: always
              type: int
              sample: 3121
            container_id:
              description:
                - The container that it runs in, by the name of its cgroup; V(null) where that names
                  none.
              returned: always
              type: str
              sample: 4c01db0b339c8d2f1c5b4f6f1d0c9a7b5e3f2d1c0b9a88776655443322110fed
        container_count:
          description: How many containers have processes.
          returned: O(gather_subset) has V(containers), and continfo could be read
          type: int
          sample: 1
        containers:
          description: The first O(top) containers in the order of O(sort).
          returned: O(gather_subset) has V(containers), and continfo could be read
          type: list
          elements: dict
          contains:
            container_id:
              description:
                - The full id that the container's runtime gave it, 64 hexadecimal digits.
              returned: always
              type: str
              sample: 4c01db0b339c8d2f1c5b4f6f1d0c9a7b5e3f2d1c0b9a88776655443322110fed
            process_count:
              description: How many processes it has.
              returned: always
              type: int
              sample: 1
            names:
              description: The names of its first O(top) processes, each once.
              returned: always
              type: list
              elements: str
              sample: [stress]
            threads:
              description: How many threads its processes have.
              returned: always
              type: int
              sample: 1
            rss:
              description: The sum of its processes' memory in RAM, in KiB.
              returned: always
              type: int
              sample: 131584
            vsz:
              description: The sum of its processes' address spaces, in KiB.
              returned: always
              type: int
              sample: 134716
            cpu:
              description: The sum of its processes' C(cpu), in percent of one CPU.
              returned: always
              type: int
              sample: 97
            cpu_ns:
              description: The sum of its processes' CPU time, in nanoseconds.
              returned: always
              type: int
              sample: 58204118400
            processes:
              description:
                - Its first O(top) processes in the order of O(sort), with what they can be sorted
                  by.
              returned: always
              type: list
              elements: dict
              sample:
                - {"pid": 2210, "name": stress, "threads": 1, "rss": 131584, "vsz": 134716,
                   "cpu": 97, "cpu_ns": 58204118400}
        modules:
          description:
            - The kernel modules by name, V(sysinfo), V(continfo), V(so1_exits) and V(so2_memlimit).
            - A limiter that is part of the kernel is loaded and has no state.
          returned: O(gather_subset) has V(modules)
          type: dict
          sample:
            sysinfo: {"loaded": true, "state": live, "version": "0.1.0"}
            continfo: {"loaded": true, "state": live, "version": "0.1.0"}
            so1_exits: {"loaded": true, "state": live, "version": "0.1.0"}
            so2_memlimit: {"loaded": false, "state": null, "version": null}
        memory_limit_count:
          description: How many processes are limited.
          returned: O(gather_subset) has V(limits), and the limiter's list could be read
          type: int
          sample: 1
        memory_limits:
          description: The first O(top) limited processes, the earliest limit first.
          returned: O(gather_subset) has V(limits), and the limiter's list could be read
          type: list
          elements: dict
          contains:
            pid:
              description: The process's id in the host's pid namespace.
              returned: always
              type: int
              sample: 4242
            name:
              description: Its name, escaped as the notes say.
              returned: always
              type: str
              sample: postgres
            limit:
              description: The address space that it may have, in bytes.
              returned: always
              type: int
              sample: 536870912
            size:
              description:
                - The address space that it has, in bytes. More than C(limit) where it had more when
                  it was limited.
              returned: always
              type: int
              sample: 226963456
            set_at:
              description: When the limit was set or last changed, in milliseconds since the epoch.
              returned: always
              type: int
              sample: 1763900000000
            set_by:
              description: The id of the user who did.
              returned: always
              type: int
              sample: 0
        wastebasket:
          description: The removed containers that C(so1 undo) brings back as they were.
          returned: O(gather_subset) has V(wastebasket), and the daemon's database could be read
          type: dict
          contains:
            containers:
              description: How many they are.
              returned: always
              type: int
              sample: 3
            size:
              description:
                - What they wrote into their own layers, in bytes; those that the daemon has not
                  measured yet are not in it.
              returned: always
              type: int
              sample: 4194304
"""

import json
import os
import re
import stat
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # has no types

SUBSETS = ("memory", "processes", "containers", "modules", "limits", "wastebasket")
MODULES = ("sysinfo", "continfo")
EXITS = "so1_exits"
LIMITER = "so2_memlimit"
LIMITS = "so2_memory_limits"
WASTEBASKET = """
    SELECT count(*), coalesce(sum(layer_bytes), 0) FROM removals
    WHERE step IN ('trashed', 'returning')
"""
MEMORY = ("total_ram", "free_ram", "used_ram")
SUMMED = ("threads", "rss", "vsz", "cpu", "cpu_ns")
ASCENDING = ("pid", "name")
SORTS = (*SUMMED, *ASCENDING)
NUMBERS = ("pid", "ppid", "uid", "mem_percent", "start_ns", *SUMMED)
ADDED = ("swap", "major_faults", "read_bytes", "written_bytes", "cgroup")
"""Numbers that documents of older modules, or of some kernels, do not have."""
LIMIT_NUMBERS = ("pid", "limit", "size", "set_at", "set_by")
STATES = {
    0: "running",
    1: "sleeping",
    2: "disk_sleep",
    4: "stopped",
    8: "traced",
    16: "dead",
    32: "zombie",
    64: "parked",
    1026: "idle",
}
# A document of some 150,000 processes; the kernel modules make larger ones, too large for facts.
DOCUMENT_MAX = 64 << 20
ATTRIBUTE_MAX = 4096
NUMBER_MAX = (1 << 64) - 1
CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
SUFFIX = re.compile(r"[A-Za-z0-9_-]{1,32}")

Object = t.Dict[str, t.Any]
Parsed = t.TypeVar("Parsed")


class DocumentError(Exception):
    """A document cannot be had; the text is a sentence that says why and what to do."""


class AbsentError(DocumentError):
    """There is no such document."""


class FormatError(ValueError):
    """Content is not what the kernel modules write; the text says in which way."""


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most limit bytes.

    Raises OSError where it cannot be read, FormatError where it is longer or no regular file.
    """
    # Without O_NONBLOCK a FIFO in the file's place would hang the module.
    descriptor = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FormatError("it is not a regular file")
        chunks: list[bytes] = []
        length = 0
        while length <= limit:
            chunk = os.read(descriptor, 1 << 20)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            length += len(chunk)
        raise FormatError(f"it is longer than {limit} bytes")
    finally:
        os.close(descriptor)


def refuse_constant(name: str) -> t.NoReturn:
    """Refuse NaN and the infinities, which json accepts although JSON has none."""
    raise FormatError(f"it has the number {name}")


def parse_json(content: bytes) -> object:
    """Return what one JSON document stands for; raises FormatError where it is not one."""
    try:
        return json.loads(content.decode("utf-8"), parse_constant=refuse_constant)
    except FormatError:
        raise
    except UnicodeDecodeError as error:
        raise FormatError(f"it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"it is not one whole JSON document at character {error.pos}") from None
    except RecursionError:
        raise FormatError("it is nested too deeply") from None
    except ValueError:  # newer Pythons refuse to convert more than 4300 digits
        raise FormatError("it has a number that is too long") from None


def take(source: Object, key: str, where: str) -> object:
    """Return the value of a key; raises FormatError where there is none."""
    try:
        return source[key]
    except KeyError:
        raise FormatError(f"{where} has no {key}") from None


def take_number(source: Object, key: str, where: str) -> int:
    """Return the value of a key, an unsigned 64-bit number; raises FormatError otherwise."""
    value = take(source, key, where)
    # Python takes true and false for numbers.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= NUMBER_MAX:
        return value
    raise FormatError(f"{key} of {where} is not a whole number from 0 to {NUMBER_MAX}")


def take_added(source: Object, key: str, where: str) -> int | None:
    """Return the value of a key that may be missing, None where it is; raises FormatError."""
    return take_number(source, key, where) if key in source else None


def take_text(source: Object, key: str, where: str) -> str:
    """Return the value of a key, text without lone surrogates; raises FormatError otherwise."""
    value = take(source, key, where)
    if isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value):
        return value
    raise FormatError(f"{key} of {where} is not text")


def parse_process(source: object, where: str) -> Object:
    """Return the keys that the processes of both documents have; raises FormatError."""
    if not isinstance(source, dict):
        raise FormatError(f"{where} is not an object")
    process: Object = {key: take_number(source, key, where) for key in NUMBERS}
    process["name"] = take_text(source, "name", where)
    return process


def take_container(source: Object, where: str) -> str:
    """Return the id of a process's container; raises FormatError."""
    found = take_text(source, "container_id", where)
    if not CONTAINER_ID.fullmatch(found):
        raise FormatError(f"container_id of {where} is not 64 hexadecimal digits")
    return found


def parse_sysinfo(document: object) -> tuple[Object, int | None, list[Object]]:
    """Return the memory (KiB), when it was taken, and the processes; raises FormatError."""
    if not isinstance(document, dict):
        raise FormatError("it is not an object")
    memory: Object = {key: take_number(document, key, "it") for key in MEMORY}
    memory["available_ram"] = take_added(document, "available_ram", "it")
    sources = take(document, "processes", "it")
    if not isinstance(sources, list):
        raise FormatError("its processes are not a list")
    processes = []
    for index, source in enumerate(sources):
        where = f"process {index}"
        process = parse_process(source, where)
        process["state"] = take_number(source, "state", where)
        for key in ADDED:
            process[key] = take_added(source, key, where)
        known = "container_id" in source
        process["container_id"] = take_container(source, where) if known else None
        processes.append(process)
    return memory, take_added(document, "taken_ns", "it"), processes


def parse_continfo(document: object) -> list[Object]:
    """Return the processes of continfo's document, with their container_id; raises FormatError."""
    if not isinstance(document, list):
        raise FormatError("it is not a list")
    processes = []
    for index, source in enumerate(document):
        where = f"process {index}"
        process = parse_process(source, where)
        process["container_id"] = take_container(source, where)
        processes.append(process)
    return processes


def parse_limits(document: object) -> list[Object]:
    """Return the limited processes of the limiter's list; raises FormatError."""
    if not isinstance(document, list):
        raise FormatError("it is not a list")
    limits = []
    for index, source in enumerate(document):
        where = f"limit {index}"
        if not isinstance(source, dict):
            raise FormatError(f"{where} is not an object")
        limit: Object = {key: take_number(source, key, where) for key in LIMIT_NUMBERS}
        limit["name"] = take_text(source, "name", where)
        limits.append(limit)
    return limits


def count_states(processes: list[Object]) -> dict[str, int]:
    """Return how many processes are in each state, by the state's name."""
    counts: dict[str, int] = {}
    for process in processes:
        name = STATES.get(process["state"], "other")
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def order(objects: list[Object], sort: str, tie: str) -> list[Object]:
    """Return the objects by sort, the largest first unless sort is in ASCENDING; equals by tie."""
    by_tie = sorted(objects, key=lambda one: one[tie])
    return sorted(by_tie, key=lambda one: one[sort], reverse=sort not in ASCENDING)


def group(processes: list[Object], sort: str, top: int) -> list[Object]:
    """Return every container in the order of sort, with its sums and its first top processes."""
    members: dict[str, list[Object]] = {}
    for process in order(processes, sort, "pid"):
        members.setdefault(process["container_id"], []).append(process)
    containers = []
    for container_id, own in members.items():
        shown = own[: top or None]
        container: Object = {key: sum(process[key] for process in own) for key in SUMMED}
        container["container_id"] = container_id
        container["process_count"] = len(own)
        container["names"] = list(dict.fromkeys(process["name"] for process in shown))
        container["processes"] = [{key: process[key] for key in SORTS} for process in shown]
        containers.append(container)
    # members has them in the order of their first processes, which is the one for these.
    return containers if sort in ASCENDING else order(containers, sort, "container_id")


def read_attribute(path: Path) -> str | None:
    """Return the text of a small file of sysfs, None where it has none."""
    try:
        return read_bounded(path, ATTRIBUTE_MAX).decode("utf-8", "replace").strip() or None
    except (OSError, FormatError):
        return None


def read_module(sys_root: Path, name: str) -> Object:
    """Return whether a kernel module is loaded, with its state and version where it is."""
    directory = sys_root / "module" / name
    return {
        "loaded": directory.is_dir(),
        "state": read_attribute(directory / "initstate"),
        "version": read_attribute(directory / "version"),
    }


def explain_not_loaded(name: str) -> str:
    """Return the sentence for a kernel module that is not loaded."""
    return (
        f"The kernel module {name} is not loaded: run `ansible-playbook site.yml --tags kernel` "
        f"against this host, or `modprobe {name}` on it if the module is installed."
    )


def explain_no_file(path: Path, name: str, sys_root: Path) -> str:
    """Return the sentence for a document that is not there."""
    prefix = f"{name}_so1_"
    try:
        others = sorted(other.name for other in path.parent.glob(f"{prefix}*"))
    except OSError:
        others = []
    if others:
        suffix = others[0][len(prefix) :]
        return f"There is no {path}, but there is {others[0]}: set the option suffix to {suffix}."
    if read_module(sys_root, name)["loaded"]:
        return (
            f"The kernel module {name} is loaded, but there is no {path}: "
            "set the option proc_root to where the host's proc file system is mounted."
        )
    return explain_not_loaded(name)


class Source:
    """Where the documents of one host are."""

    def __init__(self, proc_root: Path, sys_root: Path, suffix: str) -> None:
        """Take the mount points of proc and sysfs, and the end of the documents' names."""
        self.proc_root = proc_root
        self.sys_root = sys_root
        self.suffix = suffix

    def path(self, name: str) -> Path:
        """Return where a kernel module's document is."""
        return self.proc_root / (LIMITS if name == LIMITER else f"{name}_so1_{self.suffix}")

    def read(self, name: str, parse: t.Callable[[object], Parsed]) -> Parsed:
        """Return what parse makes of a kernel module's document; raises DocumentError."""
        path = self.path(name)
        try:
            return parse(parse_json(read_bounded(path, DOCUMENT_MAX)))
        except FileNotFoundError:
            raise AbsentError(explain_no_file(path, name, self.sys_root)) from None
        except PermissionError:
            problem = (
                f"User {os.geteuid()} may not read {path}: use `become: true` (--become), "
                "or add the user to the file's group, so1."
            )
        except OSError as error:
            problem = (
                f"Reading {path} failed ({error.strerror}): "
                f"look for {name} in the host's kernel log (`dmesg`)."
            )
        except FormatError as error:
            problem = (
                f"{path} is not what the kernel module {name} writes ({error}): load the module "
                "of this release with `ansible-playbook site.yml --tags kernel`."
            )
        raise DocumentError(problem)


def read_wastebasket(database: Path) -> Object:
    """Return what the daemon's database says is in the wastebasket; raises DocumentError."""
    try:
        # A Python without it can read all else.
        import sqlite3  # noqa: PLC0415
    except ImportError:
        raise DocumentError("The host's Python has no sqlite3: install its sqlite3.") from None
    why: object = "it is not a regular file"
    try:
        # A FIFO in its place would hang the module.
        if stat.S_ISREG(database.stat().st_mode):
            connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
            try:
                containers, size = connection.execute(WASTEBASKET).fetchone()
            finally:
                connection.close()
            return {"containers": containers, "size": size}
    except OSError as error:
        why = error.strerror
    except sqlite3.Error as error:
        why = error
    raise DocumentError(
        f"{database} cannot be read ({why}): use `become: true` (--become), and look whether "
        "the daemon has run and the option database is the store.path of its configuration."
    )


def gather(
    source: Source, database: Path, subset: t.AbstractSet[str], sort: str, top: int
) -> tuple[Object, list[str]]:
    """Return the facts of the subset, and a sentence for each document that cannot be had.

    All stands for every subset: for the limits only where there is a limiter, for the wastebasket
    only where the database can be read.
    """
    limiter_wanted = "limits" in subset
    wastebasket_wanted = "wastebasket" in subset
    if "all" in subset:
        subset = set(SUBSETS)
    facts: Object = {}
    problems = []
    if subset & {"memory", "processes"}:
        try:
            memory, taken_ns, processes = source.read("sysinfo", parse_sysinfo)
        except DocumentError as error:
            problems.append(str(error))
        else:
            if "memory" in subset:
                facts["memory"] = memory
            if "processes" in subset:
                facts["taken_ns"] = taken_ns
                facts["process_count"] = len(processes)
                facts["states"] = count_states(processes)
                facts["processes"] = order(processes, sort, "pid")[: top or None]
    if "containers" in subset:
        try:
            containers = group(source.read("continfo", parse_continfo), sort, top)
        except DocumentError as error:
            problems.append(str(error))
        else:
            facts["container_count"] = len(containers)
            facts["containers"] = containers[: top or None]
    if "limits" in subset:
        try:
            limits = source.read(LIMITER, parse_limits)
        except DocumentError as error:
            if limiter_wanted or not isinstance(error, AbsentError):
                problems.append(str(error))
        else:
            facts["memory_limit_count"] = len(limits)
            facts["memory_limits"] = limits[: top or None]
    if "wastebasket" in subset:
        try:
            facts["wastebasket"] = read_wastebasket(database)
        except DocumentError as error:
            if wastebasket_wanted:
                problems.append(str(error))
    if "modules" in subset:
        names = (*MODULES, EXITS, LIMITER)
        facts["modules"] = {name: read_module(source.sys_root, name) for name in names}
    return facts, problems


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {
                "type": "list",
                "elements": "str",
                "choices": ["all", *SUBSETS],
                "default": ["all"],
            },
            "sort": {"type": "str", "choices": list(SORTS), "default": "rss"},
            "top": {"type": "int", "default": 10},
            "missing": {"type": "str", "choices": ["fail", "absent"], "default": "fail"},
            "suffix": {"type": "str", "default": "202300539"},
            "proc_root": {"type": "path", "default": "/proc"},
            "sys_root": {"type": "path", "default": "/sys"},
            "database": {"type": "path", "default": "/var/lib/so1/metrics.db"},
        },
        supports_check_mode=True,
    )
    options = module.params
    if options["top"] < 0:
        module.fail_json(msg="The option top must be 0, for all, or more.")
    if not SUFFIX.fullmatch(options["suffix"]):
        module.fail_json(msg="The option suffix must be 1 to 32 letters, digits, - and _.")

    subset = set(options["gather_subset"])
    source = Source(Path(options["proc_root"]), Path(options["sys_root"]), options["suffix"])
    database = Path(options["database"])
    facts, problems = gather(source, database, subset, options["sort"], options["top"])
    if problems and options["missing"] == "fail":
        module.fail_json(msg=problems[0])
    if subset == {"modules"}:
        # Whether they are loaded was the question, so a "no" is no failure.
        problems = [
            explain_not_loaded(name) for name in MODULES if not facts["modules"][name]["loaded"]
        ]
    facts["present"] = not problems
    facts["reason"] = " ".join(problems) or None
    module.exit_json(ansible_facts={"so1": facts})


if __name__ == "__main__":
    main()
