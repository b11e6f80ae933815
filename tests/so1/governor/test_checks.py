# SPDX-License-Identifier: MIT
"""What is asked before a container is touched, and what becomes of one on the way."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from so1.config import Config, Docker, Policy
from so1.docker_engine import EngineError, NotFoundError, UnreachableError
from so1.governor import checks, removal
from so1.governor.governor import Governor
from so1.store.handover import Handover
from so1.store.removal import Removal
from so1.store.removals import JournalError, Removals
from tests.so1.governor.containers import NOW, TAKEN, Store, usage
from tests.so1.governor.engine import Made, change
from tests.so1.store.removals import removal as stored


def row(number: int = 1) -> Removal:
    """One that was asked to stop."""
    one = usage(number).container
    return stored(
        container_id=one.id,
        container_name=one.name,
        image=one.image,
        started_at=one.started_at,
    )


class TestLook:
    def test_only_what_is_managed_is_looked_at_with_a_beat_for_each(self) -> None:
        usages = [usage(1), usage(2, managed=False), usage(3)]
        engine = Made(usages)
        beats: list[int] = []
        found = checks.look_again(usages, engine, beat=lambda: beats.append(1))
        assert found.usages == usages
        looked = [usages[0].container.id, usages[2].container.id]
        assert engine.asked == [("inspect", id_) for id_ in looked]
        assert found.may_go == set(looked)
        assert len(beats) == 2

    def test_a_silent_engine_is_not_asked_on(self) -> None:
        usages = [usage(1), usage(2), usage(3)]
        engine = Made(usages)
        engine.looks[usages[0].container.id] = UnreachableError("no answer")
        found = checks.look_again(usages, engine)
        assert found == (usages, {}, set())
        assert len(engine.asked) == 1

    def test_what_may_never_go_is_held(self) -> None:
        usages = [usage(1), usage(2)]
        engine = Made(usages)
        held, free = (u.container.id for u in usages)
        change(engine, held, auto_remove=True, volumes=["ab" * 32])
        found = checks.look_again(usages, engine)
        assert "volumes are never removed" in found.held[held]
        assert found.may_go == {free}

    def test_one_of_which_no_start_is_known_is_unmeasured(self) -> None:
        one = usage(1)
        one = replace(one, container=replace(one.container, started_ns=None))
        (found,) = checks.look_again([one], Made([one])).usages
        assert (one.memory, found.memory) == (100, None)


class TestFinish:
    def test_another_that_answers_to_its_id_is_not_removed(self) -> None:
        engine = Made([usage(1)])
        change(engine, row().container_id, id="f" * 64, running=False)
        came = removal.finish(row(), engine, write=lambda _: None, clock=lambda: NOW, keep=False)
        assert (came.step, engine.removed()) == ("refused", set())

    def test_one_that_is_not_managed_any_more_is_not_removed(self) -> None:
        engine = Made([usage(1)])
        change(engine, row().container_id, running=False, labels={})
        came = removal.finish(row(), engine, write=lambda _: None, clock=lambda: NOW, keep=False)
        assert (came.step, came.reason) == ("refused", "it is not managed")
        assert engine.removed() == set()

    def test_one_that_stopped_is_removed_and_told(self) -> None:
        engine = Made([usage(1)])
        change(engine, row().container_id, running=False)
        came = removal.finish(row(), engine, write=lambda _: None, clock=lambda: NOW, keep=False)
        assert (came.step, came.timestamp) == ("removed", NOW * 1000)
        assert engine.removed() == {row().container_id}


class TestAttemptAgain:
    """One that was asked to stop before, and still ran when it was measured."""

    def attempt(self, engine: Made) -> Removal:
        return removal.attempt(
            row(),
            engine,
            5,
            objection=lambda now: None if now.running else "it has stopped by itself",
            write=lambda _: None,
            clock=lambda: NOW,
            keep=False,
        )

    def test_what_is_gone_by_now_was_removed(self) -> None:
        engine = Made([usage(1)])
        engine.looks[row().container_id] = NotFoundError("gone")
        assert self.attempt(engine).step == "removed"

    def test_what_stops_just_now_is_left_for_the_next_tick_to_finish(self) -> None:
        engine = Made([usage(1)])
        change(engine, row().container_id, running=False)
        assert self.attempt(engine) == row()
        assert {what for what, _ in engine.asked} == {"inspect"}

    def test_what_was_started_again_and_ended_was_not_our_doing(self) -> None:
        engine = Made([usage(1)])
        change(engine, row().container_id, running=False, started_at=NOW + 5)
        came = self.attempt(engine)
        assert (came.step, came.reason) == ("refused", "it has stopped by itself")


def governor(engine: Made, store: Store, policy: Policy) -> Governor:
    return Governor(engine, policy, Removals(store), clock=lambda: NOW)


class TestGovernor:
    def test_in_observe_what_a_clean_up_began_is_finished_and_no_other(self) -> None:
        engine, store = Made([usage(1), usage(2)]), Store()
        for number in (1, 2):
            change(engine, row(number).container_id, running=False)
        Removals(store).write([row(1), replace(row(2), by="cleanup", timestamp=2)])
        events = governor(engine, store, Policy(trash_hours=0, mode="observe")).govern([], TAKEN)
        assert [(e.container_name, e.outcome) for e in events] == [
            ("c1", "planned"),
            ("c2", "done"),
        ]
        assert engine.removed() == {row(2).container_id}

    def test_an_emergency_that_ended_for_a_container_is_not_taken_up_for_it(self) -> None:
        usages = [usage(n, age=1) for n in (1, 2)]
        engine, store = Made(usages), Store()
        Removals(store).write([replace(row(1), rule="emergency", step="refused")])
        policy = Policy(trash_hours=0, keep_low=0, keep_high=0, grace=30)
        events = governor(engine, store, policy).govern(usages, TAKEN)
        assert [e.outcome for e in events] == ["refused"]
        assert engine.removed() == set()

    def test_one_that_stops_and_is_to_be_kept_by_now_is_not_removed(self) -> None:
        usages = [usage(1, memory=9), usage(2, memory=5)]
        engine, store = Made(usages), Store()
        stuck = usages[0].container.id
        engine.stop_fails[stuck] = EngineError("it did not answer")
        ours = governor(engine, store, Policy(trash_hours=0, keep_low=1, keep_high=0))
        ours.govern(usages, TAKEN)
        # It ran when it was measured, and has stopped since.
        change(engine, stuck, running=False)
        (kept,) = ours.govern(usages[:1], TAKEN)
        assert "is to be kept by now; it may yet stop" in kept.detail
        assert engine.removed() == set()

    def test_one_that_cannot_be_measured_while_it_stops_is_finished_all_the_same(self) -> None:
        usages = [usage(1)]
        engine, store = Made(usages), Store()
        stuck = usages[0].container.id
        engine.stop_fails[stuck] = EngineError("it did not answer")
        ours = governor(engine, store, Policy(trash_hours=0, keep_low=0, keep_high=0))
        ours.govern(usages, TAKEN)
        assert ours.govern([replace(usages[0], memory=None)], TAKEN) == []
        change(engine, stuck, running=False)
        assert [e.outcome for e in ours.govern([], TAKEN)] == ["done"]
        assert engine.removed() == {stuck}

    def test_without_its_journal_nothing_is_removed(self) -> None:
        usages = [usage(1)]
        engine, store = Made(usages), Store()
        store.broken = True
        ours = governor(engine, store, Policy(trash_hours=0, keep_low=0, keep_high=0))
        (event,) = ours.govern(usages, TAKEN)
        assert event.outcome == "failed"
        assert engine.removed() == set()

    def test_another_engine_is_taken_at_a_reload(self) -> None:
        engine = Made([])
        other = Docker(host="unix:///other", timeout=7)
        governor(engine, Store(), Policy(trash_hours=0)).reconfigure(Config(docker=other))
        assert engine._docker == other


class TestJournal:
    def test_what_a_clean_up_left_takes_nothing_back(self, tmp_path: Path) -> None:
        folder = tmp_path / "so1"
        folder.mkdir()
        journal = Removals(Store(folder))
        ended = replace(row(), step="refused", timestamp=9)
        journal.write([ended])
        for timestamp, known in ((8, ended), (9, ended), (10, replace(row(), timestamp=10))):
            with_file = Handover(folder)
            with_file.write(replace(row(), timestamp=timestamp))
            with_file.close()
            assert journal.take_in() == [known]

    def test_one_that_cannot_be_read_says_so(self) -> None:
        store = Store()
        store.broken = True
        for read in (Removals(store).ended, Removals(store).take_in):
            with pytest.raises(JournalError, match="database or disk is full"):
                read()
