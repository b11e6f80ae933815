# SPDX-License-Identifier: MIT
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1.cpu_usage import CpuUsage
from so1.model import Charged, Container, Exit, MemoryLimit, Process, Spent
from so1.store import rows
from so1.store.rows import COLUMNS, ContainerProcessRow, ContainerRow, MetricsRow, Tick
from tests.so1.processes import CONTAINER, typed
from tests.so1.samples import SECOND, charged, sample
from tests.so1.sources.ring import line

OTHER = "cd" * 32


def build(
    processes: list[Process],
    containers: Sequence[Container] = (),
    *,
    top: int = 0,
    limits: Sequence[MemoryLimit] = (),
    charges: Mapping[str, Charged] | None = None,
    troubles: Sequence[str] = (),
    **changes: Any,
) -> Tick:
    """Lay out a sample in which each process used what its cpu_ns says, of a second."""
    made = sample(
        processes,
        containers,
        used={p.pid: p.cpu_ns for p in processes},
        charges=charges,
        limits=limits,
        **{"timestamp": 0.077, "host_cpu": 12.5, **changes},
    )
    return rows.build(made, top=top, removed=0, troubles=troubles, events=())


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
    assert rows.state_name(number) == name


processes = st.lists(
    st.builds(
        typed,
        pid=st.integers(1, 10_000),
        rss=st.integers(0, 10**6),
        cpu_ns=st.integers(0, 10**9),
    ),
    unique_by=lambda p: p.pid,
    max_size=40,
)


@given(processes, st.integers(0, 12))
def test_the_largest_and_the_busiest_are_kept_and_the_sums_stay(
    found: list[Process], top: int
) -> None:
    written = build(found, top=top).process_stats
    kept = {row.pid for row in written if row.pid}
    assert sum(row.ram_usage for row in written) == sum(p.rss for p in found)
    used = sum(p.cpu_ns for p in found) / 10**7
    assert abs(sum(row.cpu_usage for row in written) - used) <= len(written) / 2
    assert len(kept) <= 2 * top or not top
    if not top or len(found) <= top:
        assert kept == {p.pid for p in found}
        return
    sizes: tuple[Callable[[Process], int], ...] = (lambda p: p.rss, lambda p: p.cpu_ns)
    for size in sizes:
        left = max((size(p) for p in found if p.pid not in kept), default=0)
        assert sum(size(p) >= left for p in found if p.pid in kept) >= top
    assert [row.pid for row in written].count(0) == (len(kept) < len(found))


@given(processes, st.integers(1, 6))
def test_processes_of_containers_are_as_many_at_most_and_the_sums_stay(
    found: list[Process], top: int
) -> None:
    ids = (CONTAINER, OTHER)
    inside = [msgspec.structs.replace(p, container_id=ids[p.pid % 2]) for p in found]
    written = build(inside, [container(), container(OTHER)], top=top).container_stats
    assert len([row for row in written if row.pid]) <= 2 * top or len(found) <= top
    for id_ in ids:
        own = [row for row in written if row.container_id == id_]
        assert sum(row.ram_usage for row in own) == sum(
            p.rss for p in inside if p.container_id == id_
        )
        assert [row.pid for row in own].count(0) <= 1
        assert all(row.process_name == rows.OTHER for row in own if not row.pid)


def test_a_row_for_each_container_and_each_of_its_processes() -> None:
    inside = [
        typed(1, rss=10, cpu_ns=440_000_000, container_id=CONTAINER),
        typed(2, rss=20, cpu_ns=20_000_000, container_id=CONTAINER),
    ]
    managed = container(**{"so1.managed": "true"})
    written = build(inside, [managed], troubles=["One.", "Two."])
    assert written.timestamp == 77
    (row,) = written.container_totals
    assert row == ContainerRow(*(CONTAINER, "web", "alpine", "low", 2, 30, 46), restarts=0)
    assert written.container_stats == [
        ContainerProcessRow(CONTAINER, "web", 1, "p1", 10, 44),
        ContainerProcessRow(CONTAINER, "web", 2, "p2", 20, 2),
    ]
    assert written.metrics == MetricsRow(
        *(1000, 400, 600, 1, 2, 0, "module", 12.5),
        available_ram=700,
        docker_age=0.5,
        troubles="One.\nTwo.",
    )


def test_what_was_neither_seen_nor_measured_is_null_and_never_0() -> None:
    written = build([], [container()])
    (row,) = written.container_totals
    assert row == ContainerRow(
        CONTAINER, "web", "alpine", "unmanaged", None, None, None, restarts=0
    )
    assert written.metrics.troubles is None


def test_what_the_cgroup_tells_is_there_though_no_process_was_seen() -> None:
    made = sample([], [container()], charges={CONTAINER: charged(512)})
    (usage,) = made.containers
    spent = Spent(
        cpu_ns=5,
        cpu=97.0,
        throttled_ns=9,
        throttled=3.0,
        oom_kills=1,
        read_bytes=4096,
        written_bytes=8192,
        cpu_pressure=1.0,
        memory_pressure=2.0,
        io_pressure=4.0,
    )
    usage = msgspec.structs.replace(usage, spent=spent, cpu=97.0)
    made = msgspec.structs.replace(made, containers=[usage])
    (row,) = rows.build(made, top=0, removed=0, troubles=(), events=()).container_totals
    assert row == ContainerRow(
        *(CONTAINER, "web", "alpine", "unmanaged", None, None, 97.0),
        memory=512,
        memory_limit=2048,
        oom_kills=1,
        cpu_throttled=3.0,
        read_bytes=4096,
        written_bytes=8192,
        pids=3,
        cpu_pressure=1.0,
        memory_pressure=2.0,
        io_pressure=4.0,
        restarts=0,
    )


def test_sums_that_no_number_of_the_database_holds_are_bounded() -> None:
    huge = [typed(pid, rss=1 << 62, container_id=CONTAINER) for pid in range(1, 5)]
    written = build(huge, [container()], top=1)
    most = 2**63 - 1
    assert written.container_totals[0].ram_usage == most
    assert max(row.ram_usage for row in written.process_stats) == most
    assert max(row.ram_usage for row in written.container_stats) == most


def test_columns_are_those_of_the_rows() -> None:
    assert COLUMNS["events"][:2] == ("kind", "outcome")
    assert COLUMNS["process_stats"] == ("pid", "name", "ram_usage", "cpu_usage")


def test_limits_are_stored_as_far_as_the_database_can() -> None:
    assert build([], limits=[limit(3, 2**64 - 1, 4096)]).memory_limits == [
        (3, "p3", 2**63 - 1, 4096, 99, 1000)
    ]
    assert build([]).memory_limits == []


@pytest.mark.parametrize(("top", "kept"), [(0, [4, 2, 1, 3]), (2, [4, 2]), (9, [4, 2, 1, 3])])
def test_the_limits_nearest_to_being_reached_are_kept(top: int, kept: list[int]) -> None:
    # 4 has more than its limit: it had that when it was limited.
    limits = [limit(1, 1000, 300), limit(2, 10, 9), limit(3, 2**64 - 1, 2**40), limit(4, 5, 6)]
    written = build([], limits=limits, top=top).memory_limits
    assert [row.pid for row in written] == kept


def test_states_are_counted() -> None:
    found = [typed(1, state=0), typed(2, state=1), typed(3, state=1)]
    assert build(found).process_states == [("running", 1), ("sleeping", 2)]


def exits(*changes: dict[str, Any]) -> list[Exit]:
    return [msgspec.convert(line(number, **one), Exit) for number, one in enumerate(changes)]


def test_exits_that_failed_or_were_large_are_kept_and_all_are_counted() -> None:
    ended = exits(
        {"name": "fine"},
        {"name": "failed", "code": 1},
        {"name": "killed", "signal": 9},
        {"name": "large", "peak_rss": 100 << 10},
        {"name": "busy", "cpu_ns": 10**9},
        {"name": "nearly", "peak_rss": (100 << 10) - 1, "cpu_ns": 10**9 - 1},
    )
    tick = build([], exits=ended, exits_missed=3)
    assert [row.name for row in tick.exits] == ["failed", "killed", "large", "busy"]
    assert (tick.metrics.exits, tick.metrics.exits_missed) == (9, 3)
    tick = build([])
    assert (tick.exits, tick.metrics.exits, tick.metrics.exits_missed) == ([], None, None)


def test_an_exit_has_the_time_of_the_tick_and_the_name_of_its_container() -> None:
    (ended,) = exits({"code": 1, "start_ns": 0, "end_ns": 1_500_000_000, "container_id": CONTAINER})
    (row,) = build([], [container()], exits=[ended], exits_missed=0).exits
    # The sample was taken 1 ns after boot.
    assert row.ended_at == 77 + 1_500
    assert (row.lived_ms, row.container_name) == (1_500, container().name)


def test_a_storm_of_exits_keeps_the_worst() -> None:
    storm = exits(
        *[{"code": 1, "peak_rss": n} for n in range(1_000)], {"oom_killed": True, "signal": 9}
    )
    kept = build([], exits=storm, exits_missed=0).exits
    assert len(kept) == 200
    assert kept[-1].oom_killed
    assert min(row.peak_ram for row in kept[:-1]) == 801


def test_cpu_of_those_that_came_and_went_is_under_their_names() -> None:
    cpu = CpuUsage(SECOND, {}, (), {"cc1": SECOND, "ld": SECOND // 2, "sh": SECOND // 1000})
    assert [tuple(row) for row in build([], cpu=cpu).process_stats] == [
        (0, "cc1", 0, 100),
        (0, "ld", 0, 50),
    ]
    many = {f"p{n}": SECOND // 50 for n in range(10)}
    shown = build([], top=4, cpu=CpuUsage(SECOND, {}, (), many)).process_stats
    assert [row.cpu_usage for row in shown] == [2, 2, 2, 2, 12]
    assert shown[-1].name == rows.OTHER
