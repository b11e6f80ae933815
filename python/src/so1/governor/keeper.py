# SPDX-License-Identifier: MIT
"""What the daemon does about the wastebasket in each tick."""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from so1.config import Policy
from so1.docker_engine import Engine, EngineError, NotFoundError, UnreachableError
from so1.governor import basket
from so1.store.removal import Removal
from so1.store.removals import JournalError, Kept

_log = logging.getLogger(__name__)
_BUDGET = 5.0
"""Seconds after which nothing more is removed for good in one tick."""
_MEASURING = 2.0
"""Seconds after which no further size is measured in one tick."""


class Journal(Protocol):
    """What is needed of the journal; each method raises JournalError."""

    def write(self, removals: Sequence[Removal], *, dropped: Sequence[str] = ()) -> None:
        """Write down how far these came, and forget others."""

    def basket(self) -> list[Kept]:
        """Give what is in the wastebasket, the oldest first."""

    def of(self, ids: Iterable[str]) -> list[Removal]:
        """Give the removals of these containers."""

    def measured(self, container_id: str, layer_bytes: int) -> None:
        """Note how large one in the wastebasket is."""

    def now_ms(self) -> int:
        """Tell the time by the clock of Kept.watched_ms."""


class Keeper:
    """Empties the wastebasket of what has been there for long enough, or is too much.

    To be called by whoever holds the wastebasket's lock.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        clock: Callable[[], float],
        beat: Callable[[], None],
    ) -> None:
        """Keep an engine's wastebasket; `beat` is called while that takes long."""
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._beat = beat
        self._unmeasurable: set[str] = set()

    def finish(self, returning: Iterable[Removal]) -> Iterator[Removal]:
        """Finish what a run of `so1 undo` that was killed had begun; gives each as it is then.

        One that stays in the wastebasket, or could not be asked about, says why in `failure`.
        """
        for removal in returning:
            self._beat()
            try:
                yield basket.take_back(removal, self._engine, write=_unwritten, clock=self._clock)
            except NotFoundError:
                why = "somebody else has removed it from the engine"
                yield basket.at(removal, "emptied", self._clock, told=False, reason=why)
            except UnreachableError as error:
                yield replace(removal, failure=str(error))
                return
            except EngineError as error:
                kept = basket.at(removal, "trashed", self._clock, told=True)
                yield replace(kept, failure=str(error))

    def tend(
        self, running: Collection[str], policy: Policy, *, done: Collection[str] = ()
    ) -> Iterator[Removal]:
        """Remove for good what is due; gives each removal as it ended.

        `running` are the containers that ran a while ago: one of them may have been started by
        hand. `done` are those that the journal holds at a step that is over. In the mode observe
        nothing is removed. Raises JournalError.
        """
        kept = [one for one in self._journal.basket() if one.container_id not in done]
        self._unmeasurable &= {one.container_id for one in kept}
        for removal in self._journal.of(
            one.container_id for one in kept if one.container_id in running
        ):
            taken = self._looked(removal)
            if taken:
                # Not in this tick either, should it end meanwhile.
                kept = [one for one in kept if one.container_id != taken.container_id]
                yield taken
        if not kept or policy.mode == "observe":
            return
        until = time.monotonic() + _MEASURING
        kept = [self._measured(one) if time.monotonic() < until else one for one in kept]
        until = time.monotonic() + _BUDGET
        due = basket.due(kept, policy, self._journal.now_ms())
        gone = {one.container_id for one, _ in due}
        left = [one for one in kept if one.container_id not in gone]
        for one, why in due:
            if time.monotonic() > until:
                return
            yield from self._empty(one, why)
        for one in left:
            used = self._disk()
            if used is None or used <= policy.trash_disk_percent or time.monotonic() > until:
                return
            yield from self._empty(one, f"the disk of Docker's data was {used:.0f} % full")

    def _looked(self, removal: Removal) -> Removal | None:
        try:
            now = self._engine.inspect(removal.container_id)
        except EngineError as error:
            _log.info("%s", error)
            return None
        return basket.by_hand(removal, now, self._clock)

    def _empty(self, one: Kept, why: str) -> Iterator[Removal]:
        self._beat()
        for removal in self._journal.of([one.container_id]):
            try:
                yield basket.empty(removal, self._engine, why, self._clock)
            except EngineError as error:
                _log.info("%s", error)

    def _measured(self, one: Kept) -> Kept:
        """Measure one that was not; what cannot be measured is not asked about again."""
        if one.layer_bytes is not None or one.container_id in self._unmeasurable:
            return one
        self._beat()
        try:
            size = self._engine.layer_bytes(one.container_id)
        except EngineError as error:
            _log.info("%s", error)
            self._unmeasurable.add(one.container_id)
            return one
        try:
            self._journal.measured(one.container_id, size)
        except JournalError as error:
            _log.info("%s", error)
        return one._replace(layer_bytes=size)

    def _disk(self) -> float | None:
        """Tell how full the disk of the engine's data is; None where that cannot be seen."""
        try:
            root = self._engine.data_root()
            return None if root is None else disk_percent(root)
        except (EngineError, OSError) as error:
            _log.info("%s", error)
            return None


def disk_percent(path: Path) -> float:
    """Tell how many percent of a disk are used, as df does; raises OSError."""
    found = os.statvfs(path)
    used = found.f_blocks - found.f_bfree
    return 100 * used / max(1, used + found.f_bavail)


def _unwritten(_: Removal) -> None:
    """Write nothing: it is in the journal at this step already."""
