# SPDX-License-Identifier: MIT
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1 import tick
from so1.model import Container, MemoryLimit, Process, Snapshot
from so1.store.database import Tick
from tests.so1.processes import CONTAINER, typed


def build(
    processes: list[Process],
    by_container: dict[str, list[Process]] | None = None,
    containers: Sequence[Container] = (),
    *,
    top: int = 0,
    limits: Sequence[MemoryLimit] = (),
) -> Tick:
    by_container = by_container or {}
    snapshot = Snapshot("module", 1, 1000, 400, 600, processes, by_container)

    def percent(process: Process) -> float:
        return process.cpu_ns / 10

    return tick.build(
        77,
        snapshot,
        tick.usages(containers, by_container, percent),
        percent,
        lambda _: "low",
        busy=[p for p in processes if percent(p)],
        top=top,
        host_cpu=12.5,
        removed=0,
        events=(),
        limits=limits,
    )


def limit(pid: int, limit: int, size: int) -> MemoryLimit:
    return MemoryLimit(pid=pid, name=f"p{pid}", limit=limit, size=size, set_at=99, set_by=1000)


def container(id_: str = CONTAINER, **labels: str) -> Container:
    return Container(id=id_, name="web", image="alpine", labels=labels, started_at=0)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "running"),
        (1, "sleeping"),
        (2, "disk-sleep"),
        (258, "disk-sleep"),
        (4, "stopped"),
        (8, "traced"),
        (16, "dead"),
        (32, "zombie"),
        (64, "parked"),
        (1026, "idle"),
    ],
)
def test_states_have_the_kernels_names(number: int, name: str) -> None:
    assert tick.state_name(number) == name


processes = st.lists(
    st.builds(
        typed,
        pid=st.integers(1, 10_000),
        rss=st.integers(0, 10**6),
        cpu_ns=st.integers(0, 1000),
    ),
    unique_by=lambda p: p.pid,
    max_size=40,
)


@given(processes, st.integers(0, 12))
def test_the_largest_and_the_busiest_are_kept_and_the_sums_stay(
    found: list[Process], top: int
) -> None:
    rows = cast("list[tuple[int, str, int, int]]", build(found, top=top).process_stats)
    kept = {pid for pid, *_ in rows if pid}
    assert sum(ram for _, _, ram, _ in rows) == sum(p.rss for p in found)
    assert abs(sum(cpu for *_, cpu in rows) - sum(p.cpu_ns for p in found) / 10) <= len(rows) / 2
    assert len(kept) <= 2 * top or not top
    if not top or len(found) <= top:
        assert kept == {p.pid for p in found}
        return
    sizes: tuple[Callable[[Process], int], ...] = (lambda p: p.rss, lambda p: p.cpu_ns)
    for size in sizes:
        left = max((size(p) for p in found if p.pid not in kept), default=0)
        assert sum(size(p) >= left for p in found if p.pid in kept) >= top
    assert [pid for pid, *_ in rows].count(0) == (len(kept) < len(found))


def test_a_row_for_each_container_and_each_of_its_processes() -> None:
    inside = [typed(1, rss=10, cpu_ns=44), typed(2, rss=20, cpu_ns=2)]
    idle = container("cd" * 32)
    managed = container(**{"so1.managed": "true"})
    written = build(inside, {CONTAINER: inside}, [managed, idle])
    assert written.container_totals == [
        (CONTAINER, "web", "alpine", "low", 2, 30, pytest.approx(4.6)),
        ("cd" * 32, "web", "alpine", "unmanaged", 0, 0, 0),
    ]
    assert written.container_stats == [
        (CONTAINER, "web", 1, "p1", 10, 4),
        (CONTAINER, "web", 2, "p2", 20, 0),
    ]
    assert written.metrics == (1000, 400, 600, 2, 2, 0, "module", 12.5)


def test_limits_are_stored_as_far_as_the_database_can() -> None:
    assert build([], limits=[limit(3, 2**64 - 1, 4096)]).memory_limits == [
        (3, "p3", 2**63 - 1, 4096, 99, 1000)
    ]
    assert build([]).memory_limits == []


@pytest.mark.parametrize(("top", "kept"), [(0, [4, 2, 1, 3]), (2, [4, 2]), (9, [4, 2, 1, 3])])
def test_the_limits_nearest_to_being_reached_are_kept(top: int, kept: list[int]) -> None:
    # 4 has more than its limit: it had that when it was limited.
    limits = [limit(1, 1000, 300), limit(2, 10, 9), limit(3, 2**64 - 1, 2**40), limit(4, 5, 6)]
    rows = build([], limits=limits, top=top).memory_limits
    assert [pid for pid, *_ in rows] == kept


def test_states_are_counted() -> None:
    found = [typed(1, state=0), typed(2, state=1), typed(3, state=1)]
    assert build(found).process_states == [("running", 1), ("sleeping", 2)]


def test_containers_docker_did_not_list_have_their_id_for_a_name() -> None:
    (stranger,) = tick.unknown({CONTAINER: [], "cd" * 32: []}, [container("cd" * 32)])
    assert (stranger.id, stranger.name, stranger.managed) == (CONTAINER, CONTAINER[:12], False)
