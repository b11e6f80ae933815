# SPDX-License-Identifier: MIT
"""Containers made up for tests, and a journal for their removals."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from so1.model import CLASS, MANAGED, Container, ContainerUsage
from so1.store.event import Event
from so1.store.removals import Removals

NOW = 1_700_000_000.0
"""What the clock says that can be set."""
TAKEN = 10**15
"""When a sample is taken, on the clock that cannot."""
SECOND = 10**9


def usage(
    number: int,
    class_: str | None = "low",
    *,
    managed: bool = True,
    memory: int | None = 100,
    cpu: float = 0,
    age: float = 3600,
    restarts: int = 0,
    looping: bool = False,
) -> ContainerUsage:
    labels = ({MANAGED: "true"} if managed else {}) | ({CLASS: class_} if class_ else {})
    container = Container(
        id=f"{number:064x}",
        name=f"c{number}",
        image="alpine" if class_ == "low" else "stress",
        labels=labels,
        started_at=NOW - age,
        pid=number + 1,
        started_ns=TAKEN - round(age * SECOND),
        restarts=restarts,
        looping=looping,
    )
    return ContainerUsage(container=container, ram=7, cpu=cpu, processes=1, memory=memory)


class Store:
    """A database in memory with the tables of events and removals, as the daemon uses them."""

    def __init__(self, folder: Path = Path("/nonexistent")) -> None:
        self.path = folder / "metrics.db"
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.lock = threading.RLock()
        self.broken = False
        self.watched = 0
        migrations = resources.files("so1.store") / "migrations"
        for script in sorted(migrations.iterdir(), key=lambda file: file.name):
            if script.name.endswith(".sql"):
                self.connection.executescript(script.read_text())

    def watched_ms(self) -> int:
        return self.watched

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            if self.broken:
                raise sqlite3.OperationalError("database or disk is full")
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def tell(self, event: Event) -> None:
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO events (timestamp, kind, outcome, container_id, detail)"
                " VALUES (?, ?, ?, ?, ?)",
                (event.timestamp, event.kind, event.outcome, event.container_id, event.detail),
            )

    def steps(self) -> dict[str, str]:
        """How far each removal came, by the container's name."""
        return dict(self.connection.execute("SELECT container_name, step FROM removals"))


def journal() -> Removals:
    return Removals(Store())
