# SPDX-License-Identifier: MIT
"""What groups of processes use, for as many of them as have a place; the rest is one `(other)`."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)


class Usage(msgspec.Struct):
    """What the processes of one group use: RSS in KiB, CPU over the interval in nanoseconds."""

    rss: int = 0
    cpu_ns: int = 0
    processes: int = 0

    def add(self, other: "Usage") -> None:
        """Make this the sum of both."""
        self.rss += other.rss
        self.cpu_ns += other.cpu_ns
        self.processes += other.processes


class Listed(msgspec.Struct, frozen=True):
    """One group, as it is exposed: cpu_ns has been counted since it was listed."""

    rss: int
    cpu_ns: int
    processes: int


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
        self._cpu_ns: dict[K, int] = {}
        self._other_cpu_ns = 0
        self.folded = 0
        """How many groups were counted for `other`, summed over the ticks."""

    def advance(
        self, usages: Mapping[K, Usage], deserving: Iterable[K], places: int
    ) -> dict[K, Listed]:
        """Take one tick's groups; `deserving` are those that should be listed, the first most."""
        first = [key for key in dict.fromkeys(deserving) if key != self._other][:places]
        chosen = set(first)
        stay = [key for key in self._cpu_ns if key in usages and key not in chosen]
        # Who was deserving last stands last.
        kept = stay[max(0, len(stay) - (places - len(first))) :]
        self._cpu_ns = {key: self._cpu_ns.get(key, 0) for key in [*kept, *reversed(first)]}
        rest = Usage()
        result = {}
        for key, usage in usages.items():
            if key in self._cpu_ns:
                self._cpu_ns[key] += usage.cpu_ns
                result[key] = Listed(usage.rss, self._cpu_ns[key], usage.processes)
            else:
                rest.add(usage)
                self.folded += key != self._other
        self._other_cpu_ns += rest.cpu_ns
        result[self._other] = Listed(rest.rss, self._other_cpu_ns, rest.processes)
        return result
