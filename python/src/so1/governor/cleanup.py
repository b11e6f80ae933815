# SPDX-License-Identifier: MIT
"""Removing every managed container, whatever the policy says; never a volume, never another."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from so1.docker_engine import Engine
from so1.governor import checks, removal
from so1.model import Container
from so1.store.removal import Removal
from so1.store.removals import JournalError

_AT_ONCE = 4
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
    interrupted: threading.Event,
    keep: bool,
    clock: Callable[[], float] = time.time,
) -> Left:
    """Stop and remove containers, several at a time; none that fails stops the others.

    With `keep` they go to the wastebasket; then `write` raises JournalError where it cannot write.
    `write` gets each step before it is taken, and how it ended; `tell` gets how each ended. Both
    are called in several threads, one at a time. Once `interrupted` is set no further removal is
    begun; those under way are waited for.
    """
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
            keep=keep,
        )
        with telling:
            with contextlib.suppress(JournalError):
                write(came)  # what is not written down is seen by the next one to look
            tell(came)
        return came.step in ("removed", "trashed") or came.reason == removal.GONE

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cleanup") as pool:
        came = list(pool.map(one, containers))
    return Left(failed=came.count(False), not_begun=came.count(None))
