# SPDX-License-Identifier: MIT
"""What is wrong at the moment: said once when it begins and once when it is over."""

import logging
import re
from collections import deque
from collections.abc import Callable

from so1.store.event import Event, Kind

_log = logging.getLogger(__name__)
_NUMBER = re.compile(r"0x[0-9a-f]+|[0-9]+")
_REASONS = 20
"""Different sentences of one trouble that are told; one that changes for ever is not."""
_EVENTS = 1_000
"""Events kept for a database that cannot be written to; the oldest go first."""


class Conditions:
    """Logs the beginning and the end of each trouble, and keeps both as events to be stored."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin without a trouble; `clock` gives Unix epoch seconds."""
        self._clock = clock
        self._now: dict[Kind, str] = {}
        self._told: dict[Kind, set[str]] = {}
        """What was told of each trouble since it began, without its numbers."""
        self.events: deque[Event] = deque(maxlen=_EVENTS)
        """What is still to be written to the database."""

    def happened(self, kind: Kind, outcome: str, detail: str, level: int = logging.INFO) -> None:
        """Log and keep something that happened once; outcome is 'done' or 'failed'."""
        _log.log(level, "%s", detail)
        self.events.append(
            Event(
                timestamp=round(self._clock() * 1000),
                kind=kind,
                outcome="failed" if outcome == "failed" else "done",
                detail=detail,
            )
        )

    def begins(self, kind: Kind, sentence: str) -> None:
        """Note that something does not work; repeated each tick, it is said once for each reason.

        A reason that differs in numbers alone (a port, an address in memory) is the same one.
        """
        told = self._told.setdefault(kind, set())
        reason = _NUMBER.sub("#", sentence)
        if reason not in told and len(told) < _REASONS:
            told.add(reason)
            self.happened(kind, "failed", sentence, logging.WARNING)
        self._now[kind] = sentence

    def over(self, kind: Kind, sentence: str) -> None:
        """Note that it works; said only where it did not before."""
        self._told.pop(kind, None)
        if self._now.pop(kind, None) is not None:
            self.happened(kind, "done", sentence)

    def lasts(self, kind: Kind) -> bool:
        """Whether it did not work when it was last tried."""
        return kind in self._now

    @property
    def current(self) -> list[str]:
        """What does not work now, a sentence each."""
        return list(self._now.values())
