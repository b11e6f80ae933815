# SPDX-License-Identifier: MIT
"""What plan, removal and clean-up ask before they touch a container."""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError, UnreachableError
from so1.governor.policy import Verdict
from so1.model import Container, ContainerUsage

_log = logging.getLogger(__name__)
VOLUMES_WOULD_GO = (
    "it was started with --rm and has a volume without a name, which the engine would"
    " remove with it; volumes are never removed"
)


def volumes_would_go(now: Inspected) -> str | None:
    """Tell why a container can never be removed without a loss; None where it can.

    It stays true for as long as the container is there.
    """
    return VOLUMES_WOULD_GO if now.auto_remove and now.anonymous_volumes else None


def untouchable(now: Inspected, container: Container) -> str | None:
    """Tell why a container may not be removed at all; None where it may."""
    if now.id != container.id:
        return "another container answers to its id"
    if not now.container.managed:
        return "it is not managed"
    return volumes_would_go(now)


def objection(now: Inspected, verdict: Verdict) -> str | None:
    """Tell why a container, as it is now, is not to be removed after all; None where it is."""
    if why := untouchable(now, verdict.container):
        return why
    if not now.running:
        return "it has stopped by itself"
    if now.started_ns is None:
        return "its first process cannot be seen, so it may have been started again"
    if now.started_ns != verdict.container.started_ns:
        return "it was started again after it was measured"
    if now.container.class_ != verdict.class_:
        return f"its class is {now.container.class_}, not {verdict.class_}"
    return None


class Look(NamedTuple):
    """What a second look found.

    usages are those that still hold; held are the containers that may never be removed, and why;
    may_go are those that were looked at and are none of these.
    """

    usages: list[ContainerUsage]
    held: dict[str, str]
    may_go: set[str]


def look_again(
    usages: Iterable[ContainerUsage], engine: Engine, *, beat: Callable[[], None] = lambda: None
) -> Look:
    """Look at the managed containers once more before one of them is chosen.

    What has ended since drops out. The figures of one that was started again are not those of what
    runs now, so it is unmeasured. What cannot be looked at stays as it was.
    """
    result = []
    held = {}
    may_go = set()
    silent = False
    for usage in usages:
        found = usage
        if usage.container.managed and not silent:
            beat()
            try:
                now = engine.inspect(usage.container.id)
            except NotFoundError:
                continue
            except EngineError as error:
                _log.info("%s", error)
                silent = isinstance(error, UnreachableError)
            else:
                if not now.running:
                    continue
                found = _updated(usage, now)
                if why := volumes_would_go(now):
                    held[usage.container.id] = why
                else:
                    may_go.add(usage.container.id)
        result.append(found)
    return Look(result, held, may_go)


def _updated(usage: ContainerUsage, now: Inspected) -> ContainerUsage:
    same = now.started_ns is not None and now.started_ns == usage.container.started_ns
    container = replace(
        usage.container, pid=now.pid, started_ns=now.started_ns, restarts=now.restarts
    )
    return replace(usage, container=container, memory=usage.memory if same else None)
