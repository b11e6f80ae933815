# SPDX-License-Identifier: MIT
"""A sample as containers with their processes: sorted as the reader wants, and filtered."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import msgspec

from so1.model import ContainerUsage, MemoryLimit, Process
from so1.sample import Sample

Order = Literal["ram", "cpu", "pressure", "limit", "name"]

_T = TypeVar("_T")

OUTSIDE = "outside containers"
"""The name of the group of all others."""


class Group(msgspec.Struct, frozen=True):
    """A container and the processes of it that are shown; usage is None for those outside all."""

    usage: ContainerUsage | None
    processes: Sequence[Process]
    of: int
    """How many processes it has, shown or not."""

    @property
    def key(self) -> str:
        """What names it from one sample to the next."""
        return self.usage.container.id if self.usage else OUTSIDE

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        return self.usage.container.name if self.usage else OUTSIDE


def size(usage: ContainerUsage) -> int:
    """Tell a container's KiB: what it is charged, or else what its processes hold."""
    return usage.ram if usage.memory is None else usage.memory


def of_limit(usage: ContainerUsage) -> float | None:
    """Tell how much of its memory limit a container has, in percent; None without one."""
    limit = usage.charged.memory_limit if usage.charged else None
    return usage.memory * 100 / limit if limit and usage.memory is not None else None


def of_cap(limit: MemoryLimit | None) -> float | None:
    """Tell how much of its cap a limited process has, in percent."""
    return limit.size * 100 / limit.limit if limit else None


def pressure(usage: ContainerUsage) -> float | None:
    """Tell the largest of a container's three pressures; None where the kernel tells none."""
    spent = usage.spent
    known = (spent.cpu_pressure, spent.memory_pressure, spent.io_pressure)
    return max((each for each in known if each is not None), default=None)


def containers(sample: Sample, order: Order, *, reverse: bool = False) -> list[ContainerUsage]:
    """Sort the containers; what is not known comes last."""
    figures: dict[str, Callable[[ContainerUsage], float | None]] = {
        "ram": size,
        "cpu": lambda u: u.cpu,
        "pressure": pressure,
        "limit": of_limit,
    }
    by_name = sorted(
        sample.everyone,
        key=lambda u: (u.container.name, u.container.id),
        reverse=reverse and order == "name",
    )
    if order == "name":
        return by_name
    return _by(figures[order], sorted(by_name, key=size, reverse=True), reverse=reverse)


def processes(
    sample: Sample, among: Sequence[Process], order: Order, *, reverse: bool = False
) -> list[Process]:
    """Sort processes; where they do not have what the order is by, by CPU or RAM."""
    limits = {limit.pid: limit for limit in sample.limits}
    figures: dict[str, Callable[[Process], float | None]] = {
        "ram": lambda p: p.rss,
        "cpu": sample.cpu.percent,
        "pressure": sample.cpu.percent,
        "limit": lambda p: of_cap(limits.get(p.pid)),
    }
    if order == "name":
        return sorted(among, key=lambda p: (p.name, p.pid), reverse=reverse)
    largest = sorted(among, key=lambda p: (-p.rss, p.pid))
    return _by(figures[order], largest, reverse=reverse)


def grouped(
    sample: Sample, order: Order, wanted: str = "", *, reverse: bool = False
) -> list[Group]:
    """Make the groups that are shown: the containers, then the processes outside of them.

    A container whose name, image or id has the wanted text in it is shown whole; of others only the
    processes that have it in their name or pid, or nothing.
    """
    wanted = wanted.casefold()
    inside = {p.key for u in sample.everyone for p in u.members}
    result: list[Group] = []
    for usage in containers(sample, order, reverse=reverse):
        container = usage.container
        texts = (container.name, container.image, container.id)
        if any(wanted in text.casefold() for text in texts):
            found = list(usage.members)
        elif not (found := _matching(usage.members, wanted)):
            continue
        shown = processes(sample, found, order, reverse=reverse)
        result.append(Group(usage, shown, len(usage.members)))
    outside = [p for p in sample.snapshot.processes if p.key not in inside]
    if found := _matching(outside, wanted):
        shown = processes(sample, found, order, reverse=reverse)
        result.append(Group(None, shown, len(outside)))
    return result


def _matching(among: Sequence[Process], wanted: str) -> list[Process]:
    return [p for p in among if wanted in p.name.casefold() or wanted in str(p.pid)]


def _by(figure: Callable[[_T], float | None], among: list[_T], *, reverse: bool) -> list[_T]:
    """Sort by a figure, the largest first; the order of equals stays."""
    known = [(value, each) for each in among if (value := figure(each)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=not reverse)
    return [each for _, each in known] + [each for each in among if figure(each) is None]
