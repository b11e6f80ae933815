# SPDX-License-Identifier: MIT
"""What it takes to learn of all processes, in each of the ways there are."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # has none

from so1.sources import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIX = "202300539"
SYSINFO = Path(f"/proc/sysinfo_so1_{SUFFIX}")
ITERATOR = Path("/sys/fs/bpf/so1_bench")
HERE = Path(__file__).resolve().parent
REPEATS = 5
"""Of what takes milliseconds: the median of these is one sample."""

_ATTRIBUTES = [
    *("pid", "ppid", "uids", "name", "status", "num_threads"),
    *("memory_info", "cpu_times", "create_time"),
]
_PS = "pid,ppid,uid,comm,state,nlwp,rss,vsz,pmem,pcpu,etimes,cputimes"
_COMPARED = [
    *("pid", "ppid", "uid", "name", "state", "threads"),
    *("rss", "vsz", "swap", "mem_percent", "start_ns", "cpu_ns", "major_faults"),
    *("read_bytes", "written_bytes", "nice", "oom_score_adj", "cgroup"),
]
"""All but `cpu`, which goes by the clock."""


@contextlib.contextmanager
def iterator() -> Iterator[None]:
    """Pin the BPF iterator as a file for as long as it is needed."""
    ITERATOR.unlink(missing_ok=True)
    subprocess.run(
        ["bpftool", "iter", "pin", str(HERE / "processes.bpf.o"), str(ITERATOR)], check=True
    )
    try:
        yield
    finally:
        ITERATOR.unlink()


@contextlib.contextmanager
def crowd(number: int) -> Iterator[None]:
    """Have that many idle processes more."""
    scope = ["systemd-run", "--quiet", "--scope", "--property=TasksMax=infinity"]
    before = len(psutil.pids())
    with subprocess.Popen(
        [*scope, str(HERE / "crowd"), str(number)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{number} processes could not be started")
        try:
            yield
        finally:
            process.kill()
    # They exit by themselves, which takes a while.
    while len(psutil.pids()) > before + number // 10:
        time.sleep(0.5)
    time.sleep(2)


def check(number: int) -> int:
    """See that module and iterator say the same of the crowd; give the number of processes."""
    ours = json.loads(SYSINFO.read_bytes())["processes"]
    theirs = json.loads(ITERATOR.read_bytes())["processes"]
    crowds = [
        [tuple(p[key] for key in _COMPARED) for p in processes if p["name"] == "crowd"]
        for processes in (ours, theirs)
    ]
    if crowds[0] != crowds[1] or len(crowds[0]) != number + 1:
        raise SystemExit("the module and the BPF iterator differ: nothing can be compared")
    return len(ours)


def _bare(round_: int) -> dict[str, float]:
    """Read both files, with the same program, in turn; who is first changes."""
    files = [str(SYSINFO), str(ITERATOR)]
    names = ["sysinfo", "bpf"]
    if round_ % 2:
        files.reverse()
        names.reverse()
    done = subprocess.run(
        [str(HERE / "reader"), str(REPEATS), *files], check=True, stdout=subprocess.PIPE, text=True
    )
    columns = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    return {
        name: statistics.median(map(int, column)) / 1e9
        for name, column in zip(names, columns, strict=True)
    }


def _repeated(walk: Callable[[], object]) -> float:
    return statistics.median(_once(walk) for _ in range(REPEATS))


def _once(walk: Callable[[], object]) -> float:
    start = time.perf_counter()
    walk()
    return time.perf_counter() - start


def _decoded() -> object:
    # The two halves of kernel.take().
    return kernel._sysinfo.decode(kernel._read(SYSINFO))


def _snapshot() -> object:
    return kernel.take(SUFFIX)


def _psutil() -> list[tuple[object, ...]]:
    total, now = psutil.virtual_memory().total, time.time()
    rows: list[tuple[object, ...]] = []
    for process in psutil.process_iter(_ATTRIBUTES):
        i = process.info
        if i["memory_info"] is None:  # it exited meanwhile
            continue
        memory, times, age = i["memory_info"], i["cpu_times"], now - i["create_time"]
        cpu = times.user + times.system
        rows.append(
            (
                *(i["pid"], i["ppid"], i["uids"].real, i["name"], i["status"], i["num_threads"]),
                *(memory.rss // 1024, memory.vms // 1024, memory.rss * 100 // total),
                *(cpu * 100 // max(age, 1), i["create_time"], cpu),
            )
        )
    return rows


def _ps() -> bytes:
    return subprocess.run(["ps", "-eo", _PS], check=True, stdout=subprocess.PIPE).stdout


def _stat_files() -> list[bytes]:
    files = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    files.append(file.read())
            except (FileNotFoundError, ProcessLookupError):
                pass
    return files


def _sample(method: str, round_: int) -> dict[str, float]:
    match method:
        case "bare":
            return _bare(round_)
        case "decode":
            return {"decode": _repeated(_decoded)}
        case "snapshot":
            return {"snapshot": _repeated(_snapshot)}
        case "psutil":
            return {"psutil": _once(_psutil)}
        case "ps":
            return {"ps": _once(_ps)}
        case _:
            return {"stat": _once(_stat_files)}


_METHODS = ["bare", "decode", "snapshot", "psutil", "ps", "stat"]


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds for each way, one of each round; the order is another each time."""
    samples: dict[str, list[float]] = {}
    for round_ in range(-1, rounds):
        shift = round_ % len(_METHODS)
        for method in _METHODS[shift:] + _METHODS[:shift]:
            for name, seconds in _sample(method, round_).items():
                if round_ >= 0:  # the first warms up
                    samples.setdefault(name, []).append(seconds)
    return samples
