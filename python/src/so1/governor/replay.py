# SPDX-License-Identifier: MIT
"""The governor's decisions made again: as they were, or by another policy.

Nothing is decided here: each plan is Decision.plan(), as in the daemon. What is kept here is who
would not be there any more. Of what the daemon decided in the same way, what came of it is known:
what it could not remove was there later. All else that is planned counts as removed at once.
"""

from collections.abc import Callable, Sequence

import msgspec

from so1.config import Policy
from so1.governor import checks
from so1.governor.policy import Plan, Verdict, age
from so1.store import decisions
from so1.store.decisions import Past, Row

Try = Callable[[Policy], Policy]
"""Gives the policy to be tried in the place of one that ran."""

_ID, _CLASS, _MEMORY, _AT_STAKE = (
    decisions.Member._fields.index(name) for name in ("id", "class_", "memory", "volumes_at_stake")
)


class Going(msgspec.Struct, kw_only=True):
    """A container that would have gone.

    timestamp is when it was decided on first, until when it was seen last, both Unix epoch
    milliseconds. The other figures are those of the last decision on it: the daemon tries again
    what it could not remove. memory is in KiB, cpu in percent of one CPU, age in seconds. mode is
    'observe' where it was only to be shown.
    """

    timestamp: int
    until: int
    mode: str
    container_id: str
    container_name: str
    image: str
    class_: str
    rule: str
    reason: str
    memory: int | None
    cpu: float
    age: float | None


class Replay:
    """Decides again, one decision after the other."""

    def __init__(self, tried: Try | None = None) -> None:
        """Begin with nothing gone; without `tried` each decision has the policy that ran."""
        self._try = tried
        self._policies: dict[Policy, Policy] = {}
        self.going: list[Going] = []
        """Who would have gone, in the order in which they would have."""
        self.decisions = 0
        self.most = 0
        """The most memory, in KiB, that those which would not have been there had at one time."""
        self._gone: dict[str, Going] = {}
        """Those that are not there any more, though they really were."""
        self._open: dict[tuple[str, str], int] = {}
        """Whom a decision was to remove, and who are still there: where in `going` they are."""

    @property
    def policies(self) -> list[Policy]:
        """The policies that decided, in the order in which they first did."""
        return list(dict.fromkeys(self._policies.values()))

    def decide(self, past: Past) -> list[Verdict]:
        """Decide again; gives what is to go, in the order in which it would."""
        self.decisions += 1
        policy = self._policy(past.policy)
        rows = self._without_gone(past)
        if self._open:
            self._look_after(rows, past.timestamp)
        if not may_remove(rows, policy):
            return []
        removals = self._plan(past, rows, policy).removals
        known = self._by_the_daemon(past) if self._try and removals else None
        for verdict in removals:
            id_ = verdict.container.id
            going = _going(past, policy, verdict)
            # What is only shown is told once for each rule, with the figures of then.
            key = (id_, verdict.rule if policy.mode == "observe" else "")
            if key not in self._open:
                self._open[key] = len(self.going)
                self.going.append(going)
            elif policy.mode == "enforce":
                going.timestamp = self.going[self._open[key]].timestamp
                self.going[self._open[key]] = going
            if known is not None and id_ not in known:
                self._gone[id_] = self.going[self._open.pop(key)]
        return removals

    def _policy(self, ran: Policy) -> Policy:
        if ran not in self._policies:
            self._policies[ran] = self._try(ran) if self._try else ran
        return self._policies[ran]

    def _without_gone(self, past: Past) -> Sequence[Row]:
        """Leave out those that would not be there any more."""
        if not self._gone:
            return past.rows
        there = []
        freed = 0
        for row in past.rows:
            gone = self._gone.get(row[_ID])
            if gone is None:
                there.append(row)
            else:
                gone.until = past.timestamp
                freed += row[_MEMORY] or 0
        self.most = max(self.most, freed)
        return there

    def _look_after(self, rows: Sequence[Row], timestamp: int) -> None:
        """Note who is still there; one that was away is told anew, as by the daemon."""
        there = {row[_ID] for row in rows}
        for key, index in list(self._open.items()):
            if key[0] in there:
                self.going[index].until = timestamp
            else:
                del self._open[key]

    def _plan(self, past: Past, rows: Sequence[Row], policy: Policy) -> Plan:
        held = past.held
        if self._try:
            # The daemon looked only at whom its own policy was to remove.
            why = checks.VOLUMES_WOULD_GO
            held = {row[_ID]: why for row in rows if row[_AT_STAKE]} | dict(held)
        # How far an emergency came in time is known of the policy that ran, and of no other.
        unfinished = past.unfinished and policy == past.policy
        return decisions.again(rows, policy, unfinished=unfinished, held=held).plan()

    def _by_the_daemon(self, past: Past) -> set[str]:
        """Tell whom the daemon was to remove then."""
        if past.policy.mode == "observe":
            return set()
        ran = decisions.again(
            past.rows, past.policy, unfinished=past.unfinished, held=past.held
        ).plan()
        return {verdict.container.id for verdict in ran.removals}


def may_remove(rows: Sequence[Row], policy: Policy) -> bool:
    """Whether a plan could remove any of these; most could not, and need not be made.

    A class gives up only what it has above its quota.
    """
    low = len([row for row in rows if row[_CLASS] == "low"])
    return low > policy.keep_low or len(rows) - low > policy.keep_high


def _going(past: Past, policy: Policy, verdict: Verdict) -> Going:
    container = verdict.container
    return Going(
        timestamp=past.timestamp,
        until=past.timestamp,
        mode=policy.mode,
        container_id=container.id,
        container_name=container.name,
        image=container.image,
        class_=verdict.class_,
        rule=verdict.rule,
        reason=verdict.reason,
        memory=verdict.usage.memory,
        cpu=verdict.usage.cpu,
        age=age(container, 0),
    )
