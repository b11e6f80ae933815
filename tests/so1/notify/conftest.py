# SPDX-License-Identifier: MIT
"""A database with events in it, and somebody to be told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from so1.store.database import Database
from so1.store.event import Event
from tests.so1.notify.receiver import Receiver, Sendmail, receiving

NOW_MS = 1_790_000_000_000
Happen = Callable[..., None]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def sendmail(tmp_path: Path) -> Sendmail:
    folder = tmp_path / "mail"
    folder.mkdir()
    return Sendmail(folder)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened = Database(store)
    yield opened
    opened.close()


@pytest.fixture
def happen(database: Database) -> Happen:
    """Store events: a number of them, the first at a time, one a millisecond."""

    def store_events(count: int = 1, at: int = NOW_MS, **other: str) -> None:
        fields = {"kind": "remove", "outcome": "done", "detail": "Removed.", **other}
        database.add_events(
            [Event(timestamp=at + number, **fields) for number in range(count)]  # type: ignore[arg-type] # constants
        )

    return store_events
