# SPDX-License-Identifier: MIT
"""Which figures are yellow and which red: at the same figures as on the dashboards."""

from enum import IntEnum

from so1.model import ContainerUsage


class Level(IntEnum):
    """How bad a figure is."""

    CALM = 0
    WARNING = 1
    BAD = 2


MARKS = {Level.CALM: " ", Level.WARNING: "~", Level.BAD: "!"}
"""What stands before a row, for those who see no colours."""

_RESTARTS = 3
_HEALTHS = {"unhealthy": Level.BAD, "starting": Level.WARNING}
_STUCK = ("disk-sleep", "zombie", "dead")


def share(percent: float | None) -> Level:
    """Judge how much of something that ends is in use."""
    return _above(percent, 80, 95)


def waiting(percent: float | None) -> Level:
    """Judge how much of the time something waited."""
    return _above(percent, 10, 30)


def busy(percent: float) -> Level:
    """Judge CPU, in percent of one: to be busy is nothing bad."""
    return _above(percent, 80, float("inf"))


def state(name: str) -> Level:
    """Judge a process's state."""
    return Level.WARNING if name in _STUCK else Level.CALM


def complaints(usage: ContainerUsage) -> list[tuple[str, Level]]:
    """Say what is wrong with a container, the worst first."""
    container, spent, charged = usage.container, usage.spent, usage.charged
    found: list[tuple[str, Level]] = []
    if spent.oom_kills:
        found.append((f"OOM kills {spent.oom_kills}", Level.BAD))
    if container.looping:
        found.append(("looping", Level.BAD))
    if container.health in _HEALTHS:
        found.append((container.health, _HEALTHS[container.health]))
    throttled = waiting(spent.throttled)
    if throttled:
        found.append((f"throttled {spent.throttled:.0f} %", throttled))
    if charged and charged.oom_kills and not spent.oom_kills:
        found.append((f"OOM kills before {charged.oom_kills}", Level.WARNING))
    if container.restarts >= _RESTARTS:
        found.append((f"restarts {container.restarts}", Level.WARNING))
    return sorted(found, key=lambda each: -each[1])


def _above(figure: float | None, warning: float, bad: float) -> Level:
    if figure is None or figure < warning:
        return Level.CALM
    return Level.BAD if figure >= bad else Level.WARNING
