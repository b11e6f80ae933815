# SPDX-License-Identifier: MIT
"""The governor, with an engine made up at its edge; test_live.py asks a real one the same."""

import threading
import time

import pytest
from msgspec.structs import replace

from so1.config import Config, Policy
from so1.docker_engine import EngineError, NotFoundError, UnreachableError
from so1.governor import governor as module
from so1.governor.governor import Governor
from so1.model import CLASS, MANAGED, ContainerUsage
from so1.store.event import Event
from so1.store.removals import Removals
from tests.so1.governor.containers import NOW, SECOND, TAKEN, Store, journal, usage
from tests.so1.governor.engine import Made, change

POLICY = Policy(trash_hours=0, maximum=10, keep_low=0, keep_high=0, grace=30)


def made(engine: Made, policy: Policy = POLICY, store: Store | None = None) -> Governor:
    """A governor; with a store, one that goes on with what the one before has left in it."""
    kept = Removals(store) if store else journal()
    return Governor(engine, policy, kept, clock=lambda: NOW + 1)


def govern(
    engine: Made, usages: list[ContainerUsage], policy: Policy = POLICY, now: int = TAKEN
) -> list[Event]:
    return made(engine, policy).govern(usages, now)


def test_an_event_says_all_there_is_to_know() -> None:
    (one,) = usages = [usage(1, "low", memory=2048, cpu=12.5)]
    (event,) = govern(Made(usages), usages)
    assert event == Event(
        timestamp=round((NOW + 1) * 1000),
        kind="remove",
        outcome="done",
        detail="Removed: of 1 low containers 0 are kept.",
        container_id=one.container.id,
        container_name="c1",
        image="alpine",
        class_="low",
        ram_usage=2048,
        cpu_usage=12.5,
        rule="excess-low",
        recreate="docker run --detach --name c1 alpine",
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"running": False}, "stopped by itself"),
        ({"labels": {}}, "not managed"),
        ({"labels": {MANAGED: "false"}}, "not managed"),
        ({"id": "f" * 64}, "another container"),
        ({"started_ns": TAKEN - 3599 * SECOND}, "started again"),
        ({"started_ns": None}, "cannot be seen"),
        ({"image_labels": {MANAGED: "true"}}, "not managed"),
        ({"labels": {MANAGED: "true", CLASS: "high"}}, "its class is high, not low"),
        ({"labels": {MANAGED: "true"}, "image": "stress"}, "its class is high, not low"),
        ({"auto_remove": True, "volumes": ["ab" * 32]}, "volumes are never removed"),
    ],
)
@pytest.mark.parametrize("emergency", [False, True])
def test_one_that_is_not_what_was_planned_is_refused(
    changes: dict[str, object], why: str, *, emergency: bool
) -> None:
    usages = [usage(1), usage(2)]
    engine = Made(usages)
    engine.later[usages[0].container.id] = changes
    policy = Policy(trash_hours=0, maximum=0 if emergency else 5, keep_low=0, keep_high=0, grace=0)
    events = govern(engine, usages, policy)
    outcomes = {e.container_name: (e.outcome, e.detail) for e in events}
    refused, detail = outcomes["c1"]
    assert refused == "refused"
    assert why in detail
    assert outcomes["c2"][0] == "done"
    assert engine.removed() == {usages[1].container.id}


def test_rm_alone_or_a_named_volume_is_no_reason_to_refuse() -> None:
    usages = [usage(1), usage(2)]
    engine = Made(usages)
    change(engine, usages[0].container.id, auto_remove=True, volumes=["data"])
    change(engine, usages[1].container.id, volumes=["ab" * 32])
    events = govern(engine, usages)
    assert [e.outcome for e in events] == ["done", "done"]
    # They go at the same time, and are told in the order in which they have gone.
    assert sum("its volumes are kept: data" in e.detail for e in events) == 1


def test_a_restart_that_the_list_does_not_show_is_spared() -> None:
    usages = [usage(1)]
    engine = Made(usages)
    change(engine, usages[0].container.id, started_ns=TAKEN - 5 * SECOND)
    assert govern(engine, usages) == []
    assert engine.removed() == set()


def test_a_restart_that_the_list_does_not_show_does_not_count() -> None:
    usages = [usage(1, memory=9), usage(2, memory=5), usage(3, memory=1)]
    engine = Made(usages)
    change(engine, usages[1].container.id, started_ns=TAKEN - 5 * SECOND)
    governor = made(engine, Policy(trash_hours=0, keep_low=2, keep_high=0, grace=30))
    assert governor.govern(usages, TAKEN) == []
    # The figures are still those of the start before.
    assert governor.govern(usages, TAKEN + 25 * SECOND) == []
    usages[1] = usage(2, memory=5, age=5)
    (event,) = governor.govern(usages, TAKEN + 25 * SECOND)
    assert (event.container_name, event.outcome) == ("c1", "done")


def test_an_emergency_looks_at_nothing_but_what_goes() -> None:
    usages = [usage(1, memory=9), usage(2, memory=5, age=0), usage(3, memory=1)]
    engine = Made(usages)
    policy = Policy(trash_hours=0, maximum=2, keep_low=1, keep_high=0)
    assert {e.container_name for e in govern(engine, usages, policy)} == {"c1", "c2"}
    assert {id_ for _, id_ in engine.asked} == {u.container.id for u in usages[:2]}


@pytest.mark.parametrize("last", [NotFoundError("gone"), None])
def test_what_has_ended_does_not_count(last: Exception | None) -> None:
    usages = [usage(1, memory=9), usage(2, memory=5)]
    engine = Made(usages)
    change(engine, usages[1].container.id, running=False)
    if last:
        engine.looks[usages[1].container.id] = last
    assert govern(engine, usages, Policy(trash_hours=0, keep_low=1, keep_high=0)) == []
    assert engine.removed() == set()


@pytest.mark.parametrize("last", [NotFoundError("gone"), None])
def test_what_has_ended_hides_none_of_the_others(last: Exception | None) -> None:
    usages = [usage(1, memory=9), usage(2, memory=5), usage(3, memory=4), usage(4, managed=False)]
    engine = Made(usages)
    change(engine, usages[0].container.id, running=False)
    if last:
        engine.looks[usages[0].container.id] = last
    (event,) = govern(engine, usages, Policy(trash_hours=0, keep_low=1, keep_high=0))
    assert event.container_name == "c2"


@pytest.mark.parametrize(
    ("error", "looks"), [(EngineError("it is broken"), 3), (UnreachableError("no answer"), 3)]
)
def test_what_cannot_be_looked_at_counts_as_listed(error: Exception, looks: int) -> None:
    usages = [usage(1, memory=5), usage(2, memory=9)]
    engine = Made(usages)
    engine.looks[usages[0].container.id] = error
    (event,) = govern(engine, usages, Policy(trash_hours=0, keep_low=1, keep_high=0))
    assert (event.container_name, event.outcome) == ("c2", "done")
    # Once the engine is silent, the plan asks it no further; what is about to go is looked at.
    assert [what for what, _ in engine.asked].count("inspect") == looks


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(NotFoundError("gone"), "refused"), (EngineError("it did not answer"), "failed")],
)
def test_one_that_cannot_be_had_does_not_stop_the_rest(error: Exception, outcome: str) -> None:
    usages = [usage(n, memory=9 - n) for n in range(8)]
    engine = Made(usages)
    engine.looks[usages[0].container.id] = error
    engine.stop_fails[usages[1].container.id] = error
    engine.looks[usages[0].container.id] = Made(usages).looks[usages[0].container.id]
    engine.later[usages[0].container.id] = {"id": "f"}
    events = {e.container_name: e.outcome for e in govern(engine, usages)}
    assert events == {
        "c0": "refused",
        "c1": outcome,
        **{f"c{n}": "done" for n in range(2, 8)},
    }
    assert engine.removed() == {u.container.id for u in usages[2:]}


def test_a_fault_of_ours_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    usages = [usage(n) for n in range(3)]
    engine = Made(usages)
    engine.stop_fails[usages[0].container.id] = RuntimeError("a fault")
    governor = made(engine, POLICY)
    failed, *rest = sorted(governor.govern(usages, TAKEN), key=lambda e: e.container_name or "")
    assert (failed.container_name, failed.outcome, failed.rule) == ("c0", "failed", "excess-low")
    assert "so1 is at fault" in failed.detail
    assert "a fault" in failed.detail
    assert [(e.container_name, e.outcome) for e in rest] == [("c1", "done"), ("c2", "done")]
    assert "Traceback" in caplog.text
    assert governor.govern(usages[:1], TAKEN + 20 * SECOND) == []


def test_each_is_told_while_others_still_stop() -> None:
    usages = [usage(1), usage(2)]
    engine = Made(usages)
    told: list[Event] = []
    heard = threading.Event()

    def tell(event: Event) -> None:
        told.append(event)
        heard.set()

    def stop(id_: str) -> None:
        if id_ == usages[0].container.id:
            assert heard.wait(timeout=30)

    engine.on_stop = stop
    events = made(engine, POLICY).govern(usages, TAKEN, tell)
    assert [(e.container_name, e.outcome) for e in told] == [("c2", "done"), ("c1", "done")]
    assert events == told


def test_one_that_cannot_be_described_goes_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    usages = [usage(1)]
    engine = Made(usages)
    change(engine, usages[0].container.id, raw={})
    (event,) = govern(engine, usages)
    assert (event.outcome, event.recreate) == ("done", None)
    assert "no command line" in caplog.text


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["/a"], "files of its own layer are not kept: /a"),
        (["/a", "/b", "/c"], "files of its own layer are not kept: /a, /b, /c"),
        (["/a", "/b", "/c", "/d", "/e"], "not kept: /a, /b, /c and 2 more"),
        (EngineError("broken"), "what was written into its own layer is not kept"),
    ],
)
def test_what_its_own_layer_holds_is_said(
    monkeypatch: pytest.MonkeyPatch, files: list[str] | Exception, said: str
) -> None:
    usages = [usage(1)]
    engine = Made(usages)

    def changes(_: str) -> list[str]:
        if isinstance(files, Exception):
            raise files
        return files

    monkeypatch.setattr(engine, "changes", changes)
    (event,) = govern(engine, usages)
    assert event.outcome == "done"
    assert event.detail.endswith(f"{said}.")


def test_what_goes_wrong_each_tick_is_told_once() -> None:
    usages = [usage(1), usage(2)]
    engine = Made(usages)
    engine.stop_fails = {u.container.id: EngineError("it does not stop") for u in usages}
    governor = made(engine, POLICY)
    assert [e.outcome for e in governor.govern(usages, TAKEN)] == ["failed", "failed"]
    assert governor.govern(usages, TAKEN + 20 * SECOND) == []
    engine.stop_fails[usages[0].container.id] = EngineError("something else")
    (other,) = governor.govern(usages, TAKEN + 40 * SECOND)
    assert "something else" in other.detail
    engine.stop_fails = {}
    assert [e.outcome for e in governor.govern(usages, TAKEN + 60 * SECOND)] == ["done", "done"]


def test_what_is_known_of_one_that_is_gone_is_forgotten() -> None:
    usages = [usage(1)]
    engine = Made(usages)
    engine.later[usages[0].container.id] = {"running": False}
    governor = made(engine, POLICY)
    assert len(governor.govern(usages, TAKEN)) == 1
    engine.later[usages[0].container.id] = {"running": False}
    change(engine, usages[0].container.id, running=True)
    assert governor.govern(usages, TAKEN) == []
    change(engine, usages[0].container.id, running=True)
    engine.later[usages[0].container.id] = {"running": False}
    governor.govern([], TAKEN)
    assert len(governor.govern(usages, TAKEN)) == 1


def test_one_that_stops_too_late_is_removed_in_the_next_tick() -> None:
    usages = [usage(n) for n in range(5)]
    late, again, gone, runs, slow = (u.container.id for u in usages)
    engine = Made(usages)
    engine.stop_fails = {u.container.id: EngineError("it did not answer") for u in usages}
    governor = made(engine, POLICY)
    assert [e.outcome for e in governor.govern(usages, TAKEN)] == ["failed"] * 5
    change(engine, late, running=False)
    change(engine, again, running=True, started_at=NOW + 5)
    change(engine, slow, running=False)
    engine.looks[gone] = NotFoundError("gone")
    engine.remove_fails = {slow: EngineError("it is busy")}
    told: list[Event] = []
    events = governor.govern(
        [u for u in usages if u.container.id == runs], TAKEN + 20 * SECOND, told.append
    )
    assert told == events
    # The one that still runs failed again, which was told already.
    assert {e.container_id: e.outcome for e in events} == {
        late: "done",
        gone: "done",
        again: "refused",
    }
    assert engine.removed() == {late}
    assert all(e.recreate for e in events)
    engine.remove_fails = {}
    engine.stop_fails = {}
    (event,) = governor.govern([], TAKEN + 40 * SECOND)
    assert (event.container_id, event.outcome) == (slow, "done")
    assert governor.govern([], TAKEN + 60 * SECOND) == []


@pytest.mark.parametrize(
    ("error", "removed"), [(EngineError("it is busy"), 2), (UnreachableError("no answer"), 0)]
)
def test_one_that_cannot_be_finished_does_not_stop_the_rest(error: Exception, removed: int) -> None:
    usages = [usage(n) for n in range(3)]
    engine = Made(usages)
    engine.stop_fails = {u.container.id: EngineError("it did not answer") for u in usages}
    governor = made(engine, POLICY)
    governor.govern(usages, TAKEN)
    for u in usages:
        change(engine, u.container.id, running=False)
    first = usages[0].container.id
    engine.remove_fails = {first: error}
    assert len(governor.govern([], TAKEN + 20 * SECOND)) == len(engine.removed()) == removed
    engine.remove_fails = {}
    governor.govern([], TAKEN + 40 * SECOND)
    assert len(engine.removed()) == 3


def test_one_that_is_to_go_still_is_remembered_while_the_engine_is_silent() -> None:
    usages = [usage(1)]
    engine = Made(usages)
    stuck = usages[0].container.id
    before = engine.looks[stuck]
    engine.stop_fails[stuck] = EngineError("it did not answer")
    governor = made(engine, POLICY)
    governor.govern(usages, TAKEN)
    engine.looks[stuck] = UnreachableError("no answer")
    governor.govern(usages, TAKEN + 20 * SECOND)
    engine.looks[stuck] = before
    change(engine, stuck, running=False)
    assert [e.outcome for e in governor.govern([], TAKEN + 40 * SECOND)] == ["done"]


def test_one_that_stops_once_it_is_to_be_kept_is_not_removed() -> None:
    usages = [usage(1, memory=9), usage(2, memory=5)]
    engine = Made(usages)
    stuck = usages[0].container.id
    engine.stop_fails[stuck] = EngineError("it did not answer")
    governor = made(engine, Policy(trash_hours=0, keep_low=1, keep_high=0))
    assert [e.outcome for e in governor.govern(usages, TAKEN)] == ["failed"]
    (kept,) = governor.govern(usages[:1], TAKEN + 20 * SECOND)
    assert kept.outcome == "failed"
    assert "is to be kept by now; it may yet stop" in kept.detail
    change(engine, stuck, running=False)
    assert governor.govern([], TAKEN + 40 * SECOND) == []
    assert engine.removed() == set()


def test_observe_removes_nothing_and_tells_each_once() -> None:
    usages = [usage(n, memory=n) for n in range(4)]
    engine = Made(usages)
    policy = Policy(trash_hours=0, mode="observe", keep_low=2, keep_high=0, grace=0)
    governor = made(engine, policy)
    events = governor.govern(usages, TAKEN)
    assert {(e.container_name, e.outcome) for e in events} == {("c3", "planned"), ("c2", "planned")}
    assert all(e.recreate for e in events)
    looks = len(engine.asked)
    # The order changes and changes back: each is told once, and looked at for the plan alone.
    for _ in range(3):
        assert governor.govern(usages, TAKEN) == []
        turned = [usage(0, memory=9), *usages[1:]]
        governor.govern(turned, TAKEN)
    assert {what for what, _ in engine.asked} == {"inspect"}
    assert len(engine.asked) == looks + 6 * len(usages) + 1


def test_several_stop_at_once_and_systemd_hears_from_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT", 0.01)
    usages = [usage(n) for n in range(4)]
    engine = Made(usages)
    together = threading.Barrier(4)
    beats: list[int] = []

    def stop(_: str) -> None:
        together.wait(timeout=30)  # breaks unless all four are here
        began = len(beats)
        while len(beats) < began + 3:
            time.sleep(0.001)

    engine.on_stop = stop
    governor = Governor(engine, POLICY, journal(), beat=lambda: beats.append(1))
    assert [e.outcome for e in governor.govern(usages, TAKEN)] == ["done"] * 4
    assert len(beats) >= 3


def test_what_the_budget_does_not_reach_is_left_for_the_next_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BUDGET", 0.5)
    usages = [usage(n) for n in range(10)]
    engine = Made(usages)
    engine.on_stop = lambda _: time.sleep(0.6)
    governor = made(engine, POLICY)
    first = governor.govern(usages, TAKEN)
    assert 1 <= len(first) <= 4
    gone = {e.container_id for e in first}
    left = [u for u in usages if u.container.id not in gone]
    monkeypatch.undo()
    second = governor.govern(left, TAKEN)
    assert {e.container_id for e in second} == {u.container.id for u in left}


def test_thousands_that_are_left_are_one_line_and_no_long_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_BUDGET", -1)
    usages = [usage(n, age=1) for n in range(5_000)]
    governor = made(Made(usages))
    began = time.thread_time()
    with caplog.at_level("INFO"):
        assert governor.govern(usages, TAKEN) == []
    # What looks at all that are left for each of them takes a minute.
    assert time.thread_time() - began < 10
    assert [r.message for r in caplog.records] == ["5000 containers are left for the next tick"]


def test_an_emergency_goes_on_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(trash_hours=0, maximum=10, keep_low=1, keep_high=0, grace=30)
    usages = [usage(n, age=1) for n in range(12)]
    engine = Made([*usages, usage(20, age=1)])
    governor = made(engine, policy)
    with monkeypatch.context() as hurried:
        hurried.setattr(module, "_BUDGET", 0.5)
        engine.on_stop = lambda _: time.sleep(0.6)
        first = governor.govern(usages, TAKEN)
    engine.on_stop = lambda _: None
    assert 1 <= len(first) <= 4
    gone = {e.container_id for e in first}
    left = [u for u in usages if u.container.id not in gone]
    assert len(left) <= policy.maximum
    second = governor.govern(left, TAKEN)
    assert {e.rule for e in first + second} == {"emergency"}
    assert len(first + second) == 11
    assert all("an emergency is not over yet; of" in e.detail for e in second)
    gone |= {e.container_id for e in second}
    left = [usage(20, age=1), *(u for u in usages if u.container.id not in gone)]
    assert governor.govern(left, TAKEN) == []


def test_what_an_emergency_left_and_ended_by_itself_leaves_no_emergency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usages = [usage(n, age=1) for n in range(11)]
    engine = Made([*usages, usage(20, age=1)])
    governor = made(engine, POLICY)
    with monkeypatch.context() as hurried:
        hurried.setattr(module, "_BUDGET", -1)
        assert governor.govern(usages, TAKEN) == []
    assert governor.govern([usage(20, age=1)], TAKEN) == []


def test_nothing_to_do_asks_nothing() -> None:
    engine = Made([usage(1)])
    assert govern(engine, [usage(1)], Policy(trash_hours=0, grace=0)) == []
    assert engine.asked == []


def test_an_unmeasured_one_is_kept_and_told_once_it_stays_so() -> None:
    usages = [usage(1, memory=None), usage(2, memory=9), usage(3, memory=None)]
    usages[2].container.labels[MANAGED] = "odd"
    engine = Made(usages)
    governor = made(engine, Policy(trash_hours=0, keep_low=1, keep_high=0))
    # It may have just begun.
    assert [e.rule for e in governor.govern(usages, TAKEN)] == ["labels"]
    (event,) = governor.govern(usages, TAKEN + 60 * SECOND)
    assert (event.kind, event.outcome, event.rule) == ("governor", "refused", "unmeasured")
    assert (event.container_name, event.ram_usage) == ("c1", None)
    assert "its memory is not known" in event.detail
    assert governor.govern(usages, TAKEN + 120 * SECOND) == []
    # Measured in between, it may be told again.
    asked = len(engine.asked)
    governor.govern([usage(1, memory=1), usages[1]], TAKEN + 140 * SECOND)
    assert len(engine.asked) > asked


def test_one_that_keeps_crashing_is_kept_and_told() -> None:
    usages = [usage(1, memory=0, age=45, restarts=7), usage(2, memory=9)]
    governor = made(Made(usages), Policy(trash_hours=0, keep_low=1, keep_high=0))
    (event,) = governor.govern(usages, TAKEN)
    assert (event.kind, event.rule, event.container_name) == ("governor", "restarting", "c1")
    assert "restarted it 7 times" in event.detail
    assert governor.govern(usages, TAKEN + 20 * SECOND) == []


def test_one_that_something_else_starts_again_and_again_is_kept_and_told() -> None:
    # By `docker start`, or by compose: the engine counts no restart of its own.
    usages = [usage(1, memory=50, age=2, looping=True), usage(2, memory=9)]
    governor = made(Made(usages), Policy(trash_hours=0, keep_low=1, keep_high=0, grace=0))
    (event,) = governor.govern(usages, TAKEN)
    assert (event.kind, event.rule, event.container_name) == ("governor", "restarting", "c1")
    assert event.detail == "Kept: it ends again soon after every start."


def test_what_labels_ask_for_and_do_not_get_is_told_once() -> None:
    usages = [usage(1), usage(2), usage(3)]
    usages[0].container.labels[MANAGED] = "yes"
    usages[1].container.labels[CLASS] = "medium"
    governor = made(Made(usages), Policy(trash_hours=0))
    events = governor.govern(usages, TAKEN)
    assert [(e.kind, e.rule, e.container_name) for e in events] == [
        ("governor", "labels", "c1"),
        ("governor", "labels", "c2"),
    ]
    assert "so1.managed=yes is neither true nor false; it is not managed" in events[0].detail
    assert governor.govern(usages, TAKEN) == []


def test_one_that_may_never_go_is_told_and_another_goes() -> None:
    usages = [usage(n, memory=n) for n in range(1, 5)]
    engine = Made(usages)
    change(engine, usages[3].container.id, auto_remove=True, volumes=["ab" * 32])
    governor = made(engine, Policy(trash_hours=0, keep_low=3, keep_high=0))
    events = {e.container_name: (e.kind, e.outcome) for e in governor.govern(usages, TAKEN)}
    assert events == {"c4": ("governor", "refused"), "c3": ("remove", "done")}
    # At its quota now, nothing is asked of the engine any more.
    asked = len(engine.asked)
    left = [u for u in usages if u.container.name != "c3"]
    assert governor.govern(left, TAKEN) == []
    assert len(engine.asked) == asked


def test_in_an_emergency_too_another_goes_in_its_place() -> None:
    usages = [usage(n, memory=n, age=1) for n in range(1, 6)]
    engine = Made(usages)
    change(engine, usages[4].container.id, auto_remove=True, volumes=["ab" * 32])
    policy = Policy(trash_hours=0, maximum=4, keep_low=2, keep_high=0)
    done = {e.container_name for e in govern(engine, usages, policy) if e.outcome == "done"}
    assert done == {"c2", "c3", "c4"}


@pytest.mark.parametrize(("own", "patience"), [(None, 5), (20, 20), (0, 0), (-1, -1)])
def test_a_containers_own_time_to_stop_is_kept(own: int | None, patience: int) -> None:
    usages = [usage(1)]
    engine = Made(usages)
    change(engine, usages[0].container.id, stop_timeout=own)
    govern(engine, usages)
    assert engine.patience == [patience]


def test_a_clock_that_is_set_moves_nothing() -> None:
    usages = [usage(1, age=31), usage(2, age=29)]
    engine = Made(usages)
    now = [NOW]
    governor = Governor(engine, POLICY, journal(), clock=lambda: now[0])
    now[0] -= 3600
    (event,) = governor.govern(usages, TAKEN)
    assert (event.container_name, event.outcome) == ("c1", "done")


class TestReload:
    def test_what_was_begun_is_finished(self) -> None:
        usages = [usage(1)]
        engine = Made(usages)
        stuck = usages[0].container.id
        engine.stop_fails[stuck] = EngineError("it did not answer")
        governor = made(engine)
        assert [e.outcome for e in governor.govern(usages, TAKEN)] == ["failed"]
        governor.reconfigure(Config(governor=Policy(trash_hours=0, keep_low=10, maximum=20)))
        change(engine, stuck, running=False)
        assert [e.outcome for e in governor.govern([], TAKEN)] == ["done"]

    def test_what_was_told_is_not_told_again(self) -> None:
        usages = [usage(n) for n in range(3)]
        governor = made(
            Made(usages), Policy(trash_hours=0, mode="observe", keep_low=0, keep_high=0)
        )
        assert len(governor.govern(usages, TAKEN)) == 3
        governor.reconfigure(
            Config(governor=Policy(trash_hours=0, mode="observe", keep_low=1, keep_high=0))
        )
        assert governor.govern(usages, TAKEN) == []

    def test_in_observe_what_was_only_planned_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usages = [usage(n, age=1) for n in range(12)]
        engine, store = Made(usages), Store()
        governor = made(engine, store=store)
        with monkeypatch.context() as hurried:
            hurried.setattr(module, "_BUDGET", -1)
            assert governor.govern(usages, TAKEN) == []
        assert set(store.steps().values()) == {"planned"}
        # The emergency ends by itself: fewer run by now than the most that may, and all are young.
        left = usages[:9]
        governor.reconfigure(Config(governor=replace(POLICY, mode="observe")))
        assert governor.govern(left, TAKEN) == []
        assert store.steps() == {}
        # It is not taken up again, neither by this process nor by the next.
        governor.reconfigure(Config(governor=POLICY))
        assert governor.govern(left, TAKEN) == []
        assert made(engine, store=store).govern(left, TAKEN) == []
        assert engine.removed() == set()

    def test_in_observe_nothing_more_is_removed_until_it_ends(self) -> None:
        usages = [usage(1)]
        engine = Made(usages)
        stuck = usages[0].container.id
        engine.stop_fails[stuck] = EngineError("it did not answer")
        governor = made(engine)
        governor.govern(usages, TAKEN)
        change(engine, stuck, running=False)
        governor.reconfigure(Config(governor=Policy(trash_hours=0, mode="observe")))
        (event,) = governor.govern([], TAKEN)
        assert (event.outcome, engine.removed()) == ("planned", set())
        assert "stopped before the mode was observe" in event.detail
        assert governor.govern([], TAKEN) == []
        governor.reconfigure(Config(governor=POLICY))
        assert [e.outcome for e in governor.govern([], TAKEN)] == ["done"]


def test_once_it_is_to_end_nothing_more_is_begun() -> None:
    usages = [usage(n) for n in range(9)]
    engine = Made(usages)
    governor = made(engine)
    engine.on_stop = lambda _: governor.stop()
    events = governor.govern(usages, TAKEN)
    assert 1 <= len(events) <= 4
    assert len(engine.removed()) == len(events)


def test_what_cannot_be_written_down_is_not_begun() -> None:
    usages = [usage(1)]
    engine, store = Made(usages), Store()
    governor = made(engine, store=store)
    governor.govern([], TAKEN)
    store.broken = True
    (event,) = governor.govern(usages, TAKEN)
    assert event.outcome == "failed"
    assert "cannot be written down before it is done (database or disk is full)" in event.detail
    assert governor.govern(usages, TAKEN) == []
    assert {what for what, _ in engine.asked} == {"inspect"}
    store.broken = False
    assert [e.outcome for e in governor.govern(usages, TAKEN)] == ["done"]


def test_an_end_that_could_not_be_written_down_is_written_later() -> None:
    usages = [usage(1)]
    engine, store = Made(usages), Store()
    governor = made(engine, store=store)

    def full(_: str) -> None:
        store.broken = True

    engine.on_stop = full
    told: list[Event] = []
    governor.govern(usages, TAKEN, told.append)
    assert [e.outcome for e in told] == ["done"]
    assert store.steps() == {"c1": "stopping"}
    store.broken = False
    assert governor.govern([], TAKEN) == []
    assert store.steps() == {"c1": "removed"}


class TestRestart:
    """Each begins with what another process has left in the database."""

    def test_what_was_begun_is_finished_and_told_once(self) -> None:
        usages = [usage(1)]
        engine, store = Made(usages), Store()
        stuck = usages[0].container.id
        engine.stop_fails[stuck] = EngineError("it did not answer")
        assert [e.outcome for e in made(engine, store=store).govern(usages, TAKEN, store.tell)] == [
            "failed"
        ]
        assert store.steps() == {"c1": "stopping"}
        # It still does not stop: that was told.
        assert made(engine, store=store).govern(usages, TAKEN, store.tell) == []
        change(engine, stuck, running=False)
        (event,) = made(engine, store=store).govern([], TAKEN, store.tell)
        assert (event.outcome, event.recreate) == ("done", "docker run --detach --name c1 alpine")
        assert store.steps() == {"c1": "removed"}
        assert made(engine, store=store).govern([], TAKEN, store.tell) == []

    def test_an_end_that_was_not_told_is_told(self) -> None:
        usages = [usage(1)]
        engine, store = Made(usages), Store()
        assert len(made(engine, store=store).govern(usages, TAKEN)) == 1
        (event,) = made(engine, store=store).govern([], TAKEN, store.tell)
        assert event.outcome == "done"
        assert made(engine, store=store).govern([], TAKEN, store.tell) == []

    def test_an_emergency_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        usages = [usage(n, age=1) for n in range(16)]
        engine, store = Made(usages), Store()
        with monkeypatch.context() as hurried:
            hurried.setattr(module, "_BUDGET", -1)
            assert (
                made(engine, Policy(trash_hours=0), store).govern(usages, TAKEN, store.tell) == []
            )
        assert set(store.steps().values()) == {"planned"}
        left = usages[:9]
        events = made(engine, Policy(trash_hours=0), store).govern(left, TAKEN, store.tell)
        assert {(e.outcome, e.rule) for e in events} == {("done", "emergency")}
        assert len(events) == 6
        assert set(store.steps().values()) == {"removed"}

    def test_what_was_planned_and_is_to_be_kept_by_now_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usages = [usage(1)]
        engine, store = Made(usages), Store()
        with monkeypatch.context() as hurried:
            hurried.setattr(module, "_BUDGET", -1)
            made(engine, store=store).govern(usages, TAKEN, store.tell)
        assert store.steps() == {"c1": "planned"}
        assert made(engine, Policy(trash_hours=0), store).govern(usages, TAKEN, store.tell) == []
        assert store.steps() == {}

    def test_what_was_refused_is_not_told_again(self) -> None:
        usages = [usage(1)]
        engine, store = Made(usages), Store()
        for expected in (1, 0, 0):
            change(engine, usages[0].container.id, running=True)
            engine.later[usages[0].container.id] = {"running": False}
            events = made(engine, store=store).govern(usages, TAKEN, store.tell)
            assert len(events) == expected
