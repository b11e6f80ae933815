# SPDX-License-Identifier: MIT
import signal
from typing import Any

import msgspec

from so1.daemon import deaths
from so1.model import Exit
from so1.sample import Sample
from so1.store.event import Event
from tests.so1.exposition.samples import container
from tests.so1.samples import sample
from tests.so1.sources.ring import line

SHOP = "ab" * 32


def after(*exits: dict[str, Any], **changes: Any) -> Sample:
    told = [msgspec.convert(line(number, **one), Exit) for number, one in enumerate(exits)]
    return sample([], exits=told, exits_missed=0, **changes)


def told(*exits: dict[str, Any]) -> list[Event]:
    return deaths.events(after(*exits))


def test_who_ended_as_one_does_is_no_event() -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"code": 1},
        {"signal": signal.SIGTERM},
        {"signal": signal.SIGKILL},
        # The OOM killer chose it, and it ended by itself before.
        {"oom_killed": True},
    ]
    assert told(*ways) == []


def test_a_crash_names_its_process_and_its_container() -> None:
    named = container(SHOP, name="shop")
    tick = after({"signal": signal.SIGSEGV, "container_id": SHOP}, containers=())
    (unknown,) = deaths.events(tick)
    assert unknown.detail == "cc1 (pid 300) crashed (SIGSEGV)."
    assert (unknown.kind, unknown.outcome) == ("exit", "failed")
    assert (unknown.container_id, unknown.container_name) == (SHOP, SHOP[:12])
    assert unknown.ram_usage == 2048
    told = [msgspec.convert(line(0, signal=signal.SIGSEGV, container_id=SHOP), Exit)]
    (event,) = deaths.events(sample([], [named], exits=told))
    assert event.container_name == "shop"


def test_the_oom_killers_victims() -> None:
    (event,) = told({"signal": signal.SIGKILL, "oom_killed": True})
    assert event.detail == "cc1 (pid 300) was killed by the kernel for want of memory."
    assert event.container_id is None


def test_many_of_one_name_are_one_event() -> None:
    (event,) = told(*[{"signal": signal.SIGABRT}] * 5)
    assert event.detail == "cc1 crashed (SIGABRT): 5 processes (pid 300, 301, 302, …)."
    (event,) = told(*[{"signal": signal.SIGABRT}] * 2)
    assert event.detail == "cc1 crashed (SIGABRT): 2 processes (pid 300, 301)."


def test_a_storm_is_a_few_events() -> None:
    storm = [{"name": f"p{n // 2}", "signal": signal.SIGSEGV} for n in range(100)]
    events = told(*storm)
    assert len(events) == 11
    assert events[-1].detail.startswith("80 more processes died in the same tick")
