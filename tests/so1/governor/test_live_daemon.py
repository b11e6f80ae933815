# SPDX-License-Identifier: MIT
"""The whole loop, from a snapshot of this machine to the database, against a real engine."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from so1 import config
from so1.config import Config, Policy, Snapshot
from so1.daemon.daemon import Daemon
from so1.daemon.systemd import Notifier
from so1.docker_engine import Engine
from so1.governor.decision import Note
from so1.governor.governor import Governor
from so1.model import ContainerUsage
from so1.store.database import Database
from so1.store.event import Event
from so1.store.removals import Removals
from tests.so1.governor.charged import with_memory
from tests.support.docker_engine import IMAGE, LiveEngine

pytestmark = pytest.mark.engine


class Measured(Governor):
    """One that is told what the kernel charges each container."""

    def govern(
        self,
        usages: Sequence[ContainerUsage],
        taken_ns: int,
        tell: Callable[[Event], None] = lambda _: None,
        note: Note = lambda *_: None,
    ) -> list[Event]:
        return super().govern(with_memory(usages), taken_ns, tell, note)


class Running:
    """A daemon whose ticks the test calls, and its database."""

    def __init__(self, engine: LiveEngine, path: Path, policy: Policy) -> None:
        self._path = path
        self.database = Database(path)
        settled = Config(
            snapshot=Snapshot(source="procfs"),
            governor=policy,
            docker=config.Docker(host=engine.host, timeout=1),
            store=config.Store(path=str(path)),
        )
        self.daemon = Daemon(
            settled,
            self.database,
            containers=Measured(Engine(settled.docker), settled.governor, Removals(self.database)),
            reload=lambda: settled,
            notifier=Notifier({}),
        )

    def tick(self) -> None:
        """Let each loop do its part once, one after the other."""
        self.daemon.follower.ask_anew()
        self.daemon.follower.step(0)
        self.daemon.watcher.tick()
        newest, self.daemon.governing._newest = self.daemon.governing._newest, None
        if newest:
            self.daemon.governing.act(newest)

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def running(engine: LiveEngine, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with contextlib.ExitStack() as opened:

        def make(**policy: Any) -> Running:
            made = Running(engine, tmp_path / "metrics.db", Policy(stop_timeout=2, **policy))
            opened.callback(made.database.close)
            return made

        yield make


def test_twelve_become_five_and_the_database_tells_why(
    engine: LiveEngine, running: Callable[..., Running]
) -> None:
    for number in range(6):
        engine.managed(f"low-{number}", "low")
        engine.managed(f"high-{number}", "high")
    engine.start("web")
    so1 = running()
    so1.tick()
    so1.tick()
    left = engine.names()
    assert "web" in left
    assert len([name for name in left if name.startswith("low")]) == 3
    assert len([name for name in left if name.startswith("high")]) == 2
    assert so1.rows("SELECT deleted_count FROM metrics ORDER BY id") == [(0,), (7,)]
    # Another engine of this machine may have containers too: only ours are counted.
    assert so1.rows(
        "SELECT class, count(*) FROM container_totals WHERE timestamp ="
        " (SELECT max(timestamp) FROM metrics) AND image != '' GROUP BY class ORDER BY class"
    ) == [("high", 2), ("low", 3), ("unmanaged", 1)]
    events = so1.rows(
        "SELECT outcome, rule, image, ram_usage, recreate FROM events WHERE kind = 'remove'"
    )
    assert len(events) == 7
    for outcome, rule, image, ram, recreate in events:
        assert (outcome, rule, image) == ("done", "emergency", IMAGE)
        assert ram > 0
        assert recreate.startswith("docker run --detach --name ")
    assert so1.rows("SELECT count(*) FROM events WHERE container_name = 'web'") == [(0,)]


def test_while_docker_hangs_metrics_go_on(
    engine: LiveEngine, running: Callable[..., Running]
) -> None:
    engine.managed("high", "high")
    so1 = running(keep_high=0, grace=0)
    with engine.paused():
        so1.tick()
        so1.tick()
    ((ticks, containers),) = so1.rows("SELECT count(*), min(container_count) FROM metrics")
    assert ticks == 2
    assert containers >= 1
    assert engine.names() == {"high"}
    so1.tick()
    assert engine.names() == set()
    told = so1.rows("SELECT outcome, detail FROM events WHERE kind = 'docker' ORDER BY id")
    assert [outcome for outcome, _ in told] == ["failed", "done"]
    assert "did not answer within 1 s" in told[0][1]
    assert so1.rows("SELECT outcome FROM events WHERE kind = 'remove'") == [("done",)]


def test_docker_that_hangs_while_containers_are_removed(
    engine: LiveEngine, running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        engine.managed(f"low-{number}", "low")
    so1 = running(keep_low=0, grace=0)
    inner = so1.daemon._containers
    assert isinstance(inner, Governor)
    govern = inner.govern

    def hang(*arguments: Any) -> Any:
        with engine.paused():
            return govern(*arguments)

    monkeypatch.setattr(inner, "govern", hang)
    so1.tick()
    assert so1.rows("SELECT count(*) FROM metrics") == [(1,)]
    failed = so1.rows("SELECT outcome, detail FROM events WHERE kind = 'remove'")
    assert len(failed) == 6
    assert all(outcome == "failed" and "did not answer" in detail for outcome, detail in failed)
    inner.govern = govern  # type: ignore[method-assign]
    deadline = time.monotonic() + 30
    while engine.names("-a"):
        assert time.monotonic() < deadline
        so1.tick()


def test_observe(engine: LiveEngine, running: Callable[..., Running]) -> None:
    for number in range(12):
        engine.managed(f"low-{number}", "low")
    so1 = running(mode="observe")
    for _ in range(3):
        so1.tick()
    assert len(engine.names()) == 12
    planned = so1.rows("SELECT container_name, outcome FROM events WHERE kind = 'remove'")
    assert {outcome for _, outcome in planned} == {"planned"}
    assert len(planned) == len(set(planned)) >= 9
    assert so1.rows("SELECT DISTINCT deleted_count FROM metrics") == [(0,)]
