# SPDX-License-Identifier: MIT
"""Random histories of a host with a wastebasket: of kills, full disks, faults and people."""

import contextlib
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from so1.cli import main
from so1.commands import undo
from so1.config import Policy
from so1.docker_engine import EngineError, Inspected, NotFoundError
from so1.governor import governor as module
from so1.governor import keeper
from so1.governor.governor import Governor
from so1.store import basket_lock, trash
from so1.store.database import Database
from so1.store.event import Event
from so1.store.handover import Handover
from so1.store.removal import Removal
from so1.store.removals import JournalError, Removals
from tests.so1.governor.test_histories import History, KilledError, World

HOUR_MS = 3_600_000
GIB = 1 << 30
WITHOUT_START = ("", "no")


class Host(World):
    """A host whose engine renames and starts too, and whose disk fills up."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self.disk = 50.0
        self.sizes: dict[str, int] = {}
        self.seen: dict[str, str] = {}
        """The name that each had when it was last looked at."""
        self.own: dict[str, tuple[str, str]] = {}
        """The name and the restart policy that people gave each container."""
        self.downs: Counter[str] = Counter()
        """How often each container went down."""
        self.by_others: set[str] = set()
        """Whom somebody else removed."""
        self.made: set[str] = set()
        """Whom a command made anew, and is not done with."""
        self.by_hand: set[str] = set()
        """Whom a person took out of the wastebasket without a command."""
        self.may_go: Callable[[str], None] = lambda _: None
        self.may_stop: Callable[[str], None] = lambda _: None

    def launch(self) -> None:
        super().launch()
        id_ = list(self.there)[-1]
        policy = self.chance.choice(["no", "always", "unless-stopped"])
        if self.there[id_].auto_remove:
            policy = "no"
        self.sizes[id_] = self.chance.choice([0, 1 << 20, GIB])
        self.own[id_] = (self.there[id_].name, policy)
        self.is_now(id_, restarting=policy)

    def is_now(self, id_: str, **changes: Any) -> None:
        """Change a container, and what the engine says about it."""
        found = replace(self.there[id_], **changes)
        policy = {"Name": found.restarting, "MaximumRetryCount": 0}
        raw = {
            "Id": id_,
            "Name": f"/{found.name}",
            "Config": {"Image": found.image, "Env": ["PATH=/bin"]},
            "HostConfig": {"RestartPolicy": policy},
        }
        status = "running" if found.running else "exited"
        self.there[id_] = replace(found, raw=raw, status=status)

    def happens(self, id_: str) -> None:
        before = self.there[id_]
        super().happens(id_)
        if id_ not in self.there:
            self.by_others.add(id_)
            self.downs[id_] += before.running
            return
        now = self.there[id_]
        self.downs[id_] += before.running and not now.running
        if now.name != before.name:
            self.own[id_] = (now.name, self.own[id_][1])
            if before.name.startswith("so1-trash-"):
                self.by_hand.add(id_)
        self.is_now(id_)

    def restarts(self) -> None:
        """The engine is started anew, and starts what its restart policies say."""
        for id_, found in list(self.there.items()):
            starts = found.restarting == "always" or (
                found.restarting == "unless-stopped" and found.running
            )
            self.downs[id_] += found.running
            if found.running:
                self.ended.add(id_)
                self.is_now(id_, running=False)
                if found.auto_remove:
                    del self.there[id_]
                    continue
            if starts:
                self.begin(id_)
                self.is_now(id_)

    def inspect_image(self, image: str) -> dict[str, Any] | None:  # noqa: ARG002
        return {"Id": "sha256:1", "Config": {"Env": ["PATH=/bin"]}}

    def data_root(self) -> Path | None:
        return Path("/")

    def layer_bytes(self, container_id: str) -> int:
        if container_id not in self.there:
            raise NotFoundError("gone")
        self.fail()
        return self.sizes[container_id]

    def stop(self, container_id: str, patience: int) -> None:
        found = self.there.get(container_id)
        self.may_stop(container_id)
        try:
            super().stop(container_id, patience)
        finally:
            now = self.there.get(container_id)
            if now is None or not now.running:
                self.downs[container_id] += found is not None and found.running
            if now is not None:
                self.is_now(container_id)

    @contextlib.contextmanager
    def ours(self, id_: str) -> Iterator[Inspected]:
        """One act upon a container, whose answer may be lost; on one that SO1 set aside alone."""
        with self.act():
            if id_ not in self.there:
                raise NotFoundError("gone")
            begun = id_ in self.made or self.is_begun(id_)
            assert begun, "a foreign container is touched"
            self.fail()
            yield self.there[id_]
            self.fail()

    def inspect(self, container_id: str) -> Inspected:
        found = super().inspect(container_id)
        self.seen[container_id] = found.name
        return found

    def rename(self, container_id: str, name: str) -> None:
        with self.ours(container_id) as found:
            if container_id in self.seen and container_id not in self.by_hand:
                # An engine does not say what it was called at the moment it is called otherwise.
                policy = self.own[container_id][1]
                if found.name != self.seen[container_id]:
                    self.own[container_id] = (self.seen[container_id], policy)
            if any(one.name == name for one in self.there.values()):
                raise EngineError(f"the name {name} is in use")
            self.is_now(found.id, name=name)

    def set_restart(self, container_id: str, policy: dict[str, Any]) -> None:
        with self.ours(container_id) as found:
            self.is_now(found.id, restarting=policy["Name"])

    def start(self, container_id: str) -> None:
        with self.ours(container_id) as found:
            if not found.running:
                self.begin(found.id)
                self.is_now(found.id)

    def create(self, name: str, body: dict[str, Any]) -> str:
        with self.act():
            if any(one.name == name for one in self.there.values()):
                raise EngineError(f"the name {name} is in use")
            self.fail()
            self.launch()
            id_ = list(self.there)[-1]
            policy = body["HostConfig"]["RestartPolicy"]["Name"]
            self.own[id_] = (name, policy)
            self.made.add(id_)
            self.is_now(id_, name=name, restarting=policy, running=False, auto_remove=False)
            return id_

    def remove(self, container_id: str) -> None:
        with self.act():
            found = self.there.get(container_id)
            if found is None:
                return
            self.fail()
            if found.running and container_id in self.made:
                # Its start was answered with an error all the same.
                raise EngineError("cannot remove container: it is running")
            assert not found.running, "a running container is removed"
            self.may_go(container_id)
            del self.there[container_id]
            self.disk -= 5
            self.fail()


class Watched(Database):
    """A database that was watched for as long as a history says, on a disk that may be full."""

    hours = 0.0
    full = False

    def watched_ms(self) -> int:
        return round(self.hours * HOUR_MS)

    def _insert_events(self, *arguments: Any) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super()._insert_events(*arguments)


class Journal(Removals):
    """One whose process may be killed while it writes, on a disk that may be full."""

    def __init__(self, database: Watched, host: Host) -> None:
        super().__init__(database)
        self._host = host
        self._watched = database

    def write(self, removals: Iterable[Removal], *, dropped: Iterable[str] = ()) -> None:
        with self._host.act():
            if self._watched.full:
                raise JournalError("database or disk is full")
            super().write(removals, dropped=dropped)


class BasketHistory(History):
    """A governor, a command line and people on one host."""

    def __init__(self, chance: Random, folder: Path) -> None:
        self.folder = folder
        self.database = Watched(folder / "metrics.db")
        (folder / "config.toml").write_text(f'[store]\npath = "{folder}/metrics.db"\n')
        self.chance = chance
        self.world: Host = Host(chance)
        self.world.is_begun = self.is_begun
        self.world.may_go = self.may_go
        self.world.may_stop = self.may_stop
        self.policy = self.draw_policy()
        self.told: list[Event] = []
        self.outbox: list[Event] = []
        self.killed = False
        self.settling = False
        self.person = False
        """Whether it is a person who acts, with a command."""
        self.back: dict[str, float] = {}
        """The hour at which a person took each back."""
        self.governor = self.born()

    def born(self) -> Governor:
        ticks = iter(range(10**9))
        self.outbox.clear()
        return Governor(
            self.world,
            self.policy,
            Journal(self.database, self.world),
            clock=lambda: self.world.wall + len(self.told) + next(ticks) / 1000,
        )

    def draw_policy(self) -> Policy:
        return replace(
            super().draw_policy(),
            trash_hours=self.chance.choice([0, 1, 24, 24]),
            trash_gib=self.chance.choice([1.5, 20]),
            undo_spare_hours=self.chance.choice([0, 2, 24]),
        )

    def row(self, id_: str) -> tuple[str, int] | None:
        with contextlib.closing(sqlite3.connect(self.folder / "metrics.db")) as connection:
            found: tuple[str, int] | None = connection.execute(
                "SELECT step, watched_ms FROM removals WHERE container_id = ?", (id_,)
            ).fetchone()
        return found

    def is_begun(self, id_: str) -> bool:
        row = self.row(id_)
        return row is not None and row[0] in ("stopping", "trashed", "returning")

    def may_stop(self, id_: str) -> None:
        since = self.database.hours - self.back.get(id_, -(10**9))
        assert since >= self.policy.undo_spare_hours, "what a person took back goes again"

    def may_go(self, id_: str) -> None:
        """Nothing goes for good but for one of the reasons that are promised."""
        if id_ in self.world.made:
            return
        assert not self.person, "a person's command to take something back removes it"
        found, row = self.world.there[id_], self.row(id_)
        assert row, "nobody wrote down that it is to go"
        step, watched = row
        if step == "stopping":
            assert self.policy.trash_hours == 0 or found.auto_remove
            return
        assert step == "trashed"
        assert self.policy.mode == "enforce"
        if self.database.watched_ms() - watched >= HOUR_MS * self.policy.trash_hours:
            return
        size = sum(
            self.world.sizes[one.removal.container_id]
            for one in trash.held(self.database.path)
            if one.removal.container_id in self.world.there
        )
        assert size > self.policy.trash_gib * GIB or self.is_full()

    def is_full(self) -> bool:
        return self.world.disk > self.policy.trash_disk_percent

    def tell(self, event: Event) -> None:
        with self.world.act():
            self.outbox.append(event)
            self.flush()

    def flush(self) -> None:
        """Write down what is told, as soon as there is room."""
        with contextlib.suppress(sqlite3.OperationalError):
            self.database.add_events(self.outbox)
            self.told += self.outbox
            self.outbox.clear()

    def tick(self) -> None:
        self.flush()
        with contextlib.ExitStack() as stack:
            if not self.settling and self.chance.random() < 0.1:
                # Another so1 is at work on the wastebasket.
                assert stack.enter_context(basket_lock.held(self.folder))
            super().tick()

    def undo(self) -> None:
        """Somebody takes one back with the command, which may be killed or fail."""
        known = [one.removal for one in trash.read(self.database.path)]
        if not known:
            return
        chosen = self.chance.choice(known)
        self.person = True
        try:
            done = CliRunner().invoke(
                main,
                ["--config", str(self.folder / "config.toml"), "undo", chosen.container_id],
                catch_exceptions=False,
            )
        except KilledError:
            self.world.acts_left = -1
            self.killed = True
            return
        finally:
            self.person = False
            self.world.made.clear()
        if done.exit_code == 0 and "anew" not in done.output:
            if chosen.container_id not in self.world.by_hand:
                assert self.world.there[chosen.container_id].name == self.name_of(chosen)
            self.back[chosen.container_id] = self.database.hours

    def name_of(self, removal: Removal) -> str:
        assert removal.original
        return removal.original.name

    def docker_start(self) -> None:
        """Somebody takes one out of the wastebasket by hand."""
        held = [one.removal.container_id for one in trash.held(self.database.path)]
        here = [
            id_ for id_ in held if id_ in self.world.there and not self.world.there[id_].running
        ]
        if not here:
            return
        id_ = self.chance.choice(here)
        self.world.by_hand.add(id_)
        self.back[id_] = self.database.hours
        self.world.begin(id_)
        self.world.is_now(id_)

    def step(self) -> None:
        what = self.chance.randrange(20)
        if what == 0:
            self.world.restarts()
        elif what == 1:
            self.database.full = self.chance.random() < 0.5
        elif what == 2:
            self.world.disk = self.chance.choice([50, 50, 90, 99])
        elif what in (3, 4):
            self.database.hours += self.chance.choice([0.1, 1, 30])
        elif what in (5, 6, 7):
            self.undo()
        elif what == 8:
            self.docker_start()
        else:
            super().step()

    def settle(self) -> None:
        self.database.full = False
        self.world.disk = 50
        self.settling = True
        super().settle()
        self.flush()


@pytest.fixture(autouse=True)
def _one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a history that fails fails again."""
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@given(st.integers(0, 2**63))
@settings(max_examples=100, deadline=None)
def test_never_lost_never_doubled_never_foreign(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        history = BasketHistory(Random(seed), Path(folder))
        world = history.world
        patch.setattr(undo, "Engine", lambda _: world)
        patch.setattr(keeper, "disk_percent", lambda _: world.disk)
        patch.setattr(undo, "Handover", lambda path: KilledHandover(path, world, history.database))
        for _ in range(60):
            history.step()
        history.settle()
        look(history)
        nothing_stays_too_long(history)
        history.database.close()


class KilledHandover(Handover):
    """One whose process may be killed while it writes, on a disk that may be full."""

    def __init__(self, folder: Path, host: Host, database: Watched) -> None:
        super().__init__(folder)
        self._host, self._database = host, database

    def write(self, removal: Removal) -> None:
        with self._host.act():
            if self._database.full:
                raise OSError(28, "No space left on device")
            super().write(removal)


def look(history: BasketHistory) -> None:
    """What must hold once nothing goes wrong any more."""
    world = history.world
    steps = {one.removal.container_id: one.removal for one in trash.read(history.database.path)}
    for id_, found in world.there.items():
        removal = steps.get(id_)
        if removal and removal.step == "trashed":
            assert not found.running
            assert found.restarting in WITHOUT_START, "the engine may start it"
            # One that somebody renamed is noticed when its time is over, or when it runs.
            assert found.name in removal.trash_names or id_ in world.by_hand
            assert history.name_of(removal)
        elif id_ not in world.by_hand and not (removal and removal.step == "stopping"):
            # Nothing is hidden that nobody can take back.
            assert (found.name, found.restarting) == world.own[id_], removal
    names = Counter(found.name for found in world.there.values())
    assert set(names.values()) <= {1}, "one is there twice"
    done = Counter((e.container_id, e.kind) for e in history.told if e.outcome == "done")
    for (which, kind), count in done.items():
        if kind == "trash":
            assert count == 1, "it is told twice"
        elif kind == "remove":
            assert count <= world.downs[which or ""], "it is told twice"
    for id_ in world.asked - world.there.keys() - world.by_others:
        kinds = {e.kind for e in history.told if e.container_id == id_ and e.outcome == "done"}
        assert kinds & {"trash", "remove"}, "it is gone, and nobody says so"


def nothing_stays_too_long(history: BasketHistory) -> None:
    """By age, by size and by the disk it is emptied of what the policy does not allow."""
    world, policy = history.world, history.policy

    def held() -> list[trash.Item]:
        found = trash.held(history.database.path)
        return [one for one in found if one.removal.container_id in world.there]

    for one in held():
        row = history.row(one.removal.container_id)
        assert row
        assert history.database.watched_ms() - row[1] < policy.trash_hours * HOUR_MS
    # What came in with the last tick is not measured yet.
    assert sum(one.layer_bytes or 0 for one in held()) <= policy.trash_gib * GIB
    world.disk = 99
    before = held()
    history.tick()
    stays = {one.removal.container_id for one in held()}
    assert not history.is_full() or not stays & {one.removal.container_id for one in before}
