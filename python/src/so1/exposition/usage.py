# SPDX-License-Identifier: MIT
"""What groups of processes use, for as many of them as have a place; the rest is one `(other)`."""

from collections.abc import Hashable, Iterable, Mapping
from copy import copy
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

K = TypeVar("K", bound=Hashable)


class Spending(msgspec.Struct):
    """What only grows: CPU time and time that a quota made it wait, in nanoseconds; OOM kills."""

    cpu_ns: int = 0
    throttled_ns: int = 0
    oom_kills: int = 0

    def add(self, other: "Spending") -> None:
        """Make this the sum of both."""
        self.cpu_ns += other.cpu_ns
        self.throttled_ns += other.throttled_ns
        self.oom_kills += other.oom_kills


class Usage(msgspec.Struct):
    """What one group uses: RSS and memory in KiB, and what it spent.

    memory and memory_limit are what the kernel charges and allows; None where that is not known.
    spent is of the interval; of a group that is listed, since it has been.
    """

    rss: int = 0
    processes: int = 0
    spent: Spending = msgspec.field(default_factory=Spending)
    memory: int | None = None
    memory_limit: int | None = None
    restarts: int = 0

    def add(self, other: "Usage") -> None:
        """Make this the sum of both; a sum has no limit."""
        self.rss += other.rss
        self.processes += other.processes
        self.spent.add(other.spent)
        if other.memory is not None:
            self.memory = (self.memory or 0) + other.memory
        self.memory_limit = None
        self.restarts += other.restarts


class Listing(Generic[K]):
    """Which groups have a place of their own, and their CPU time since they have it.

    A group keeps its place for as long as nobody more deserving needs it: places that changed with
    every tick would make new series without end in the database of who scrapes. CPU time used
    without a place is counted for `other`, so that each counter only grows and the rates of all
    together are the host's.
    """

    def __init__(self, other: K) -> None:
        """Begin with nobody listed; `other` is who the rest is counted for."""
        self._other = other
        self._spent: dict[K, Spending] = {}
        self._other_spent = Spending()
        self.folded = 0
        """How many groups were counted for `other`, summed over the ticks."""

    def advance(
        self, usages: Mapping[K, Usage], deserving: Iterable[K], places: int
    ) -> dict[K, Usage]:
        """Take one tick's groups; `deserving` are those that should be listed, the first most."""
        first = [key for key in dict.fromkeys(deserving) if key != self._other][:places]
        chosen = set(first)
        stay = [key for key in self._spent if key in usages and key not in chosen]
        # Who was deserving last stands last.
        kept = stay[max(0, len(stay) - (places - len(first))) :]
        self._spent = {key: self._spent.get(key) or Spending() for key in [*kept, *reversed(first)]}
        rest = Usage()
        result = {}
        for key, usage in usages.items():
            if spent := self._spent.get(key):
                spent.add(usage.spent)
                result[key] = replace(usage, spent=copy(spent))
            else:
                rest.add(usage)
                self.folded += key != self._other
        self._other_spent.add(rest.spent)
        result[self._other] = replace(rest, spent=copy(self._other_spent))
        return result
