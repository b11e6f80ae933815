# SPDX-License-Identifier: MIT
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from so1.cpu_usage import CpuUsage, Interval, lifetime
from so1.model import Exit, Process, Snapshot
from tests.so1.processes import typed
from tests.so1.sources.ring import line

SECOND = 1_000_000_000


def snapshot(taken_ns: int, *processes: Process) -> Snapshot:
    return Snapshot("module", taken_ns, 1, 1, 0, list(processes))


def after(*snapshots: Snapshot) -> CpuUsage:
    interval = Interval()
    for each in snapshots:
        usage = interval.advance(each)
    return usage


def test_nothing_is_known_at_first() -> None:
    old = typed(1, start_ns=0, cpu_ns=500 * SECOND)
    assert after(snapshot(1000 * SECOND, old)).percent(old) == 0


def test_share_of_the_interval() -> None:
    first = typed(1, start_ns=5, cpu_ns=10 * SECOND)
    then = typed(1, start_ns=5, cpu_ns=15 * SECOND)
    interval = after(snapshot(100 * SECOND, first), snapshot(120 * SECOND, then))
    assert interval.percent(then) == 25


def test_several_cpus_are_more_than_a_hundred() -> None:
    first, then = typed(1, start_ns=5, cpu_ns=0), typed(1, start_ns=5, cpu_ns=8 * SECOND)
    assert after(snapshot(SECOND, first), snapshot(3 * SECOND, then)).percent(then) == 400


def test_a_reused_pid_inherits_nothing() -> None:
    old = typed(1, start_ns=5, cpu_ns=50 * SECOND)
    new = typed(1, start_ns=105 * SECOND, cpu_ns=2 * SECOND)
    assert after(snapshot(100 * SECOND, old), snapshot(120 * SECOND, new)).percent(new) == 10


def test_one_that_started_meanwhile_counts_whole() -> None:
    new = typed(2, start_ns=110 * SECOND, cpu_ns=5 * SECOND)
    assert after(snapshot(100 * SECOND), snapshot(120 * SECOND, new)).percent(new) == 25


def test_an_old_one_first_seen_now_counts_from_now() -> None:
    old = typed(2, start_ns=1, cpu_ns=50 * SECOND)
    assert after(snapshot(100 * SECOND), snapshot(120 * SECOND, old)).percent(old) == 0


def test_a_counter_that_goes_back_is_no_use() -> None:
    first, then = typed(1, start_ns=5, cpu_ns=9), typed(1, start_ns=5, cpu_ns=3)
    assert after(snapshot(100, first), snapshot(200, then)).percent(then) == 0


def test_no_time_passed() -> None:
    first, then = typed(1, start_ns=5, cpu_ns=1), typed(1, start_ns=5, cpu_ns=3)
    assert after(snapshot(100, first), snapshot(100, then)).percent(then) == 0


def test_what_is_gone_is_forgotten() -> None:
    first, again = typed(1, start_ns=5, cpu_ns=SECOND), typed(1, start_ns=5, cpu_ns=9 * SECOND)
    interval = after(
        snapshot(10 * SECOND, first), snapshot(20 * SECOND), snapshot(30 * SECOND, again)
    )
    assert interval.percent(again) == 0
    assert interval.percent(first) == 0


counters = st.integers(0, 10**15)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3), counters), max_size=20), counters)
def test_never_negative(seen: list[tuple[int, int, int]], taken: int) -> None:
    one = [typed(pid, start_ns=start, cpu_ns=cpu) for pid, start, cpu in seen[::2]]
    two = [typed(pid, start_ns=start, cpu_ns=cpu) for pid, start, cpu in seen[1::2]]
    interval = after(snapshot(taken, *one), snapshot(taken + 7, *two))
    assert all(interval.percent(p) >= 0 for p in two)


def test_the_busy_ones_are_those_that_used_any() -> None:
    idle, worked = typed(1, start_ns=5, cpu_ns=SECOND), typed(2, start_ns=5, cpu_ns=SECOND)
    later = typed(2, start_ns=5, cpu_ns=2 * SECOND)
    assert after(snapshot(SECOND, idle, worked)).busy == ()
    assert after(snapshot(SECOND, idle, worked), snapshot(3 * SECOND, idle, later)).busy == (later,)


def test_without_a_second_snapshot_it_is_the_average_of_its_life() -> None:
    worked, idle = typed(1, cpu=37), typed(2)
    usage = lifetime(snapshot(SECOND, worked, idle))
    assert (usage.percent(worked), usage.percent(idle), usage.busy) == (37, 0, (worked,))


def gone(name: str, end_ns: int, cpu_ns: int, start_ns: int = 110 * SECOND) -> Exit:
    told = line(0, pid=9, name=name, start_ns=start_ns, end_ns=end_ns, cpu_ns=cpu_ns)
    return msgspec.convert(told, Exit)


def test_who_came_and_went_counts_whole_by_name() -> None:
    interval = Interval()
    interval.advance(snapshot(100 * SECOND))
    exits = [gone("cc1", (111 + n) * SECOND, SECOND) for n in range(3)]
    exits.append(gone("ld", 115 * SECOND, 2 * SECOND))
    usage = interval.advance(snapshot(120 * SECOND), exits)
    assert usage.ended_ns == {"cc1": 3 * SECOND, "ld": 2 * SECOND}


def test_who_was_there_before_counts_from_then() -> None:
    interval = Interval()
    interval.advance(snapshot(100 * SECOND, typed(9, start_ns=5, cpu_ns=50 * SECOND)))
    exits = [gone("java", 110 * SECOND, 53 * SECOND, start_ns=5)]
    assert interval.advance(snapshot(120 * SECOND), exits).ended_ns == {"java": 3 * SECOND}


def test_who_ended_after_the_snapshot_counts_in_the_next() -> None:
    interval = Interval()
    interval.advance(snapshot(100 * SECOND))
    alive = typed(9, start_ns=110 * SECOND, cpu_ns=SECOND)
    exits = [gone("cc1", 121 * SECOND, 4 * SECOND)]
    usage = interval.advance(snapshot(120 * SECOND, alive), exits)
    assert (usage.of(alive), usage.ended_ns) == (SECOND, {})
    assert interval.advance(snapshot(140 * SECOND)).ended_ns == {"cc1": 3 * SECOND}


def test_of_whom_nothing_is_known_nothing_is_counted() -> None:
    interval = Interval()
    interval.advance(snapshot(100 * SECOND))
    exits = [gone("old", 110 * SECOND, 50 * SECOND, start_ns=5), gone("idle", 111 * SECOND, 0)]
    assert interval.advance(snapshot(120 * SECOND), exits).ended_ns == {}
