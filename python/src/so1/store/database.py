# SPDX-License-Identifier: MIT
"""The database file: opening, upgrading, one transaction a tick, and pruning."""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

import msgspec

from so1.store.event import Event
from so1.store.readers import Readers
from so1.store.rows import COLUMNS, Tick

_TABLES = tuple(COLUMNS)
_PRUNE_ROWS = 5_000
"""Rows of a table after which pruning rests until the next tick, so that it never delays it."""
_VACUUM_PAGES = 2_000
"""Free pages given back to the file system in one tick at most."""
_CHECKPOINT_COMMITS = 60
"""Commits after which the write-ahead log is brought into the file, and begins anew."""


class DatabaseError(Exception):
    """The database cannot be used; the message says what to do."""


def _insert(table: str) -> str:
    columns = ["timestamp", *(name.rstrip("_") for name in COLUMNS[table])]
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - constants


_ROWS = [table for table in _TABLES if table not in ("metrics", "events")]
"""Those of which a tick has any number of rows, in its field of the same name."""
_INSERT = {table: _insert(table) for table in _TABLES}
_OLDEST = " UNION ALL ".join(
    f"SELECT min(timestamp) AS oldest FROM {table}"  # noqa: S608 - constants
    for table in _TABLES
)
_STATE = (
    f"SELECT (SELECT min(oldest) FROM ({_OLDEST})),"  # noqa: S608 - constants
    " (page_count - freelist_count) * page_size, freelist_count"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
"""The oldest timestamp, the bytes that hold something, the pages that hold nothing."""


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("so1.store") / "migrations"
    return sorted(
        (int(file.name[:4]), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    )


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


class Database:
    """The writer's side; there is one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it where there is none, and bring its tables up to date.

        A file that is not a sound database is moved aside and a new one started; `moved_to` says
        where. Raises DatabaseError where the file cannot be used.
        """
        self.path = path
        self.moved_to: Path | None = None
        self.damaged = False
        """The file is to be replaced, which could not be done yet."""
        self._rows = 0
        """Rows of the last tick in the table that has most of them."""
        self._commits = 0
        try:
            self._open()
        except (OSError, sqlite3.OperationalError) as error:
            raise DatabaseError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError:
            self._move_aside()

    def _move_aside(self) -> None:
        name = f"{self.path.name}.corrupt-{time.time_ns() // 1_000_000}"
        parts = [
            (self.path.with_name(self.path.name + end), self.path.with_name(name + end))
            for end in ("-wal", "-shm", "")
        ]
        try:
            for part, aside in parts:
                if part.exists():
                    part.rename(aside)
                    self.moved_to = aside
            try:
                self._open()
            except (OSError, sqlite3.Error):
                # Half a new file is not to be moved aside as well when this is tried again.
                for part, _ in parts:
                    part.unlink(missing_ok=True)
                raise
        except (OSError, sqlite3.Error) as error:
            raise DatabaseError(
                f"{self.path} is damaged and cannot be replaced: {error}"
            ) from error

    def replace(self) -> None:
        """Move the file aside, as it turned out to be damaged, and start a new one.

        Raises DatabaseError where that cannot be done; until it is called again and can, nothing
        can be written.
        """
        self.damaged = True
        self._disconnect()
        self._move_aside()
        self.damaged = False

    def _open(self) -> None:
        # SQLite gives -wal and -shm the mode of the database: readable by the group, like it.
        self._readers = Readers(self.path)
        self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        try:
            self._prepare()
        except BaseException:
            self._disconnect()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A write-ahead log: nobody waits for a query, and none waits for more than a commit.
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA journal_size_limit = 16777216")
        # Not in a commit, for which readers wait.
        execute("PRAGMA wal_autocheckpoint = 0")
        if execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
        self._checkpoint()
        self._migrate()
        if execute("PRAGMA auto_vacuum").fetchone() == (0,):
            # A database from before: only a rewrite lets its file shrink. Without the room for one
            # it stays as it is, and what is pruned is used again.
            with contextlib.suppress(sqlite3.OperationalError):
                execute("VACUUM")

    def close(self) -> None:
        """Close the file and leave its -wal and -shm in place.

        The last to close would remove them, and a reader that may not write into the directory
        could not open the database until the daemon is back. So a connection that cannot remove
        anything is the last.
        """
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_read_only(self.path)) as last:
            last.execute("SELECT 1 FROM metrics LIMIT 1").fetchall()
            self._connection.close()
        self._disconnect()

    def _disconnect(self) -> None:
        self._connection.close()
        self._readers.close()

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
                with self._transaction(f"{script}\nPRAGMA user_version = {number};"):
                    pass

    def write_tick(self, tick: Tick) -> None:
        """Write a tick, all of it or nothing.

        Raises sqlite3.Error where it cannot be written (a full disk, say); nothing is then kept.
        """
        with self._transaction() as connection:
            connection.execute(_INSERT["metrics"], (tick.timestamp, *tick.metrics))
            for table in _ROWS:
                rows = getattr(tick, table)
                connection.executemany(_INSERT[table], ((tick.timestamp, *row) for row in rows))
            connection.executemany(_INSERT["events"], map(msgspec.structs.astuple, tick.events))
        self._rows = max(len(getattr(tick, table)) for table in _ROWS)

    def add_events(self, events: Iterable[Event]) -> None:
        """Write events that belong to no tick, all or none.

        Raises sqlite3.Error where they cannot be written.
        """
        with self._transaction() as connection:
            connection.executemany(_INSERT["events"], map(msgspec.structs.astuple, events))

    @contextlib.contextmanager
    def _transaction(self, script: str = "") -> Iterator[sqlite3.Connection]:
        """One that begins with a script: what Python's execute() cannot run, or not to its end."""
        try:
            self._connection.executescript(f"BEGIN IMMEDIATE;\n{script}")
            yield self._connection
            with self._readers.paused():
                self._connection.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite may have rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._commits += 1
        if self._commits % _CHECKPOINT_COMMITS == 0:
            self._checkpoint()

    def _checkpoint(self) -> None:
        # What cannot be brought into the file yet stays in the log.
        with contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def prune(self, before: int, max_bytes: int) -> None:
        """Delete some ticks older than `before` (epoch ms), or the oldest of a large file.

        A tick goes from all tables at once. Raises sqlite3.Error where that cannot be written.
        """
        execute = self._connection.execute
        oldest, used, unused = execute(_STATE).fetchone()
        full = used > max_bytes * 0.9
        if not full and not unused and (oldest is None or oldest >= before):
            return
        if full:
            (newest,) = execute("SELECT max(timestamp) FROM metrics").fetchone()
            before = max(before, newest or 0)
        # More than a tick brings, or a file whose ticks become larger would only grow.
        rows = max(_PRUNE_ROWS, 2 * self._rows)
        for table in _TABLES:
            last = execute(
                f"SELECT timestamp FROM {table} WHERE timestamp < ?"  # noqa: S608 - constants
                " ORDER BY timestamp LIMIT 1 OFFSET ?",
                (before, rows - 1),
            ).fetchone()
            if last:
                before = last[0] + 1
        with self._transaction():
            for table in _TABLES:
                execute(f"DELETE FROM {table} WHERE timestamp < ?", (before,))  # noqa: S608 - as above
        # Each step of it frees one page, and gives a row without columns.
        with self._transaction(f"PRAGMA incremental_vacuum({_VACUUM_PAGES});"):
            pass

    def size(self) -> int:
        """Bytes of the file that hold something; 0 where it cannot be read."""
        try:
            return int(self._connection.execute(_STATE).fetchone()[1])
        except sqlite3.Error:
            return 0


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading only.

    All that is read is of one moment. Raises DatabaseError where there is none or it may not be
    read.
    """
    try:
        connection = _read_only(path)
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM metrics LIMIT 1").fetchall()
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{path} cannot be read ({error}); has the daemon run, and are you in the group so1?"
        ) from error
    connection.row_factory = sqlite3.Row
    return connection
