# SPDX-License-Identifier: MIT
"""Removing one container: look again, write it down, stop, set aside or remove; and finishing that.

What is set aside is in the wastebasket (so1.governor.basket): stopped, never started by the engine
itself, under another name. Each step is written to a journal before it is taken. So whenever a
process ends on the way, by a kill or a power cut, the next one knows what was begun, and how to
bring the container back.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

from msgspec.structs import replace

from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError
from so1.governor import basket, recreate
from so1.store.removal import Original, Removal, Step, old_name
from so1.store.removals import JournalError

_log = logging.getLogger(__name__)
GONE = "it is gone already"
"""Why one is refused that somebody else has removed."""
_KEPT = "so1 undo brings it back as it was"
_FILES = 3
"""Files of a container's own layer that a note names."""


class Write(Protocol):
    """Writes a step down; raises JournalError where that cannot be done."""

    def __call__(self, removal: Removal, /) -> None:
        """Write it down for good."""


Objection = Callable[[Inspected], str | None]
Clock = Callable[[], float]


def attempt(
    removal: Removal,
    engine: Engine,
    patience: int,
    *,
    objection: Objection,
    write: Write,
    clock: Clock,
    keep: bool,
) -> Removal:
    """Remove a container, unless `objection` finds a reason against it as it is now.

    With `keep` it goes to the wastebasket, where the engine lets it be kept: one that was started
    with --rm is gone once it has stopped.
    It has its own stop timeout to stop, or `patience` seconds where it has none. Gives the removal
    as it ended; its step is still 'stopping', with a failure, where the engine was asked to stop
    the container and did not say that it did: it may stop later. Such a one is tried again.
    """
    now, looked = _look(removal, engine, objection, clock, keep=keep)
    if now is None:
        return looked
    begun = _at(looked, "stopping", clock, started_at=now.started_at, failure=None)
    try:
        write(begun)
    except JournalError as error:
        why = f"it cannot be written down before it is done ({error})"
        return _did_not(removal, why, clock)
    try:
        engine.stop(begun.container_id, patience if now.stop_timeout is None else now.stop_timeout)
        if keep and basket.may_hold(now):
            return _set_aside(begun, engine.inspect(begun.container_id), engine, write, clock)
        engine.remove(begun.container_id)
    except NotFoundError:
        # Started with --rm, it is gone as soon as it has stopped.
        if not now.auto_remove:
            return _at(begun, "refused", clock, reason=GONE)
    except (EngineError, JournalError) as error:
        # Slow to stop is not the same as still running: the next tick looks.
        return _did_not(begun, str(error), clock)
    return _at(begun, "removed", clock)


def rehearse(
    removal: Removal, engine: Engine, *, objection: Objection, clock: Clock, keep: bool
) -> Removal:
    """Do all of an attempt that changes nothing; gives what stands against it, or the command."""
    return _look(removal, engine, objection, clock, keep=keep)[1]


def _look(
    removal: Removal, engine: Engine, objection: Objection, clock: Clock, *, keep: bool
) -> tuple[Inspected | None, Removal]:
    """Look at a container right before it goes; gives no inspection where it is not to go now."""
    begun = removal.step == "stopping"
    try:
        now = engine.inspect(removal.container_id)
    except NotFoundError:
        if begun:
            return None, _at(removal, "removed", clock)
        return None, _at(removal, "refused", clock, reason=GONE)
    except EngineError as error:
        return None, _did_not(removal, str(error), clock)
    if begun and not now.running and now.started_at == removal.started_at:
        # It stops just now; the next tick finishes it.
        return None, removal
    if why := objection(now):
        try:
            let_go(removal, engine)
        except EngineError as error:
            return None, _did_not(removal, str(error), clock)
        return None, _at(removal, "refused", clock, reason=why)
    command, notes, original = describe(now, engine, removal.original)
    if keep and basket.may_hold(now):
        notes = [_KEPT]
    elif keep:
        notes.append(f"{basket.cannot_hold(now)}, so it cannot be kept in the wastebasket")
    reason = "; ".join([removal.reason, *notes])
    return now, _at(
        removal, removal.step, clock, recreate=command, reason=reason, original=original
    )


def _at(
    removal: Removal, step: Step, clock: Clock, **changes: str | float | Original | None
) -> Removal:
    return replace(removal, step=step, timestamp=round(clock() * 1000), **changes)


def _did_not(removal: Removal, why: str, clock: Clock) -> Removal:
    """Note what went wrong: what was begun has not ended with that."""
    if removal.step == "stopping":
        return _at(removal, "stopping", clock, failure=why)
    return _at(removal, "failed", clock, reason=why)


def let_go(removal: Removal, engine: Engine) -> None:
    """Undo what was changed about a container that is not to go after all.

    Raises EngineError where that is not done whole: it is tried again, for as long as it takes.
    """
    if removal.step == "stopping":
        with contextlib.suppress(NotFoundError):
            basket.put_back(removal, engine)


def _set_aside(
    removal: Removal, now: Inspected, engine: Engine, write: Write, clock: Clock
) -> Removal:
    """Put it into the wastebasket; raises EngineError or JournalError where that cannot be now.

    Somebody may have given it another name or restart policy while it stopped: these are its own.
    """
    before = removal.original
    if before and _own(now, before) != (before.name, before.restart):
        command, _, original = describe(now, engine, before)
        removal = replace(
            removal, recreate=command, original=replace(original, running=before.running)
        )
        write(removal)
    basket.put(removal, now, engine)
    return _at(removal, "trashed", clock)


def finish(removal: Removal, engine: Engine, *, write: Write, clock: Clock, keep: bool) -> Removal:
    """Set aside or remove what has stopped after it was asked to; gives the removal as it is now.

    It stays as it is while the container still runs. One that was started again since is none of
    ours. Raises EngineError where the engine does not do it now, JournalError where what was
    changed meanwhile cannot be written down.
    """
    try:
        now = engine.inspect(removal.container_id)
    except NotFoundError:
        return _at(removal, "removed", clock)
    if now.id != removal.container_id or now.started_at != removal.started_at:
        let_go(removal, engine)
        why = "it was started again after it was asked to stop"
        return _at(removal, "refused", clock, reason=why)
    if now.running:
        return removal
    if not now.container.managed:
        let_go(removal, engine)
        return _at(removal, "refused", clock, reason="it is not managed")
    if keep and removal.original and basket.may_hold(now):
        return _set_aside(removal, now, engine, write, clock)
    engine.remove(removal.container_id)
    return _at(removal, "removed", clock)


def describe(
    now: Inspected, engine: Engine, before: Original | None = None
) -> tuple[str | None, list[str], Original]:
    """Give the command line that would bring it back, what there is to say about it, what it was.

    `before` is what it was when its removal was begun: what was changed on the way is not its own.
    """
    host = now.raw.get("HostConfig") or {}
    name, restart = _own(now, before)
    original = Original(name=name, running=now.running, restart=restart, image_id=now.image_id)
    volumes = [f"its volumes are kept: {', '.join(now.volumes)}"] if now.volumes else []
    raw = {**now.raw, "Name": f"/{name}"}
    raw["HostConfig"] = {**host, "RestartPolicy": restart}
    try:
        image = engine.inspect_image(now.image_id)
        named = engine.inspect_image(now.image)
        made = recreate.command(raw, image, named)
        body = recreate.body(raw, image)
    except EngineError as error:
        _log.warning("%s", error)
        return None, volumes, original
    except (LookupError, TypeError, ValueError, AttributeError):
        # An engine may describe a container in ways that we do not know; it goes all the same.
        _log.exception("no command line for %s", now.id)
        return None, volumes, original
    files = _own_files(now, engine)
    original = replace(original, body=body.body, unset=body.unset, lost=[*body.lost, *files])
    return made.command, [*volumes, *made.notes, *files], original


def _own(now: Inspected, before: Original | None) -> tuple[str, dict[str, Any]]:
    """Give the name and the restart policy that people gave it."""
    name, host = now.name, now.raw.get("HostConfig") or {}
    restart = host.get("RestartPolicy") or {}
    if (own := old_name(now.id, name)) != name:
        name = before.name if before else own
    if before and now.restarting in basket.NEVER:
        restart = before.restart
    return name, restart


def _own_files(now: Inspected, engine: Engine) -> list[str]:
    """Say what goes with the container's own layer: what it wrote, and what was copied into it."""
    try:
        paths = recreate.own_files(now.raw, engine.changes(now.id))
    except EngineError as error:
        _log.info("%s", error)
        return ["what was written into its own layer is not kept"]
    if not paths:
        return []
    more = f" and {len(paths) - _FILES} more" if len(paths) > _FILES else ""
    return [f"files of its own layer are not kept: {', '.join(paths[:_FILES])}{more}"]
