# SPDX-License-Identifier: MIT
"""Print what the parts of a tick cost this machine, and whether they keep to their bounds.

The files of /proc and of cgroups are copies: what the kernel does to answer is not in it, and
`make bench` measures that.
"""

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from so1 import config
from so1.cpu_usage import Interval
from so1.model import CLASS, MANAGED, Container
from so1.sample import Sampler, Word
from so1.sources import cgroups, kernel
from so1.store import rows
from so1.store.database import Database
from tests.support import cgroups as tree

SUFFIX = "202300539"
TOP = 20
"""Processes kept by RAM, and as many by CPU: the role's default."""
CONTAINER_US = 100
MEMORY_STAT = "".join(f"counter_{number} {number * 4096}\n" for number in range(40))
"""A real memory.stat has some forty lines more than the tests' stand-in."""

P = ParamSpec("P")
T = TypeVar("T")


def document(
    processes: int, inodes: list[int], tick: int, busy: int, chance: random.Random
) -> bytes:
    """Write what sysinfo would say; a fifth of the processes are in the containers.

    busy percent of them used CPU since the tick before.
    """
    listed = [
        {
            "pid": 300 + pid,
            "ppid": 1,
            "uid": 1000,
            "name": f"worker-{pid % 50}",
            "state": 1,
            "threads": 2,
            "rss": chance.randrange(1_000, 90_000),
            "vsz": chance.randrange(90_000, 900_000),
            "swap": 0,
            "mem_percent": 0,
            "cpu": 0,
            "start_ns": 10**12 + pid * 1000,
            "cpu_ns": 10**9 + pid + (tick * 20_000_000 if pid * 100 // processes < busy else 0),
            "major_faults": 3,
            "read_bytes": 4096,
            "written_bytes": 8192,
            "nice": 0,
            "oom_score_adj": 0,
            "cgroup": inodes[pid % len(inodes)] if pid % 5 == 0 else 7,
        }
        for pid in range(processes)
    ]
    whole = {
        "total_ram": 16 << 20,
        "free_ram": 4 << 20,
        "used_ram": 12 << 20,
        "available_ram": 6 << 20,
        "taken_ns": 2 * 10**12 + tick * 20 * 10**9,
        "processes": listed,
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def host(folder: Path, count: int) -> tuple[list[Container], list[int]]:
    """Make so many containers, each with its first process and its cgroup; gives their inodes."""
    made, inodes = [], []
    for number in range(count):
        id_ = f"{number:064x}"
        directory = folder / "cgroup/system.slice" / f"docker-{id_}.scope"
        tree.write(directory)
        with (directory / "memory.stat").open("a") as file:
            file.write(MEMORY_STAT)
        pid = 300 + number
        tree.process(folder / "proc", pid, f"/system.slice/docker-{id_}.scope")
        labels = {MANAGED: "true", CLASS: "low"} if number % 2 else {}
        made.append(
            Container(id=id_, name=f"so1-{number}", image="a", labels=labels, started_at=0, pid=pid)
        )
        inodes.append(directory.stat().st_ino)
    return made, inodes


class Parts:
    """CPU milliseconds of each part of a tick, round by round."""

    def __init__(self) -> None:
        """Begin without a round."""
        self.taken: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do the work, and note what it took."""
        began = time.process_time_ns()
        result = work(*arguments, **named)
        self.taken.setdefault(name, []).append((time.process_time_ns() - began) / 1e6)
        return result

    def median(self, name: str) -> float:
        """Tell the median of all rounds, in milliseconds."""
        return statistics.median(self.taken[name])


def measure(folder: Path, processes: int, containers: int, busy: int, rounds: int) -> Parts:
    """Time the parts one by one, on the very values of a whole sample."""
    parts = Parts()
    chance = random.Random(539)  # noqa: S311 - the same host each time
    proc, root = folder / "proc", folder / "cgroup"
    listed, inodes = host(folder, containers)
    (proc / f"continfo_so1_{SUFFIX}").write_text("[]\n")
    (proc / "so2_memory_limits").write_text("[]\n")
    document_path = proc / f"sysinfo_so1_{SUFFIX}"
    settings = config.Snapshot(source="module", suffix=SUFFIX)
    sampler = Sampler(settings, proc=proc, cgroup_root=root)
    alone, interval = cgroups.Cgroups(proc, root), Interval()
    word = Word(tuple(listed), time.monotonic())
    with contextlib.closing(Database(folder / "metrics.db")) as database:
        for tick in range(rounds + 1):
            document_path.write_bytes(document(processes, inodes, tick, busy, chance))
            snapshot = parts.time("take", kernel.take, SUFFIX, proc)
            parts.time("interval", interval.advance, snapshot)
            parts.time("cgroups", alone.look, listed)
            sample = parts.time("sample, all of these", sampler.take, word)
            if sample.gaps:
                sys.exit(f"not a whole sample: {sample.gaps}")
            laid_out = parts.time(
                "rows",
                rows.build,
                sample,
                top=TOP,
                removed=0,
                troubles=(),
                events=(),
            )
            parts.time("write", database.write_tick, laid_out)
    sampler.close()
    alone.close()
    # The first of each is not like the others: files are opened, nothing can be compared.
    parts.taken = {name: taken[1:] for name, taken in parts.taken.items()}
    return parts


def main() -> None:
    """Measure and print the table; exit 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tick", description=__doc__)
    parser.add_argument("--processes", type=int, default=10_000)
    parser.add_argument("--containers", type=int, default=100)
    parser.add_argument("--busy", type=int, default=10, help="percent that use CPU in a tick")
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = measure(
            Path(folder), options.processes, options.containers, options.busy, options.rounds
        )
    asked = f"{options.processes:,} processes, {options.busy} % busy"
    print(f"{asked}, {options.containers} containers")  # noqa: T201
    print("| part | CPU, ms |\n| --- | ---: |")  # noqa: T201
    for name, taken in parts.taken.items():
        print(f"| {name} | {parts.median(name):.2f} ({min(taken):.2f} to {max(taken):.2f}) |")  # noqa: T201
    each = parts.median("cgroups") * 1000 / options.containers
    stored = parts.median("rows") + parts.median("write")
    kept = {
        f"a container ≤ {CONTAINER_US} µs: {each:.0f} µs": each <= CONTAINER_US,
        f"rows and write ≤ take: {stored:.2f} ms": stored <= parts.median("take"),
    }
    for bound, holds in kept.items():
        print(f"{bound}: {'yes' if holds else 'NO'}")  # noqa: T201
    if not all(kept.values()):
        sys.exit("a bound is not kept")


main()
