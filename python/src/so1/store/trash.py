# SPDX-License-Identifier: MIT
"""The wastebasket as commands see it: what the database has, and what other commands left since."""

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from so1.store import handover
from so1.store.database import DatabaseError, open_reader
from so1.store.removal import Removal
from so1.store.removals import COLUMNS, STARTED, TAKEN_BACK, removal_of

_HOUR_MS = 3_600_000
_READ = f"SELECT {COLUMNS}, watched_ms, layer_bytes FROM removals ORDER BY timestamp, container_id"  # noqa: S608 - constants
_NOW = """
    SELECT max(ifnull((SELECT watched_ms FROM metrics ORDER BY id DESC LIMIT 1), 0),
        ifnull((SELECT max(watched_ms) FROM removals), 0))
"""
HERE = ("trashed", "returning")
"""The steps of what is in the wastebasket."""
_EVENT = "SELECT container_id FROM events WHERE id = ?"


class Item(msgspec.Struct, frozen=True):
    """A removal; hours is for how long it is at its step, None where that is not known yet."""

    removal: Removal
    hours: float | None
    layer_bytes: int | None


def read(store: Path) -> list[Item]:
    """Give every removal that is remembered, by id, the newest last.

    Raises DatabaseError where the database cannot be read.
    """
    try:
        with contextlib.closing(open_reader(store)) as connection:
            connection.row_factory = None
            (now,) = connection.execute(_NOW).fetchone()
            rows = connection.execute(_READ).fetchall()
        runs = handover.read(store.parent)
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, DatabaseError):
            raise
        raise DatabaseError(f"{store} cannot be read: {error}") from error
    found = {}
    for *row, watched, size in rows:
        removal = removal_of(tuple(row))
        hours = None if watched is None else max(0, now - watched) / _HOUR_MS
        found[removal.container_id] = Item(removal, hours, size)
    for run in runs:
        for removal in run.removals:
            known = found.get(removal.container_id)
            if known is None or known.removal.timestamp < removal.timestamp:
                found[removal.container_id] = Item(removal, None, None)
    return sorted(found.values(), key=lambda item: item.removal.timestamp)


def held(store: Path) -> list[Item]:
    """Give what is in the wastebasket, the oldest first.

    Raises DatabaseError where the database cannot be read: it is not empty where nobody knows.
    """
    return [item for item in read(store) if item.removal.step in HERE]


def may_be_there(store: Path) -> bool:
    """Whether there is a database, as far as this user may see."""
    try:
        return store.exists()
    except PermissionError:
        return True


def of_event(store: Path, number: int) -> str | None:
    """Tell which container an event is about; None where there is no such event.

    Raises DatabaseError where the database cannot be read.
    """
    try:
        with contextlib.closing(open_reader(store)) as connection:
            row = connection.execute(_EVENT, (number,)).fetchone()
    except DatabaseError:
        raise
    except sqlite3.Error as error:
        raise DatabaseError(f"{store} cannot be read: {error}") from error
    return str(row[0]) if row and row[0] else None


def spared(store: Path, hours: float) -> dict[str, str]:
    """Give whom somebody took back within so many hours, by id, and why each is left alone.

    Those in the wastebasket are among them: one that runs was started by hand. Nobody where there
    is no database. Raises DatabaseError where it cannot be read.
    """
    if not may_be_there(store):
        return {}
    found = read(store)
    back = TAKEN_BACK.format(hours)
    return {
        item.removal.container_id: STARTED if item.removal.step == "trashed" else back
        for item in found
        if item.removal.step in HERE
        or (item.removal.step == "returned" and (item.hours or 0) < hours)
    }
