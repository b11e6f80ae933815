# SPDX-License-Identifier: MIT
"""Events from the database, as far as they are still to be told."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from pathlib import Path

import msgspec

from so1.escape_controls import escape_controls
from so1.notify.message import Item
from so1.store.database import DatabaseError, open_reader

MOST = 20
"""Events in a message."""
_WAITING = 100
"""Events that wait to be told one by one; those before them are counted."""
_LENGTHS = {
    "kind": 32,
    "outcome": 32,
    "container_name": 64,
    "image": 128,
    "class": 16,
    "rule": 32,
    "detail": 400,
}
"""Characters of each column that are told; a stranger chooses how long a name is."""
_COLUMNS = ", ".join(
    ["id", "timestamp", *(f"substr({name}, 1, {most})" for name, most in _LENGTHS.items())]
)
_LAST = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
_TIMESTAMP = "SELECT timestamp FROM events WHERE id = ?"


class Position(msgspec.Struct, frozen=True):
    """How far events were told: the last one's id and its timestamp in milliseconds.

    timestamp is None where there was no such event any more, or never one.
    """

    event: int
    timestamp: int | None


class Batch(msgspec.Struct, frozen=True):
    """What comes next: `end` is the position when it is told."""

    items: list[Item]
    omitted: int
    end: Position


def present(store: Path) -> Position:
    """Give the position of the newest event. Raises DatabaseError."""
    with _reading(store) as connection:
        return _position(connection, connection.execute(_LAST).fetchone()[0])


def after(store: Path, told: Position, chosen: Sequence[str], since_ms: int) -> Batch:
    """Give the oldest events after those that were told.

    `chosen` has patterns such as `remove/done` and `*/failed`. Those before `since_ms` and those
    that are too many are counted only, the oldest first. Where another database has taken the
    place of the one that was read, all of its events are new. Raises DatabaseError.
    """
    if not chosen:
        return Batch([], 0, present(store))
    with _reading(store) as connection:
        (last,) = connection.execute(_LAST).fetchone()
        start = told.event if _is_same(connection, told, last) else 0
        matches = " OR ".join("kind || '/' || outcome GLOB ?" for _ in chosen)
        where = f"FROM events WHERE id > ? AND ({matches})"
        rows = connection.execute(
            f"SELECT {_COLUMNS} {where} ORDER BY id DESC LIMIT ?",
            (start, *chosen, _WAITING),
        ).fetchall()
        waiting = list(dropwhile(lambda row: row[1] < since_ms, reversed(rows)))
        first = waiting[0][0] if waiting else last + 1
        (omitted,) = connection.execute(
            f"SELECT count(*) {where} AND id < ?",
            (start, *chosen, first),
        ).fetchone()
        end = waiting[MOST - 1][0] if len(waiting) > MOST else last
        position = _position(connection, end)
    return Batch([_item(row) for row in waiting[:MOST]], omitted, position)


@contextlib.contextmanager
def _reading(store: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(open_reader(store)) as connection:
            connection.row_factory = None
            yield connection
    except DatabaseError:
        raise
    except sqlite3.Error as error:
        raise DatabaseError(f"{store} cannot be read: {error}") from error


def _is_same(connection: sqlite3.Connection, told: Position, last: int) -> bool:
    if last < told.event:
        return False
    found = connection.execute(_TIMESTAMP, (told.event,)).fetchone()
    # An old event may have been deleted meanwhile.
    return found is None or told.timestamp is None or found[0] == told.timestamp


def _position(connection: sqlite3.Connection, event: int) -> Position:
    found = connection.execute(_TIMESTAMP, (event,)).fetchone()
    return Position(event, found[0] if found else None)


def _item(row: tuple[object, ...]) -> Item:
    id_, timestamp, *texts = row
    safe = [None if one is None else escape_controls(str(one)) for one in texts]
    kind, outcome, container_name, image, class_, rule, detail = safe
    return Item(
        id=int(str(id_)),
        timestamp=int(str(timestamp)),
        kind=str(kind),
        outcome=str(outcome),
        container_name=container_name,
        image=image,
        class_=class_,
        rule=rule,
        detail=detail,
    )
