# SPDX-License-Identifier: MIT
"""Ticks whose rows tell whether all of them arrived."""

from so1.store.event import Event
from so1.store.rows import (
    ContainerProcessRow,
    ContainerRow,
    DecisionRow,
    ExitRow,
    LimitRow,
    MetricsRow,
    ProcessRow,
    StateRow,
    Tick,
)

KEEP_MS = 1 << 60
"""Longer than anything is old."""


class Watched:
    """A clock that counts from the start of a host, for tests to turn."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def event(timestamp: int, detail: str = "x") -> Event:
    return Event(timestamp=timestamp, kind="daemon", outcome="done", detail=detail)


def tick(timestamp: int, processes: int = 50, name: str = "p", contained: int = 1) -> Tick:
    """A tick that says in its metrics row how many process rows it has."""
    return Tick(
        timestamp=timestamp,
        metrics=MetricsRow(1000, 400, 600, 1, processes, 0, "procfs", 1.5),
        container_stats=[
            ContainerProcessRow("ab" * 32, "web", pid, name, 10, 1) for pid in range(contained)
        ],
        process_stats=[ProcessRow(pid, name, 10, 1) for pid in range(processes)],
        container_totals=[ContainerRow("ab" * 32, "web", "alpine", "low", 1, 10, 1.0)],
        process_states=[StateRow("sleeping", processes)],
        memory_limits=[LimitRow(1, name, 2**63 - 1, 4096, timestamp, 0)],
        exits=[ExitRow(timestamp, 9, 1, 0, name, "ab" * 32, "web", 0, 9, 1, 60_000, 1_500, 2_048)],
        decisions=[DecisionRow(timestamp, "enforce", 10, 3, 2, 30.0, 0)],
        events=[event(timestamp)],
    )
