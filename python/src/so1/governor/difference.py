# SPDX-License-Identifier: MIT
"""What would have gone beside what really did: the events of removals."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from so1.governor.replay import Going
from so1.store.event import Event, Outcome

_OUTCOMES: dict[str, Outcome] = {"enforce": "done", "observe": "planned"}
"""How the daemon tells of what it decided in that mode."""


class Pair(NamedTuple):
    """One that would have gone, and the event that tells what really became of it, if any does."""

    going: Going
    really: Event | None


class Difference(NamedTuple):
    """All that would have gone, and the removals that there would not have been."""

    pairs: Sequence[Pair]
    only_really: Sequence[Event]


def compare(going: Iterable[Going], events: Iterable[Event], *, tried: bool) -> Difference:
    """Find for each that would have gone its event; `events` are of removals, in order.

    Where a policy is `tried`, what was only planned is no removal. Where none is, a plan that was
    told again, after a restart, is the same as the first.
    """
    told: defaultdict[tuple[str, str, str], deque[Event]] = defaultdict(deque)
    of: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        told[_key(event.container_id or "", event.outcome, event.rule)].append(event)
        if event.outcome != "done":
            of[event.container_id or ""].append(event)
    pairs = []
    decided = set()
    for one in going:
        decided.add((one.container_id, "planned", one.rule))
        key = _key(one.container_id, _OUTCOMES[one.mode], one.rule)
        if told[key]:
            pairs.append(Pair(one, told[key].popleft()))
        else:
            # It was tried and did not work, or was only planned: the last word on it.
            others = of[one.container_id]
            pairs.append(Pair(one, others[-1] if others else None))
    counted = ("done",) if tried else ("done", "planned")
    left = [
        event
        for key, events in told.items()
        for event in events
        if key[1] in counted and not (key[1] == "planned" and key in decided)
    ]
    return Difference(pairs, sorted(left, key=lambda event: event.timestamp))


def _key(id_: str, outcome: str, rule: str | None) -> tuple[str, str, str]:
    """Tell events apart: a plan is told for each rule, a removal whatever the rule."""
    return id_, outcome, (rule or "") if outcome == "planned" else ""
