# SPDX-License-Identifier: MIT
"""One removal of a container, as the journal keeps it."""

from typing import Any, Literal

import msgspec

from so1.store.event import Event, Kind, Outcome

Step = Literal[
    "planned",
    "stopping",
    "removed",
    "refused",
    "failed",
    "trashed",
    "emptied",
    "returning",
    "returned",
]
_OUTCOMES: dict[Step, Outcome] = {
    "removed": "done",
    "refused": "refused",
    "failed": "failed",
    "trashed": "done",
    "emptied": "done",
    "returned": "done",
}
_KINDS: dict[Step, Kind] = {"emptied": "trash", "returning": "undo", "returned": "undo"}
_SAID: dict[Outcome, str] = {
    "done": "Removed",
    "planned": "Would be removed",
    "refused": "Not removed",
    "failed": "Not removed",
}
_SAID_OF: dict[Step, str] = {
    "trashed": "Moved to the wastebasket",
    "emptied": "Removed for good",
    "returning": "Not taken back",
    "returned": "Taken back",
}
_TRASH = "so1-trash-"


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """What a container was before it was stopped.

    restart is its restart policy as the engine has it, image_id what its image's name stood for.
    body is what the engine is given to make it anew once it is gone; no secret is in it. unset are
    the environment variables whose values are not in it; lost is, a clause each, what else is not.
    """

    name: str
    running: bool
    restart: dict[str, Any]
    image_id: str
    body: dict[str, Any] | None = None
    unset: list[str] = []
    lost: list[str] = []


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table removals: how far the removal of a container came.

    timestamp is when it came to this step, Unix epoch milliseconds. ram_usage is the memory that
    the kernel charged the container, in KiB, cpu_usage percent of one CPU. reason says why it goes
    or, once it ended otherwise, why it stays; failure is what went wrong on the way. started_at is
    the start that was looked at, by the engine's clock. told says that an event tells how it ended.
    original is what the container was, None where that could not be seen.
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
    original: Original | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do now; what is in the wastebasket goes on another day."""
        return self.step in _OUTCOMES

    @property
    def outcome(self) -> Outcome:
        """What an event says of it: where it has not ended, what went wrong."""
        return _OUTCOMES.get(self.step, "failed")

    @property
    def trash_names(self) -> tuple[str, str]:
        """The names that it may have in the wastebasket; the second is for when one is taken."""
        name = self.original.name if self.original else self.container_name
        return trash_name(self.container_id, name), f"{_TRASH}{self.container_id}"

    def event(self) -> Event:
        """Tell how it ended, or what went wrong on the way."""
        outcome = self.outcome
        return self.told_as(outcome, self.reason if self.ended else self.failure or self.reason)

    def told_as(self, outcome: Outcome, why: str) -> Event:
        """Make an event of it."""
        said = _SAID_OF.get(self.step, _SAID[outcome]) if outcome != "planned" else _SAID[outcome]
        return Event(
            timestamp=self.timestamp,
            kind=_KINDS.get(self.step, "remove"),
            outcome=outcome,
            detail=f"{said}: {why}.",
            container_id=self.container_id,
            container_name=self.container_name,
            image=self.image,
            class_=self.class_,
            ram_usage=self.ram_usage,
            cpu_usage=self.cpu_usage,
            rule=self.rule,
            recreate=self.recreate,
        )


def trash_name(container_id: str, name: str) -> str:
    """Name a container in the wastebasket: people find the old name in it."""
    return f"{_TRASH}{container_id[:12]}-{name}"


def old_name(container_id: str, name: str) -> str:
    """Give the name without what the wastebasket put before it.

    Of the second of the trash names nothing but the id is left.
    """
    if name == f"{_TRASH}{container_id}":
        return container_id[:12]
    return name.removeprefix(trash_name(container_id, "")) or name
