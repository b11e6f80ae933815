# SPDX-License-Identifier: MIT
"""Removing every managed container, whatever the policy says; never a volume, never another."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import msgspec

from so1.docker_engine import Engine, EngineError, NotFoundError
from so1.governor.act import command_line, untouchable
from so1.model import Container

_AT_ONCE = 4


class Cleaned(msgspec.Struct, frozen=True):
    """What came of one container; `detail` is what there is to say about it, '' for nothing."""

    container: Container
    outcome: Literal["removed", "kept", "failed"]
    detail: str
    recreate: str | None = None


def remove(engine: Engine, containers: Sequence[Container], patience: int) -> Iterator[Cleaned]:
    """Stop and remove containers, several at a time; none that fails stops the others."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda container: _remove(engine, container, patience), containers)


def _remove(engine: Engine, container: Container, patience: int) -> Cleaned:
    try:
        now = engine.inspect(container.id)
        if why := untouchable(now, container):
            return Cleaned(container, "kept", why)
        command, note = command_line(now, engine)
        engine.stop(container.id, patience)
        engine.remove(container.id)
    except NotFoundError:
        return Cleaned(container, "removed", "it went by itself")
    except EngineError as error:
        return Cleaned(container, "failed", str(error))
    return Cleaned(container, "removed", note, command)
