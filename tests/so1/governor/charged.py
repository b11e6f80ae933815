# SPDX-License-Identifier: MIT
"""What the kernel charges the containers of this machine, whichever version its cgroups have."""

import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from so1.model import Container, ContainerUsage

_ROOT = Path("/sys/fs/cgroup")


def charged(container: Container) -> int | None:
    """Tell a container's memory in KiB, without the file cache it gives back first."""
    path = "/"
    try:
        for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                return _memory(_ROOT / "memory" / path[1:], "usage_in_bytes", "total_")
        return _memory(_ROOT / path[1:], "current", "")
    except OSError:
        return None


def _memory(folder: Path, figure: str, total: str) -> int:
    used = int((folder / f"memory.{figure}").read_text())
    lines = (folder / "memory.stat").read_text().splitlines()
    (cache,) = (line.split()[1] for line in lines if line.startswith(f"{total}inactive_file "))
    return max(0, used - int(cache)) // 1024


def with_memory(usages: Sequence[ContainerUsage]) -> list[ContainerUsage]:
    """Fill in what is charged."""
    return [replace(usage, memory=charged(usage.container)) for usage in usages]


def boottime() -> int:
    """Tell the time that nobody sets."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
