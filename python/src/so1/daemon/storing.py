# SPDX-License-Identifier: MIT
"""The database as the loops see it: what it does not take is told, and goes in later."""

import logging
import sqlite3
from collections.abc import Callable, Sequence

from so1.daemon.conditions import Conditions
from so1.daemon.outbox import Outbox
from so1.store.database import Database, DatabaseError
from so1.store.event import Event
from so1.store.rows import DecisionRow, Tick

Build = Callable[[int, Sequence[Event], Sequence[DecisionRow]], Tick]


class Storing:
    """Writes ticks and events; from any thread, one at a time."""

    def __init__(self, database: Database, outbox: Outbox, conditions: Conditions) -> None:
        """Write to an open database."""
        self.database = database
        self.outbox = outbox
        self._conditions = conditions
        self._say_noticed()

    def tick(self, build: Build) -> Tick | None:
        """Write a tick with the events and decisions that wait; None where it could not be written.

        `build` gets how many containers were removed since the last one, and what waits.
        """
        try:
            with (
                self.outbox.sending() as events,
                self.outbox.deciding() as decisions,
                self.outbox.counting() as removed,
            ):
                tick = build(removed, events, decisions)
                self.database.write_tick(tick)
        except sqlite3.DatabaseError as error:
            self._cannot_write(error)
            return None
        self._conditions.over("database", "The database is written to again.")
        self._say_noticed()
        return tick

    def flush(self) -> None:
        """Write the events and decisions that wait, before the tick does."""
        try:
            with self.outbox.sending() as events, self.outbox.deciding() as decisions:
                if events or decisions:
                    self.database.add_events(events, decisions)
        except sqlite3.DatabaseError as error:
            self._cannot_write(error)

    def prune(self, keep_ms: int, keep_events_ms: int, max_bytes: int) -> None:
        """Delete what is too old or too much; see Database.prune."""
        try:
            self.database.prune(keep_ms, keep_events_ms, max_bytes)
        except sqlite3.DatabaseError as error:
            self._cannot_write(error)
        if held := self.database.held():
            self._conditions.begins("reader", held)
        else:
            self._conditions.over("reader", "The log of the database begins anew again.")

    def _say_noticed(self) -> None:
        while self.database.notices:
            notice = self.database.notices.popleft()
            self._conditions.happened("database", "failed", notice, logging.ERROR)

    def _cannot_write(self, error: sqlite3.DatabaseError) -> None:
        damaged = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
        name = getattr(error, "sqlite_errorname", "")
        if not self.database.damaged and not name.startswith(damaged):
            self._conditions.begins("database", f"The database cannot be written to: {error}.")
            self._say_noticed()
            return
        try:
            self.database.replace()
        except DatabaseError as failure:
            self._conditions.begins("database", f"{failure}.")
        self._say_noticed()
