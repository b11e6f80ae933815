# SPDX-License-Identifier: MIT
"""Random histories are stored as the daemon stores them, and decided on again."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from so1.config import Config, Policy
from so1.daemon.conditions import Conditions
from so1.daemon.governing import Governing
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.docker_engine import Inspected
from so1.governor import governor as module
from so1.governor.decision import Decision, Note
from so1.governor.difference import compare
from so1.governor.governor import Governor, Tell
from so1.governor.policy import Plan, Verdict
from so1.governor.replay import Going, Replay, Try
from so1.model import ContainerUsage
from so1.sample import Sample
from so1.store import rows
from so1.store.database import Database, open_reader
from so1.store.decisions import History as Stored
from so1.store.event import Event
from so1.store.removals import Removals
from tests.so1.governor.containers import SECOND
from tests.so1.governor.test_histories import History, KilledError, World
from tests.so1.samples import sample

Gone = tuple[str, str, str, int | None, float | None]


@pytest.fixture(autouse=True)
def _one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where databases are: in memory, as there are thousands of them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


class Killed(Database):
    """A database whose process may be killed before or after it writes."""

    world: World | None = None

    def add_events(self, events: Iterable[Event], decisions: Iterable[Any] = ()) -> None:
        if self.world is None:
            super().add_events(events, decisions)
            return
        with self.world.act():
            super().add_events(events, decisions)


class Noting(Governor):
    """A governor of which it is kept what it decided, by its own word."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.planned: list[Plan] = []

    def govern(
        self,
        usages: Any,
        taken_ns: int,
        tell: Tell = lambda _: None,
        note: Note = lambda *_: None,
    ) -> list[Event]:
        def noted(decision: Decision, planned: Plan) -> None:
            self.planned.append(planned)
            note(decision, planned)

        return super().govern(usages, taken_ns, tell, noted)


class Daemon(History):
    """A history in which loops, governor and database are the daemon's own."""

    def __init__(self, chance: Random, path: Path, world: World | None = None) -> None:
        self.database = Killed(path)
        self.number = 0
        self.decided: dict[int, list[Gone]] = {}
        """What each decision that was made was to remove, by its tick."""
        self.lost: set[int] = set()
        """Decisions that waited to be stored when their process was killed."""
        super().__init__(chance)
        if world is not None:
            self.world = world
            self.governor = self.born()
        self.database.world = self.world

    def is_begun(self, id_: str) -> bool:
        with self.database.writing() as connection:
            found = connection.execute(
                "SELECT step FROM removals WHERE container_id = ?", (id_,)
            ).fetchone()
        return bool(found == ("stopping",))

    def born(self) -> Noting:
        self.world.is_begun = self.is_begun
        ticks = itertools.count()
        made = Noting(
            self.world,
            self.policy,
            Removals(self.database),
            clock=lambda: self.world.wall + self.number + next(ticks) / 1000,
        )
        self.outbox = Outbox()
        self.conditions = Conditions(self.outbox, lambda: self.world.wall)
        self.storing = Storing(self.database, self.outbox, self.conditions)
        self.governing = Governing(made, self.storing, self.outbox, self.conditions)
        return made

    def tick(self) -> None:
        world = self.world
        world.taken += self.chance.choice([1, 20, 700]) * SECOND
        self.number += 1
        taken = self.taken()
        acts_first = self.chance.random() < 0.5
        if not acts_first:
            self.keep(taken)
        governor = self.governor
        assert isinstance(governor, Noting)
        before = len(governor.planned)
        timestamp = round(taken.timestamp * 1000)
        try:
            self.governing.act(taken)
        except KilledError:
            world.acts_left = -1
            self.killed = True
            with self.outbox.deciding() as waiting:
                self.lost |= {one.timestamp for one in waiting}
            self.governor = self.born()
        for planned in governor.planned[before:]:
            self.decided[timestamp] = [gone(verdict) for verdict in planned.removals]
        assert not list(self.conditions.current), "the governor is at fault"
        if acts_first:
            self.keep(taken)

    def taken(self) -> Sample:
        made = sample(
            [], timestamp=self.world.wall + self.world.taken / SECOND + self.number / 1000
        )
        return replace(
            made,
            containers=self.world.sample(),
            snapshot=replace(made.snapshot, taken_ns=self.world.taken),
        )

    def keep(self, taken: Sample) -> None:
        world, self.database.world = self.database.world, None
        assert self.storing.tick(
            lambda removed, events, decisions: rows.build(
                taken, top=0, removed=removed, troubles=(), events=events, decisions=decisions
            )
        )
        self.database.world = world

    def end(self) -> None:
        """Store what waits, as a daemon does that is told to stop."""
        self.database.world = None
        self.storing.flush()
        self.database.close()


def gone(verdict: Verdict) -> Gone:
    usage = verdict.usage
    return (usage.container.id, verdict.rule, verdict.class_, usage.memory, float(usage.cpu))


def went(going: Going, outcome: str) -> tuple[str, Gone]:
    """What a replay removed, as `removals` gives what the daemon did."""
    return outcome, (going.container_id, going.rule, going.class_, going.memory, going.cpu)


def read(path: Path, tried: Try | None = None) -> tuple[Replay, dict[int, list[Gone]], int]:
    """Decide again on all that is stored: what each is to remove, and how many have no tick."""
    replay = Replay(tried)
    again = {}
    with contextlib.closing(open_reader(path)) as connection:
        stored = Stored(connection, -(10**15))
        for past in stored:
            again[past.timestamp] = [gone(verdict) for verdict in replay.decide(past)]
    return replay, again, stored.lost


def told(path: Path) -> list[Event]:
    """What the daemon told of removals."""
    with contextlib.closing(open_reader(path)) as connection:
        found = connection.execute(
            "SELECT timestamp, kind, outcome, detail, container_id, rule, class AS class_,"
            " ram_usage, cpu_usage FROM events WHERE kind = 'remove' ORDER BY id"
        ).fetchall()
    return [Event(**dict(row)) for row in found]


def removals(path: Path) -> list[tuple[str, Gone]]:
    """What the daemon told of removals: each outcome, and of what."""
    return [
        (e.outcome, (e.container_id or "", e.rule or "", e.class_ or "", e.ram_usage, e.cpu_usage))
        for e in told(path)
    ]


@given(st.integers(0, 2**63))
@settings(max_examples=1_000)
def test_decided_again_each_decision_is_the_daemons_own(folder: Path, seed: int) -> None:
    path = folder / f"{seed}.db"
    history = Daemon(Random(seed), path)
    for _ in range(40):
        history.step()
    history.settle()
    history.end()
    replay, again, lost = read(path)
    assert lost == 0
    assert {at: history.decided[at] for at in again} == again
    assert set(history.decided) - set(again) <= history.lost
    # Whatever it told of a removal, even one that a later process finished, was decided so.
    every = {one for planned in again.values() for one in planned}
    assert [what for _, what in removals(path) if what not in every] == []
    assert compare(replay.going, told(path), tried=True).only_really == []
    remove(path)


@given(st.integers(0, 2**63))
@settings(max_examples=1_000)
def test_where_nothing_fails_what_goes_is_what_the_daemon_told(folder: Path, seed: int) -> None:
    path = folder / f"{seed}.db"
    history = Quiet(Random(seed), path)
    for _ in range(40):
        history.step()
    history.end()
    replay, _, _ = read(path)
    outcomes = {"observe": "planned", "enforce": "done"}
    assert [went(one, outcomes[one.mode]) for one in replay.going] == removals(path)
    pairs, only_really = compare(replay.going, told(path), tried=False)
    assert only_really == []
    assert all(really and really.outcome == outcomes[one.mode] for one, really in pairs)
    remove(path)


class Quiet(Daemon):
    """One in which containers come, change and go, and no engine fails and no process ends."""

    def step(self) -> None:
        super().step()
        self.world.acts_left, self.world.failing, self.world.late = -1, 0, 0


class Scripted(World):
    """A host on which the same happens whoever governs it."""

    def begin(self, id_: str, *, by_itself: bool = False) -> None:
        before = self.memory.get(id_)
        super().begin(id_, by_itself=by_itself)
        self.memory[id_] = before if before is not None else int(id_, 16) * 7 % 5

    def sample(self) -> list[ContainerUsage]:
        return [
            replace(usage, cpu=float(hash((usage.container.id, self.taken)) % 3))
            for usage in super().sample()
        ]


def scripted(seed: int, path: Path, policy: Policy) -> Daemon:
    """Let a daemon watch what a script says, by a policy of its own."""
    script = Random(seed)
    world = Scripted(Random(seed))
    daemon = Daemon(Random(seed), path, world)
    daemon.policy = policy
    daemon.governor.reconfigure(Config(governor=policy))
    for _ in range(20):
        for _ in range(script.choice([0, 0, 1, 2, 5])):
            world.chance = Random(script.random())
            world.launch()
        id_, what = f"{script.randrange(1, 30):064x}", script.randrange(4)
        memory = script.choice([None, *range(6)])
        if found := world.there.get(id_):
            script_says(world, found, what, memory)
        world.taken += script.choice([0, 20, 700]) * SECOND
        world.chance = Random(seed)
        daemon.chance = Random(seed)
        daemon.tick()
    daemon.end()
    return daemon


def script_says(world: World, found: Inspected, what: int, memory: int | None) -> None:
    if what == 0:
        world.there[found.id] = replace(found, restarts=found.restarts + 1)
    elif what == 1:
        del world.there[found.id]
    else:
        world.memory[found.id] = memory


policies = st.builds(
    lambda low, high, more, grace: Policy(
        maximum=low + high + more, keep_low=low, keep_high=high, grace=grace, trash_hours=0
    ),
    *(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4)),
    st.sampled_from([0, 30, 700]),
)


@given(st.integers(0, 2**63), policies, policies)
@settings(max_examples=300)
def test_tried_on_what_was_observed_a_policy_removes_what_it_would_have_removed(
    folder: Path, seed: int, ran: Policy, tried: Policy
) -> None:
    observed, enforced = folder / f"{seed}-observed.db", folder / f"{seed}-enforced.db"
    scripted(seed, observed, replace(ran, mode="observe"))
    scripted(seed, enforced, tried)
    replay, _, _ = read(observed, lambda _: tried)
    assert [went(one, "done") for one in replay.going] == removals(enforced)
    remove(observed)
    remove(enforced)


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
