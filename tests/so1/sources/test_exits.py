# SPDX-License-Identifier: MIT
import errno
import os
from typing import Any

import pytest

from so1.sources import SourceError
from so1.sources.exits import Exits
from tests.so1.sources.ring import Ring, line


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    return Ring(monkeypatch)


def numbers(taken: tuple[list[Any], int]) -> tuple[list[int], int]:
    found, missed = taken
    return [one.seq for one in found], missed


def test_what_ends_from_now_on(ring: Ring) -> None:
    ring.end(3)
    follower = Exits("x")
    assert numbers(follower.take()) == ([], 0)
    ring.end(2)
    assert numbers(follower.take()) == ([3, 4], 0)
    assert numbers(follower.take()) == ([], 0)
    assert ring.opened == 0, "an open file would keep the module"


def test_what_the_kernel_keeps(ring: Ring) -> None:
    ring.end(2)
    follower = Exits("x", held=True)
    assert numbers(follower.take()) == ([0, 1], 0)
    assert numbers(follower.take()) == ([], 0)


def test_what_was_overwritten_is_counted(ring: Ring) -> None:
    follower = Exits("x")
    ring.end(2)
    assert numbers(follower.take()) == ([0, 1], 0)
    ring.end(11)
    assert numbers(follower.take()) == ([5, 6, 7, 8, 9, 10, 11, 12], 3)


def test_a_module_loaded_anew_counts_from_zero(ring: Ring) -> None:
    follower = Exits("x")
    ring.end(4)
    follower.take()
    ring.lines = []
    assert numbers(follower.take()) == ([], 0)
    ring.end(1, pid=9)
    assert numbers(follower.take()) == ([0], 0)
    follower.take()
    ring.lines = []
    ring.end(3, pid=8)
    assert numbers(follower.take()) == ([0, 1, 2], 0), "as many again, and not the same"


def test_more_than_one_read_has_room_for(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("so1.sources.exits._READ", 500)
    follower = Exits("x")
    ring.end(8)
    assert numbers(follower.take()) == (list(range(8)), 0)


def test_a_storm_is_read_in_parts(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("so1.sources.exits._READ", 500)
    monkeypatch.setattr("so1.sources.exits._MOST", 900)
    follower = Exits("x")
    ring.end(8)
    found: list[int] = []
    for _ in range(8):
        more, missed = numbers(follower.take())
        assert len(more) < 8
        assert not missed
        found += more
    assert found == list(range(8))


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOENT, "exits are not known: .* load the kernel module so1_exits"),
        (errno.EACCES, "be a member of the group so1"),
    ],
)
def test_why_it_cannot_be_read(ring: Ring, number: int, sentence: str) -> None:
    ring.error = OSError(number, os.strerror(number))
    with pytest.raises(SourceError, match=sentence):
        Exits("x")


@pytest.mark.parametrize(
    "changes",
    [{"code": 256}, {"signal": -1}, {"name": 3}, {"seq": None}, {"end_ns": 2**63}],
)
def test_lines_that_are_not_the_modules(ring: Ring, changes: dict[str, Any]) -> None:
    follower = Exits("x")
    ring.lines.append(line(0, **changes))
    with pytest.raises(SourceError, match="is not what this so1 knows"):
        follower.take()
    assert ring.opened == 0


def test_keys_of_a_later_module_are_passed_over(ring: Ring) -> None:
    follower = Exits("x")
    ring.end(1, later=[1], code=3)
    ((one,), _) = follower.take()
    assert one.failed
    assert one.container_id is None
