# SPDX-License-Identifier: MIT
"""The database file: opening, upgrading, one transaction a tick, and pruning."""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import msgspec

from so1.store.event import Event

_TABLES = (
    "metrics",
    "container_stats",
    "process_stats",
    "container_totals",
    "process_states",
    "events",
)
_PRUNE_ROWS = 5_000
"""Rows deleted from a table in one tick at most, so that pruning never delays the next."""


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick writes; each row is the table's columns after the timestamp, in order."""

    timestamp: int
    metrics: tuple[object, ...]
    container_stats: Sequence[tuple[object, ...]] = ()
    process_stats: Sequence[tuple[object, ...]] = ()
    container_totals: Sequence[tuple[object, ...]] = ()
    process_states: Sequence[tuple[object, ...]] = ()
    events: Sequence[Event] = ()


_COLUMNS = {
    "metrics": "total_ram, free_ram, used_ram, container_count, process_count, deleted_count,"
    " source, cpu_usage",
    "container_stats": "container_id, container_name, pid, process_name, ram_usage, cpu_usage",
    "process_stats": "pid, name, ram_usage, cpu_usage",
    "container_totals": "container_id, container_name, image, class, process_count, ram_usage,"
    " cpu_usage",
    "process_states": "state, process_count",
    "events": "kind, outcome, container_id, container_name, image, class, ram_usage, cpu_usage,"
    " rule, detail, recreate",
}


def _insert(table: str) -> str:
    columns = _COLUMNS[table]
    marks = ", ?" * (columns.count(",") + 1)
    return f"INSERT INTO {table} (timestamp, {columns}) VALUES (?{marks})"  # noqa: S608 - constants


_INSERT = {table: _insert(table) for table in _TABLES}


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("so1.store") / "migrations"
    return sorted(
        (int(file.name[:4]), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    )


class Database:
    """The writer's side; there is one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it where there is none, and bring its tables up to date.

        A file that is not a sound database is moved aside and a new one started; `moved_to` says
        where. Raises DatabaseError where the file cannot be used.
        """
        self.path = path
        self.moved_to: Path | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise DatabaseError(f"{path} cannot be opened: {error}") from error
            self.moved_to = path.with_name(f"{path.name}.corrupt-{time.time_ns() // 1_000_000}")
            for end in ("", "-wal", "-shm"):
                part = path.with_name(path.name + end)
                if part.exists():
                    part.rename(self.moved_to.with_name(self.moved_to.name + end))
            self._open()

    def _open(self) -> None:
        self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        # A write-ahead log: readers never wait for the writer, nor it for them.
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA journal_size_limit = 16777216")
        if self._connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            self._connection.close()
            raise sqlite3.DatabaseError("the file is damaged")
        self._migrate()

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        migrations = _migrations()
        newest = migrations[-1][0]
        if version > newest:
            raise DatabaseError(
                f"{self.path} was written by a newer so1 (schema {version}, this one knows"
                f" {newest}); upgrade so1 or move the file aside"
            )
        for number, script in migrations:
            if number > version:
                self._connection.executescript(
                    f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
                )

    def write(self, tick: Tick) -> None:
        """Write a tick, all of it or nothing.

        Raises sqlite3.Error where it cannot be written (a full disk, say); nothing is then kept.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_INSERT["metrics"], (tick.timestamp, *tick.metrics))
            for table in ("container_stats", "process_stats", "container_totals", "process_states"):
                rows = getattr(tick, table)
                connection.executemany(_INSERT[table], ((tick.timestamp, *row) for row in rows))
            self._write_events(tick.events)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _write_events(self, events: Iterable[Event]) -> None:
        self._connection.executemany(
            _INSERT["events"],
            (
                (
                    *(e.timestamp, e.kind, e.outcome, e.container_id, e.container_name, e.image),
                    *(e.class_, e.ram_usage, e.cpu_usage, e.rule, e.detail, e.recreate),
                )
                for e in events
            ),
        )

    def prune(self, before: int, max_bytes: int) -> None:
        """Delete some of what is older than `before` (epoch ms), or the oldest of a large file."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (unused,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        (page,) = self._connection.execute("PRAGMA page_size").fetchone()
        for table in _TABLES:
            limit = before
            if (pages - unused) * page > max_bytes * 0.9:
                row = self._connection.execute(
                    f"SELECT timestamp FROM {table} ORDER BY timestamp LIMIT 1 OFFSET ?",  # noqa: S608
                    (_PRUNE_ROWS,),
                ).fetchone()
                limit = max(before, row[0] if row else before)
            self._connection.execute(
                f"DELETE FROM {table} WHERE rowid IN"  # noqa: S608 - constants
                f" (SELECT rowid FROM {table} WHERE timestamp < ? ORDER BY timestamp LIMIT ?)",
                (limit, _PRUNE_ROWS),
            )
        self._connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading only.

    Raises DatabaseError where there is none or it may not be read.
    """
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        connection.execute("SELECT 1 FROM metrics LIMIT 1").fetchall()
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{path} cannot be read ({error}); has the daemon run, and are you in the group so1?"
        ) from error
    connection.row_factory = sqlite3.Row
    return connection
