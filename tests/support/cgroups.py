# SPDX-License-Identifier: MIT
"""Trees of files that stand for cgroup version 2, and for /proc where it tells the way there."""

import os
import re
import shutil
from pathlib import Path

MIB = 1 << 20
ROOT = Path("/sys/fs/cgroup")


def write(directory: Path, *, memory: int = 64 * MIB, cache: int = 0, **files: str) -> None:
    """Write a container's directory: `memory` bytes are charged, `cache` of them is file cache.

    Other files by their name, with an underscore for the dot; an empty text takes one away.
    """
    directory.mkdir(parents=True, exist_ok=True)
    contents = {
        "memory_current": f"{memory}\n",
        "memory_stat": f"anon {memory - cache}\nfile {cache}\ninactive_anon 1\n"
        f"inactive_file {cache}\nactive_file 3\n",
        "memory_max": "max\n",
        "memory_events": "low 0\nhigh 0\nmax 0\noom 5\noom_kill 0\noom_group_kill 7\n",
        "cpu_stat": "usage_usec 0\nuser_usec 0\nsystem_usec 0\nthrottled_usec 0\n",
        "io_stat": "",
        "pids_current": "1\n",
        **dict.fromkeys(
            ("cpu_pressure", "memory_pressure", "io_pressure"),
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
        ),
        **files,
    }
    for name, text in contents.items():
        _put(directory / name.replace("_", ".", 1), text)


def _put(path: Path, text: str) -> None:
    """Write a file in place: one that is read meanwhile is never empty, as the kernel's are not."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, text.encode(), 0)
        os.ftruncate(file, len(text.encode()))
    finally:
        os.close(file)


def process(proc: Path, pid: int, path: str, start: int = 100) -> None:
    """Put a process into the cgroup `path`, as /proc tells it; `start` is in clock ticks."""
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup").write_text(f"0::{path}\n")
    fields = ["S", *["0"] * 18, str(start), *["0"] * 20]
    (folder / "stat").write_text(f"{pid} (a) R (b) {' '.join(fields)}\n")


class Mirror:
    """Writes what cgroup version 1 says of an engine's containers as version 2 would say it."""

    def __init__(self, root: Path) -> None:
        """Begin without a container; `root` is what so1 takes for cgroup version 2.

        On a machine that has version 2, that is the machine's own.
        """
        self._needed = not (ROOT / "cgroup.controllers").exists()
        self.root = root if self._needed else ROOT

    def update(self) -> None:
        """Copy the figures of all containers of this machine."""
        if not self._needed:
            return
        memory, plain = Path("/sys/fs/cgroup/memory/docker"), Path("/sys/fs/cgroup/unified/docker")
        here = self.root / "docker"
        here.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in memory.iterdir() if path.is_dir()}
        for gone in {path.name for path in here.iterdir()} - found:
            shutil.rmtree(here / gone)
        for id_ in found:
            try:
                used = int((memory / id_ / "memory.usage_in_bytes").read_text())
                cpu = (plain / id_ / "cpu.stat").read_text()
            except OSError:  # it ends just now
                continue
            # Of one length each time, so that no read falls between a write and its end.
            padded = re.sub(r"\d+", lambda found: found[0].zfill(20), cpu)
            write(here / id_, memory_current=f"{used:020}\n", cpu_stat=padded)
