#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares what the daemon's readers say a container uses with Docker and the kernel; needs root.

Runs with the interpreter that so1 is installed in. Changes nothing but what it makes itself: some
containers that nobody manages, and cgroups of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from so1.config import Docker, Policy, Snapshot
from so1.docker_engine import Engine
from so1.governor.policy import plan
from so1.model import CLASS, MANAGED, Container, ContainerUsage
from so1.sample import Sample, Sampler, Word

ROOT = Path("/sys/fs/cgroup")
OURS = ROOT / "so1-charged"
TOLERANCE = 0.02
MIXES = 200
AT_ONCE = 25
MIB = 1 << 20
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
CPU_SECONDS = 30.0
NAMED = "busybox-short"
BUILD = (
    f"busybox cp /bin/busybox /bin/{NAMED};"
    f"while :; do {NAMED} sh -c 'i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done'; done"
)

STRESS = "stress --vm-keep --vm-hang 0 --vm"
SLOW = ("--cpus", "0.3")
CONTAINERS = {
    "private": ("so1-lab/stress", "sh", "-c", f"{STRESS} 1 --vm-bytes 48M"),
    "several": ("so1-lab/stress", "sh", "-c", f"{STRESS} 3 --vm-bytes 36M"),
    # The file is cache, which memory.current has and docker stats has not.
    "cache": (
        *("so1-lab/stress", "sh", "-c"),
        f"busybox dd if=/dev/zero of=/file bs=1M count=40; {STRESS} 1 --vm-bytes 24M",
    ),
    "busy": (*SLOW, "so1-lab/alpine", "sh", "-c", "while :; do :; done"),
    # No process but the shell lives from one sample to the next.
    "forking": (*SLOW, "so1-lab/alpine", "sh", "-c", "while :; do busybox true; done"),
    # As a build has them: each lives for less than a second, and works all the time.
    "building": (*SLOW, "so1-lab/alpine", "sh", "-c", BUILD),
}
HELD = ("private", "several", "cache")
"""Those whose memory stays what it is, once they have it."""
LEAST = 20 * MIB
WORKING = ("busy", "forking", "building")


def docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=240
    )
    if done.returncode:
        raise AssertionError(f"docker {' '.join(words)}: {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """Run the containers; gives their ids by what they do."""
    names = [f"so1-charged-{what}" for what in CONTAINERS]
    with contextlib.suppress(AssertionError):
        docker("rm", "--force", *names)
    try:
        yield {
            what: docker("run", "--detach", "--name", f"so1-charged-{what}", *words).strip()
            for what, words in CONTAINERS.items()
        }
    finally:
        docker("rm", "--force", *names)


def number(path: Path, key: str = "") -> int:
    """Read a number of a cgroup's file, behind a key where it has several."""
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 1 + bool(key) and words[0] == (key or words[-1]):
            return int(words[-1])
    raise AssertionError(f"{path} has no {key}")


def charged(directory: Path) -> int:
    """Tell what the kernel charges, in bytes, without the cache that it gives back first."""
    cache = number(directory / "memory.stat", "inactive_file")
    return number(directory / "memory.current") - cache


def cgroup_of(pid: int) -> Path:
    text = Path(f"/proc/{pid}/cgroup").read_text()
    (way,) = (line[3:] for line in text.splitlines() if line.startswith("0::"))
    return ROOT / way.lstrip("/")


def stats() -> dict[str, int]:
    """Tell what docker stats shows as used memory, in bytes, by id."""
    shown = {}
    for line in docker(
        "stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}"
    ).splitlines():
        id_, used = line.split()[:2]
        unit = used.lstrip("0123456789.")
        shown[id_] = round(float(used.removesuffix(unit)) * UNITS[unit])
    return shown


def by_id(sample: Sample) -> dict[str, ContainerUsage]:
    return {usage.container.id: usage for usage in sample.containers}


def near(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= TOLERANCE * theirs


def memory_is_what_docker_stats_shows(ids: dict[str, str], take: Callable[[], Sample]) -> None:
    differ: dict[str, tuple[int, int]] = {}
    # The containers are still coming up at first, and docker stats looks some seconds later.
    for _ in range(12):
        ours, theirs = by_id(take()), stats()
        differ = {}
        for what in HELD:
            memory = ours[ids[what]].memory
            assert memory is not None, f"{what} is not measured"
            if not near(memory * 1024, theirs[ids[what]]) or memory * 1024 < LEAST:
                differ[what] = memory * 1024, theirs[ids[what]]
        if not differ:
            for what in HELD:
                memory = ours[ids[what]].memory
                print(f"# {what}: {memory} KiB, docker stats {theirs[ids[what]] / 1024:.0f}")
            return
        time.sleep(5)
    raise AssertionError(f"bytes by so1 and by docker stats: {differ}")


def cpu_is_what_the_cgroup_counts(ids: dict[str, str], take: Callable[[], Sample]) -> None:
    """Compare over an interval at both ends of which they stand still, so that all see the same."""
    names = [f"so1-charged-{what}" for what in WORKING]
    docker("pause", *names)
    before = by_id(take())
    files = {what: cgroup_of(before[ids[what]].container.pid) / "cpu.stat" for what in WORKING}
    then = {what: number(path, "usage_usec") for what, path in files.items()}
    docker("unpause", *names)
    time.sleep(CPU_SECONDS)
    docker("pause", *names)
    last = take()
    sample = by_id(last)
    for what, path in files.items():
        ours, theirs = (
            sample[ids[what]].spent.cpu_ns,
            1000 * (number(path, "usage_usec") - then[what]),
        )
        told = f"{what}: {ours} ns, cpu.stat {theirs}"
        assert ours, told
        assert near(ours, theirs), told
        print(f"# {told}")
        if what == "building":
            what_came_and_went_counts(ids[what], last, theirs)


def what_came_and_went_counts(id_: str, last: Sample, theirs: int) -> None:
    """Compare the sum over the processes of a container, those that ended too, with its cgroup."""
    there = sum(used for used, process in last.cpu.used if process.container_id == id_)
    ended = last.cpu.ended_ns[NAMED]
    told = f"{there} ns and {ended} ns of {len(last.exits)} that ended, cpu.stat {theirs}"
    print(f"# {told}", flush=True)
    assert ended > there, told
    assert abs(there + ended - theirs) <= 0.01 * theirs, told


@dataclass
class Mix:
    """One cgroup with processes that share some memory and have some of their own."""

    id: str
    directory: Path
    pids: list[int]


def make(index: int, chance: random.Random) -> Mix:
    id_ = f"{index:064x}"
    directory = OURS / f"docker-{id_}.scope"
    directory.mkdir()
    # The sizes are close to one another, so that the sum of RSS gives another order.
    shared = mmap.mmap(-1, chance.randrange(1, 8) * MIB // 2)
    pids = []
    for position in range(chance.randrange(1, 4)):
        private = chance.randrange(0, 6) * MIB // 4
        here, there = os.pipe()
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                # First the cgroup: what is touched from here on is charged to it.
                (directory / "cgroup.procs").write_text(str(os.getpid()))
                own = mmap.mmap(-1, private + 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                for memory, size in ((shared, len(shared)), (own, private)):
                    for offset in range(0, size, 4096):
                        if memory is own or not position:
                            memory[offset] = 1
                        else:
                            memory[offset]
                os.write(there, b"x")
                signal.pause()
            os._exit(1)
        os.close(there)
        assert os.read(here, 1) == b"x", "a process of a mix ended"
        os.close(here)
        pids.append(pid)
    shared.close()
    return Mix(id_, directory, pids)


@contextlib.contextmanager
def mixes(count: int, begin: int, chance: random.Random) -> Iterator[list[Mix]]:
    made: list[Mix] = []
    try:
        for index in range(begin, begin + count):
            made.append(make(index, chance))  # noqa: PERF401 - what is made is known if one fails
        yield made
    finally:
        for mix in made:
            for pid in mix.pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        for mix in made:
            mix.directory.rmdir()


def the_order_is_the_kernel_s() -> None:
    """Plan for mixes as if they were managed containers: nothing but the plan is made."""
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)  # so that it can be done again
    print(f"# seed {seed}")
    OURS.mkdir(exist_ok=True)
    (OURS / "cgroup.subtree_control").write_text("+memory")
    sampler = Sampler(Snapshot())
    done, otherwise = 0, 0
    try:
        while done < MIXES:
            with mixes(AT_ONCE, done, chance) as made:
                otherwise += orders(made, sampler)
            done += AT_ONCE
    finally:
        sampler.close()
        OURS.rmdir()
    # Else the sum of RSS would have done as well, and this would show nothing.
    assert otherwise >= MIXES // AT_ONCE // 2, f"the order of RSS was another {otherwise} times"
    print(f"# {done} mixes; in {otherwise} of {MIXES // AT_ONCE} rounds RSS gives another order")


def orders(made: list[Mix], sampler: Sampler) -> bool:
    """Check the order in which these would go; gives whether that of RSS is another."""
    labels = {MANAGED: "true", CLASS: "high"}
    word = Word(
        tuple(Container(mix.id, mix.id[-4:], "mix", labels, 0, pid=mix.pids[0]) for mix in made),
        time.monotonic(),
    )
    before = {mix.id: charged(mix.directory) for mix in made}
    sample = sampler.take(word)
    after = {mix.id: charged(mix.directory) for mix in made}
    policy = Policy(maximum=len(made), keep_low=0, keep_high=0, grace=0)
    planned = plan(sample.containers, policy, sample.snapshot.taken_ns)
    order = [verdict.container.id for verdict in planned.removals]
    assert sorted(order) == sorted(before), "some are not ranked"
    for worse, better in itertools.pairwise(order):
        # The kernel accounts in batches: what it says moves while nothing happens. The figures of
        # the plan are whole KiB.
        least, most = min(before[better], after[better]), max(before[worse], after[worse])
        assert least < most + 1024, f"{worse[-4:]} ({most}) before {better[-4:]} ({least})"
    rss = sorted(sample.containers, key=lambda u: (-u.ram, -u.cpu, u.container.id))
    return [usage.container.id for usage in rss] != order


def main() -> int:
    engine = Engine(Docker())
    sampler = Sampler(Snapshot())

    def take() -> Sample:
        return sampler.take(Word(tuple(engine.running()), time.monotonic()))

    with running() as ids:
        memory_is_what_docker_stats_shows(ids, take)
        cpu_is_what_the_cgroup_counts(ids, take)
    sampler.close()
    the_order_is_the_kernel_s()
    return 0


if __name__ == "__main__":
    sys.exit(main())
