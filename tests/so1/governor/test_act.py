# SPDX-License-Identifier: MIT
"""The act, with an engine made up at its edge; test_live.py does the same against a real one."""

import threading
import time
from collections.abc import Callable

import msgspec
import pytest

from so1.config import Docker, Policy
from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError, UnreachableError
from so1.governor import act
from so1.governor.act import Governor, carry_out
from so1.governor.policy import plan
from so1.model import CLASS, MANAGED, ContainerUsage
from so1.store.event import Event
from tests.so1.governor.containers import NOW, usage

POLICY = Policy(maximum=10, keep_low=0, keep_high=0, grace=30)


class Made(Engine):
    """An engine whose containers are what a test wants them to be."""

    on_stop: Callable[[str], None]

    def __init__(self, usages: list[ContainerUsage]) -> None:
        super().__init__(Docker())
        self.asked: list[tuple[str, str]] = []
        self.stop_fails: dict[str, Exception] = {}
        self.remove_fails: dict[str, Exception] = {}
        self.looks: dict[str, Inspected | Exception] = {
            u.container.id: Inspected(
                id=u.container.id,
                image=u.container.image,
                image_id="sha256:1",
                running=True,
                started_at=u.container.started_at,
                labels=u.container.labels,
                auto_remove=False,
                volumes=[],
                raw={
                    "Id": u.container.id,
                    "Name": "/" + u.container.name,
                    "Config": {"Image": "alpine"},
                    "HostConfig": {},
                },
            )
            for u in usages
        }
        self.on_stop = lambda _: None

    def inspect(self, container_id: str) -> Inspected:
        self.asked.append(("inspect", container_id))
        found = self.looks[container_id]
        if isinstance(found, Exception):
            raise found
        return found

    def inspect_image(self, image: str) -> dict[str, object] | None:  # noqa: ARG002
        return {}

    def stop(self, container_id: str, patience: int) -> None:  # noqa: ARG002
        self.asked.append(("stop", container_id))
        self.on_stop(container_id)
        if error := self.stop_fails.get(container_id):
            raise error

    def remove(self, container_id: str) -> None:
        if error := self.remove_fails.get(container_id):
            raise error
        self.asked.append(("remove", container_id))

    def removed(self) -> set[str]:
        return {id_ for what, id_ in self.asked if what == "remove"}


def change(engine: Made, id_: str, **changes: object) -> None:
    found = engine.looks[id_]
    assert isinstance(found, Inspected)
    engine.looks[id_] = msgspec.structs.replace(found, **changes)


def govern(
    engine: Made, usages: list[ContainerUsage], policy: Policy = POLICY, now: float = NOW
) -> list[Event]:
    return Governor(engine, policy, clock=lambda: NOW + 1).govern(usages, now)


def test_an_event_says_all_there_is_to_know() -> None:
    (one,) = usages = [usage(1, "low", ram=2048, cpu=12.5)]
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
        ({"started_at": NOW + 0.1}, "started again"),
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
    change(engine, usages[0].container.id, **changes)
    policy = Policy(maximum=0 if emergency else 5, keep_low=0, keep_high=0, grace=0)
    events = carry_out(plan(usages, policy, NOW), engine, policy)
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
    assert "its volumes are kept: data" in events[0].detail


def test_a_restart_that_the_list_does_not_show_is_spared() -> None:
    usages = [usage(1)]
    engine = Made(usages)
    change(engine, usages[0].container.id, started_at=NOW - 5)
    assert govern(engine, usages) == []
    assert carry_out(plan(usages, POLICY, NOW), engine, POLICY) == []
    assert engine.removed() == set()


def test_a_restart_that_the_list_does_not_show_does_not_count() -> None:
    usages = [usage(1, ram=9), usage(2, ram=5), usage(3, ram=1)]
    engine = Made(usages)
    change(engine, usages[1].container.id, started_at=NOW - 5)
    governor = Governor(engine, Policy(keep_low=2, keep_high=0, grace=30))
    assert governor.govern(usages, NOW) == []
    (event,) = governor.govern(usages, NOW + 25)
    assert (event.container_name, event.outcome) == ("c1", "done")


def test_an_emergency_looks_at_nothing_but_what_goes() -> None:
    usages = [usage(1, ram=9), usage(2, ram=5, age=0), usage(3, ram=1)]
    engine = Made(usages)
    policy = Policy(maximum=2, keep_low=1, keep_high=0)
    assert {e.container_name for e in govern(engine, usages, policy)} == {"c1", "c2"}
    assert [what for what, _ in engine.asked].count("inspect") == 2


@pytest.mark.parametrize("last", [NotFoundError("gone"), None])
def test_what_has_ended_does_not_count(last: Exception | None) -> None:
    usages = [usage(1, ram=9), usage(2, ram=5)]
    engine = Made(usages)
    change(engine, usages[1].container.id, running=False)
    if last:
        engine.looks[usages[1].container.id] = last
    assert govern(engine, usages, Policy(keep_low=1, keep_high=0)) == []
    assert engine.removed() == set()


@pytest.mark.parametrize(
    ("error", "looks"), [(EngineError("it is broken"), 3), (UnreachableError("no answer"), 2)]
)
def test_what_cannot_be_looked_at_counts_as_listed(error: Exception, looks: int) -> None:
    usages = [usage(1, ram=5), usage(2, ram=9)]
    engine = Made(usages)
    engine.looks[usages[0].container.id] = error
    (event,) = govern(engine, usages, Policy(keep_low=1, keep_high=0))
    assert (event.container_name, event.outcome) == ("c2", "done")
    # Once the engine is silent, the plan asks it no further; the removal does.
    assert [what for what, _ in engine.asked].count("inspect") == looks


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(NotFoundError("gone"), "refused"), (EngineError("it did not answer"), "failed")],
)
def test_one_that_cannot_be_had_does_not_stop_the_rest(error: Exception, outcome: str) -> None:
    usages = [usage(n, ram=9 - n) for n in range(8)]
    engine = Made(usages)
    engine.looks[usages[0].container.id] = error
    engine.stop_fails[usages[1].container.id] = error
    events = carry_out(plan(usages, POLICY, NOW), engine, POLICY)
    assert [e.container_name for e in events] == [f"c{n}" for n in range(8)]
    assert [e.outcome for e in events] == [outcome] * 2 + ["done"] * 6
    assert engine.removed() == {u.container.id for u in usages[2:]}


def test_a_fault_of_ours_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    usages = [usage(n) for n in range(3)]
    engine = Made(usages)
    engine.stop_fails[usages[0].container.id] = RuntimeError("a fault")
    governor = Governor(engine, POLICY)
    (failed, *rest) = governor.govern(usages, NOW)
    assert (failed.container_name, failed.outcome, failed.rule) == ("c0", "failed", "excess-low")
    assert "so1 is at fault" in failed.detail
    assert "a fault" in failed.detail
    assert [(e.container_name, e.outcome) for e in rest] == [("c1", "done"), ("c2", "done")]
    assert "Traceback" in caplog.text
    assert governor.govern(usages[:1], NOW + 20) == []


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
    events = Governor(engine, POLICY).govern(usages, NOW, tell)
    assert [(e.container_name, e.outcome) for e in told] == [("c2", "done"), ("c1", "done")]
    assert events == told[::-1]


def test_one_that_cannot_be_described_goes_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    usages = [usage(1)]
    engine = Made(usages)
    change(engine, usages[0].container.id, raw={})
    (event,) = govern(engine, usages)
    assert (event.outcome, event.recreate) == ("done", None)
    assert "no command line" in caplog.text


def test_what_goes_wrong_each_tick_is_told_once() -> None:
    usages = [usage(1), usage(2)]
    engine = Made(usages)
    engine.stop_fails = {u.container.id: EngineError("it does not stop") for u in usages}
    governor = Governor(engine, POLICY)
    assert [e.outcome for e in governor.govern(usages, NOW)] == ["failed", "failed"]
    assert governor.govern(usages, NOW + 20) == []
    engine.stop_fails[usages[0].container.id] = EngineError("something else")
    (other,) = governor.govern(usages, NOW + 40)
    assert "something else" in other.detail
    engine.stop_fails = {}
    assert [e.outcome for e in governor.govern(usages, NOW + 60)] == ["done", "done"]


def test_what_is_known_of_one_that_is_gone_is_forgotten() -> None:
    usages = [usage(1)]
    engine = Made(usages)
    engine.stop_fails[usages[0].container.id] = EngineError("it does not stop")
    governor = Governor(engine, POLICY)
    assert len(governor.govern(usages, NOW)) == 1
    governor.govern([], NOW)
    assert len(governor.govern(usages, NOW)) == 1


def test_one_that_stops_too_late_is_removed_in_the_next_tick() -> None:
    usages = [usage(n) for n in range(5)]
    late, again, gone, runs, slow = (u.container.id for u in usages)
    engine = Made(usages)
    engine.stop_fails = {u.container.id: EngineError("it did not answer") for u in usages}
    governor = Governor(engine, POLICY)
    assert [e.outcome for e in governor.govern(usages, NOW)] == ["failed"] * 5
    change(engine, late, running=False)
    change(engine, again, running=False, started_at=NOW + 5)
    change(engine, slow, running=False)
    engine.looks[gone] = NotFoundError("gone")
    engine.remove_fails = {slow: EngineError("it is busy")}
    told: list[Event] = []
    events = governor.govern([u for u in usages if u.container.id == runs], NOW + 20, told.append)
    assert told == events
    # The one that still runs failed again, which was told already.
    assert {e.container_id: e.outcome for e in events} == {late: "done", gone: "done"}
    assert engine.removed() == {late, gone}
    assert all(e.recreate for e in events)
    engine.remove_fails = {}
    engine.stop_fails = {}
    (event,) = governor.govern([], NOW + 40)
    assert (event.container_id, event.outcome) == (slow, "done")
    assert governor.govern([], NOW + 60) == []


@pytest.mark.parametrize(
    ("error", "removed"), [(EngineError("it is busy"), 2), (UnreachableError("no answer"), 0)]
)
def test_one_that_cannot_be_finished_does_not_stop_the_rest(error: Exception, removed: int) -> None:
    usages = [usage(n) for n in range(3)]
    engine = Made(usages)
    engine.stop_fails = {u.container.id: EngineError("it did not answer") for u in usages}
    governor = Governor(engine, POLICY)
    governor.govern(usages, NOW)
    for u in usages:
        change(engine, u.container.id, running=False)
    first = next(iter(governor._memory.begun))
    engine.remove_fails = {first: error}
    assert len(governor.govern([], NOW + 20)) == len(engine.removed()) == removed
    engine.remove_fails = {}
    governor.govern([], NOW + 40)
    assert len(engine.removed()) == 3


def test_one_that_is_to_go_still_is_remembered_while_the_engine_is_silent() -> None:
    usages = [usage(1)]
    engine = Made(usages)
    stuck = usages[0].container.id
    before = engine.looks[stuck]
    engine.stop_fails[stuck] = EngineError("it did not answer")
    governor = Governor(engine, POLICY)
    governor.govern(usages, NOW)
    engine.looks[stuck] = UnreachableError("no answer")
    governor.govern(usages, NOW + 20)
    engine.looks[stuck] = before
    change(engine, stuck, running=False)
    assert [e.outcome for e in governor.govern([], NOW + 40)] == ["done"]


def test_one_that_stops_once_it_is_to_be_kept_is_not_removed() -> None:
    usages = [usage(1, ram=9), usage(2, ram=5)]
    engine = Made(usages)
    stuck = usages[0].container.id
    engine.stop_fails[stuck] = EngineError("it did not answer")
    governor = Governor(engine, Policy(keep_low=1, keep_high=0))
    assert [e.outcome for e in governor.govern(usages, NOW)] == ["failed"]
    assert governor.govern(usages[:1], NOW + 20) == []
    change(engine, stuck, running=False)
    assert governor.govern([], NOW + 40) == []
    assert engine.removed() == set()


def test_observe_removes_nothing_and_tells_each_once() -> None:
    usages = [usage(n, ram=n) for n in range(4)]
    engine = Made(usages)
    policy = Policy(mode="observe", keep_low=2, keep_high=0, grace=0)
    governor = Governor(engine, policy)
    events = governor.govern(usages, NOW)
    assert [(e.container_name, e.outcome) for e in events] == [("c3", "planned"), ("c2", "planned")]
    assert all(e.recreate for e in events)
    looks = len(engine.asked)
    # The order changes and changes back: each is told once, and looked at for the plan alone.
    for _ in range(3):
        assert governor.govern(usages, NOW) == []
        turned = [usage(0, ram=9), *usages[1:]]
        governor.govern(turned, NOW)
    assert {what for what, _ in engine.asked} == {"inspect"}
    assert len(engine.asked) == looks + 6 * len(usages) + 1


def test_several_stop_at_once_and_systemd_hears_from_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(act, "_BEAT", 0.01)
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
    governor = Governor(engine, POLICY, beat=lambda: beats.append(1))
    assert [e.outcome for e in governor.govern(usages, NOW)] == ["done"] * 4
    assert len(beats) >= 3


def test_what_the_budget_does_not_reach_is_left_for_the_next_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(act, "_BUDGET", 0.5)
    usages = [usage(n) for n in range(10)]
    engine = Made(usages)
    engine.on_stop = lambda _: time.sleep(0.6)
    governor = Governor(engine, POLICY)
    first = governor.govern(usages, NOW)
    assert 1 <= len(first) <= 4
    gone = {e.container_id for e in first}
    left = [u for u in usages if u.container.id not in gone]
    monkeypatch.undo()
    second = governor.govern(left, NOW)
    assert {e.container_id for e in second} == {u.container.id for u in left}


def test_an_emergency_goes_on_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(maximum=10, keep_low=1, keep_high=0, grace=30)
    usages = [usage(n, age=1) for n in range(12)]
    engine = Made([*usages, usage(20, age=1)])
    governor = Governor(engine, policy)
    with monkeypatch.context() as hurried:
        hurried.setattr(act, "_BUDGET", 0.5)
        engine.on_stop = lambda _: time.sleep(0.6)
        first = governor.govern(usages, NOW)
    engine.on_stop = lambda _: None
    assert 1 <= len(first) <= 4
    gone = {e.container_id for e in first}
    left = [u for u in usages if u.container.id not in gone]
    assert len(left) <= policy.maximum
    second = governor.govern(left, NOW)
    assert {e.rule for e in first + second} == {"emergency"}
    assert len(first + second) == 11
    assert all("an emergency is not over yet; of" in e.detail for e in second)
    gone |= {e.container_id for e in second}
    left = [usage(20, age=1), *(u for u in usages if u.container.id not in gone)]
    assert governor.govern(left, NOW) == []


def test_what_an_emergency_left_and_ended_by_itself_leaves_no_emergency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usages = [usage(n, age=1) for n in range(11)]
    engine = Made([*usages, usage(20, age=1)])
    governor = Governor(engine, POLICY)
    with monkeypatch.context() as hurried:
        hurried.setattr(act, "_BUDGET", -1)
        assert governor.govern(usages, NOW) == []
    assert governor.govern([usage(20, age=1)], NOW) == []


def test_nothing_to_do_asks_nothing() -> None:
    engine = Made([usage(1)])
    assert govern(engine, [usage(1)], Policy(grace=0)) == []
    assert engine.asked == []
