# SPDX-License-Identifier: MIT
"""What is wrong at the moment: said once when it begins and once when it is over."""

import logging
import re
import threading
from collections.abc import Callable

from so1.daemon.outbox import Outbox
from so1.store.event import Event, Kind

_log = logging.getLogger(__name__)
_NUMBER = re.compile(r"0x[0-9a-f]+|[0-9]+")
_REASONS = 20
"""Different sentences of one trouble that are told; one that changes for ever is not."""


class Conditions:
    """Logs the beginning and the end of each, and puts both into the outbox; from any thread."""

    def __init__(self, outbox: Outbox, clock: Callable[[], float]) -> None:
        """Begin with none; `clock` gives Unix epoch seconds."""
        self._outbox = outbox
        self._clock = clock
        self._lock = threading.RLock()
        self._now: dict[Kind, str] = {}
        self._told: dict[Kind, set[str]] = {}
        """What was told of each since it began, without its numbers."""

    def happened(self, kind: Kind, outcome: str, detail: str, level: int = logging.INFO) -> None:
        """Log and keep something that happened once; outcome is 'done' or 'failed'."""
        _log.log(level, "%s", detail)
        self._outbox.put(
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
        with self._lock:
            told = self._told.setdefault(kind, set())
            reason = _NUMBER.sub("#", sentence)
            if reason not in told and len(told) < _REASONS:
                told.add(reason)
                self.happened(kind, "failed", sentence, logging.WARNING)
            self._now[kind] = sentence

    def over(self, kind: Kind, sentence: str) -> None:
        """Note that it works; said only where it did not before."""
        with self._lock:
            self._told.pop(kind, None)
            if self._now.pop(kind, None) is not None:
                self.happened(kind, "done", sentence)

    def lasts(self, kind: Kind) -> bool:
        """Whether it did not work when it was last tried."""
        return kind in self._now

    @property
    def current(self) -> list[str]:
        """What does not work now, a sentence each."""
        with self._lock:
            return list(self._now.values())
