# SPDX-License-Identifier: MIT
"""Removing every managed container, whatever the policy says; never a volume, never another."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import msgspec

from so1.docker_engine import Engine
from so1.governor import checks, removal
from so1.model import Container
from so1.store.removal import Removal

_AT_ONCE = 4
_BEAT_S = 0.2
_WHY = "so1 cleanup removes every managed container"


class Left(msgspec.Struct, frozen=True):
    """What a clean-up did not remove: those it could not, and those it did not come to."""

    failed: int
    not_begun: int


def remove(
    engine: Engine,
    containers: Sequence[Container],
    patience: int,
    *,
    write: removal.Write,
    tell: Callable[[Removal], None],
    clock: Callable[[], float] = time.time,
) -> Left:
    """Stop and remove containers, several at a time; none that fails stops the others.

    `write` gets each step before it is taken, and how it ended; `tell` gets how each ended. Both
    are called in several threads, one at a time. A KeyboardInterrupt begins no further removal,
    waits for those under way, and is not passed on.
    """
    interrupted = threading.Event()
    telling = threading.Lock()

    def note(row: Removal) -> None:
        with telling:
            write(row)

    def one(container: Container) -> bool | None:
        if interrupted.is_set():
            return None
        row = Removal(
            container_id=container.id,
            container_name=container.name,
            image=container.image,
            class_=container.class_,
            rule="cleanup",
            reason=_WHY,
            step="planned",
            timestamp=round(clock() * 1000),
            by="cleanup",
        )
        came = removal.attempt(
            row,
            engine,
            patience,
            objection=lambda now: checks.untouchable(now, container),
            write=note,
            clock=clock,
        )
        with telling:
            write(came)
            tell(came)
        return came.step == "removed" or came.reason == removal.GONE

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cleanup") as pool:
        futures = [pool.submit(one, container) for container in containers]
        _wait(futures, interrupted)
    came = [future.result() for future in futures]
    return Left(failed=came.count(False), not_begun=came.count(None))


def _wait(futures: Sequence[Future[bool | None]], interrupted: threading.Event) -> None:
    """Wait for all of them, whatever the impatience; each has its own time limit."""
    pending = set(futures)
    while pending:
        try:
            # A wait without an end is not woken by an interrupt on every system.
            pending = wait(pending, timeout=_BEAT_S).not_done
        except KeyboardInterrupt:
            interrupted.set()
