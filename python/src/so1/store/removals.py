# SPDX-License-Identifier: MIT
"""The journal of removals: what was begun survives a restart, a reload and a kill.

The wastebasket is a part of it: a container is in there while its row is at the step 'trashed'.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from so1.store import basket_lock, handover
from so1.store.removal import Original, Removal

_log = logging.getLogger(__name__)
_KEPT = 1_000
"""Removals that ended and were told, of which the newest are kept for whoever looks."""
_FIELDS = Removal.__struct_fields__
COLUMNS = ", ".join(f'"{"class" if field == "class_" else field}"' for field in _FIELDS)
_MARKS = ", ".join("?" * (len(_FIELDS) + 1))
_WRITE = f"INSERT OR REPLACE INTO removals ({COLUMNS}, watched_ms) VALUES ({_MARKS})"  # noqa: S608 - constants
_READ = f"SELECT {COLUMNS} FROM removals"  # noqa: S608 - as above
_SETTLE = """
    UPDATE removals SET told = 1
    WHERE told = 0 AND step NOT IN ('planned', 'stopping', 'returning') AND EXISTS (
        SELECT 1 FROM events AS e
        WHERE e.timestamp = removals.timestamp AND e.container_id = removals.container_id
        AND e.kind = CASE step WHEN 'emptied' THEN 'trash' WHEN 'returned' THEN 'undo'
            ELSE 'remove' END
        AND e.outcome = iif(step IN ('refused', 'failed'), step, 'done')
    )
"""
# What went for good on a full disk, by a process that could write down only the event of it.
_EMPTIED = """
    UPDATE removals SET step = 'emptied', told = 1
    WHERE step = 'trashed' AND container_id IN (
        SELECT container_id FROM events WHERE kind = 'trash' AND outcome = 'done'
    )
"""
_OVER = "told = 1 AND step IN ('removed', 'refused', 'failed', 'emptied')"
_BACK = "told = 1 AND step = 'returned'"


def _forget(which: str) -> str:
    return f"""
        DELETE FROM removals WHERE {which} AND timestamp < (
            SELECT timestamp FROM removals WHERE {which} ORDER BY timestamp DESC LIMIT 1 OFFSET ?
        )
    """  # noqa: S608 - constants


_STATES = """
    SELECT step, container_id, timestamp, watched_ms, layer_bytes FROM removals
    WHERE step IN ('trashed', 'returning', 'returned') ORDER BY watched_ms, timestamp, container_id
"""
TAKEN_BACK = "so1 undo took it back, so it is left alone for {:g} h"
STARTED = "somebody started it while it was in the wastebasket"
_HOUR_MS = 3_600_000


class JournalError(Exception):
    """The journal cannot be written or read; the message is a clause."""


class Writer(Protocol):
    """What the journal needs of the database: a transaction, for any thread."""

    path: Path

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Begin a transaction that ends with the block; raises sqlite3.Error."""

    def watched_ms(self) -> int:
        """Tell how long the database had been watched: a clock that nobody can set."""


class Kept(NamedTuple):
    """One container in the wastebasket: since when, by both clocks, and how large it is."""

    container_id: str
    timestamp: int
    watched_ms: int
    layer_bytes: int | None


class Removals:
    """The table removals, for the governor; its methods may be called from any thread.

    Each raises JournalError where the database cannot be used.
    """

    def __init__(self, database: Writer) -> None:
        """Take the database, beside which `so1 cleanup` leaves what it did."""
        self._database = database
        self._open = True
        """Whether the table may hold something that is not told or not ended."""
        self._begins = True
        """Whether a process before this one may have left what it could not write down."""
        self._returning: set[str] = set()
        """Whom `so1 undo` takes back just now."""
        self._states: list[tuple[str, Kept]] | None = None
        """What is in the wastebasket and what was taken back, with the step; None: to be read."""

    def write(self, removals: Iterable[Removal], *, dropped: Iterable[str] = ()) -> None:
        """Write down how far these came, and forget others, by container; all or nothing."""
        self._open = True
        try:
            with self._database.writing() as connection:
                connection.executemany(
                    "DELETE FROM removals WHERE container_id = ?", ((id_,) for id_ in dropped)
                )
                self._insert(connection, removals)
        except sqlite3.Error as error:
            raise JournalError(str(error)) from error
        finally:
            self._states = None

    def take_in(self) -> list[Removal]:
        """Take in what `so1 cleanup` left since, and give those that are not told or not ended.

        An event in the database counts as told, whoever wrote it, and however the daemon ended.
        """
        folder = self._database.path.parent
        try:
            runs = handover.read(folder)
            self._returning = {id_ for run in runs for id_ in run.returning}
            if not runs and not self._open:
                return []
            with self._database.writing() as connection:
                for run in runs:
                    self._insert(
                        connection, (one for one in run.removals if not _is_known(connection, one))
                    )
                connection.execute(_SETTLE)
                if self._begins:
                    connection.execute(_EMPTIED)
                for which in (_OVER, _BACK):
                    connection.execute(_forget(which), (_KEPT,))
                rows = connection.execute(
                    f"{_READ} WHERE told = 0 ORDER BY timestamp, container_id"
                ).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._states = None
            raise JournalError(str(error)) from error
        self._states = None
        handover.discard(runs)
        self._open = bool(rows)
        self._begins = False
        return [removal_of(row) for row in rows]

    def ended(self) -> list[Removal]:
        """Give those that ended and were told, for what need not be told again."""
        try:
            with self._database.writing() as connection:
                rows = connection.execute(f"{_READ} WHERE told = 1").fetchall()
        except sqlite3.Error as error:
            raise JournalError(str(error)) from error
        return [removal_of(row) for row in rows]

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep `so1 undo` and `so1 trash empty` out for the block; False where one is at it."""
        with contextlib.ExitStack() as stack:
            try:
                alone = stack.enter_context(basket_lock.held(self._database.path.parent))
            except FileNotFoundError:
                alone = False  # without a folder there is no database either
            except OSError as error:
                _log.warning("the wastebasket cannot be locked: %s", error)
                alone = False
            yield alone

    def basket(self) -> list[Kept]:
        """Give what is in the wastebasket, the oldest first."""
        return [kept for step, kept in self._known_states() if step == "trashed"]

    def of(self, ids: Iterable[str]) -> list[Removal]:
        """Give the removals of these containers, in this order, without those not known."""
        found = [self._read(f"{_READ} WHERE container_id = ?", (id_,)) for id_ in ids]
        return [removal_of(row) for rows in found for row in rows]

    def measured(self, container_id: str, layer_bytes: int) -> None:
        """Note how large one in the wastebasket is."""
        try:
            with self._database.writing() as connection:
                connection.execute(
                    "UPDATE removals SET layer_bytes = ? WHERE container_id = ?",
                    (layer_bytes, container_id),
                )
        except sqlite3.Error as error:
            raise JournalError(str(error)) from error
        finally:
            self._states = None

    def now_ms(self) -> int:
        """Tell the time by the clock of Kept.watched_ms."""
        return self._database.watched_ms()

    def spared(self, hours: float) -> dict[str, str]:
        """Give whom somebody took back within so many hours, by id, and why each is left alone.

        Those in the wastebasket are among them: one that runs was started by hand, and that is not
        written down yet.
        """
        since = self._database.watched_ms() - round(hours * _HOUR_MS)
        back = TAKEN_BACK.format(hours)
        return {
            kept.container_id: STARTED if step == "trashed" else back
            for step, kept in self._known_states()
            if step != "returned" or kept.watched_ms > since
        } | dict.fromkeys(self._returning, back)

    def _known_states(self) -> list[tuple[str, Kept]]:
        # Read once: this process alone writes, and a tick costs nothing for a full basket.
        if self._states is None:
            self._states = [(str(step), Kept(*rest)) for step, *rest in self._read(_STATES)]
        return self._states

    def _read(self, query: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._database.writing() as connection:
                return connection.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise JournalError(str(error)) from error

    def _insert(self, connection: sqlite3.Connection, removals: Iterable[Removal]) -> None:
        watched = self._database.watched_ms()
        connection.executemany(_WRITE, ((*_row(one), watched) for one in removals))


def _row(removal: Removal) -> tuple[object, ...]:
    *rest, original = msgspec.structs.astuple(removal)
    return (*rest, msgspec.json.encode(original).decode() if original else None)


def _is_known(connection: sqlite3.Connection, removal: Removal) -> bool:
    """Whether the journal has it at this step or a later one."""
    found = connection.execute(
        "SELECT timestamp FROM removals WHERE container_id = ?", (removal.container_id,)
    ).fetchone()
    return found is not None and found[0] >= removal.timestamp


def removal_of(row: tuple[object, ...]) -> Removal:
    """Read a row of COLUMNS."""
    values = dict(zip(_FIELDS, row, strict=True))
    if text := values["original"]:
        values["original"] = msgspec.json.decode(str(text), type=Original)
    return msgspec.convert(values, Removal, strict=False)
