# SPDX-License-Identifier: MIT
"""What the daemon tells of one round."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from so1.config import Config
from so1.model import Container, ContainerUsage, MemoryLimit, Process, Snapshot
from so1.store.event import Event


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of the daemon, after it was stored.

    `timestamp` is Unix epoch seconds; `host_cpu` percent of all CPUs; `used_ns` tells the CPU time
    that a process used over the interval; `strangers` are the containers that Docker did not name;
    `dropped` counts the rounds without a tick, by reason, since the daemon started. `took` and
    `late` are seconds.
    """

    config: Config
    timestamp: float
    snapshot: Snapshot
    host_cpu: float
    used_ns: Callable[[Process], int]
    containers: Sequence[ContainerUsage]
    strangers: Sequence[ContainerUsage]
    classify: Callable[[Container], str]
    limits: Sequence[MemoryLimit]
    docker_answered: bool
    events: Sequence[Event]
    dropped: Mapping[str, int]
    database_bytes: int
    took: float
    late: float
