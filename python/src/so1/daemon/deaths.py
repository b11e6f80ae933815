# SPDX-License-Identifier: MIT
"""Events of the processes that crashed, or that the kernel killed for want of memory."""

import signal
from collections import defaultdict

from so1.model import SHORT_ID, Exit
from so1.sample import Sample
from so1.store.event import Event

_CRASHES = {
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGSEGV,
    signal.SIGSYS,
}
"""Signals that a process gets for what it did itself; others are somebody's way to end it."""
_MOST = 10
"""Events in one tick; of more only the number is told."""
_PIDS = 3
"""Pids that one event names."""


def events(sample: Sample) -> list[Event]:
    """Tell of each name and container once, however many of its processes died."""
    groups: defaultdict[tuple[str, str | None, str], list[Exit]] = defaultdict(list)
    for one in sample.exits:
        if how := _how(one):
            groups[one.name, one.container_id, how].append(one)
    names = {usage.container.id: usage.container.name for usage in sample.everyone}
    timestamp = round(sample.timestamp * 1000)
    told = [
        Event(
            timestamp=timestamp,
            kind="exit",
            outcome="failed",
            detail=_sentence(name, how, [one.pid for one in dead]),
            container_id=id_,
            container_name=None if id_ is None else names.get(id_, id_[:SHORT_ID]),
            ram_usage=max(one.peak_rss for one in dead),
        )
        for (name, id_, how), dead in list(groups.items())[:_MOST]
    ]
    if more := sum(map(len, list(groups.values())[_MOST:])):
        rest = f"{more} more processes died in the same tick; `so1 exits --failed` lists them."
        told.append(Event(timestamp=timestamp, kind="exit", outcome="failed", detail=rest))
    return told


def _how(one: Exit) -> str:
    if one.oom_killed and one.signal == signal.SIGKILL:
        return "was killed by the kernel for want of memory"
    if one.signal in _CRASHES:
        return f"crashed ({signal.Signals(one.signal).name})"
    return ""


def _sentence(name: str, how: str, pids: list[int]) -> str:
    if len(pids) == 1:
        return f"{name} (pid {pids[0]}) {how}."
    shown = ", ".join(map(str, pids[:_PIDS])) + (", …" if len(pids) > _PIDS else "")
    return f"{name} {how}: {len(pids)} processes (pid {shown})."
