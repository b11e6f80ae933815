# SPDX-License-Identifier: MIT
"""One removal of a container, as the journal keeps it."""

from typing import Literal

import msgspec

from so1.store.event import Event, Outcome

Step = Literal["planned", "stopping", "removed", "refused", "failed"]
_OUTCOMES: dict[Step, Outcome] = {"removed": "done", "refused": "refused", "failed": "failed"}
_SAID: dict[Outcome, str] = {
    "done": "Removed",
    "planned": "Would be removed",
    "refused": "Not removed",
    "failed": "Not removed",
}


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table removals: how far the removal of a container came.

    timestamp is when it came to this step, Unix epoch milliseconds. ram_usage is the memory that
    the kernel charged the container, in KiB, cpu_usage percent of one CPU. reason says why it goes
    or, once it ended otherwise, why it stays; failure is what went wrong on the way. started_at is
    the start that was looked at, by the engine's clock. told says that an event tells how it ended.
    """

    container_id: str
    container_name: str
    image: str
    class_: str
    ram_usage: int | None = None
    cpu_usage: float | None = None
    rule: str
    reason: str
    step: Step
    timestamp: int
    by: Literal["governor", "cleanup"] = "governor"
    started_at: float | None = None
    failure: str | None = None
    recreate: str | None = None
    told: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.step in _OUTCOMES

    @property
    def outcome(self) -> Outcome:
        """What an event says of it: where it has not ended, what went wrong."""
        return _OUTCOMES.get(self.step, "failed")

    def event(self) -> Event:
        """Tell how it ended, or what went wrong on the way."""
        outcome = self.outcome
        return self.told_as(outcome, self.reason if self.ended else self.failure or self.reason)

    def told_as(self, outcome: Outcome, why: str) -> Event:
        """Make an event of it."""
        return Event(
            timestamp=self.timestamp,
            kind="remove",
            outcome=outcome,
            detail=f"{_SAID[outcome]}: {why}.",
            container_id=self.container_id,
            container_name=self.container_name,
            image=self.image,
            class_=self.class_,
            ram_usage=self.ram_usage,
            cpu_usage=self.cpu_usage,
            rule=self.rule,
            recreate=self.recreate,
        )
