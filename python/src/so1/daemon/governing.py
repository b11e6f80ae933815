# SPDX-License-Identifier: MIT
"""The loop that acts on the newest sample, for as long as it takes."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from so1.daemon.conditions import Conditions
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.governor.decision import Decision, Note
from so1.governor.policy import Plan
from so1.model import ContainerUsage
from so1.sample import Sample
from so1.store import decisions
from so1.store.event import Event

_log = logging.getLogger(__name__)


class Governor(Protocol):
    """What the loop needs of the governor."""

    def govern(
        self,
        usages: Sequence[ContainerUsage],
        taken_ns: int,
        tell: Callable[[Event], None],
        note: Note,
    ) -> object:
        """Plan and act on what was measured then, on CLOCK_BOOTTIME; tell each thing at once.

        `note` gets what was decided, and upon what, before any of it is done.

        What it gives is true where anything was done.
        """

    def stop(self) -> None:
        """Begin nothing further."""


class Governing:
    """Hands the governor one sample after the other; one that comes meanwhile replaces the last."""

    def __init__(
        self, governor: Governor, storing: Storing, outbox: Outbox, conditions: Conditions
    ) -> None:
        """Begin without a sample."""
        self._governor = governor
        self._storing = storing
        self._outbox = outbox
        self._conditions = conditions
        self._changed = threading.Condition()
        self._newest: Sample | None = None
        self._acted_ns = 0
        """When the governor had done something last, on CLOCK_BOOTTIME."""
        self._ending = False

    def hand(self, sample: Sample) -> None:
        """Make this the sample that is acted upon next; returns at once."""
        with self._changed:
            self._newest = sample
            self._changed.notify()

    def stop(self) -> None:
        """Begin nothing further."""
        self._governor.stop()
        with self._changed:
            self._ending = True
            self._changed.notify()

    def run(self) -> None:
        """Act on samples until `stop`."""
        while sample := self._wait():
            self.act(sample)

    def act(self, sample: Sample) -> None:
        """Act on one sample, unless it is from before what was done last.

        No fault in it ends the daemon.
        """
        taken_ns = sample.snapshot.taken_ns
        if taken_ns < self._acted_ns:
            return
        try:
            note = partial(self._note, sample)
            if self._governor.govern(list(sample.containers), taken_ns, self._tell, note):
                self._acted_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        except Exception as error:  # noqa: BLE001 - a fault of ours is told, and the next may do better
            _log.exception("the governor failed")
            self._conditions.begins(
                "governor", f"The governor failed, the journal has the whole of it: {error!r}."
            )
        else:
            self._conditions.over("governor", "The governor works again.")

    def _wait(self) -> Sample | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ending)
            sample, self._newest = self._newest, None
            return None if self._ending else sample

    def _note(self, sample: Sample, decision: Decision, planned: Plan) -> None:
        """Keep what was decided; before something goes, so that a kill leaves no event without."""
        self._outbox.decided(decisions.row(sample, decision))
        acts = planned.removals and decision.policy.mode == "enforce"
        if acts and not self._conditions.lasts("database"):
            self._storing.flush()

    def _tell(self, event: Event) -> None:
        line = f"{event.kind} {event.container_name} {event.outcome}: {event.detail}"
        if event.outcome == "done" and event.recreate:
            # On a full disk the journal may be all that is left of it.
            line += f" To bring it back: {event.recreate}"
        _log.info("%s", line)
        self._outbox.put(event)
        # What is gone cannot be told again, so its event does not wait for the tick; but where the
        # database takes none, each would only be waited for: they come with the tick.
        if not self._conditions.lasts("database"):
            self._storing.flush()
