# SPDX-License-Identifier: MIT
"""When a container's first process started: what tells one start of it from the next."""

import os
from pathlib import Path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def start_ns(pid: int, container_id: str, proc: Path) -> int | None:
    """Tell when it started, nanoseconds on CLOCK_BOOTTIME, which nobody can set.

    None where it is gone or hidden, or where that pid is no process of this container: a pid is
    given again, and the engine may be another host's. The engine writes a container's id into the
    path of its cgroup, wherever that is.
    """
    process = proc / str(pid)
    try:
        if container_id not in (process / "cgroup").read_text(errors="replace"):
            return None
        stat = (process / "stat").read_bytes()
    except OSError:
        return None
    # The name before may hold anything, spaces and parentheses too.
    fields = stat.rpartition(b")")[2].split()
    return int(fields[19]) * _TICK_NS
