# SPDX-License-Identifier: MIT
"""The journal of removals: what was begun survives a restart, a reload and a kill."""

import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from so1.store import handover
from so1.store.removal import Removal

_KEPT = 1_000
"""Removals that ended and were told, of which the newest are kept for whoever looks."""
_FIELDS = Removal.__struct_fields__
_COLUMNS = ", ".join(f'"{"class" if field == "class_" else field}"' for field in _FIELDS)
_MARKS = ", ".join("?" * len(_FIELDS))
_WRITE = f"INSERT OR REPLACE INTO removals ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608 - constants
_READ = f"SELECT {_COLUMNS} FROM removals"  # noqa: S608 - as above
_SETTLE = """
    UPDATE removals SET told = 1
    WHERE told = 0 AND step IN ('removed', 'refused', 'failed') AND EXISTS (
        SELECT 1 FROM events AS e
        WHERE e.timestamp = removals.timestamp AND e.container_id = removals.container_id
        AND e.kind = 'remove' AND e.outcome = iif(step = 'removed', 'done', step)
    )
"""
_FORGET = """
    DELETE FROM removals WHERE told = 1 AND timestamp < (
        SELECT timestamp FROM removals WHERE told = 1 ORDER BY timestamp DESC LIMIT 1 OFFSET ?
    )
"""


class JournalError(Exception):
    """The journal cannot be written or read; the message is a clause."""


class Writer(Protocol):
    """What the journal needs of the database: a transaction, for any thread."""

    path: Path

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Begin a transaction that ends with the block; raises sqlite3.Error."""


class Removals:
    """The table removals, for the governor; its methods may be called from any thread.

    Each raises JournalError where the database cannot be used.
    """

    def __init__(self, database: Writer) -> None:
        """Take the database, beside which `so1 cleanup` leaves what it did."""
        self._database = database
        self._open = True
        """Whether the table may hold something that is not told or not ended."""

    def write(self, removals: Iterable[Removal], *, dropped: Iterable[str] = ()) -> None:
        """Write down how far these came, and forget others, by container; all or nothing."""
        self._open = True
        try:
            with self._database.writing() as connection:
                connection.executemany(
                    "DELETE FROM removals WHERE container_id = ?", ((id_,) for id_ in dropped)
                )
                connection.executemany(_WRITE, map(msgspec.structs.astuple, removals))
        except sqlite3.Error as error:
            raise JournalError(str(error)) from error

    def take_in(self) -> list[Removal]:
        """Take in what `so1 cleanup` left since, and give those that are not told or not ended.

        An event in the database counts as told, whoever wrote it, and however the daemon ended.
        """
        folder = self._database.path.parent
        try:
            runs = handover.read(folder)
            if not runs and not self._open:
                return []
            with self._database.writing() as connection:
                for run in runs:
                    for removal in run.removals:
                        if not _is_known(connection, removal):
                            connection.execute(_WRITE, msgspec.structs.astuple(removal))
                connection.execute(_SETTLE)
                connection.execute(_FORGET, (_KEPT,))
                rows = connection.execute(
                    f"{_READ} WHERE told = 0 ORDER BY timestamp, container_id"
                ).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(str(error)) from error
        handover.discard(runs)
        self._open = bool(rows)
        return [_removal(row) for row in rows]

    def ended(self) -> list[Removal]:
        """Give those that ended and were told, for what need not be told again."""
        try:
            with self._database.writing() as connection:
                rows = connection.execute(f"{_READ} WHERE told = 1").fetchall()
        except sqlite3.Error as error:
            raise JournalError(str(error)) from error
        return [_removal(row) for row in rows]


def _is_known(connection: sqlite3.Connection, removal: Removal) -> bool:
    """Whether the journal has it at this step or a later one."""
    found = connection.execute(
        "SELECT timestamp FROM removals WHERE container_id = ?", (removal.container_id,)
    ).fetchone()
    return found is not None and found[0] >= removal.timestamp


def _removal(row: tuple[object, ...]) -> Removal:
    values = dict(zip(_FIELDS, row, strict=True))
    return msgspec.convert(values, Removal, strict=False)
