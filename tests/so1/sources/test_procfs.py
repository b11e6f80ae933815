# SPDX-License-Identifier: MIT
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1.sources import procfs

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4

_NAMED = """
import ctypes, sys
name = bytes.fromhex(sys.argv[1])
ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("cgroups", "expected"),
    [
        (f"0::/system.slice/docker-{ID}.scope", ID),
        (f"0::/machine.slice/libpod-{ID}.scope/container", ID),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", ID),
        (f"0::/kubepods/pod1/{ID}", ID),
        (f"0::/kubepods/burstable/pod1/{ID}", ID),
        (f"0::/kubepods/besteffort/pod1/{ID}/x", ID),
        # What somebody was given, and named so beneath it.
        (f"0::/lxc.payload.c1/docker/{ID}", None),
        (f"0::/lxc/101/ns/docker/{ID}", None),
        (f"0::/system.slice/docker/{ID}", None),
        (f"0::/user.slice/docker/{ID}", None),
        (f"0::/delegated/docker-{ID}.scope", None),
        (f"0::/kubepods/guaranteed/pod1/{ID}", None),
        (f"0::/{ID}", None),
        (f"0::/../docker/{ID}", None),
        (f"0::/docker/{ID}", ID),
        (f"0::/docker/{ID}/nested/{OTHER}", ID),
        (f"0::/docker/{ID}/init.scope", ID),
        ("0::/", None),
        ("0::/system.slice/ssh.service", None),
        (f"0::/system.slice/ssh.service/{ID}", None),
        (f"0::/user.slice/user-1.slice/user@1.service/docker-{ID}.scope", None),
        (f"0::/user.slice/session-1.scope/{ID}", None),
        (f"0::/docker/{ID[:-1]}", None),
        (f"0::/docker/{ID}0", None),
        (f"0::/docker/{ID.upper()}", None),
        (f"0::/evil-{ID}.scope", None),
        ("", None),
        ("garbage", None),
        (f"12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/", ID),
        (f"1:name=systemd:/system.slice/x.service\n12:pids:/docker/{ID}", ID),
    ],
)
def test_container_id(cgroups: str, expected: str | None) -> None:
    assert procfs.container_id(cgroups) == expected


@given(st.binary(max_size=15).filter(lambda raw: b"\0" not in raw))
def test_names_can_be_recovered(raw: bytes) -> None:
    written = procfs.escape(os.fsdecode(raw))
    written.encode("utf-8")
    assert procfs.unescape(written) == raw


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b"a\xff", "a\\xff"),
        (b"a\\xff", "a\\\\xff"),
        (b"\\", "\\\\"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        ("ñ".encode(), "ñ"),
        (b"\xc3", "\\xc3"),
        (b"\n", "\n"),
    ],
)
def test_names_are_written_as_the_modules_do(raw: bytes, written: str) -> None:
    assert procfs.escape(os.fsdecode(raw)) == written


@pytest.mark.parametrize(
    "raw", [b"plain", b"a) R 1 (b", b"\xff\xfe", b"n\nl", b"\\x41", "ñandú".encode(), b"f" * 15]
)
def test_a_process_with_a_hostile_name(raw: bytes) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _NAMED, raw.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout
        child.stdout.readline()
        found = {p.pid: p for p in procfs.take().processes}[child.pid]
        child.communicate()
    assert procfs.unescape(found.name) == raw
    assert found.ppid == os.getpid()


def test_this_process_as_the_kernel_shows_it() -> None:
    before = time.process_time_ns()
    snapshot = procfs.take()
    me = {p.pid: p for p in snapshot.processes}[os.getpid()]
    after = time.process_time_ns()
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if "\t" in line
    )
    tick = 1e9 / os.sysconf("SC_CLK_TCK")
    assert before - 2 * tick <= me.cpu_ns <= after + tick
    assert me.uid == os.getuid()
    assert me.threads == int(status["Threads"])
    assert me.vsz == int(status["VmSize"].split()[0])
    assert me.rss > 0
    assert 0 < me.start_ns < snapshot.taken_ns
    assert snapshot.used_ram == snapshot.total_ram - snapshot.free_ram
    assert len({p.pid for p in snapshot.processes}) == len(snapshot.processes)


def test_a_zombie_is_one() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = {p.pid: p for p in procfs.take().processes}[child.pid]
    child.wait()
    assert (found.state, found.rss) == (32, 0)


def test_processes_that_vanish_meanwhile_are_left_out() -> None:
    churn = "i=0; while [ $i -lt 400 ]; do (:) & (:) & wait; i=$((i+1)); done"
    rounds = 0
    with subprocess.Popen(["sh", "-c", churn]) as shell:
        while shell.poll() is None or not rounds:
            assert os.getpid() in {p.pid for p in procfs.take().processes}
            rounds += 1
    assert rounds


def copy_of_this_process(root: Path, pid: int, cgroup: str) -> None:
    """Put a process into a tree of files that stands for /proc."""
    folder = root / str(pid)
    folder.mkdir(parents=True)
    (root / "stat").write_text("btime 1700000000\n")
    (root / "meminfo").write_bytes(Path("/proc/meminfo").read_bytes())
    for name in ("stat", "status", "statm", "cmdline"):
        (folder / name).write_bytes(Path(f"/proc/self/{name}").read_bytes())
    (folder / "cgroup").write_text(cgroup)


def test_containers_are_grouped(tmp_path: Path) -> None:
    copy_of_this_process(tmp_path, 11, f"0::/docker/{ID}\n")
    copy_of_this_process(tmp_path, 12, "0::/\n")
    (tmp_path / "13").mkdir()  # it exited between the listing and the look
    snapshot = procfs.take(tmp_path)
    assert sorted(p.pid for p in snapshot.processes) == [11, 12]
    assert {p.pid: p.container_id for p in snapshot.processes} == {11: ID, 12: None}
    # Without process 1 others may be hidden too.
    assert snapshot.blind is not None
    assert f"{tmp_path} does not show process 1" in snapshot.blind
    assert procfs.take().blind is None


def test_the_cgroup_is_told_by_its_inode(tmp_path: Path) -> None:
    inside, root = tmp_path / "proc", tmp_path / "cgroup"
    (root / "docker" / ID).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    paths = {11: f"/docker/{ID}", 12: f"/docker/{OTHER}", 13: "/", 14: "/../outside"}
    for pid, path in paths.items():
        copy_of_this_process(inside, pid, f"0::{path}\n")
    copy_of_this_process(inside, 15, f"4:memory:/docker/{ID}\n")
    found = {p.pid: p.cgroup for p in procfs.take(inside, root).processes}
    assert found == {
        11: (root / "docker" / ID).stat().st_ino,
        12: 0,
        13: root.stat().st_ino,
        14: 0,
        15: 0,
    }


def test_the_first_thread_gone_and_another_lives() -> None:
    program = (
        "import ctypes, threading, time\n"
        "held = bytearray(40 << 20)\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print('ready', flush=True)\n"
        "ctypes.CDLL(None).syscall(60, 0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            child.stdout.readline()
            deadline = time.monotonic() + 30
            while Path(f"/proc/{child.pid}/statm").read_text().split()[0] != "0":
                assert time.monotonic() < deadline
                time.sleep(0.01)
            found = {p.pid: p for p in procfs.take().processes}[child.pid]
        finally:
            child.kill()
    assert found.state == 32
    assert found.rss > 40 << 10
    assert found.vsz > found.rss


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("kworker/0:1-evnt", 0x200040, "kworker/0:1"),
        ("kworker/u4:0+flu", 0x200040, "kworker/u4:0"),
        ("kworker/1:2H-kbl", 0x200040, "kworker/1:2H"),
        ("kworker/R-quota", 0x200040, "kworker/R-quota"),
        ("kswapd0", 0x200040, "kswapd0"),
        # Anybody may call a process so; only the kernel's are shortened.
        ("kworker/0:1-evil", 0x400100, "kworker/0:1-evi"),
    ],
)
def test_kernel_workers_have_their_own_name(
    tmp_path: Path, name: str, flags: int, expected: str
) -> None:
    copy_of_this_process(tmp_path, 11, "0::/\n")
    folder = tmp_path / "11"
    (folder / "cmdline").write_bytes(b"")
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    fields[6] = str(flags)
    (folder / "stat").write_text(f"11 ({name}) {' '.join(fields)}\n")
    (found,) = procfs.take(tmp_path).processes
    assert found.name == expected
