# SPDX-License-Identifier: MIT
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so1.model import Charged, Container
from so1.sources import cgroups
from so1.sources.cgroups import Cgroups, Seen
from tests.support.cgroups import MIB, process, write

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
PID = 71


def container(id_: str = ID, pid: int = PID) -> Container:
    return Container(id=id_, name="web", image="alpine", labels={}, started_at=0, pid=pid)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Host:
    """A tree of files for /proc and one for cgroup version 2."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.root = folder / "cgroup"
        self.root.mkdir()
        self.cgroups = Cgroups(self.proc, self.root)

    def start(self, path: str = f"/docker/{ID}", pid: int = PID, **figures: Any) -> Path:
        """Run a container whose first process is in the cgroup `path`; gives its directory."""
        process(self.proc, pid, path)
        directory = Path(f"{self.root}{path}")
        write(directory, **figures)
        return directory

    def seen(self, *containers: Container) -> Seen:
        found, why = self.cgroups.look(containers or [container()])
        assert why == {}
        return found[ID]

    def why(self, one: Container | None = None) -> str:
        found, why = self.cgroups.look([one or container()])
        assert found == {}
        return why[ID]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    before = descriptors()
    yield made
    made.cgroups.close()
    assert descriptors() == before


def test_all_figures(host: Host) -> None:
    directory = host.start(
        memory=100 * MIB,
        cache=30 * MIB,
        memory_max=f"{256 * MIB}\n",
        memory_events="low 0\nhigh 0\nmax 0\noom 4\noom_kill 3\noom_group_kill 9\n",
        cpu_stat="usage_usec 1234\nuser_usec 1\nnr_throttled 8\nthrottled_usec 55\n",
        io_stat="8:0 rbytes=4096 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n"
        "8:16 rbytes=100 wbytes=200 rios=1 wios=1 dbytes=7 dios=0\n",
        pids_current="12\n",
        cpu_pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
        memory_pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=8\nfull total=1\n",
        io_pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=9\nfull total=1\n",
    )
    seen = host.seen()
    assert seen.charged == Charged(
        memory=70 * 1024,
        memory_limit=256 * 1024,
        oom_kills=3,
        cpu_ns=1_234_000,
        throttled_ns=55_000,
        read_bytes=4196,
        written_bytes=210,
        pids=12,
        cpu_pressure_ns=7_000,
        memory_pressure_ns=8_000,
        io_pressure_ns=9_000,
    )
    assert seen.inodes == (directory.stat().st_ino,)
    assert seen.started_ns == 100 * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_what_is_read_is_what_is_there_now(host: Host) -> None:
    directory = host.start(memory=10 * MIB)
    assert host.seen().charged.memory == 10 * 1024
    # The process may be gone or hidden by now: its directory is open.
    (host.proc / str(PID) / "cgroup").unlink()
    write(directory, memory=5 * MIB)
    assert host.seen().charged.memory == 5 * 1024


def test_more_cache_than_there_is_charged_is_no_memory(host: Host) -> None:
    host.start(memory=MIB, memory_stat=f"inactive_file {2 * MIB}\n")
    assert host.seen().charged.memory == 0


@pytest.mark.parametrize(
    ("missing", "unknown"),
    [
        (("memory.current",), {"memory"}),
        (("memory.stat",), {"memory"}),
        (("memory.max",), {"memory_limit"}),
        (("memory.events",), {"oom_kills"}),
        (("cpu.stat",), {"cpu_ns", "throttled_ns"}),
        (("io.stat",), {"read_bytes", "written_bytes"}),
        (("pids.current",), {"pids"}),
        (("cpu.pressure", "io.pressure"), {"cpu_pressure_ns", "io_pressure_ns"}),
    ],
)
def test_a_controller_that_is_switched_off(
    host: Host, missing: tuple[str, ...], unknown: set[str]
) -> None:
    directory = host.start(memory_max="4096\n")
    for name in missing:
        (directory / name).unlink()
    charged = host.seen().charged
    assert {name for name in charged.__struct_fields__ if getattr(charged, name) is None} == unknown


@pytest.mark.parametrize(
    ("path", "measured"),
    [
        (f"/docker/{ID}", f"/docker/{ID}"),
        (f"/system.slice/docker-{ID}.scope", f"/system.slice/docker-{ID}.scope"),
        # An own --cgroup-parent, rootless Docker, Podman's Quadlet.
        (f"/system.slice/web.service/{ID}", f"/system.slice/web.service/{ID}"),
        (
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope",
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope",
        ),
        (
            f"/system.slice/q.service/libpod-payload-{ID}",
            f"/system.slice/q.service/libpod-payload-{ID}",
        ),
        # What the container's own init made beneath is not all of it.
        (f"/docker/{ID}/init.scope", f"/docker/{ID}"),
        (f"/docker/{OTHER}/docker/{ID}", f"/docker/{OTHER}/docker/{ID}"),
    ],
)
def test_where_runtimes_put_containers(host: Host, path: str, measured: str) -> None:
    host.start(path)
    directory = Path(f"{host.root}{measured}")
    write(directory, memory=3 * MIB)
    seen = host.seen()
    assert (seen.charged.memory, seen.inodes[0]) == (3 * 1024, directory.stat().st_ino)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/system.slice/ssh.service",  # the pid was given to another process
        f"/docker/{OTHER}",
        f"/docker/../docker/{ID}",
        f"/../docker/{ID}",
        f"/docker//{ID}",
        f"/docker/{ID[:-1]}",
    ],
)
def test_a_process_that_is_elsewhere_says_nothing_of_the_container(host: Host, path: str) -> None:
    host.start()
    process(host.proc, PID, path)
    assert host.why() == "its first process is not in a cgroup with its id"


def test_links_lead_nowhere(host: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere / ID)
    process(host.proc, PID, f"/docker/{ID}")
    (host.root / "docker").symlink_to(elsewhere)
    assert "its cgroup cannot be read" in host.why()
    (host.root / "docker").unlink()
    write(host.root / "docker" / ID)
    (host.root / "docker" / ID / "memory.current").unlink()
    (host.root / "docker" / ID / "memory.current").symlink_to(elsewhere / ID / "memory.current")
    assert "its cgroup cannot be read" in host.why()


def test_why_a_container_is_not_measured(host: Host, tmp_path: Path) -> None:
    host.start()
    assert host.why(container(pid=0)) == "the engine did not tell its first process"
    assert host.why(container(pid=5)).startswith("its first process, 5, cannot be looked at (No ")
    (host.proc / str(PID) / "cgroup").write_text("4:memory:/docker\n1:name=systemd:/x\n")
    assert host.why() == "this host has no cgroup version 2"
    process(host.proc, PID, f"/system.slice/docker-{ID}.scope")
    assert host.why() == "its cgroup is gone, or not where cgroup version 2 is mounted"
    (host.proc / str(PID) / "stat").write_text("what?")
    assert host.why() == f"/proc/{PID}/stat is not what the kernel writes"
    found, why = Cgroups(host.proc, tmp_path / "none").look([container("../../etc")])
    assert (found, why) == ({}, {"../../etc": "the engine did not tell its first process"})


def test_a_container_that_was_started_again_is_looked_for_again(host: Host) -> None:
    first = host.start(memory=MIB)
    assert host.seen().inodes == (first.stat().st_ino,)
    again = host.start(f"/again/{ID}", pid=72, memory=2 * MIB)
    seen = host.seen(container(pid=72))
    assert (seen.charged.memory, seen.inodes) == (2 * 1024, (again.stat().st_ino,))


def test_who_is_not_asked_for_is_let_go(host: Host) -> None:
    host.start()
    open_before = descriptors()
    host.seen()
    assert descriptors() > open_before
    assert host.cgroups.look([]) == ({}, {})
    assert descriptors() == open_before


def test_directories_beneath_are_the_containers_too(host: Host) -> None:
    directory = host.start()
    (directory / "a" / "b").mkdir(parents=True)
    (directory / "c").mkdir()
    expected = {directory / part for part in ("", "a", "a/b", "c")}
    assert set(host.seen().inodes) == {path.stat().st_ino for path in expected}


def test_as_many_directories_as_somebody_may_make_are_not_all_walked(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_BENEATH_MAX", 5)
    directory = host.start()
    for number in range(20):
        (directory / f"d{number}").mkdir()
    assert len(host.seen().inodes) == 1 + 5


@pytest.mark.parametrize("end", ["", "x"])
def test_files_that_are_not_what_the_kernel_writes(host: Host, end: str) -> None:
    names = ("memory_current", "memory_stat", "memory_max", "memory_events", "cpu_stat")
    more = ("pids_current", "cpu_pressure", "memory_pressure", "io_pressure")
    files: dict[str, Any] = dict.fromkeys((*names, *more), end)
    host.start(**files, io_stat="rbytes= wbytes=-4")
    charged = host.seen().charged
    assert charged == Charged(read_bytes=0, written_bytes=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(blacklist_characters="\0\n\r", blacklist_categories=["Cs"])))
def test_whatever_proc_says_nothing_outside_is_opened(tmp_path: Path, text: str) -> None:
    proc = tmp_path / "proc"
    process(proc, PID, f"/{text}")
    root = tmp_path / "cgroup"
    root.mkdir(exist_ok=True)
    reader = Cgroups(proc, root)
    found, why = reader.look([container()])
    assert found == {}
    assert set(why) == {ID}


def test_this_machines_own_files_are_read_as_they_are() -> None:
    # Whatever of it is here: each figure is a number or not known, and nothing fails.
    (mounted,) = {
        Path(line.split()[1])
        for line in Path("/proc/mounts").read_text().splitlines()
        if line.split()[2] == "cgroup2"
    }
    assert stat.S_ISDIR(mounted.stat().st_mode)
    directory = os.open(mounted, os.O_RDONLY | os.O_DIRECTORY)
    opened = cgroups._Directory(1, 0, directory)
    charged = opened.read().charged
    opened.close()
    assert charged.cpu_ns is None or charged.cpu_ns > 0
