# SPDX-License-Identifier: MIT
"""The governor: plans and acts tick after tick, and tells what it does once, not every tick."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Protocol

from msgspec.structs import replace

from so1.config import Config, Policy
from so1.docker_engine import Engine, EngineError, Happened, UnreachableError
from so1.governor import checks, keeper, removal
from so1.governor.decision import Decision, Note
from so1.governor.policy import Plan, Verdict
from so1.model import Container, ContainerUsage
from so1.store.event import Event, Outcome
from so1.store.removal import Removal
from so1.store.removals import JournalError

Tell = Callable[[Event], None]

_log = logging.getLogger(__name__)
_AT_ONCE = 4
"""Removals side by side: each may take the whole time that a container is given to stop."""
_BUDGET = 15.0
"""Seconds after which no further removal is begun on an old sample; the next one goes on."""
_BEAT = 1.0
"""Seconds between two signs of life while containers are being stopped."""
_UNMEASURED_NS = 60_000_000_000
"""How long a container's figures may be missing before that is told: it may have just begun."""


class Journal(keeper.Journal, Protocol):
    """Where removals are written down before they are carried out (store.removals.Removals)."""

    def write(self, removals: Sequence[Removal], *, dropped: Sequence[str] = ()) -> None:
        """Write down how far these came, and forget others; raises JournalError."""

    def take_in(self) -> list[Removal]:
        """Give those that are not told or not ended; raises JournalError."""

    def ended(self) -> list[Removal]:
        """Give those that ended and were told; raises JournalError."""

    def alone(self) -> AbstractContextManager[bool]:
        """Keep others away from the wastebasket; gives False where one is at it."""

    def spared(self, hours: float) -> dict[str, str]:
        """Give whom somebody took back within so many hours, and why each is left alone."""


class Governor:
    """Keeps an engine's managed containers within a policy.

    `govern` is called from one thread, with one sample after the other; `reconfigure` and `stop`
    from any.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        journal: Journal,
        *,
        beat: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Govern an engine's containers; `beat` is called while that takes long.

        `clock` gives the time of events, Unix epoch seconds; nothing is decided by it.
        """
        self._engine = engine
        self._policy = policy
        self._journal = journal
        self._beat = beat
        self._clock = clock
        self._ending = threading.Event()
        self._known: dict[str, Removal] = {}
        """Removals that have not ended or are not told for good yet, by container."""
        self._unwritten: set[str] = set()
        """Those of which the journal did not take the last step."""
        self._said: dict[str, set[tuple[str, ...]]] = {}
        """What was told of each container."""
        self._left: set[str] | None = None
        """The containers for which an emergency had no time; None before the first tick."""
        self._held: dict[str, str] = {}
        """The containers that may never be removed, and why."""
        self._may_go: set[str] = set()
        """Those that were looked at and are none of these."""
        self._missing: dict[str, int] = {}
        """Since when a container is unmeasured."""
        self._spared: dict[str, str] = {}
        """Whom somebody took back, and why each is left alone."""
        self._keeper = keeper.Keeper(engine, journal, clock=clock, beat=beat)

    def reconfigure(self, config: Config) -> None:
        """Go by another configuration from the next tick on; what was begun and told stays."""
        self._policy = config.governor
        self._engine.reconfigure(config.docker)

    def stop(self) -> None:
        """Begin no further removal; those under way are carried on."""
        self._ending.set()

    def running(self) -> list[Container]:
        """List the running containers; raises EngineError."""
        return self._engine.running()

    def events(self, since_ns: int, seconds: int) -> Iterator[Happened]:
        """Give what happened to containers since then, and what does for so many seconds."""
        return self._engine.events(since_ns, seconds)

    def govern(
        self,
        usages: Sequence[ContainerUsage],
        taken_ns: int,
        tell: Tell = lambda _: None,
        note: Note = lambda *_: None,
    ) -> list[Event]:
        """Plan and act on one sample; gives an event for each thing that was not told before.

        usages are all running containers as they were at `taken_ns`, on CLOCK_BOOTTIME. `tell`
        gets each event as soon as there is one, in this thread, while others may still be stopping;
        an event in the database is never told again. `note` gets what was decided, and upon what,
        before any of it is done. What is refused, fails or, in the mode observe, is only planned
        stays so for many ticks: it is told once for each container and reason. Ends after the
        budget and the longest time that a container is given to stop.
        """
        policy = self._policy
        events: list[Event] = []

        def say(event: Event) -> None:
            tell(event)
            events.append(event)

        listed = {usage.container.id for usage in usages}
        with self._journal.alone() as alone:
            self._remember(policy, say)
            self._forget(listed)
            if alone:
                self._tend(listed, policy, say)
        self._finish(listed, policy, say)
        if policy.mode == "observe":
            # What was planned and not begun does not wait for the mode to change: by then it would
            # be old, and an emergency that ended long ago would go on.
            self._drop_planned(())
            self._left = set()
        decision, planned = self._decide(usages, policy, taken_ns)
        note(decision, planned)
        self._remark(planned, say)
        self._spare(planned, say)
        if policy.mode == "observe":
            self._show(planned, say)
        else:
            self._carry_out(planned, policy, say)
        return events

    def _remember(self, policy: Policy, say: Tell) -> None:
        """Take up what was begun before, by this process, an earlier one, or the clean-up."""
        try:
            found = {one.container_id: one for one in self._journal.take_in()}
            self._spared = self._journal.spared(policy.undo_spare_hours)
            if self._left is None:
                for one in self._journal.ended():
                    self._tells(one.container_id, one.outcome, one.rule, one.reason)
        except JournalError as error:
            _log.warning("the journal of removals cannot be read: %s", error)
            return
        # The database has told what ended and is not among these any more.
        self._known = found | {
            id_: one
            for id_, one in self._known.items()
            if (not one.ended or id_ in found or id_ in self._unwritten)
            and not _overtakes(found.get(id_), one)
        }
        if self._left is None:
            self._left = {
                id_ for id_, one in self._known.items() if one.rule == "emergency" and not one.ended
            }
            for one in self._known.values():
                if one.failure:
                    self._tells(one.container_id, "failed", one.rule, one.failure)
        # What the journal did not take when it came to it.
        self._write(
            [
                one
                for id_, one in self._known.items()
                if found.get(id_, one) != one or id_ in self._unwritten
            ]
        )
        for one in list(self._known.values()):
            if one.ended and self._tells(one.container_id, one.outcome, one.rule, one.reason):
                say(one.event())

    def _tend(self, listed: set[str], policy: Policy, say: Tell) -> None:
        """Finish what was to be taken back, and remove for good what was kept for long enough."""
        returning = [one for one in self._known.values() if one.step == "returning"]
        try:
            for row in self._keeper.finish(returning):
                if row.step == "returning":
                    why = row.failure or row.reason
                    if self._tells(row.container_id, "failed", row.rule, why):
                        say(row.event())
                elif row.step == "trashed":
                    self._write([row])
                    say(replace(row, step="returning").told_as("failed", row.failure or ""))
                else:
                    self._end(row, say)
            for row in self._keeper.tend(listed, policy, done=self._unwritten):
                self._end(row, say)
            self._spared = self._journal.spared(policy.undo_spare_hours)
        except JournalError as error:
            _log.warning("the wastebasket cannot be read: %s", error)

    def _forget(self, listed: set[str]) -> None:
        """Drop what is remembered of containers that do not run any more."""
        known = listed | self._known.keys()
        self._said = {id_: said for id_, said in self._said.items() if id_ in known}
        self._held = {id_: why for id_, why in self._held.items() if id_ in listed}
        self._missing = {id_: since for id_, since in self._missing.items() if id_ in listed}
        self._may_go &= listed

    def _tells(self, id_: str, *what: str) -> bool:
        """Whether something is to be told of a container: it is new."""
        said = self._said.setdefault(id_, set())
        new = what not in said
        said.add(what)
        return new

    def _finish(self, listed: set[str], policy: Policy, say: Tell) -> None:
        """Remove what stopped after all, too late for the one who asked for it.

        What still runs is in the plan again.
        """
        for id_, begun in list(self._known.items()):
            if id_ in listed or begun.step != "stopping":
                continue
            if policy.mode == "observe" and begun.by == "governor":
                # Nothing is removed in this mode; it is finished when the mode is another again.
                why = "it was stopped before the mode was observe"
                if self._tells(id_, "planned", why):
                    say(replace(begun, timestamp=self._now()).told_as("planned", why))
                continue
            self._beat()
            try:
                now = removal.finish(
                    begun,
                    self._engine,
                    write=self._begin,
                    clock=self._clock,
                    keep=policy.trash_hours > 0,
                )
            except UnreachableError as error:
                _log.info("%s", error)
                return
            except (EngineError, JournalError) as error:
                _log.info("%s", error)
                continue
            if now.ended:
                self._end(now, say)

    def _decide(
        self, usages: Sequence[ContainerUsage], policy: Policy, taken_ns: int
    ) -> tuple[Decision, Plan]:
        """Plan; where something would go, look again, and plan with what was seen."""
        unfinished = bool((self._left or set()) & {usage.container.id for usage in usages})
        ids = {usage.container.id for usage in usages}
        # Of a thousand in the wastebasket none runs: what is kept of a decision is about what does.
        spared = {id_: why for id_, why in self._spared.items() if id_ in ids}
        decision = Decision(usages, policy, taken_ns, unfinished, dict(self._held), spared)
        found = decision.plan()
        if found.removals and not found.emergency:
            usages, held, may_go = checks.look_again(usages, self._engine, beat=self._beat)
            self._held |= held
            self._may_go |= may_go
            decision = replace(decision, usages=usages, held=dict(self._held))
            found = decision.plan()
        while self._holds(found.removals):
            decision = replace(decision, held=dict(self._held))
            found = decision.plan()
        return decision, found

    def _holds(self, removals: Sequence[Verdict]) -> bool:
        """Whether one of these turns out to be never removed: then others go in its place."""
        found = False
        for verdict in removals:
            id_ = verdict.container.id
            if id_ in self._may_go:
                continue
            self._beat()
            try:
                why = checks.volumes_would_go(self._engine.inspect(id_))
            except UnreachableError:
                break
            except EngineError:
                # Gone, or broken: the removal will tell.
                continue
            if why is None:
                self._may_go.add(id_)
            else:
                self._held[id_] = why
                found = True
        return found

    def _remark(self, planned: Plan, say: Tell) -> None:
        """Tell of containers that are not treated as one would think, and why."""
        for verdict in planned.verdicts:
            container = verdict.container
            for why in container.odd_labels:
                if self._tells(container.id, why):
                    say(self._note(verdict, "labels", f"Not as its labels say: {why}."))
            if verdict.rule != "unmeasured":
                self._missing.pop(container.id, None)
            elif (
                planned.taken_ns - self._missing.setdefault(container.id, planned.taken_ns)
                < _UNMEASURED_NS
            ):
                continue
            if verdict.rule in ("unmeasured", "restarting", "may-not-go") and self._tells(
                container.id, verdict.rule
            ):
                say(self._note(verdict, verdict.rule, f"Kept: {verdict.reason}."))

    def _note(self, verdict: Verdict, rule: str, detail: str) -> Event:
        return Event(
            timestamp=self._now(),
            kind="governor",
            outcome="refused",
            detail=detail,
            container_id=verdict.container.id,
            container_name=verdict.container.name,
            image=verdict.container.image,
            class_=verdict.class_,
            ram_usage=verdict.usage.memory,
            cpu_usage=verdict.usage.cpu,
            rule=rule,
        )

    def _spare(self, planned: Plan, say: Tell) -> None:
        """Let go of what was asked to stop, still runs, and is to be kept by now."""
        for verdict in planned.verdicts:
            begun = self._known.get(verdict.container.id)
            if begun is None or begun.step != "stopping":
                continue
            if verdict.keep and verdict.rule != "unmeasured":
                try:
                    removal.let_go(begun, self._engine)
                except EngineError as error:
                    _log.info("%s", error)
                    continue
                why = "it was asked to stop, still runs, and is to be kept by now; it may yet stop"
                self._end(replace(begun, step="failed", reason=why, timestamp=self._now()), say)

    def _show(self, planned: Plan, say: Tell) -> None:
        """Tell what would be removed."""

        def one(verdict: Verdict) -> Event | None:
            row = self._row(verdict)
            found = removal.rehearse(
                row,
                self._engine,
                objection=lambda now: checks.objection(now, verdict),
                clock=self._clock,
                keep=self._policy.trash_hours > 0,
            )
            why = [found.reason] if found.ended else []
            outcome: Outcome = found.outcome if found.ended else "planned"
            new = self._tells(row.container_id, outcome, row.rule, *why)
            return found.told_as(outcome, found.reason) if new else None

        untold = [v for v in planned.removals if ("planned", v.rule) not in self._of(v)]
        self._each(untold, one, say)

    def _carry_out(self, planned: Plan, policy: Policy, say: Tell) -> None:
        """Remove what the plan says, several at a time; none that fails stops the others."""
        removals = planned.removals
        rows = {verdict.container.id: self._row(verdict) for verdict in removals}
        self._drop_planned(rows.keys())
        self._left = set()
        # An emergency that is cut off is known to the next process by those it had planned.
        if not self._write([row for row in rows.values() if row.step == "planned"]):
            _log.warning("the journal cannot be written to; nothing is removed until it can")

        def one(verdict: Verdict) -> Event | None:
            row = rows[verdict.container.id]
            try:
                came = removal.attempt(
                    row,
                    self._engine,
                    policy.stop_timeout,
                    objection=lambda now: checks.objection(now, verdict),
                    write=self._begin,
                    clock=self._clock,
                    keep=policy.trash_hours > 0,
                )
            except Exception as error:  # noqa: BLE001 - a fault of ours in one is not the others'
                _log.exception("the removal of %s failed", row.container_name)
                why = f"so1 is at fault, its journal has the whole of it ({error!r})"
                came = self._known.get(row.container_id, row)
                came = replace(came, timestamp=self._now(), failure=why)
                if came.step != "stopping":
                    came = replace(came, step="failed", reason=why)
            return self._came(came)

        left = self._each(removals, one, say)
        if planned.emergency:
            self._left = {verdict.container.id for verdict in left}

    def _each(
        self, verdicts: Sequence[Verdict], one: Callable[[Verdict], Event | None], say: Tell
    ) -> list[Verdict]:
        """Do something with each in worker threads, and tell in this one; gives those left out."""
        if not verdicts:
            return []
        deadline = time.monotonic() + _BUDGET
        left: list[Verdict] = []

        def in_time(verdict: Verdict) -> Event | None:
            if self._ending.is_set() or time.monotonic() > deadline:
                left.append(verdict)
                return None
            return one(verdict)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove") as pool:
            # concurrent.futures.wait() would look at all that are left, for each that is finished.
            finished: SimpleQueue[Future[Event | None]] = SimpleQueue()
            for verdict in verdicts:
                pool.submit(in_time, verdict).add_done_callback(finished.put)
            pending = len(verdicts)
            while pending:
                with contextlib.suppress(Empty):
                    event = finished.get(timeout=_BEAT).result()
                    pending -= 1
                    if event:
                        say(event)
                self._beat()
        if left:
            _log.info("%d containers are left for the next tick", len(left))
        return left

    def _row(self, verdict: Verdict) -> Removal:
        """Begin a removal, or go on with one that was begun."""
        usage = verdict.usage
        row = Removal(
            container_id=usage.container.id,
            container_name=usage.container.name,
            image=usage.container.image,
            class_=verdict.class_,
            ram_usage=usage.memory,
            cpu_usage=usage.cpu,
            rule=verdict.rule,
            reason=verdict.reason,
            step="planned",
            timestamp=self._now(),
        )
        begun = self._known.get(usage.container.id)
        if begun is None or begun.step != "stopping":
            return row
        return replace(
            row,
            step="stopping",
            started_at=begun.started_at,
            failure=begun.failure,
            recreate=begun.recreate,
            original=begun.original,
        )

    def _begin(self, row: Removal) -> None:
        """Write down that a container is going to be stopped; raises JournalError."""
        self._journal.write([row])
        self._known[row.container_id] = row
        # Of one that was taken back and goes again, that is told again.
        said = self._said.get(row.container_id, set())
        self._said[row.container_id] = {what for what in said if what[0] != "done"}

    def _end(self, row: Removal, say: Tell) -> None:
        if event := self._came(row):
            say(event)

    def _came(self, row: Removal) -> Event | None:
        """Write down what came of a removal; gives the event where that is new."""
        why = row.reason if row.ended else row.failure
        new = why is not None and self._tells(row.container_id, row.outcome, row.rule, why)
        if row.ended:
            row = replace(row, told=not new)
        self._known[row.container_id] = row
        self._write([row])
        return row.event() if new else None

    def _drop_planned(self, going: Collection[str]) -> None:
        """Forget what was planned and is not to go any more."""
        gone = [
            id_ for id_, one in self._known.items() if one.step == "planned" and id_ not in going
        ]
        for id_ in gone:
            del self._known[id_]
        if gone:
            self._write([], dropped=gone)

    def _write(self, rows: Sequence[Removal], *, dropped: Sequence[str] = ()) -> bool:
        """Write to the journal; what it does not take is kept in mind and written later."""
        if not rows and not dropped:
            return True
        for row in rows:
            self._known[row.container_id] = row
        try:
            self._journal.write(rows, dropped=dropped)
        except JournalError as error:
            _log.info("the journal of removals cannot be written to: %s", error)
            self._unwritten |= {row.container_id for row in rows}
            return False
        self._unwritten -= {row.container_id for row in rows}
        return True

    def _of(self, verdict: Verdict) -> set[tuple[str, ...]]:
        return self._said.get(verdict.container.id, set())

    def _now(self) -> int:
        return round(self._clock() * 1000)


def _overtakes(found: Removal | None, known: Removal) -> bool:
    """Whether a command has done something about a container since this process has."""
    return (
        found is not None
        and found.step in ("returning", "returned", "emptied")
        and found.timestamp > known.timestamp
    )
