# SPDX-License-Identifier: MIT
"""The wastebasket: setting a container aside, taking it back, and removing it for good.

A container in there is stopped, has the restart policy «no» and another name; nothing else about it
is changed, so its layer, volumes, networks and environment come back with it. What is in there is
known by the container's id in the journal of removals, never by a name. Whoever started or renamed
such a container by hand has taken it back.

Each function asks how the container is, does what is missing and may be called again: whenever a
process ends on the way, the next one goes on.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from so1.config import Policy
from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError, UnreachableError
from so1.store.removal import Removal, Step
from so1.store.removals import Kept

_log = logging.getLogger(__name__)
NEVER = ("", "no")
"""The names of the restart policy by which the engine starts nothing again."""
_HOUR_MS = 3_600_000
_UNDONE = "so1 undo brought it back as it was"

Clock = Callable[[], float]
Write = Callable[[Removal], None]


def at(removal: Removal, step: Step, clock: Clock, **changes: str | bool) -> Removal:
    """Bring a removal to its next step, which is later than the last by whatever clock."""
    timestamp = max(round(clock() * 1000), removal.timestamp + 1)
    return replace(removal, step=step, timestamp=timestamp, **changes)


def cannot_hold(now: Inspected) -> str | None:
    """Tell why a container cannot be kept in the wastebasket; None where it can."""
    if now.auto_remove:
        return "it was started with --rm"
    if now.status in ("dead", "removing"):
        return f"the engine calls it {now.status}"
    return None


def may_hold(now: Inspected) -> bool:
    """Whether a container can be kept in the wastebasket."""
    return cannot_hold(now) is None


def put(removal: Removal, now: Inspected, engine: Engine) -> None:
    """Set a container aside that has stopped; raises EngineError where that is not done whole."""
    if now.running:
        raise EngineError(f"container {now.id[:12]} was started again after it had stopped")
    # First of all: an engine that is started anew must not start it.
    if now.restarting not in NEVER:
        engine.set_restart(now.id, {"Name": "no"})
    if now.name in removal.trash_names:
        return
    first, second = removal.trash_names
    try:
        engine.rename(now.id, first)
    except (UnreachableError, NotFoundError):
        raise
    except EngineError as error:
        _log.info("%s", error)
        engine.rename(now.id, second)


def put_back(removal: Removal, engine: Engine) -> None:
    """Give a container its name and restart policy back, where `put` has changed them."""
    original = removal.original
    if original is None:
        return
    now = engine.inspect(removal.container_id)
    # It must come back with the engine even if somebody has taken its name.
    if now.restarting in NEVER and original.restart.get("Name", "") not in NEVER:
        engine.set_restart(now.id, original.restart)
    if now.name in removal.trash_names:
        engine.rename(now.id, original.name)


def take_back(removal: Removal, engine: Engine, *, write: Write, clock: Clock) -> Removal:
    """Take a container out of the wastebasket, and start it if it ran.

    `write` gets the step before it is taken. Raises NotFoundError where the container is gone,
    UnreachableError where the engine did not say how it went, or left it halfway: the step is then
    'returning', and it is finished later. Any other EngineError says why it stays in the
    wastebasket, as it was.
    """
    original = removal.original
    if original is None:
        raise EngineError(f"what {removal.container_name} was is not known")
    try:
        now = engine.inspect(removal.container_id)
    except NotFoundError:
        raise
    except EngineError as error:
        if removal.step == "returning":
            # It may be halfway out.
            raise UnreachableError(str(error)) from error
        raise
    going = at(removal, "returning", clock, told=False)
    write(going)
    try:
        put_back(going, engine)
        if original.running and not now.running:
            engine.start(now.id)
    except UnreachableError:
        raise
    except EngineError as error:
        try:
            put(going, engine.inspect(now.id), engine)
        except NotFoundError:
            raise
        except EngineError as second:
            # Neither in the wastebasket nor out of it: not for somebody to be taken for the cause.
            raise UnreachableError(f"{error}; then {second}") from error
        write(at(going, "trashed", clock, told=True))
        if isinstance(error, NotFoundError):
            # The container was there a moment ago: what is missing is a network that it had.
            way_out = f"docker network disconnect --force NETWORK {now.id[:12]} takes it off"
            raise EngineError(f"{error}; where that is a network, {way_out}") from error
        raise
    return at(going, "returned", clock, reason=_UNDONE)


def by_hand(removal: Removal, now: Inspected, clock: Clock) -> Removal | None:
    """Tell that somebody has taken a container out without us; None where nobody has."""
    if now.name not in removal.trash_names:
        what = f"somebody has called it {now.name}"
    elif now.running:
        what = "somebody has started it"
    else:
        return None
    original = removal.original
    restart = (original.restart.get("Name") if original else "") or "no"
    was = f"it was called {removal.container_name}, its restart policy was {restart}"
    return at(removal, "returned", clock, told=False, reason=f"{what}; {was}")


def empty(removal: Removal, engine: Engine, why: str, clock: Clock) -> Removal:
    """Remove for good what is in the wastebasket; raises EngineError where that cannot be.

    It needs no word in the journal beforehand: what is gone from the engine is seen to be gone. So
    it can be done on a disk that is full.
    """
    lost = removal.original.lost if removal.original else []
    try:
        now = engine.inspect(removal.container_id)
    except NotFoundError:
        why = "; ".join(["somebody else has removed it from the engine", *lost])
        return at(removal, "emptied", clock, told=False, reason=why)
    if taken := by_hand(removal, now, clock):
        return taken
    # The engine itself refuses to remove one that was started a moment ago.
    engine.remove(now.id)
    volumes = [f"its volumes are kept: {', '.join(now.volumes)}"] if now.volumes else []
    why = "; ".join([why, *volumes, *lost])
    return at(removal, "emptied", clock, told=False, reason=why)


def due(kept: Sequence[Kept], policy: Policy, now_ms: int) -> list[tuple[Kept, str]]:
    """Choose what goes for good by age and by size, the oldest first, and say why.

    One that was not measured, or has nothing in its layer, does not go for the sake of size.
    """
    result = []
    stays = []
    for one in kept:
        hours = (now_ms - one.watched_ms) / _HOUR_MS
        if hours >= policy.trash_hours:
            result.append((one, f"it was in the wastebasket for {hours:.3g} h"))
        else:
            stays.append(one)
    size = sum(one.layer_bytes or 0 for one in stays)
    most = policy.trash_gib * (1 << 30)
    for one in stays:
        if size > most and one.layer_bytes:
            held = f"the wastebasket held {size / (1 << 30):.2f} GiB"
            result.append((one, f"{held}, of which governor.trash_gib allows {policy.trash_gib:g}"))
            size -= one.layer_bytes
    return result


def create_again(
    removal: Removal, engine: Engine, environment: Mapping[str, str], clock: Clock
) -> Removal:
    """Make a container anew that was removed for good, and start it if it ran.

    Raises EngineError, in one sentence, where what is known of it is not enough.
    """
    original, name = removal.original, removal.container_name
    if original is None or original.body is None:
        raise EngineError(f"{name} is removed for good, and what it was made from is not known")
    if missing := [one for one in original.unset if one not in environment]:
        raise EngineError(
            f"{name} is removed for good, and the values of {', '.join(missing)} were not kept;"
            " set them in the environment of this command"
        )
    body: dict[str, Any] = dict(original.body)
    networks: dict[str, Any] = body.pop("Networks", {})
    body["Env"] = [*body["Env"], *(f"{one}={environment[one]}" for one in original.unset)]
    named = engine.inspect_image(body["Image"])
    if named is None or named["Id"] != original.image_id:
        if engine.inspect_image(original.image_id) is None:
            raise EngineError(
                f"{name} is removed for good, and its image {body['Image']}"
                f" ({original.image_id[:19]}) is not here any more"
            )
        body["Image"] = original.image_id
    mode = body["HostConfig"].get("NetworkMode") or "default"
    if endpoint := networks.pop("bridge" if mode == "default" else mode, None):
        body["NetworkingConfig"] = {"EndpointsConfig": {mode: endpoint}}
    created = engine.create(original.name, body)
    try:
        for network, endpoint in networks.items():
            engine.connect(created, network, endpoint)
        if original.running:
            engine.start(created)
    except UnreachableError:
        raise
    except EngineError:
        engine.remove(created)
        raise
    lost = "; ".join(original.lost) or "nothing is lost"
    made = at(removal, "returned", clock, told=False, reason=f"it was made anew; {lost}")
    return replace(made, container_id=created, container_name=original.name)
