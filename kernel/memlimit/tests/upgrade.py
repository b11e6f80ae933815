# SPDX-License-Identifier: MIT
"""An upgrade of the module, as the role does it, puts the limits back; TAP."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
from pathlib import Path

ADD = 0x4010B900
LIMIT = 1 << 62
LISTING = Path("/proc/so2_memory_limits")
DOOR = "/proc/so2_memlimit"

number = 0


def ok(true: object, what: str, seen: object = "") -> None:
    """Print one result; what was seen where it is not what it should be."""
    global number  # noqa: PLW0603 - the numbers of TAP
    number += 1
    print(f"{'ok' if true else 'not ok'} {number} - {what}", flush=True)
    if not true:
        print(f"# {seen!r}", flush=True)


def listing() -> dict[int, int]:
    """Tell the limit of each limited process."""
    return {one["pid"]: one["limit"] for one in json.loads(LISTING.read_text())}


def upgrade(modprobe: str) -> subprocess.CompletedProcess[str]:
    """Replace the module, with this for modprobe; the one on disk passes for another build."""
    commands = f"modinfo() {{ echo another; }}; modprobe() {{ {modprobe}; }}; . /tests/load.sh"
    return subprocess.run(
        ["/bin/sh", "-c", commands, "load.sh", "so2-memlimit/0=so2_memlimit"],
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    """Limit some, upgrade, look at them."""
    Path("/etc/modprobe.d").mkdir(parents=True, exist_ok=True)
    Path("/etc/modprobe.d/so1.conf").write_text("options so2_memlimit gid=1234\n")
    processes = [subprocess.Popen(["/bin/sleep", "1000"]) for _ in range(3)]
    door = os.open(DOOR, os.O_RDWR)
    for index, process in enumerate(processes):
        fcntl.ioctl(door, ADD, struct.pack("iIQ", process.pid, 0, LIMIT + index))
    before = listing()
    done = upgrade('insmod "/modules/$1.ko" gid=1234')
    ok(done.returncode == 0 and "changed" in done.stdout, "the module is replaced", done)
    ok(len(before) == len(processes) and listing() == before, "the same limits are there", before)
    soft = Path(f"/proc/{processes[2].pid}/limits").read_text()
    ok(str(LIMIT + 2) in soft, "and in effect", soft)

    done = upgrade('insmod "/modules/$1.ko" gid=1234 max_entries=2')
    ok(len(listing()) == 2, "where the list has less room, the first are there", done)
    ok(
        done.returncode == 0 and f"not limited again: process {processes[2].pid}," in done.stdout,
        "and the one that is not is told",
        done,
    )
    done = upgrade("false")
    ok(
        done.returncode == 1 and str(processes[0].pid) in done.stderr,
        "where the module cannot be loaded, what was limited is told",
        done,
    )
    for process in processes:
        process.kill()
        process.wait()
    subprocess.run(["/bin/insmod", "/modules/so2_memlimit.ko", "gid=1234"], check=True)


main()
