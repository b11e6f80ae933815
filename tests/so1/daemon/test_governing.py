# SPDX-License-Identifier: MIT
"""Which samples the governor acts on."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from so1.daemon.conditions import Conditions
from so1.daemon.governing import Governing
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.governor.decision import Note
from so1.model import ContainerUsage
from so1.sample import Sample
from so1.store.database import Database
from so1.store.event import Event
from tests.so1.samples import sample


class Recorded:
    """A governor that keeps when its samples were taken, and did something where it says so."""

    def __init__(self, did: Sequence[str]) -> None:
        self.did = did
        self.taken: list[int] = []

    def govern(
        self,
        usages: Sequence[ContainerUsage],
        taken_ns: int,
        tell: Callable[[Event], None],
        note: Note,
    ) -> Sequence[str]:
        assert not usages
        assert callable(tell)
        assert callable(note)
        self.taken.append(taken_ns)
        return self.did

    def stop(self) -> None: ...


@pytest.fixture
def storing(tmp_path: Path) -> Iterator[Storing]:
    with contextlib.closing(Database(tmp_path / "metrics.db")) as database:
        outbox = Outbox()
        yield Storing(database, outbox, Conditions(outbox, time.time))


def taken(at: int) -> Sample:
    made = sample([])
    return msgspec.structs.replace(
        made, snapshot=msgspec.structs.replace(made.snapshot, taken_ns=at)
    )


@pytest.mark.parametrize(("did", "acted"), [(["removed one"], 1), ([], 2)])
def test_what_was_measured_before_a_removal_ended_is_not_acted_on(
    storing: Storing, did: list[str], acted: int
) -> None:
    governor = Recorded(did)
    outbox = Outbox()
    governing = Governing(governor, storing, outbox, Conditions(outbox, time.time))
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    governing.act(taken(before))
    governing.act(taken(before))
    assert len(governor.taken) == acted
    later = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    governing.act(taken(later))
    assert governor.taken[-1] == later
