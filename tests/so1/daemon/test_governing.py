# SPDX-License-Identifier: MIT
"""Which samples the governor acts on."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from so1.config import Policy
from so1.daemon.conditions import Conditions
from so1.daemon.governing import Governing
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.governor.decision import Decision, Note
from so1.model import ContainerUsage
from so1.sample import Sample
from so1.store.database import Database, open_reader
from so1.store.event import Event
from tests.so1.governor.containers import TAKEN, usage
from tests.so1.samples import sample


class Planning:
    """A governor that is to remove one, and looks whether that is stored before it does."""

    def __init__(self, policy: Policy, path: Path) -> None:
        self.policy = policy
        self.path = path
        self.stored: list[tuple[object, ...]] = []

    def govern(
        self,
        usages: Sequence[ContainerUsage],  # noqa: ARG002
        taken_ns: int,
        tell: Callable[[Event], None],  # noqa: ARG002
        note: Note,
    ) -> list[object]:
        decision = Decision([usage(1, age=0)], self.policy, taken_ns)
        planned = decision.plan()
        assert planned.removals
        note(decision, planned)
        with contextlib.closing(open_reader(self.path)) as connection:
            self.stored = connection.execute("SELECT mode, maximum FROM decisions").fetchall()
        return []

    def stop(self) -> None: ...


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


@pytest.mark.parametrize(("mode", "stored"), [("enforce", [("enforce", 1)]), ("observe", [])])
def test_what_is_decided_is_stored_before_it_is_done(
    storing: Storing, mode: Literal["enforce", "observe"], stored: list[tuple[str, int]]
) -> None:
    policy = Policy(mode=mode, maximum=1, keep_low=0, keep_high=0, grace=0)
    governor = Planning(policy, storing.database.path)
    outbox = storing.outbox
    Governing(governor, storing, outbox, Conditions(outbox, time.time)).act(taken(TAKEN))
    assert [tuple(row) for row in governor.stored] == stored
    # Where nothing is done it waits for the tick, which is written anyway.
    with outbox.deciding() as waiting:
        assert [row.mode for row in waiting] == [] if stored else ["observe"]
