# SPDX-License-Identifier: MIT
"""Decisions of the governor: as the daemon stores them, and as they are read back.

What a decision stands on is in two places. The containers as they were sampled are the tick's rows
in container_totals. The table decisions has the policy, and what only the governor knew.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from so1.config import Policy
from so1.governor.decision import Decision
from so1.model import CLASS, MANAGED, Container, ContainerClass, ContainerUsage
from so1.sample import Sample
from so1.store.rows import DecisionRow

POLICY = ("mode", "maximum", "keep_low", "keep_high", "grace")
"""What of a policy decides, and so is kept with each decision."""
_FIRST = "SELECT timestamp, id FROM decisions WHERE timestamp >= ? ORDER BY id LIMIT 1"
_DECISIONS = (
    "SELECT timestamp, mode, maximum, keep_low, keep_high, grace, unfinished, seen, held, spared"
    " FROM decisions WHERE id >= ? ORDER BY id"
)
_TICKS = (
    "SELECT timestamp FROM metrics"
    " WHERE id >= (SELECT min(id) FROM metrics WHERE timestamp >= ?) ORDER BY id"
)
_CONTAINERS = (
    "SELECT timestamp, container_id, class, memory, ifnull(cpu_usage, 0), age_ns,"
    " ifnull(restarts, 0), looping, volumes_at_stake, container_name, image FROM container_totals"
    " WHERE id >= (SELECT min(id) FROM container_totals WHERE timestamp = ?)"
    " AND class != 'unmanaged' ORDER BY id"
)

Row = tuple[Any, ...]
"""A Member that is not made into one yet: most are only counted."""


class Member(NamedTuple):
    """A managed container as it was decided on; memory in KiB, cpu in percent of one CPU."""

    timestamp: int
    id: str
    class_: ContainerClass
    memory: int | None
    cpu: float
    age_ns: int | None
    restarts: int
    looping: int
    volumes_at_stake: int
    name: str
    image: str


class Past(NamedTuple):
    """One decision that was made; rows are the managed containers, each a Member."""

    timestamp: int
    policy: Policy
    unfinished: bool
    held: Mapping[str, str]
    rows: Sequence[Row]
    spared: Mapping[str, str] = {}


def row(sample: Sample, decision: Decision) -> DecisionRow:
    """Lay out a decision's row; what the tick's own rows tell is not told again."""
    policy = decision.policy
    looked = {usage.container.id: usage for usage in decision.usages}
    seen: dict[str, list[int | None] | None] = {}
    for before in sample.containers:
        id_ = before.container.id
        now = looked.get(id_)
        if now is before:
            continue
        found = None if now is None else _figures(now, decision.taken_ns)
        if found != _figures(before, decision.taken_ns):
            seen[id_] = found
    return DecisionRow(
        timestamp=round(sample.timestamp * 1000),
        mode=policy.mode,
        maximum=policy.maximum,
        keep_low=policy.keep_low,
        keep_high=policy.keep_high,
        grace=policy.grace,
        unfinished=decision.unfinished,
        seen=json.dumps(seen) if seen else None,
        held=json.dumps(dict(decision.held)) if decision.held else None,
        spared=json.dumps(dict(decision.spared)) if decision.spared else None,
    )


def _figures(usage: ContainerUsage, taken_ns: int) -> list[int | None]:
    """Tell what a second look may find otherwise: age, restarts and memory."""
    started_ns = usage.container.started_ns
    age_ns = None if started_ns is None else taken_ns - started_ns
    return [age_ns, usage.container.restarts, usage.memory]


def again(
    rows: Sequence[Row],
    policy: Policy,
    *,
    unfinished: bool,
    held: Mapping[str, str],
    spared: Mapping[str, str],
) -> Decision:
    """Make a decision to be made again, by this policy, on a clock that begins at that moment."""
    usages = [_usage(Member._make(each)) for each in rows]
    return Decision(usages, policy, 0, unfinished, held, spared)


def _usage(member: Member) -> ContainerUsage:
    container = Container(
        id=member.id,
        name=member.name,
        image=member.image,
        labels={MANAGED: "true", CLASS: member.class_},
        started_at=0,
        started_ns=None if member.age_ns is None else -member.age_ns,
        restarts=member.restarts,
        looping=bool(member.looping),
    )
    return ContainerUsage(
        container=container, ram=0, cpu=member.cpu, processes=0, memory=member.memory
    )


class History:
    """The decisions that a database tells of."""

    def __init__(self, connection: sqlite3.Connection, since_ms: int) -> None:
        """Read those on ticks since then, by the clock that they had; raises sqlite3.Error."""
        self._connection = connection
        self._policies: dict[tuple[Any, ...], Policy] = {}
        self.lost = 0
        """Decisions so far of which the tick could not be stored."""
        found = self._ask(_FIRST, since_ms).fetchone()
        self.since: int | None = found[0] if found else None
        """The tick of the first decision; None where there is none."""
        self._first = found[1] if found else 0

    def __iter__(self) -> Iterator[Past]:
        """Give one after the other, in the order in which they were made."""
        if self.since is None:
            return
        # By id: where the clock was set, timestamps say nothing of the order.
        ticks = [timestamp for (timestamp,) in self._ask(_TICKS, self.since)]
        known = set(ticks)
        decided = self._decided(known)
        groups = self._containers(ticks, known)
        of_decision, of_group = next(decided, None), next(groups, None)
        for timestamp in ticks:
            rows: list[Row] = []
            if of_group is not None and of_group[0] == timestamp:
                rows = of_group[1]
                of_group = next(groups, None)
            if of_decision is not None and of_decision[0] == timestamp:
                yield self._past(of_decision, rows)
                of_decision = next(decided, None)

    def _ask(self, query: str, *values: int) -> sqlite3.Cursor:
        cursor = self._connection.execute(query, values)
        cursor.row_factory = None
        return cursor

    def _decided(self, known: set[int]) -> Iterator[Row]:
        lost = 0
        for each in self._ask(_DECISIONS, self._first):
            if each[0] in known:
                # The last one's tick may only not be written yet.
                self.lost += lost
                lost = 0
                yield each
            else:
                lost += 1

    def _containers(self, ticks: list[int], known: set[int]) -> Iterator[tuple[int, list[Row]]]:
        first = "SELECT 1 FROM container_totals WHERE timestamp = ?"
        start = next((at for at in ticks if self._ask(first, at).fetchone()), None)
        if start is None:
            return
        for timestamp, rows in groupby(self._ask(_CONTAINERS, start), itemgetter(0)):
            if timestamp in known:
                yield timestamp, list(rows)

    def _past(self, row: Row, rows: list[Row]) -> Past:
        timestamp, *policy, unfinished, seen, held, spared = row
        key = tuple(policy)
        if key not in self._policies:
            decided = dict(zip(POLICY, key, strict=True))
            self._policies[key] = msgspec.convert(decided, Policy)
        if seen:
            rows = list(_as_seen(rows, json.loads(seen)))
        return Past(
            timestamp,
            self._policies[key],
            bool(unfinished),
            json.loads(held) if held else {},
            rows,
            json.loads(spared) if spared else {},
        )


def _as_seen(rows: list[Row], seen: Mapping[str, list[int | None] | None]) -> Iterator[Row]:
    """Change what a second look found otherwise; what was gone is not among them."""
    for each in rows:
        member = Member._make(each)
        if member.id not in seen:
            yield each
        elif (found := seen[member.id]) is not None:
            age_ns, restarts, memory = found
            yield member._replace(age_ns=age_ns, restarts=restarts or 0, memory=memory)
