# SPDX-License-Identifier: MIT
"""When messages are sent, and that none is lost or doubled by what goes wrong."""

import os
from pathlib import Path

import msgspec
import pytest

from so1.config import Notify
from so1.notify import state
from so1.notify.error import NotSentError
from so1.notify.events import Position
from so1.notify.message import Message
from so1.notify.state import StateError
from so1.notify.teller import Teller
from tests.so1.notify.conftest import NOW_MS, Happen


class World:
    """A clock to be turned, and a receiver that can be broken."""

    def __init__(self, store: Path, file: Path) -> None:
        self.store = store
        self.file = file
        self.now = NOW_MS / 1000 + 3_600.0
        self.sent: list[Message] = []
        self.broken = False
        self.policy = Notify(batch_seconds=0)

    def send(self, message: Message) -> None:
        if self.broken:
            raise NotSentError("it is broken")
        self.sent.append(message)

    def teller(self) -> Teller:
        """Begin anew, as after a restart."""
        return Teller(self.policy, self.store, self.file, self.send, "web-1", lambda: self.now)

    @property
    def ids(self) -> list[list[int]]:
        return [[item.id for item in message.items] for message in self.sent]


@pytest.fixture
def world(store: Path, tmp_path: Path, happen: Happen) -> World:
    """Somebody who was told of event 1 already."""
    happen()
    made = World(store, tmp_path / "webhook.json")
    assert made.teller().step() == 5
    return made


def test_it_begins_at_the_present(world: World, happen: Happen) -> None:
    assert world.sent == []
    happen(2)
    teller = world.teller()
    assert teller.step() == 0, "there may be more"
    assert teller.step() == 5
    assert world.ids == [[2, 3]]


def test_a_backlog_is_told_in_order(world: World, happen: Happen) -> None:
    happen(45)
    teller = world.teller()
    while not teller.step():
        pass
    assert [len(ids) for ids in world.ids] == [20, 20, 5]
    assert [id_ for ids in world.ids for id_ in ids] == list(range(2, 47))


def test_events_are_collected_for_a_while(world: World, happen: Happen) -> None:
    world.policy = Notify(batch_seconds=60)
    teller = world.teller()
    happen(at=round(world.now * 1000))
    assert teller.step() == 5
    world.now += 59
    happen(at=round(world.now * 1000))
    assert teller.step() == 5
    assert world.sent == []
    world.now += 1
    teller.step()
    assert world.ids == [[2, 3]]


def test_a_full_message_waits_for_nothing(world: World, happen: Happen) -> None:
    world.policy = Notify(batch_seconds=60)
    happen(20, at=round(world.now * 1000))
    world.teller().step()
    assert [len(ids) for ids in world.ids] == [20]


def test_no_event_waits_for_a_clock_that_was_set_back(world: World, happen: Happen) -> None:
    world.policy = Notify(batch_seconds=60)
    happen(at=round(world.now * 1000) + 10**9)
    world.teller().step()
    assert world.ids == [[2]]


def test_messages_an_hour_are_limited(world: World, happen: Happen) -> None:
    world.policy = Notify(batch_seconds=0, per_hour=3)
    for _ in range(6):
        happen()
        world.teller().step()
    assert world.ids == [[2], [3], [4]]
    world.now += 3_599
    world.teller().step()
    assert len(world.ids) == 3
    world.now += 2
    world.teller().step()
    assert world.ids[3:] == [[5, 6, 7]]


def test_a_clock_that_was_set_back_silences_nobody(world: World, happen: Happen) -> None:
    world.policy = Notify(batch_seconds=0, per_hour=1)
    happen()
    world.teller().step()
    world.now -= 1_000_000
    happen()
    world.teller().step()
    assert world.ids == [[2], [3]]


def test_what_is_not_chosen_is_passed_by(world: World, happen: Happen) -> None:
    world.policy = Notify(events=["*/failed"], batch_seconds=0)
    happen(300)
    teller = world.teller()
    assert teller.step() == 5
    saved = state.load(world.file)
    assert saved
    assert saved.position.event == 301
    written = world.file.stat().st_mtime_ns
    assert teller.step() == 5
    assert world.file.stat().st_mtime_ns == written, "an idle hour wears out no disk"
    happen(outcome="failed")
    teller.step()
    assert world.ids == [[302]]


def test_failures_are_retried_ever_less_often(
    world: World, happen: Happen, caplog: pytest.LogCaptureFixture
) -> None:
    happen()
    world.broken = True
    teller = world.teller()
    waits = [teller.step() for _ in range(12)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]
    assert caplog.messages == ["Events are not told, and wait: it is broken."]
    happen(3)
    world.broken = False
    assert teller.step() == 0
    assert teller.step() == 0
    assert world.ids == [[2], [3, 4, 5]]
    happen()
    world.broken = True
    assert teller.step() == 5, "a success ends it"


def test_what_may_have_been_sent_is_sent_again_as_it_was(
    world: World, happen: Happen, store: Path
) -> None:
    happen(2)
    world.broken = True
    world.teller().step()
    before = state.load(world.file)
    assert before
    assert before.pending
    happen(50)
    world.now += 10_000
    world.policy = Notify(events=["undo/done"], batch_seconds=600)
    store.unlink()
    world.broken = False
    world.teller().step()
    assert world.sent == [before.pending.message]


def test_a_new_database_is_told_from_its_beginning(world: World, happen: Happen) -> None:
    world.file.write_bytes(msgspec.json.encode(state.State(Position(7, 5))))
    happen()
    world.teller().step()
    assert world.ids == [[1, 2]]


def test_no_database_is_waited_for(world: World, store: Path) -> None:
    aside = store.rename(store.with_name("aside"))
    teller = world.teller()
    assert [teller.step() for _ in range(6)] == [5, 10, 20, 40, 60, 60]
    aside.rename(store)
    assert teller.step() == 5
    assert world.sent == []


@pytest.fixture
def _full(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.usefixtures("_full")
def test_what_cannot_be_written_down_is_not_sent(world: World, happen: Happen) -> None:
    happen()
    teller = world.teller()
    assert [teller.step(), teller.step()] == [5, 10]
    assert world.sent == []


def test_what_was_sent_is_told_even_where_that_cannot_be_written(
    world: World, happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen()
    save, saved = state.save, []

    def once(path: Path, new: state.State) -> None:
        saved.append(new)
        if len(saved) == 2:
            raise OSError(28, "No space left on device")
        save(path, new)

    monkeypatch.setattr(state, "save", once)
    teller = world.teller()
    assert teller.step() == 5
    happen()
    assert teller.step() == 0
    assert world.ids == [[2], [3]]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"position": 1}'])
def test_a_damaged_file_ends_it_with_a_sentence(world: World, content: bytes) -> None:
    world.file.write_bytes(content)
    with pytest.raises(StateError, match="delete it"):
        world.teller()


def test_half_a_file_is_never_seen(
    world: World, happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen()
    before = world.file.read_bytes()
    monkeypatch.setattr(Path, "replace", _cut_off)
    world.teller().step()
    assert world.file.read_bytes() == before


def _cut_off(*_: object) -> None:
    raise OSError(5, "Input/output error")
