# SPDX-License-Identifier: MIT
"""The oracle itself must see every fault; on a VM it is run against the modules."""

from typing import Any

import msgspec
import pytest

from so1.model import Process, Snapshot
from so1.sources import procfs
from tests.so1.oracle.agreement import TICK_NS, compare, lasting
from tests.so1.processes import CONTAINER, typed

CPU = 50 * TICK_NS
TAKEN = 1_007 * TICK_NS


def snapshot(*processes: Process) -> Snapshot:
    return Snapshot("procfs", TAKEN, 1000, 400, 600, list(processes))


def one(**changes: Any) -> Process:
    fields = {
        "start_ns": 7 * TICK_NS,
        "cpu_ns": CPU,
        "cpu": 5,
        "mem_percent": 5,
        "container_id": CONTAINER,
        "cgroup": 4711,
    }
    return typed(9, **(fields | changes))


def against(said: Snapshot) -> set[str]:
    return {field for _, field, _ in compare(snapshot(one()), said, snapshot(one()))}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("ppid", 2),
        ("uid", 1),
        ("name", "other"),
        ("threads", 2),
        ("rss", 101),
        ("vsz", 201),
        ("state", 2),
        ("mem_percent", 9),
        ("start_ns", 8 * TICK_NS),
        ("start_ns", 7 * TICK_NS - 1),
        ("cpu_ns", CPU + 2 * TICK_NS + 1),
        ("cpu_ns", CPU - TICK_NS - 1),
        ("cpu", 0),
        ("cpu", 4),
        ("cpu", 7),
        ("container_id", None),
        ("cgroup", 4712),
    ],
)
def test_every_wrong_field_is_seen(field: str, wrong: object) -> None:
    assert against(snapshot(one(**{field: wrong}))) == {field}


def test_what_may_differ() -> None:
    finer = one(start_ns=8 * TICK_NS - 1, cpu_ns=CPU + 2 * TICK_NS, mem_percent=6)
    assert against(snapshot(finer)) == set()


def test_modules_that_do_not_tell_the_cgroup() -> None:
    assert against(snapshot(one(cgroup=0))) == set()


def test_missing_invented_and_doubled_processes() -> None:
    assert against(snapshot()) == {"pid"}
    assert against(snapshot(one(), typed(10))) == {"pid"}
    assert against(snapshot(one(), one())) == {"processes"}


def test_wrong_memory() -> None:
    assert against(msgspec.structs.replace(snapshot(one()), total_ram=1001)) == {
        "total_ram",
        "used_ram",
    }


def test_what_moves_between_the_two_is_let_through() -> None:
    before, after = snapshot(one(rss=1, threads=1)), snapshot(one(rss=3, threads=4))
    assert compare(before, snapshot(one(rss=2, threads=9)), after) == set()
    gone = compare(snapshot(one(), typed(11)), snapshot(one()), snapshot(one()))
    assert gone == set()


def test_only_what_lasts_counts() -> None:
    rounds = [{(1, "rss", "a"), (2, "uid", "x")}, {(2, "uid", "y")}, {(2, "uid", "z")}]
    assert lasting(rounds) == [(2, "uid", "z")]
    assert lasting([*rounds, set()]) == []


def test_proc_agrees_with_itself() -> None:
    def again() -> set[tuple[int, str, str]]:
        return compare(procfs.take(), procfs.take(), procfs.take())

    assert lasting(again() for _ in range(5)) == []
