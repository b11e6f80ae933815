# SPDX-License-Identifier: MIT
import pytest

from so1.daemon.lifecycle import Lifecycle
from so1.docker_engine import Happened

ID = "ab" * 32


def happened(action: str, code: int | None = None, id_: str = ID) -> Happened:
    return Happened(action, id_, "web", "alpine", 1_700_000_000_123_456_789, code)


class Host:
    """A lifecycle and the time."""

    def __init__(self) -> None:
        self.lifecycle = Lifecycle()
        self.now = 1_000.0

    def take(self, action: str, code: int | None = None, id_: str = ID) -> list[str]:
        events = self.lifecycle.take(happened(action, code, id_), self.now)
        assert all(event.kind == "container" for event in events)
        return [f"{event.outcome}: {event.detail}" for event in events]

    def crash(self, times: int, lasts: float = 2, code: int = 3) -> list[str]:
        told = []
        for _ in range(times):
            told += self.take("start")
            self.now += lasts
            told += self.take("die", code)
            self.now += 1
        return told


@pytest.fixture
def host() -> Host:
    return Host()


def test_an_event_names_the_container(host: Host) -> None:
    (event,) = host.lifecycle.take(happened("die", 3), host.now)
    assert (event.container_id, event.container_name, event.image) == (ID, "web", "alpine")
    assert event.timestamp == 1_700_000_000_123
    assert event.detail == "It ended with exit code 3."


def test_an_end_that_went_well_is_no_news(host: Host) -> None:
    assert host.take("die", 0) == []


@pytest.mark.parametrize("action", ["start", "create", "exec_start: sh", "rename", "top"])
def test_most_is_no_news(host: Host, action: str) -> None:
    assert host.take(action) == []


def test_an_end_that_somebody_asked_for_is_no_news(host: Host) -> None:
    assert host.take("kill") == []
    assert host.take("die", 137) == []
    # The next one is.
    host.take("start")
    assert host.take("die", 137) == ["failed: It ended with exit code 137."]


def test_out_of_memory(host: Host) -> None:
    host.take("start")
    assert host.take("oom") == ["failed: It ran out of memory: the kernel kills in it."]
    assert host.take("oom") == []
    assert host.take("die", 137) == [
        "failed: It ended with exit code 137, after the kernel killed in it for want of memory."
    ]
    host.take("start")
    assert len(host.take("oom")) == 1


def test_health_is_told_when_it_changes(host: Host) -> None:
    assert host.take("health_status: healthy") == []
    assert host.take("health_status: unhealthy") == ["failed: Its health check fails."]
    assert host.take("health_status: unhealthy") == []
    assert host.take("health_status: healthy") == ["done: Its health check succeeds again."]


def test_a_crash_loop_is_told_once_and_when_it_is_over(host: Host) -> None:
    told = host.crash(2)
    assert told == ["failed: It ended with exit code 3."] * 2
    assert not host.lifecycle.looping(ID)
    (third,) = host.crash(1)
    assert third == (
        "failed: It ends again soon after every start: 3 times within 8 s, the last time with exit"
        " code 3."
    )
    assert host.lifecycle.looping(ID)
    assert host.crash(20) == []
    host.take("start")
    host.now += 59
    assert host.lifecycle.pass_time(host.now) == []
    host.now += 2
    assert host.lifecycle.pass_time(host.now) == [ID]
    assert not host.lifecycle.looping(ID)
    assert host.lifecycle.pass_time(host.now) == []


def test_one_that_ends_well_again_and_again_loops_too(host: Host) -> None:
    assert len(host.crash(3, code=0)) == 1
    assert host.lifecycle.looping(ID)


def test_what_runs_for_longer_than_a_minute_does_not_loop(host: Host) -> None:
    assert len(host.crash(5, lasts=61)) == 5
    assert not host.lifecycle.looping(ID)


def test_a_loop_that_somebody_stops_is_over(host: Host) -> None:
    host.crash(3)
    host.take("start")
    host.take("kill")
    host.take("die", 143)
    assert not host.lifecycle.looping(ID)


def test_each_container_has_a_history_of_its_own(host: Host) -> None:
    for number in range(5):
        host.take("start", id_=f"{number:064x}")
        host.take("die", 1, id_=f"{number:064x}")
    assert not any(host.lifecycle.looping(f"{number:064x}") for number in range(5))


def test_a_flood_is_cut_and_counted(host: Host) -> None:
    told = [line for n in range(100) for line in host.take("die", 1, id_=f"{n:064x}")]
    assert len(told) == 30
    host.now += 61
    assert host.take("die", 1, id_="f" * 64) == [
        "failed: 70 more events of containers were not told one by one.",
        "failed: It ended with exit code 1.",
    ]


def test_what_is_gone_is_forgotten(host: Host) -> None:
    host.crash(3)
    host.take("destroy")
    assert not host.lifecycle.looping(ID)
    for number in range(50):
        host.take("die", 0, id_=f"{number:064x}")
    assert len(host.lifecycle._lives) == 50
    host.now += 3_601
    host.lifecycle.pass_time(host.now)
    assert host.lifecycle._lives == {}
