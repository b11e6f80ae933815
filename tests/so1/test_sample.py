# SPDX-License-Identifier: MIT
"""From /proc and cgroup files to one value a tick."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so1 import config
from so1.model import Container
from so1.sample import Sample, Sampler, Word
from tests.so1.processes import SUFFIX, process
from tests.support.cgroups import MIB, write
from tests.support.cgroups import process as place

WEB, DB = "ab" * 32, "cd" * 32
SECOND = 1_000_000_000


def container(id_: str, name: str, pid: int) -> Container:
    return Container(id=id_, name=name, image="alpine", labels={}, started_at=0, pid=pid)


class Host:
    """A host in a tree of files: processes as the modules tell them, and cgroups."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.root = folder / "proc", folder / "cgroup"
        self.proc.mkdir()
        self.root.mkdir()
        self.processes: list[dict[str, Any]] = []
        self.containers: list[Container] = []
        self.trouble: str | None = None
        self.heard_at: float | None = time.monotonic()
        self.sampler = Sampler(
            config.Snapshot(source="module"), proc=self.proc, cgroup_root=self.root
        )

    def start(self, id_: str, name: str, pid: int, *, path: str = "", **figures: Any) -> Path:
        """Run a container of one process."""
        path = path or f"/docker/{id_}"
        directory = Path(f"{self.root}{path}")
        write(directory, **figures)
        place(self.proc, pid, path)
        self.containers.append(container(id_, name, pid))
        self.add(pid, directory, id_ if path.startswith("/docker/") else None)
        return directory

    def add(self, pid: int, directory: Path | None, container_id: str | None, **more: Any) -> None:
        """Add a process; `container_id` is what the name of its cgroup says."""
        inode = directory.stat().st_ino if directory else 0
        self.processes.append(process(pid, cgroup=inode, container_id=container_id) | more)

    def take(self) -> Sample:
        body = {
            "total_ram": 1000,
            "free_ram": 400,
            "used_ram": 600,
            "available_ram": 500,
            "taken_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            "processes": self.processes,
        }
        for name, text in (("sysinfo", body), ("continfo", [])):
            (self.proc / f"{name}_so1_{SUFFIX}").write_text(json.dumps(text))
        return self.sampler.take(Word(tuple(self.containers), self.heard_at, self.trouble))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.sampler.close()


def pids(sample: Sample) -> dict[str, list[int]]:
    return {u.container.name: [p.pid for p in u.members] for u in sample.everyone}


def test_a_container_is_charged_what_its_cgroup_is(host: Host) -> None:
    # Nine processes that share 64 MiB: summed up, they would be nine times as large.
    directory = host.start(WEB, "web", 10, memory=66 * MIB)
    for pid in range(11, 19):
        host.add(pid, directory, WEB, rss=64 * 1024)
    (usage,) = host.take().containers
    assert usage.memory == 66 * 1024
    assert usage.ram == 8 * 64 * 1024 + 100
    assert (usage.processes, usage.container.started_ns is not None) == (9, True)


def test_members_are_those_of_the_cgroup_and_not_those_of_a_name(host: Host) -> None:
    directory = host.start(WEB, "web", 10)
    host.add(11, directory, None)  # moved there: no name tells it
    host.add(12, host.root, WEB)  # somebody's own directory with the container's name
    beneath = directory / "init.scope"
    beneath.mkdir()
    host.add(13, beneath, WEB)
    assert pids(host.take()) == {"web": [10, 11, 13]}


def test_where_the_engine_puts_it_elsewhere_it_is_measured_there(host: Host) -> None:
    host.start(WEB, "web", 10, path=f"/system.slice/x.service/{WEB}", memory=5 * MIB)
    sample = host.take()
    assert pids(sample) == {"web": [10]}
    assert sample.containers[0].memory == 5 * 1024
    assert sample.gaps == {}


def test_names_decide_where_no_engine_tells(host: Host) -> None:
    host.start(WEB, "web", 10, memory=7 * MIB)
    host.containers.clear()
    sample = host.take()
    assert pids(sample) == {WEB[:12]: [10]}
    (stranger,) = sample.strangers
    assert (stranger.memory, stranger.container.class_) == (7 * 1024, "unmanaged")


def test_names_decide_where_the_modules_do_not_tell_the_cgroup(host: Host) -> None:
    host.start(WEB, "web", 10)
    host.add(11, None, WEB)
    host.add(12, None, None)
    assert pids(host.take()) == {"web": [10, 11]}


def test_a_container_that_cannot_be_read_is_not_measured_and_said_so(host: Host) -> None:
    host.start(WEB, "web", 10)
    host.containers += [container(DB, "db", 99), container("ef" * 32, "cache", 98)]
    sample = host.take()
    unmeasured = {u.container.name: (u.memory, u.processes) for u in sample.containers}
    assert unmeasured == {"web": (64 * 1024, 1), "db": (None, 0), "cache": (None, 0)}
    assert sample.gaps["cgroups"] == (
        "Not measured, so not ranked and not removed: cache and 1 more (its first process, 98,"
        " cannot be looked at (No such file or directory))."
    )


def test_without_the_memory_controller_the_rest_is_there(host: Host) -> None:
    directory = host.start(WEB, "web", 10, pids_current="4\n")
    (directory / "memory.current").unlink()
    sample = host.take()
    (usage,) = sample.containers
    assert usage.memory is None
    assert usage.charged is not None
    assert usage.charged.pids == 4
    assert "the memory controller is not switched on" in sample.gaps["cgroups"]


def test_what_it_used_over_the_interval(host: Host) -> None:
    old = {"cpu_stat": "usage_usec 1000000\nthrottled_usec 10\n"}
    directory = host.start(WEB, "web", 10, **old)
    (first,) = host.take().containers
    assert (first.cpu, first.spent.cpu_ns, first.spent.oom_kills) == (0, None, None)
    before = time.monotonic_ns()
    time.sleep(0.05)
    write(
        directory,
        cpu_stat="usage_usec 1500000\nthrottled_usec 20\n",
        memory_events="oom_kill 2\n",
        io_stat="8:0 rbytes=10 wbytes=20\n",
        cpu_pressure="some total=40\n",
    )
    (usage,) = host.take().containers
    elapsed = time.monotonic_ns() - before
    spent = usage.spent
    assert (spent.cpu_ns, usage.cpu_ns) == (SECOND // 2, SECOND // 2)
    assert spent.cpu == usage.cpu
    assert usage.cpu == pytest.approx(SECOND // 2 * 100 / elapsed, rel=0.2)
    assert (spent.throttled_ns, spent.oom_kills) == (10_000, 2)
    assert (spent.read_bytes, spent.written_bytes) == (10, 20)
    assert spent.cpu_pressure == pytest.approx(40_000 * 100 / elapsed, rel=0.2)
    assert spent.memory_pressure == 0


def test_one_that_started_meanwhile_has_used_all_that_its_cgroup_counts(host: Host) -> None:
    host.take()
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * 100 + 100
    host.start(WEB, "web", 10, cpu_stat="usage_usec 300000\n")
    place(host.proc, 10, f"/docker/{WEB}", start=round(ticks))
    host.start(DB, "db", 11, cpu_stat="usage_usec 900000\n")  # it has run for long
    web, db = host.take().containers
    assert web.spent.cpu_ns == 300_000_000
    assert db.spent.cpu_ns is None


def test_a_counter_that_goes_back_is_no_use(host: Host) -> None:
    directory = host.start(WEB, "web", 10, cpu_stat="usage_usec 900\n")
    host.take()
    write(directory, cpu_stat="usage_usec 100\n")
    assert host.take().containers[0].spent.cpu_ns == 0


def test_while_docker_does_not_answer_what_shows_no_life_is_left_out(host: Host) -> None:
    host.start(WEB, "web", 10)
    host.containers.append(container(DB, "db", 99))
    assert set(pids(host.take())) == {"web", "db"}
    host.trouble = "Docker does not answer."
    sample = host.take()
    assert set(pids(sample)) == {"web"}
    assert not sample.docker_answers
    assert sample.docker_age is not None
    assert sample.docker_age > 0


def test_before_docker_said_anything(host: Host) -> None:
    host.heard_at = None
    sample = host.take()
    assert (sample.docker_answers, sample.docker_age) == (False, None)


def test_whoever_is_blind_sees_no_container_by_its_processes(tmp_path: Path) -> None:
    # A /proc that hides process 1 may hide any other; this machine's own processes stand for it.
    proc = tmp_path / "proc"
    proc.mkdir()
    for name in ("stat", "meminfo"):
        (proc / name).write_bytes(Path(f"/proc/{name}").read_bytes())
    own = proc / "77"
    own.mkdir()
    for name in ("stat", "status", "statm", "cmdline"):
        (own / name).write_bytes(Path(f"/proc/self/{name}").read_bytes())
    (own / "cgroup").write_text(f"0::/docker/{WEB}\n")
    sampler = Sampler(config.Snapshot(source="procfs"), proc=proc, cgroup_root=tmp_path)
    sample = sampler.take(Word((container(WEB, "web", 77), container(DB, "db", 78)), 0.0))
    sampler.close()
    assert "does not show process 1" in sample.gaps["blind"]
    assert [(u.memory, u.processes) for u in sample.containers] == [(None, 0), (None, 0)]
