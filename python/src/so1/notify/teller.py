# SPDX-License-Identifier: MIT
"""Tells of events, each in one message, whatever ends this process in between."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from so1.config import Notify
from so1.notify import events, state
from so1.notify.error import NotSentError
from so1.notify.message import Message, make
from so1.notify.state import Pending, State
from so1.store.database import DatabaseError

_log = logging.getLogger(__name__)
_LOOK_S = 5.0
"""Between two looks at the database."""
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 900.0
"""Each failure doubles the wait, up to this."""
_DATABASE_WAIT_S = 60.0
"""The same where the database cannot be read: that bothers nobody else."""
_HOUR_S = 3_600


class Teller:
    """Sends what there is to tell, and remembers it.

    A message is written down before it is sent, and noted as told afterwards. If this ends in
    between, the same message is sent again with the same id.
    """

    def __init__(
        self,
        policy: Notify,
        store: Path,
        file: Path,
        send: Callable[[Message], None],
        host: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Go on from `file`; `send` raises NotSentError, `clock` gives Unix epoch seconds.

        Raises StateError.
        """
        self._policy = policy
        self._store = store
        self._file = file
        self._send = send
        self._host = host
        self._clock = clock
        self._state = state.load(file)
        self._failures = 0
        self._problem = ""

    def step(self) -> float:
        """Do what is due; gives the seconds until this should be called again."""
        longest = _LONGEST_WAIT_S
        try:
            more = self._tell()
        except NotSentError as error:
            problem = str(error)
        except DatabaseError as error:
            problem = str(error)
            longest = _DATABASE_WAIT_S
        except OSError as error:
            problem = f"{self._file} cannot be written: {error.strerror or error}"
        else:
            if self._problem:
                _log.info("Events are told again.")
            self._problem, self._failures = "", 0
            return 0 if more else _LOOK_S
        if problem != self._problem:
            _log.warning("Events are not told, and wait: %s.", problem)
        wait = min(longest, _FIRST_WAIT_S * 2.0 ** min(self._failures, 10))
        self._problem, self._failures = problem, self._failures + 1
        return wait

    def _tell(self) -> bool:
        """Send a message, where one is due; whether there may be another."""
        known = self._state
        if known is None:
            # What happened before anybody wanted to be told is old news.
            known = self._keep(State(events.present(self._store)))
        if known.pending is None:
            known = self._compose(known)
        if known.pending is None:
            return False
        self._send(known.pending.message)
        # It is told, even where that cannot be written down.
        self._state = State(known.pending.end, None, (*self._recent(known), self._clock()))
        self._keep(self._state)
        return True

    def _compose(self, known: State) -> State:
        """Write down what to send next, if anything is due."""
        now = self._clock()
        oldest = round((now - self._policy.oldest_hours * _HOUR_S) * 1000)
        batch = events.after(self._store, known.position, self._policy.events, oldest)
        if not batch.items and not batch.omitted:
            moved = batch.end != known.position
            return (
                self._keep(msgspec.structs.replace(known, position=batch.end)) if moved else known
            )
        full = len(batch.items) == events.MOST or batch.omitted > 0
        # An event from the future counts as old: the clock was set.
        if not full and 0 <= now - batch.items[0].timestamp / 1000 < self._policy.batch_seconds:
            return known
        if len(self._recent(known)) >= self._policy.per_hour:
            return known
        message = make(self._host, now, batch.items, batch.omitted, batch.end.event)
        return self._keep(msgspec.structs.replace(known, pending=Pending(message, batch.end)))

    def _recent(self, known: State) -> list[float]:
        now = self._clock()
        return [at for at in known.sent if now - _HOUR_S < at <= now]

    def _keep(self, new: State) -> State:
        state.save(self._file, new)
        self._state = new
        return new
