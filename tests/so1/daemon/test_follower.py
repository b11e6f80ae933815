# SPDX-License-Identifier: MIT
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from so1.daemon import follower as module
from so1.daemon.conditions import Conditions
from so1.daemon.follower import Follower
from so1.daemon.outbox import Outbox
from so1.docker_engine import Happened
from so1.model import Container
from so1.store.event import Event

WEB = Container(id="ab" * 32, name="web", image="alpine", labels={}, started_at=0)
DB = msgspec.structs.replace(WEB, id="cd" * 32, name="db")


class Engine:
    """An engine that says what a test wants."""

    def __init__(self) -> None:
        self.listed: list[Container] = [WEB]
        self.lists = 0
        self.happens: list[Happened] = []
        self.asked: list[tuple[int, int]] = []
        self.fails: Exception | None = None
        self.on_stream: Callable[[], None] = lambda: None

    def running(self) -> list[Container]:
        self.lists += 1
        if self.fails:
            raise self.fails
        return list(self.listed)

    def events(self, since_ns: int, seconds: int) -> Iterator[Happened]:
        self.asked.append((since_ns, seconds))
        self.on_stream()
        if self.fails:
            raise self.fails
        yield from (each for each in self.happens if each.time_ns >= since_ns)


class Setup:
    def __init__(self) -> None:
        self.engine = Engine()
        self.outbox = Outbox()
        self.conditions = Conditions(self.outbox, lambda: 5.0)
        self.now = 1_700_000_000.0
        self.follower = Follower(self.engine, self.outbox, self.conditions, clock=lambda: self.now)

    def happens(self, action: str, seconds: float = 1, code: int | None = None) -> None:
        self.now += seconds
        at = round(self.now * 1e9)
        self.engine.happens.append(Happened(action, WEB.id, "web", "alpine", at, code))

    def events(self) -> list[Event]:
        with self.outbox.sending() as events:
            return events

    def names(self) -> list[str]:
        return [c.name for c in self.follower.word.containers]


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_the_first_word(setup: Setup) -> None:
    assert setup.follower.word.age is None
    assert not setup.follower.word.stands
    assert setup.follower.step(0)
    assert setup.names() == ["web"]
    assert setup.follower.word.stands
    assert setup.follower.heard.is_set()


def test_the_list_is_read_when_an_event_changes_it_and_else_it_stands(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    for _ in range(5):
        setup.follower.step(0)
    assert setup.engine.lists == 1
    setup.engine.listed.append(DB)
    setup.happens("exec_start: sh")
    setup.follower.step(0)
    setup.follower.step(0)
    assert setup.engine.lists == 1
    for action in ("start", "die", "rename", "health_status: unhealthy"):
        before = setup.engine.lists
        setup.happens(action)
        setup.follower.step(0)
        setup.follower.step(0)
        assert setup.engine.lists == before + 1
    assert setup.names() == ["web", "db"]


def test_the_list_is_read_each_minute_whatever_the_stream_says(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.follower.step(0)
    monkeypatch.setattr(module, "_RECONCILE", 0.0)
    setup.follower.step(0)
    assert setup.engine.lists == 2


def test_no_event_is_taken_twice_and_the_stream_goes_on_where_it_was(setup: Setup) -> None:
    setup.follower.step(0)
    setup.happens("die", code=3)
    for _ in range(5):
        setup.follower.step(0)
    assert [event.detail for event in setup.events()] == ["It ended with exit code 3."]
    assert setup.engine.asked[-1][0] == setup.engine.happens[-1].time_ns


def test_a_clock_that_is_set_back_does_not_make_it_wait(setup: Setup) -> None:
    setup.happens("die", 3_600, code=1)
    setup.follower.step(0)
    setup.now -= 7_200
    setup.follower.step(0)
    assert setup.engine.asked[-1][0] == round(setup.now * 1e9)


def test_while_the_engine_fails_its_last_word_stands_and_grows_old(setup: Setup) -> None:
    setup.follower.step(0)
    setup.engine.fails = RuntimeError("it hangs")
    assert not setup.follower.step(0)
    first = setup.follower.word
    assert (setup.names(), first.stands, first.trouble) == (
        ["web"],
        False,
        "Docker does not answer: it hangs",
    )
    time.sleep(0.02)
    assert not setup.follower.step(0)
    assert setup.follower.word.heard_at == first.heard_at
    assert (setup.follower.word.age or 0) >= 0.02
    assert setup.conditions.current == ["Docker does not answer: it hangs"]
    # What happened meanwhile may be lost: the list is read anew.
    lists = setup.engine.lists
    setup.engine.fails = None
    assert setup.follower.step(0)
    assert setup.engine.lists == lists + 1
    assert setup.follower.word.stands
    assert [event.outcome for event in setup.events()] == ["failed", "done"]


def test_a_stream_that_ends_in_its_time_is_a_word(setup: Setup) -> None:
    setup.follower.step(0)
    before = setup.follower.word.heard_at
    setup.follower.step(0)
    assert before is not None
    assert (setup.follower.word.heard_at or 0) > before


def test_a_crash_loop_is_marked_and_its_end_is_told(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    for _ in range(3):
        setup.happens("start")
        setup.happens("die", code=1)
    for _ in range(8):
        setup.follower.step(0)
    assert setup.follower.word.containers[0].looping
    monkeypatch.setattr("so1.daemon.lifecycle._SOON", -1.0)
    setup.follower.ask_anew()
    setup.follower.step(0)
    assert not setup.follower.word.containers[0].looping
    told = setup.events()[-1]
    assert (told.outcome, told.container_name) == ("done", "web")
    assert "It has run for a minute" in told.detail


def test_it_ends_when_it_is_told_to(setup: Setup) -> None:
    setup.engine.on_stream = lambda: time.sleep(0.001)
    thread = threading.Thread(target=setup.follower.run)
    thread.start()
    while len(setup.engine.asked) < 3:
        time.sleep(0.001)
    setup.follower.stop()
    thread.join(30)
    assert not thread.is_alive()
