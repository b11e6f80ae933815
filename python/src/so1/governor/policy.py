# SPDX-License-Identifier: MIT
"""Which containers stay: a pure function of what they use, the policy and the time.

Only managed containers count and only they can go. Up to `maximum` of them, each class gives up
what it has above its quota (`keep_low`, `keep_high`), and a container younger than the grace period
neither goes nor counts: once it is old enough it is weighed against the others. Above `maximum`
that is an emergency: every container counts, however young, until the quotas alone are left. The
worst of a class goes first: the most RAM, then the most CPU, then the lowest id.

The quotas are each class's own, in an emergency too. A class that has fewer than its quota does not
lend the rest to the other: eleven low ones and no high one come down to keep_low, not to
keep_low + keep_high. What was lent would be above the quota a tick later, and a container would
have been kept only to be removed.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from so1.config import Policy
from so1.model import Container, ContainerClass, ContainerUsage, classify

Rule = Literal[
    "not-managed", "within-limits", "grace-period", "excess-low", "excess-high", "emergency"
]
_EXCESS: dict[ContainerClass, Rule] = {"low": "excess-low", "high": "excess-high"}


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of one container, and why; `reason` is a sentence without its full stop."""

    usage: ContainerUsage
    class_: Literal["low", "high", "unmanaged"]
    rule: Rule
    keep: bool
    reason: str

    @property
    def container(self) -> Container:
        """The container that this is about."""
        return self.usage.container


class Plan(msgspec.Struct, frozen=True):
    """A verdict on every container as it was at `now`; those to remove come first, worst first."""

    now: float
    emergency: bool
    verdicts: list[Verdict]

    @property
    def removals(self) -> list[Verdict]:
        """The containers to remove, in the order in which they go."""
        return [verdict for verdict in self.verdicts if not verdict.keep]


def plan(
    usages: Iterable[ContainerUsage], policy: Policy, now: float, *, unfinished: bool = False
) -> Plan:
    """Decide on every container; `now` is Unix epoch seconds, when they were measured.

    `unfinished` says that an emergency has containers left for which there was no time.
    """
    every = sorted(usages, key=_worst_first)
    managed = [usage for usage in every if usage.container.managed]
    many = len(managed) > policy.maximum
    emergency = many or unfinished
    verdicts = [
        Verdict(usage, "unmanaged", "not-managed", keep=True, reason="it is not managed")
        for usage in every
        if not usage.container.managed
    ]
    quotas: dict[ContainerClass, int] = {"low": policy.keep_low, "high": policy.keep_high}
    for class_, quota in quotas.items():
        members = [usage for usage in managed if classify(usage.container) == class_]
        young = [
            usage
            for usage in members
            if not emergency and is_young(usage.container.started_at, policy, now)
        ]
        verdicts += [
            Verdict(u, class_, "grace-period", keep=True, reason=_young(policy)) for u in young
        ]
        counted = [usage for usage in members if usage not in young]
        excess = max(0, len(counted) - quota)
        rule: Rule = "emergency" if emergency else _EXCESS[class_]
        why = f"of {len(counted)} {class_} containers {quota} are kept"
        if many:
            why = f"{len(managed)} managed containers are more than {policy.maximum}; {why}"
        elif unfinished:
            why = f"an emergency is not over yet; {why}"
        verdicts += [Verdict(u, class_, rule, keep=False, reason=why) for u in counted[:excess]]
        verdicts += [
            Verdict(u, class_, "within-limits", keep=True, reason=_stays(class_, quota))
            for u in counted[excess:]
        ]
    # Sorting is stable: within those that go, and those that stay, the worst comes first.
    verdicts.sort(key=lambda verdict: (verdict.keep, _worst_first(verdict.usage)))
    return Plan(now=now, emergency=emergency, verdicts=verdicts)


def is_young(started_at: float, policy: Policy, now: float) -> bool:
    """Whether the grace period spares what was started then."""
    return now - started_at < policy.grace


def _young(policy: Policy) -> str:
    return f"it is younger than {policy.grace:g} s"


def _stays(class_: str, quota: int) -> str:
    return f"it is among the {quota} {class_} containers that are kept"


def _worst_first(usage: ContainerUsage) -> tuple[float, float, str]:
    return -usage.ram, -usage.cpu, usage.container.id
