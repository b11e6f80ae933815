# SPDX-License-Identifier: MIT
import threading

import pytest

from so1.daemon.outbox import Outbox
from so1.store.event import Event


def event(detail: str, kind: str = "daemon", outcome: str = "done") -> Event:
    return Event(timestamp=0, kind=kind, outcome=outcome, detail=detail)  # type: ignore[arg-type]


def fails(outbox: Outbox) -> None:
    with outbox.sending(), outbox.counting():
        raise OSError("full")


def test_what_could_not_be_sent_waits() -> None:
    outbox = Outbox()
    outbox.put(event("a"))
    with pytest.raises(OSError, match="full"):
        fails(outbox)
    outbox.put(event("b"))
    with outbox.sending() as events:
        assert [e.detail for e in events] == ["a", "b"]
        outbox.put(event("c"))  # while the others are under way
    with outbox.sending() as events:
        assert [e.detail for e in events] == ["c"]


def test_removals_are_counted_until_that_is_stored() -> None:
    outbox = Outbox()
    for outcome in ("done", "failed", "done"):
        outbox.put(event("x", "remove", outcome))
    with pytest.raises(OSError, match="full"):
        fails(outbox)
    with outbox.counting() as removed:
        assert removed == 2
        outbox.put(event("y", "remove"))
    with outbox.counting() as removed:
        assert removed == 1


def test_what_is_fresh_is_given_once() -> None:
    outbox = Outbox()
    outbox.put(event("a"))
    assert [e.detail for e in outbox.fresh()] == ["a"]
    assert outbox.fresh() == []


def test_many_threads_lose_nothing_and_double_nothing() -> None:
    outbox = Outbox()
    sent: list[str] = []

    def put(name: str) -> None:
        for number in range(100):
            outbox.put(event(f"{name}{number}"))
            with outbox.sending() as events:
                sent.extend(e.detail for e in events)

    threads = [threading.Thread(target=put, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == sorted(f"{name}{number}" for name in "abcdef" for number in range(100))
