# SPDX-License-Identifier: MIT
"""Carrying a plan out: look again, stop, remove, and tell what came of it."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec
from msgspec.structs import replace

from so1.config import Policy
from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError, UnreachableError
from so1.governor import recreate
from so1.governor.policy import Plan, Verdict, is_young, plan
from so1.model import MANAGED, Container, ContainerUsage, classify
from so1.store.event import Event, Outcome

Tell = Callable[[Event], None]

_log = logging.getLogger(__name__)
_AT_ONCE = 4
"""Removals side by side: each may take the whole time that a container is given to stop."""
_BUDGET = 15.0
"""Seconds after which a tick begins no further removal; the next one goes on."""
_BEAT = 1.0
"""Seconds between two signs of life while containers are being stopped."""
_SAID = {
    "done": "Removed",
    "planned": "Would be removed",
    "refused": "Not removed",
    "failed": "Not removed",
}


class _Begun(msgspec.Struct, frozen=True):
    """A removal that failed after the engine was asked to stop the container."""

    verdict: Verdict
    started_at: float
    why: str
    command: str | None


class Memory(msgspec.Struct, frozen=True):
    """What one tick leaves to the next.

    By container: what was told of it, and what was begun; and which ones an emergency has left.
    """

    told: dict[str, set[tuple[str, ...]]] = {}
    begun: dict[str, _Begun] = {}
    left: set[str] = set()


class Governor:
    """Plans and acts tick after tick, and tells what it does once, not every tick."""

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        *,
        beat: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Govern an engine's containers; `beat` is called while that takes long."""
        self._engine = engine
        self._policy = policy
        self._beat = beat
        self._clock = clock
        self._memory = Memory()

    def running(self) -> list[Container]:
        """List the running containers, each with its first process; raises EngineError."""
        return self._engine.completed(self._engine.running())

    def govern(
        self, usages: list[ContainerUsage], now: float, tell: Tell = lambda _: None
    ) -> list[Event]:
        """Plan and act; gives an event for each thing that was not told before.

        `tell` gets each of them as soon as there is one, while others may still be stopping. What
        is refused, fails or, in the mode observe, is only planned stays so for many ticks: it is
        told once for each container and reason.
        """
        listed = {usage.container.id for usage in usages}
        finished = self._finish(listed, tell)
        for id_ in self._memory.told.keys() - listed:
            del self._memory.told[id_]
        unfinished = bool(self._memory.left & listed)
        self._memory.left.clear()
        planned = plan(usages, self._policy, now, unfinished=unfinished)
        if planned.removals and not planned.emergency:
            usages = dated(usages, self._engine, beat=self._beat)
            planned = plan(usages, self._policy, now)
        for verdict in planned.verdicts:
            if verdict.keep:
                # It may stop by itself later: that is none of ours any more.
                self._memory.begun.pop(verdict.container.id, None)
        return finished + carry_out(
            planned,
            self._engine,
            self._policy,
            memory=self._memory,
            tell=tell,
            beat=self._beat,
            clock=self._clock,
        )

    def _finish(self, listed: set[str], tell: Tell) -> list[Event]:
        """Remove what stopped after all, too late for the tick that asked for it.

        What still runs is in the plan again; what was started again since is none of ours.
        """
        events = []
        for id_, begun in list(self._memory.begun.items()):
            if id_ in listed:
                continue
            self._beat()
            try:
                if self._may_finish(id_, begun):
                    self._engine.remove(id_)
                    event = _event(begun.verdict, "done", begun.why, begun.command, self._clock())
                    tell(event)
                    events.append(event)
            except EngineError as error:
                _log.info("%s", error)
                if isinstance(error, UnreachableError):
                    break
            else:
                del self._memory.begun[id_]
        return events

    def _may_finish(self, id_: str, begun: _Begun) -> bool:
        try:
            now = self._engine.inspect(id_)
        except NotFoundError:
            return True
        same = now.id == id_ and now.started_at == begun.started_at
        return same and not now.running


def dated(
    usages: Sequence[ContainerUsage], engine: Engine, *, beat: Callable[[], None] = lambda: None
) -> list[ContainerUsage]:
    """Date the managed containers by their last start, which the list does not tell.

    What has ended since drops out; what cannot be looked at stays as the list has it.
    """
    result = [usage for usage in usages if not usage.container.managed]
    pending = iter([usage for usage in usages if usage.container.managed])
    for usage in pending:
        beat()
        try:
            now = engine.inspect(usage.container.id)
        except NotFoundError:
            continue
        except EngineError as error:
            _log.info("%s", error)
            result.append(usage)
            if isinstance(error, UnreachableError):
                result += pending
        else:
            if now.running:
                container = replace(usage.container, started_at=now.started_at)
                result.append(replace(usage, container=container))
    return result


def carry_out(
    planned: Plan,
    engine: Engine,
    policy: Policy,
    *,
    memory: Memory | None = None,
    tell: Tell = lambda _: None,
    beat: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> list[Event]:
    """Remove what the plan says, several at a time; none that fails stops the others.

    `tell` is called in this thread alone. What `memory` says was told already is not told again.
    Ends after the budget and the time limits of one removal at the latest.
    """
    removals = planned.removals
    if not removals:
        return []
    memory = memory or Memory()
    deadline = time.monotonic() + _BUDGET

    def one(verdict: Verdict) -> Event | None:
        known = memory.told.setdefault(verdict.container.id, set())
        if policy.mode == "observe" and ("planned", verdict.rule) in known:
            return None
        if time.monotonic() > deadline:
            _log.info("%s is left for the next tick", verdict.container.name)
            if planned.emergency:
                memory.left.add(verdict.container.id)
            return None
        try:
            came = _remove(verdict, planned, engine, policy, memory)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one is not the others'
            _log.exception("the removal of %s failed", verdict.container.name)
            came = "failed", f"so1 is at fault, its journal has the whole of it ({error!r})", None
        if came is None:
            return None
        outcome, why, command = came
        key = (outcome, verdict.rule, *([why] if outcome in ("refused", "failed") else []))
        if key in known:
            return None
        known.add(key)
        return _event(verdict, outcome, why, command, clock())

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove") as pool:
        pending: set[Future[Event | None]] = set()
        ordered = [pool.submit(one, verdict) for verdict in removals]
        pending.update(ordered)
        while pending:
            finished, pending = wait(pending, timeout=_BEAT, return_when=FIRST_COMPLETED)
            for future in finished:
                if event := future.result():
                    tell(event)
            beat()
    return [event for future in ordered if (event := future.result())]


def objection(now: Inspected, verdict: Verdict, planned: Plan) -> str | None:
    """Tell why a container, as it is now, is not to be removed after all; None where it is."""
    if why := untouchable(now, verdict.container):
        return why
    if not now.running:
        return "it has stopped by itself"
    if now.started_at > planned.now:
        return "it was started again after it was measured"
    class_ = classify(replace(verdict.container, image=now.image, labels=now.labels))
    if class_ != verdict.class_:
        return f"its class is {class_}, not {verdict.class_}"
    return None


def untouchable(now: Inspected, container: Container) -> str | None:
    """Tell why a container may not be removed at all; None where it may."""
    if now.id != container.id:
        return "another container answers to its id"
    if now.labels.get(MANAGED) != "true":
        return "it is not managed"
    if now.auto_remove and now.anonymous_volumes:
        return (
            "it was started with --rm and has a volume without a name, which the engine would"
            " remove with it; volumes are never removed"
        )
    return None


def _remove(
    verdict: Verdict, planned: Plan, engine: Engine, policy: Policy, memory: Memory
) -> tuple[Outcome, str, str | None] | None:
    """Remove one container; gives the outcome, the reason, and what would bring it back.

    None where the grace period turns out to spare it.
    """
    id_ = verdict.container.id
    try:
        now = engine.inspect(id_)
    except NotFoundError:
        return "refused", "it is gone already", None
    except EngineError as error:
        return "failed", str(error), None
    if why := objection(now, verdict, planned):
        return "refused", why, None
    if not planned.emergency and is_young(now.started_at, policy, planned.now):
        # It could not be looked at for the plan, which went by when it was created.
        return None
    command, note = command_line(now, engine)
    why = f"{verdict.reason}; {note}" if note else verdict.reason
    if policy.mode == "observe":
        return "planned", why, command
    try:
        engine.stop(id_, policy.stop_timeout)
        engine.remove(id_)
    except NotFoundError:
        # Started with --rm, it is gone as soon as it has stopped.
        if not now.auto_remove:
            return "refused", "it is gone already", command
    except EngineError as error:
        # Slow to stop is not the same as still running: the next tick looks.
        memory.begun[id_] = _Begun(verdict, now.started_at, why, command)
        return "failed", str(error), command
    memory.begun.pop(id_, None)
    return "done", why, command


def command_line(now: Inspected, engine: Engine) -> tuple[str | None, str]:
    """Give the command line that would bring it back, and what there is to say about it."""
    notes = [f"its volumes are kept: {', '.join(now.volumes)}"] if now.volumes else []
    try:
        made = recreate.command(now.raw, engine.inspect_image(now.image_id))
    except EngineError as error:
        _log.warning("%s", error)
        return None, "; ".join(notes)
    except (LookupError, TypeError, ValueError, AttributeError):
        # An engine may describe a container in ways that we do not know; it goes all the same.
        _log.exception("no command line for %s", now.id)
        return None, "; ".join(notes)
    return made.command, "; ".join([*notes, *made.notes])


def _event(verdict: Verdict, outcome: Outcome, why: str, command: str | None, now: float) -> Event:
    usage = verdict.usage
    return Event(
        timestamp=round(now * 1000),
        kind="remove",
        outcome=outcome,
        detail=f"{_SAID[outcome]}: {why}.",
        container_id=usage.container.id,
        container_name=usage.container.name,
        image=usage.container.image,
        class_=verdict.class_,
        ram_usage=usage.ram,
        cpu_usage=usage.cpu,
        rule=verdict.rule,
        recreate=command,
    )
