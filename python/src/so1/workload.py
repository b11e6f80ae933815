# SPDX-License-Identifier: MIT
"""Test load: short-lived containers of random kinds, handed to the governor."""

import contextlib
import fcntl
import os
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from so1.config import Workload
from so1.docker_engine import Engine
from so1.model import CLASS, MANAGED, ContainerClass

_MIB = 1 << 20
_NANO_CPUS = 1_000_000_000
_ALIVE = {"created", "restarting", "running", "paused"}
_LIMITS: dict[ContainerClass, dict[str, int]] = {
    "low": {"Memory": 32 * _MIB, "NanoCpus": _NANO_CPUS // 10, "PidsLimit": 32},
    "high": {"Memory": 256 * _MIB, "NanoCpus": _NANO_CPUS // 4, "PidsLimit": 64},
}


class BusyError(Exception):
    """Another run makes load at this moment."""


class Load(msgspec.Struct, frozen=True):
    """A container to make."""

    name: str
    class_: ContainerClass
    image: str
    command: list[str]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock that keeps two runs from counting the same free places.

    Raises BusyError where another run holds it, OSError where there can be no lock file.
    """
    # Read-only, so that runs of different users exclude each other too.
    file = os.open(folder / "workload.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError from error
        yield
    finally:
        os.close(file)


def places(engine: Engine, maximum: int) -> int:
    """Tell how many containers may be made; raises EngineError."""
    taken = sum(state in _ALIVE for _, state in engine.managed())
    return max(0, maximum - taken)


def choose(count: int, settings: Workload, chance: random.Random, now: datetime) -> list[Load]:
    """Choose the kinds and the names of `count` containers."""
    loads = []
    for _ in range(count):
        class_: ContainerClass = chance.choice(("low", "high"))
        low = class_ == "low"
        loads.append(
            Load(
                # A second may see several runs: the last part tells their containers apart.
                name=f"so1-{class_}-{now:%Y%m%d-%H%M%S}-{chance.getrandbits(32):08x}",
                class_=class_,
                image=settings.low_image if low else settings.high_image,
                command=settings.low_command if low else chance.choice(settings.high_commands),
            )
        )
    return loads


def provide(images: set[str], engine: Engine) -> None:
    """Pull the images that are not here; raises EngineError."""
    for image in sorted(images):
        if engine.inspect_image(image) is None:
            engine.pull(image)


def make(load: Load, engine: Engine) -> str:
    """Start a container and give its id; raises EngineError."""
    return engine.run(load.name, load.image, load.command, _options(load.class_))


def _options(class_: ContainerClass) -> dict[str, Any]:
    limits = _LIMITS[class_]
    return {
        "Labels": {MANAGED: "true", CLASS: class_},
        # There is nothing to save, and many a command as process 1 ignores SIGTERM.
        "StopSignal": "SIGKILL",
        "HostConfig": {
            **limits,
            "MemorySwap": limits["Memory"],
            "NetworkMode": "none",
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            # Those that end by themselves leave nothing behind.
            "AutoRemove": True,
        },
    }
