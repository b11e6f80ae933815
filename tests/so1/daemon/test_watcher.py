# SPDX-License-Identifier: MIT
"""What the watcher tells of a gap in what is known."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from so1.clock import Steps
from so1.config import Config
from so1.daemon.conditions import Conditions
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.daemon.systemd import Notifier
from so1.daemon.watcher import Watcher
from so1.sample import Gap, Word
from so1.store.database import Database
from tests.so1.samples import sample


class Watched:
    """A watcher whose samples have the gaps that a test wants, at the time that it wants."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        outbox = Outbox()
        self.conditions = Conditions(outbox, time.time)
        self._now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self._now)
        self._sampler = Mock()
        self._watcher = Watcher(
            Config(),
            self._sampler,
            Storing(database, outbox, self.conditions),
            outbox,
            self.conditions,
            word=Word,
            hand=lambda _: None,
            steps=Steps(),
            notifier=Notifier({}),
        )

    def tick(self, after: float, **gaps: str) -> list[str]:
        """Tick so many seconds later, and give what is wrong."""
        self._now += after
        known = cast("dict[Gap, str]", gaps)
        self._sampler.take.return_value = sample([], gaps=known)
        self._watcher.tick()
        return self.conditions.current


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with contextlib.closing(Database(tmp_path / "metrics.db")) as database:
        yield Watched(database, monkeypatch)


def test_a_container_that_only_starts_is_no_trouble(watched: Watched) -> None:
    assert watched.tick(20, cgroups="web is not measured.") == []
    assert watched.tick(59, cgroups="web is not measured.") == []
    assert watched.tick(20) == []
    assert watched.tick(20, cgroups="web is not measured.") == []


def test_one_that_stays_unmeasured_is(watched: Watched) -> None:
    assert watched.tick(20, cgroups="web is not measured.") == []
    assert watched.tick(61, cgroups="web is not measured.") == ["web is not measured."]
    assert watched.tick(20) == []


def test_blindness_is_told_at_once(watched: Watched) -> None:
    assert watched.tick(20, blind="Nothing is seen.") == ["Nothing is seen."]
