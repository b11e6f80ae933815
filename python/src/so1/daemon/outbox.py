# SPDX-License-Identifier: MIT
"""Events and decisions on their way to the database."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

from so1.store.event import Event
from so1.store.rows import DecisionRow

T = TypeVar("T")

_EVENTS = 1_000
"""Events, and decisions, kept for a database that cannot be written to; the oldest go first."""


class Outbox:
    """Keeps events until they are stored; any thread may put some in, and one at a time sends."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._sending = threading.RLock()
        self._waiting: deque[Event] = deque(maxlen=_EVENTS)
        self._fresh: deque[Event] = deque(maxlen=_EVENTS)
        self._decided: deque[DecisionRow] = deque(maxlen=_EVENTS)
        self._removed = 0

    def put(self, event: Event) -> None:
        """Keep an event until it is stored."""
        with self._lock:
            self._waiting.append(event)
            self._fresh.append(event)
            self._removed += event.kind == "remove" and event.outcome == "done"

    def decided(self, decision: DecisionRow) -> None:
        """Keep a decision until it is stored."""
        with self._lock:
            self._decided.append(decision)

    def fresh(self) -> list[Event]:
        """Give what was put in since this was last called, stored or not."""
        with self._lock:
            events = list(self._fresh)
            self._fresh.clear()
        return events

    @contextlib.contextmanager
    def sending(self) -> Iterator[list[Event]]:
        """Hand over what events wait; where the block ends without an error, it is stored."""
        with self._handing(self._waiting) as events:
            yield events

    @contextlib.contextmanager
    def deciding(self) -> Iterator[list[DecisionRow]]:
        """Hand over the decisions that wait, in the same way."""
        with self._handing(self._decided) as decisions:
            yield decisions

    @contextlib.contextmanager
    def _handing(self, waiting: deque[T]) -> Iterator[list[T]]:
        with self._sending:
            with self._lock:
                handed = list(waiting)
            yield handed
            sent = set(map(id, handed))
            with self._lock:
                left = [one for one in waiting if id(one) not in sent]
                waiting.clear()
                waiting.extend(left)

    @contextlib.contextmanager
    def counting(self) -> Iterator[int]:
        """Hand over how many containers were removed; where the block ends, that is stored too."""
        with self._lock:
            removed = self._removed
        yield removed
        with self._lock:
            self._removed -= removed
