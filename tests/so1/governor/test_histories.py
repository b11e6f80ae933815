# SPDX-License-Identifier: MIT
"""Random histories of a host: what must hold of the governor whatever happens, and when."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from so1.config import Config, Docker, Policy
from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError, UnreachableError
from so1.governor import governor as module
from so1.governor.governor import Governor
from so1.governor.policy import age
from so1.model import CLASS, MANAGED, ContainerUsage
from so1.store.event import Event
from so1.store.removal import Removal
from so1.store.removals import Removals
from tests.so1.governor.containers import NOW, SECOND, TAKEN, Store

FAILURES = (EngineError("broken"), UnreachableError("no answer"), NotFoundError("no such thing"))


class KilledError(BaseException):
    """The process is gone in the middle of something."""


class World(Engine):
    """A host with an engine that fails anywhere, and a process that may be killed anywhere."""

    def __init__(self, chance: Random) -> None:
        super().__init__(Docker())
        self.chance = chance
        self.taken = TAKEN
        self.wall = NOW
        self.there: dict[str, Inspected] = {}
        self.memory: dict[str, int | None] = {}
        self.failing = 0.0
        self.late = 0.0
        self.acts_left = -1
        """Acts until the process is killed; never where it is negative."""
        self.asked: set[str] = set()
        """Whom the engine was asked to stop, ever."""
        self.ended: set[str] = set()
        """Who was not running for a time."""
        self.stops: list[str] = []
        self.is_begun: Callable[[str], bool] = lambda _: False
        self.started = 0

    @contextmanager
    def act(self) -> Iterator[None]:
        """One act of the process: it may be killed before or after it."""
        self.survive()
        yield
        self.survive()

    def survive(self) -> None:
        if self.acts_left == 0:
            raise KilledError
        self.acts_left -= self.acts_left > 0

    def launch(self) -> None:
        """Start a container of some kind."""
        self.started += 1
        chance = self.chance
        labels = {CLASS: chance.choice(["low", "high", "Low", "odd"])}
        if value := chance.choice(["true", "true", "true", "True", "false", "yes", None]):
            labels[MANAGED] = value
        image = dict(labels) if chance.random() < 0.1 else {}
        id_ = f"{self.started:064x}"
        self.there[id_] = Inspected(
            id=id_,
            image=chance.choice(["alpine", "stress"]),
            image_id="sha256:1",
            running=True,
            started_at=0,
            labels=labels,
            auto_remove=chance.random() < 0.2,
            volumes=["ab" * 32] if chance.random() < 0.3 else [],
            raw={"Id": id_, "Name": "/c", "Config": {"Image": "alpine"}, "HostConfig": {}},
            name=f"c{self.started}",
            image_labels=image,
        )
        self.begin(id_)

    def begin(self, id_: str, *, by_itself: bool = False) -> None:
        """Start it once more."""
        found = self.there[id_]
        self.taken += SECOND
        self.there[id_] = replace(
            found,
            running=True,
            started_at=self.wall + self.taken / SECOND,
            started_ns=self.taken,
            pid=found.pid + 1,
            restarts=found.restarts + by_itself,
        )
        self.memory[id_] = self.chance.choice([None, *range(5)])

    def sample(self) -> list[ContainerUsage]:
        return [
            ContainerUsage(
                container=found.container,
                ram=self.chance.randrange(100),
                cpu=float(self.chance.randrange(3)),
                processes=1,
                memory=self.memory[id_],
            )
            for id_, found in self.there.items()
            if found.running
        ]

    def fail(self) -> None:
        if self.chance.random() < self.failing:
            raise self.chance.choice(FAILURES[:2])

    def inspect(self, container_id: str) -> Inspected:
        with self.act():
            if container_id not in self.there:
                raise NotFoundError("gone")
            self.fail()
            found = self.there[container_id]
            if self.chance.random() < self.late:
                # It changes right after it was looked at.
                self.happens(container_id)
            return found

    def inspect_image(self, image: str) -> dict[str, object] | None:  # noqa: ARG002
        return {}

    def changes(self, container_id: str) -> list[str]:  # noqa: ARG002
        self.fail()
        return []

    def stop(self, container_id: str, patience: int) -> None:  # noqa: ARG002
        with self.act():
            if container_id not in self.there:
                raise NotFoundError("gone")
            self.asked.add(container_id)
            self.stops.append(container_id)
            self.fail()
            self.there[container_id] = replace(self.there[container_id], running=False)
            self.ended.add(container_id)
            if self.there[container_id].auto_remove:
                del self.there[container_id]
            # The answer may be lost.
            self.fail()

    def remove(self, container_id: str) -> None:
        with self.act():
            if container_id not in self.there:
                return
            self.fail()
            found = self.there[container_id]
            assert not found.running, "a running container is removed"
            assert self.is_begun(container_id), "nobody wrote down that it is to stop"
            del self.there[container_id]
            self.fail()

    def happens(self, id_: str) -> None:
        """Let something happen to one container."""
        found = self.there[id_]
        what = self.chance.randrange(7)
        if what == 0 and found.running:
            self.begin(id_, by_itself=True)
        elif what == 1 and found.running:
            self.begin(id_)
        elif what == 2 and found.running:
            self.there[id_] = replace(found, running=False)
            self.ended.add(id_)
        elif what == 3:
            self.there[id_] = replace(found, name=found.name + "x")
        elif what == 4:
            self.there[id_] = replace(found, labels={})
        elif what == 5:
            self.memory[id_] = self.chance.choice([None, *range(5)])
        elif what == 6:
            del self.there[id_]


class Journal(Removals):
    """One whose process may be killed while it writes."""

    def __init__(self, store: Store, world: World) -> None:
        super().__init__(store)
        self._world = world

    def write(self, removals: Iterable[Removal], *, dropped: Iterable[str] = ()) -> None:
        with self._world.act():
            super().write(removals, dropped=dropped)


class History:
    """A governor in a world, through ticks, reloads and kills."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.world = World(chance)
        self.store = Store()
        self.world.is_begun = self.is_begun
        self.policy = self.draw_policy()
        self.told: list[Event] = []
        self.killed = False
        self.governor = self.born()

    def born(self) -> Governor:
        # The clock of people goes anywhere; two events of one container still differ by it.
        ticks = iter(range(10**9))
        return Governor(
            self.world,
            self.policy,
            Journal(self.store, self.world),
            clock=lambda: self.world.wall + len(self.told) + next(ticks) / 1000,
        )

    def is_begun(self, id_: str) -> bool:
        found = self.store.connection.execute(
            "SELECT step FROM removals WHERE container_id = ?", (id_,)
        )
        return bool(found.fetchone() == ("stopping",))

    def draw_policy(self) -> Policy:
        low, high = self.chance.randrange(3), self.chance.randrange(3)
        return Policy(
            mode="observe" if self.chance.random() < 0.15 else "enforce",
            maximum=low + high + self.chance.randrange(4),
            keep_low=low,
            keep_high=high,
            grace=self.chance.choice([0, 30]),
            trash_hours=0,
        )

    def tell(self, event: Event) -> None:
        with self.world.act():
            self.store.tell(event)
            self.told.append(event)

    def tick(self) -> None:
        world = self.world
        world.taken += self.chance.choice([1, 20, 700]) * SECOND
        sample = world.sample()
        before = {u.container.id: world.there[u.container.id] for u in sample}
        world.stops.clear()
        try:
            self.governor.govern(sample, world.taken, self.tell)
        except KilledError:
            world.acts_left = -1
            self.killed = True
            self.governor = self.born()
        self.check(sample, before)

    def check(self, sample: list[ContainerUsage], before: dict[str, Inspected]) -> None:
        """Look at whom the engine was asked to stop in this tick."""
        by_id = {u.container.id: u for u in sample}
        if self.policy.mode == "observe":
            assert self.world.stops == []
        for id_ in self.world.stops:
            usage = by_id[id_]
            container = usage.container
            assert container.managed
            assert container.labels.get(MANAGED, "").lower() == "true"
            assert (container.image_labels or {}).get(MANAGED) != container.labels[MANAGED]
            assert usage.memory is not None
            assert not (before[id_].auto_remove and before[id_].volumes)
            self.is_the_largest(usage, sample, before)

    def is_the_largest(
        self, usage: ContainerUsage, sample: list[ContainerUsage], before: dict[str, Inspected]
    ) -> None:
        """As many as its class may keep are smaller: by what was known, whatever else ran."""
        quotas = {"low": self.policy.keep_low, "high": self.policy.keep_high}
        class_ = usage.container.class_
        others = [
            u
            for u in sample
            if u.container.class_ == class_
            and u.memory is not None
            and (not u.container.restarts or (age(u.container, self.world.taken) or 0) >= 600)
        ]
        stuck = {id_ for id_, found in before.items() if found.auto_remove and found.volumes}
        free = [u for u in others if u.container.id not in stuck]
        smaller = [u for u in free if worst_first(u) > worst_first(usage)]
        assert len(smaller) >= quotas[class_] - (len(others) - len(free))

    def step(self) -> None:
        world = self.world
        what = self.chance.randrange(12)
        if what <= 2:
            for _ in range(self.chance.randrange(1, 5)):
                world.launch()
        elif what <= 4 and world.there:
            world.happens(self.chance.choice(list(world.there)))
        elif what == 5:
            world.wall += self.chance.choice([-3600, 3600, -(10**8), 10**8])
        elif what == 6:
            self.policy = self.draw_policy()
            self.governor.reconfigure(Config(governor=self.policy))
        elif what == 7:
            world.failing = self.chance.choice([0, 0, 0.2, 1])
            world.late = self.chance.choice([0, 0, 0.1])
        elif what == 8:
            world.acts_left = self.chance.randrange(30)
        else:
            self.tick()

    def settle(self) -> None:
        """Let nothing more go wrong, until there is nothing left to do."""
        world = self.world
        world.acts_left, world.failing, world.late = -1, 0, 0
        self.policy = replace(self.policy, mode="enforce")
        self.governor.reconfigure(Config(governor=self.policy))
        for _ in range(4):
            self.tick()


def worst_first(u: ContainerUsage) -> tuple[float, float, str]:
    return -(u.memory or 0), -u.cpu, u.container.id


@pytest.fixture(autouse=True)
def _one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a history that fails fails again."""
    monkeypatch.setattr(module, "_AT_ONCE", 1)


@given(st.integers(0, 2**63))
@settings(max_examples=250)
def test_whatever_happens(seed: int) -> None:
    history = History(Random(seed))
    for _ in range(40):
        history.step()
    history.settle()
    done = Counter(e.container_id for e in history.told if e.outcome == "done")
    assert set(done.values()) <= {1}, "a removal is told twice"
    waiting = set()
    for id_, step in history.store.connection.execute("SELECT container_id, step FROM removals"):
        if step not in ("removed", "refused", "failed"):
            # It still runs and cannot be measured: what comes of it is to be seen.
            assert step == "stopping"
            assert history.world.there[id_].running
            assert history.world.memory[id_] is None
            waiting.add(id_)
    # Whom the engine was asked to stop, and who was, has a line that says what became of it.
    told = {e.container_id for e in history.told if e.kind == "remove"}
    for id_ in history.world.asked - waiting:
        assert id_ in told, "what was begun is forgotten"
        if id_ not in history.world.there:
            continue
        outcomes = {e.outcome for e in history.told if e.container_id == id_ and e.kind == "remove"}
        assert outcomes & {"refused", "failed"}
    if not history.killed:
        # What is known of one that has ended is forgotten.
        every = Counter(
            (e.container_id, e.kind, e.outcome, e.rule, e.detail)
            for e in history.told
            if e.container_id not in history.world.ended
        )
        assert [what for what, count in every.items() if count > 1] == []
