# SPDX-License-Identifier: MIT
"""The database file: opening, upgrading, one transaction a tick, and pruning."""

import contextlib
import functools
import itertools
import os
import shutil
import sqlite3
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import msgspec

from so1.clock import boottime
from so1.escape_controls import escape_controls
from so1.store.event import Event
from so1.store.readers import Readers
from so1.store.rows import COLUMNS, DecisionRow, Tick

P = ParamSpec("P")
T = TypeVar("T")

_TABLES = tuple(COLUMNS)
_PRUNE_ROWS = 5_000
"""Rows after which pruning rests until the next tick, so that it never delays it."""
_PRUNE_TICKS = 500
"""Ticks, and events, that one step of pruning looks at."""
_PRUNE_MS = 300_000
"""What is too old goes every five minutes: tick by tick it would make each of them dearer."""
_FULL = 0.9
"""Share of the budget above which the oldest ticks go."""
_EVENTS_SHARE = 0.1
"""Share of the budget that events may have, however much ticks need."""
_LOG_SHARE = 1 / 16
_LOG_MOST = 16 << 20
"""The write-ahead log's part of the budget: a share, and no more bytes than these."""
_VACUUM_PAGES = 2_000
"""Free pages given back to the file system in one tick at most."""
_CHECKPOINT_COMMITS = 60
"""Commits after which the write-ahead log is brought into the file, and begins anew."""


_NO_ROOM = 1 << 20
"""Free bytes of a file system below which a failure to open the database is for want of room."""


class DatabaseError(sqlite3.OperationalError):
    """The database cannot be used; the message says what to do."""


class Basket(NamedTuple):
    """How many containers are in the wastebasket, and bytes of the layers that were measured."""

    containers: int
    size: int


_ROWS = [table for table in _TABLES if table not in ("metrics", "events", "decisions")]
"""Those of which a tick has any number of rows, in its field of the same name."""
_GOING = [*_ROWS, "decisions"]
"""Those whose rows go with the tick of their timestamp."""


def _insert(table: str) -> str:
    own = ["timestamp"] if table in _GOING else ["timestamp", "watched_ms"]
    columns = own + [name.rstrip("_") for name in COLUMNS[table]]
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - constants


_INSERT = {table: _insert(table) for table in _TABLES}
_STATE = (
    "SELECT (page_count - freelist_count) * page_size, freelist_count, page_count * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
"""The bytes that hold something, the pages that hold nothing, the bytes of the file."""
_BASKET = (
    "SELECT count(*), ifnull(sum(layer_bytes), 0) FROM removals"
    " WHERE step IN ('trashed', 'returning')"
)
_EVENT_BYTES = "200 + " + " + ".join(
    f"ifnull(length(CAST({column} AS BLOB)), 0)"
    for column in ("container_name", "image", "detail", "recreate")
)
"""Of an event: about what it takes in the file, with its other columns and its index."""


def _event_row(event: Event, watched_ms: int) -> tuple[object, ...]:
    timestamp, *rest = msgspec.structs.astuple(event)
    return (timestamp, watched_ms, *rest)


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("so1.store") / "migrations"
    return sorted(
        (int(file.name[:4]), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    )


def _whole(number: int, script: str) -> str:
    """All that a migration does; unless its script says otherwise it shuts older versions out."""
    return f"PRAGMA application_id = 0;\n{script}\nPRAGMA user_version = {number};"


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def _alone(
    method: Callable[Concatenate["Database", P], T],
) -> Callable[Concatenate["Database", P], T]:
    """Let one thread at a time use the connection."""

    @functools.wraps(method)
    def locked(self: "Database", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class Database:
    """The writer's side; there is one writer at a time, and any thread may be the one to write."""

    def __init__(self, path: Path, boottime: Callable[[], float] = boottime) -> None:
        """Open the file, make it where there is none, and bring its tables up to date.

        A file that is not a sound database is moved aside and a new one started; `moved_to` says
        where. On a full disk it is opened later, when something is written and there is room.
        Raises DatabaseError where the file cannot be used. `boottime` gives seconds on a clock that
        nobody sets.
        """
        self.path = Path(os.path.realpath(path))
        self.moved_to: Path | None = None
        self.damaged = False
        """The file is to be replaced, which could not be done yet."""
        self.notices: deque[str] = deque(maxlen=100)
        """What happened to the file, a sentence each, until somebody has told it."""
        self._boottime = boottime
        self._connection: sqlite3.Connection | None = None
        self._rows = 0
        """Rows of the last tick."""
        self._commits = 0
        self._max_bytes = 0
        self._lock = threading.RLock()
        try:
            self._begin()
        except DatabaseError:
            raise
        except sqlite3.Error as error:
            if not self._without_room(error):
                raise DatabaseError(f"{path} cannot be opened: {error}") from error

    def _begin(self) -> sqlite3.Connection:
        """Open the file, and replace it where it is damaged; raises sqlite3.Error."""
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            return self._move_aside()

    def _without_room(self, error: sqlite3.Error) -> bool:
        # What SQLite makes of a full disk depends on which of its files it needs room for.
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return True
        with contextlib.suppress(OSError):
            return shutil.disk_usage(self.path.parent).free < _NO_ROOM
        return False

    def _move_aside(self) -> sqlite3.Connection:
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
                connection = self._open()
            except sqlite3.Error:
                # Half a new file is not to be moved aside as well when this is tried again.
                for part, _ in parts:
                    part.unlink(missing_ok=True)
                raise
        except (OSError, sqlite3.Error) as error:
            raise DatabaseError(
                f"{self.path} is damaged and cannot be replaced: {error}"
            ) from error
        self.notices.append(f"The database was damaged: it is kept as {self.moved_to}.")
        return connection

    @_alone
    def replace(self) -> None:
        """Move the file aside, as it turned out to be damaged, and start a new one.

        Raises DatabaseError where that cannot be done; until it is called again and can, nothing
        can be written.
        """
        self.damaged = True
        if self._connection is not None:
            self._disconnect()
        self._move_aside()
        self.damaged = False

    def _open(self) -> sqlite3.Connection:
        """Open the file; raises sqlite3.Error, and nothing is then open."""
        try:
            # SQLite gives -wal and -shm the mode of the database: readable by the group, like it.
            self._readers = Readers(self.path)
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to open it: {error.strerror}") from error
        try:
            connection = sqlite3.connect(
                self.path, isolation_level=None, timeout=10, check_same_thread=False
            )
            self._connection = connection
            self._prepare(connection)
            self._readers.connected()
        except OSError as error:
            self._disconnect()
            raise sqlite3.OperationalError(f"unable to open it: {error.strerror}") from error
        except BaseException:
            self._disconnect()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        execute = connection.execute
        if execute("PRAGMA page_count").fetchone() == (0,):
            # Of a file that is there it would write the header again, which a full disk prevents.
            execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A write-ahead log: nobody waits for a query, and none waits for more than a commit.
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        # Not in a commit, for which readers wait.
        execute("PRAGMA wal_autocheckpoint = 0")
        self._limit_log(connection)
        if execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
        self._checkpoint(connection)
        self._migrate(connection)
        if execute("PRAGMA auto_vacuum").fetchone() == (0,):
            # A database from before: only a rewrite lets its file shrink. Without the room for one
            # it stays as it is, and what is pruned is used again.
            with contextlib.suppress(sqlite3.OperationalError):
                execute("PRAGMA auto_vacuum = INCREMENTAL")
                execute("VACUUM")
        self._opened_at = self._boottime()
        self._watched_before: int
        (self._watched_before,) = execute(
            "SELECT max(ifnull((SELECT watched_ms FROM metrics ORDER BY id DESC LIMIT 1), 0),"
            " ifnull((SELECT watched_ms FROM events ORDER BY id DESC LIMIT 1), 0))"
        ).fetchone()
        self._counted = 0
        """Of the events up to this id the bytes are known."""
        self._event_bytes = 0

    def _watched_ms(self) -> int:
        """How long the database has been watched; the time while no daemon ran is not in it."""
        return self._watched_before + round((self._boottime() - self._opened_at) * 1000)

    @_alone
    def watched_ms(self) -> int:
        """Tell how long the database has been watched; 0 while it is not open."""
        return self._watched_ms() if self._connection is not None else 0

    @_alone
    def close(self) -> None:
        """Close the file and leave its -wal and -shm in place.

        The last to close would remove them, and a reader that may not write into the directory
        could not open the database until the daemon is back. So a connection that cannot remove
        anything is the last.
        """
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_read_only(self.path)) as last:
            last.execute("SELECT 1 FROM metrics LIMIT 1").fetchall()
            self._connection.close()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._readers.close()

    def _connected(self) -> sqlite3.Connection:
        """Give a connection to the file that is at the path now; raises sqlite3.Error."""
        if self.damaged:
            raise sqlite3.OperationalError("the file is damaged")
        if self._connection is not None:
            if not self._readers.moved():
                return self._connection
            # What is written to a file without a name is lost when the daemon ends.
            self._disconnect()
            self.notices.append(
                f"{self.path} was deleted or replaced while the daemon used it:"
                " the one that is there now is used, or a new one begun."
            )
        return self._begin()

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version, oldest = connection.execute(
            "SELECT user_version, application_id FROM pragma_user_version, pragma_application_id"
        ).fetchone()
        _assert_known(self.path, version, oldest)
        for number, script in _migrations():
            if number > version:
                with self._transaction(_whole(number, script), connection):
                    pass

    @_alone
    def write_tick(self, tick: Tick) -> None:
        """Write a tick, all of it or nothing.

        Raises sqlite3.Error where it cannot be written (a full disk, say); nothing is then kept.
        """
        connection = self._connected()
        self._assert_room(connection)
        watched = self._watched_ms()
        with self._transaction("", connection):
            connection.execute(_INSERT["metrics"], (tick.timestamp, watched, *tick.metrics))
            for table in _ROWS:
                rows = getattr(tick, table)
                connection.executemany(_INSERT[table], ((tick.timestamp, *row) for row in rows))
            connection.executemany(_INSERT["decisions"], tick.decisions)
            self._insert_events(connection, tick.events, watched)
        self._rows = sum(len(getattr(tick, table)) for table in _ROWS)

    @_alone
    def add_events(self, events: Iterable[Event], decisions: Iterable[DecisionRow] = ()) -> None:
        """Write events that belong to no tick, and what was decided before them, all or none.

        Raises sqlite3.Error where they cannot be written.
        """
        with self.writing() as connection:
            connection.executemany(_INSERT["decisions"], decisions)
            self._insert_events(connection, events, self._watched_ms())

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction of one's own, from any thread; it ends with the block.

        Raises sqlite3.Error or DatabaseError where it cannot be written; nothing is then kept.
        """
        with self._lock:
            connection = self._connected()
            with self._transaction("", connection):
                yield connection

    def _insert_events(
        self, connection: sqlite3.Connection, events: Iterable[Event], watched_ms: int
    ) -> None:
        rows = (_event_row(event, watched_ms) for event in events)
        connection.executemany(_INSERT["events"], rows)

    @contextlib.contextmanager
    def _transaction(self, script: str, connection: sqlite3.Connection) -> Iterator[None]:
        """One that begins with a script: what Python's execute() cannot run, or not to its end."""
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}")
            yield
            with self._readers.paused():
                connection.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite may have rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._commits += 1
        if self._commits % _CHECKPOINT_COMMITS == 0 or self._log() > self._log_bytes:
            self._checkpoint(connection)

    def _checkpoint(self, connection: sqlite3.Connection) -> bool:
        """Bring the log into the file, after which it begins anew; whether all of it could be.

        What somebody may still have to read stays in it.
        """
        self._whole = False
        with contextlib.suppress(sqlite3.OperationalError):
            busy, log, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._whole = not busy and log == done
        return self._whole

    def _log(self) -> int:
        """Bytes of the write-ahead log."""
        with contextlib.suppress(OSError):
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        return 0

    @property
    def _log_bytes(self) -> int:
        """Bytes from which on the log is to be brought into the file."""
        return min(_LOG_MOST, round((self._max_bytes or _LOG_MOST) * _LOG_SHARE))

    def _limit_log(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA journal_size_limit = {self._log_bytes}").fetchone()

    def _assert_room(self, connection: sqlite3.Connection) -> None:
        """Refuse ticks while the log would make the database larger than it may be.

        Only a reader lets it grow so far. Events are few, and go on.
        """
        if not self._max_bytes or self._log() <= self._log_bytes:
            return
        _, _, file = connection.execute(_STATE).fetchone()
        if file + self._log() > self._max_bytes and not self._checkpoint(connection):
            raise DatabaseError(f"it is as large as it may be; {self._holder()}")

    @_alone
    def held(self) -> str | None:
        """Tell who keeps the log from beginning anew, in a sentence; None while nobody does.

        A query that takes its time is not told: the log has to have twice its part of the budget.
        """
        if self._connection is None or self._whole or self._log() < 2 * self._log_bytes:
            return None
        return (
            f"The log of the database grows: {self._holder()}; when the database has"
            f" {self._max_bytes >> 20} MiB with it, ticks are dropped."
        )

    def _holder(self) -> str:
        pid = self._readers.inside()
        if not pid:
            return "a process without a pid here keeps a transaction open; end it"
        name = ""
        with contextlib.suppress(OSError):
            comm = Path(f"/proc/{pid}/comm").read_bytes().decode(errors="replace")
            name = f" ({escape_controls(comm.strip())})"
        return f"process {pid}{name} keeps a transaction open; end it"

    @_alone
    def prune(self, keep_ms: int, keep_events_ms: int, max_bytes: int) -> None:
        """Delete some of what is too old, and some of the oldest where the file is too large.

        `keep_ms` is how long a tick stays, `keep_events_ms` an event, both in milliseconds that the
        daemon ran: a clock that is set deletes nothing. A tick goes from all tables at once.
        `max_bytes` are for all, the log too; of them events have a share that ticks do not take.
        Raises sqlite3.Error where that cannot be written.
        """
        connection = self._connected()
        if max_bytes != self._max_bytes:
            self._max_bytes = max_bytes
            self._limit_log(connection)
        watched = self._watched_ms()
        watched -= watched % _PRUNE_MS
        used, unused, _ = connection.execute(_STATE).fetchone()
        full = used > max_bytes * _FULL - self._log_bytes
        ticks = self._old_ticks(connection, None if full else watched - keep_ms)
        events, freed = self._old_events(
            connection, watched - keep_events_ms, round(max_bytes * _EVENTS_SHARE)
        )
        if ticks or events:
            with self._transaction("", connection):
                self._delete_ticks(connection, ticks)
                connection.execute("DELETE FROM events WHERE id <= ?", (events,))
            self._event_bytes -= freed
        if ticks or events or unused:
            # Each step of it frees one page, and gives a row without columns.
            vacuum = f"PRAGMA incremental_vacuum({_VACUUM_PAGES});"
            with self._transaction(vacuum, connection):
                pass

    @staticmethod
    def _old_ticks(connection: sqlite3.Connection, until: int | None) -> list[tuple[int, int]]:
        """Ids and timestamps of the oldest ticks: those watched before `until`, None for any.

        By id: where the clock was set, timestamps say nothing of the order. The last one stays.
        """
        found = connection.execute(
            "SELECT id, timestamp, watched_ms FROM metrics"
            " WHERE id < (SELECT max(id) FROM metrics) ORDER BY id LIMIT ?",
            (_PRUNE_TICKS,),
        )
        old = itertools.takewhile(lambda row: until is None or (row[2] or 0) < until, found)
        return [(id_, timestamp) for id_, timestamp, _ in old]

    def _delete_ticks(
        self, connection: sqlite3.Connection, ticks: Sequence[tuple[int, int]]
    ) -> None:
        # More than a tick brings, or a file whose ticks become larger would only grow.
        left = max(_PRUNE_ROWS, 2 * self._rows)
        for id_, timestamp in ticks:
            if left <= 0:
                return
            connection.execute("DELETE FROM metrics WHERE id = ?", (id_,))
            for table in _GOING:
                query = f"DELETE FROM {table} WHERE timestamp = ?"  # noqa: S608 - constants
                left -= connection.execute(query, (timestamp,)).rowcount
        for table in _GOING:
            # Of no tick, as other programs wrote them: they go with the ticks of their time.
            connection.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE timestamp"  # noqa: S608
                " < (SELECT min(timestamp) FROM metrics) ORDER BY timestamp LIMIT ?)",
                (max(0, left),),
            )

    def _old_events(self, connection: sqlite3.Connection, until: int, most: int) -> tuple[int, int]:
        """Tell up to which id events go, and how many bytes that gives back."""
        self._counted, new = connection.execute(
            f"SELECT ifnull(max(id), ?1), ifnull(sum({_EVENT_BYTES}), 0) FROM events WHERE id > ?1",  # noqa: S608
            (self._counted,),
        ).fetchone()
        self._event_bytes += new
        last, freed = 0, 0
        for id_, watched, size in connection.execute(
            f"SELECT id, watched_ms, {_EVENT_BYTES} FROM events ORDER BY id LIMIT ?",  # noqa: S608
            (_PRUNE_TICKS,),
        ):
            if (watched or 0) >= until and self._event_bytes - freed <= most:
                break
            last, freed = id_, freed + size
        return last, freed

    @_alone
    def size(self) -> int:
        """Bytes of the file that hold something, and of its log; 0 where it cannot be read."""
        if self._connection is None:
            return 0
        try:
            return int(self._connection.execute(_STATE).fetchone()[0]) + self._log()
        except sqlite3.Error:
            return 0

    @_alone
    def basket(self) -> Basket | None:
        """Count what is in the wastebasket; None where that cannot be read."""
        if self._connection is None:
            return None
        try:
            return Basket(*self._connection.execute(_BASKET).fetchone())
        except sqlite3.Error:
            return None


def check(path: Path) -> None:
    """Look whether the daemon could use the file, and touch nothing; it need not be there yet.

    Raises DatabaseError where it could not.
    """
    file = Path(os.path.realpath(path))
    try:
        if not file.parent.is_dir():
            raise DatabaseError(f"{path} cannot be used: its directory does not exist")
        with file.open("rb") as opened:
            header = opened.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatabaseError(f"{path} cannot be used: {error.strerror}") from error
    # https://www.sqlite.org/fileformat.html: opening it as a database may leave files beside it.
    if header.startswith(b"SQLite format 3\0"):
        version, oldest = struct.unpack_from(">i4xi", header, 60)
        _assert_known(path, version, oldest)


def _assert_known(path: Path, version: int, oldest: int) -> None:
    """Refuse a schema that is newer, unless it declares that this so1 can still use it.

    `oldest` is the oldest schema whose so1 can read and write this database; 0 is not declared.
    """
    newest = _migrations()[-1][0]
    if not (0 <= version <= newest or 0 < oldest <= newest < version):
        raise DatabaseError(
            f"{path} was written by a newer so1 (schema {version}, this one knows"
            f" {newest}); upgrade so1 or move the file aside"
        )


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
