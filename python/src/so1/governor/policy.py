# SPDX-License-Identifier: MIT
"""Which containers stay: a pure function of what they use, the policy and the time.

Only managed containers count and only they can go. Up to `maximum` of them, each class gives up
what it has above its quota (`keep_low`, `keep_high`), and a container younger than the grace period
neither goes nor counts: once it is old enough it is weighed against the others. Above `maximum`
that is an emergency: every container counts, however young, until the quotas alone are left. The
worst of a class goes first: the most memory, then the most CPU, then the lowest id.

Memory is what the kernel charges a container. One of which that is not known is kept and takes
nobody's place in its class, as it may be the largest of all. The same holds for one that keeps
crashing: it is small each time only because it has just begun. One that may not be removed does
take a place, since it stays whatever is decided.

The quotas are each class's own, in an emergency too. A class that has fewer than its quota does not
lend the rest to the other: eleven low ones and no high one come down to keep_low, not to
keep_low + keep_high. What was lent would be above the quota a tick later, and a container would
have been kept only to be removed.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from so1.config import Policy
from so1.model import Container, ContainerClass, ContainerUsage

Rule = Literal[
    "not-managed",
    "unmeasured",
    "restarting",
    "may-not-go",
    "grace-period",
    "within-limits",
    "excess-low",
    "excess-high",
    "emergency",
]
_EXCESS: dict[ContainerClass, Rule] = {"low": "excess-low", "high": "excess-high"}
_NS = 1_000_000_000
_SETTLED_S = 600
"""Seconds after which one that the engine had to restart counts like any other again."""


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
    """A verdict on every container; those to remove come first, worst first.

    taken_ns is when they were measured, on CLOCK_BOOTTIME.
    """

    taken_ns: int
    emergency: bool
    verdicts: list[Verdict]

    @property
    def removals(self) -> list[Verdict]:
        """The containers to remove, in the order in which they go."""
        return [verdict for verdict in self.verdicts if not verdict.keep]


def plan(
    usages: Iterable[ContainerUsage],
    policy: Policy,
    taken_ns: int,
    *,
    unfinished: bool = False,
    held: Mapping[str, str] | None = None,
) -> Plan:
    """Decide on every container, as it was measured at `taken_ns` on CLOCK_BOOTTIME.

    `unfinished` says that an emergency has containers left for which there was no time; `held` are
    those that may not be removed, by id, with the reason.
    """
    members: dict[str, list[ContainerUsage]] = {"low": [], "high": [], "unmanaged": []}
    for usage in sorted(usages, key=_worst_first):
        members[usage.container.class_].append(usage)
    managed = len(members["low"]) + len(members["high"])
    many = managed > policy.maximum
    emergency = many or unfinished
    verdicts = [
        Verdict(usage, "unmanaged", "not-managed", keep=True, reason="it is not managed")
        for usage in members["unmanaged"]
    ]
    quotas: dict[ContainerClass, int] = {"low": policy.keep_low, "high": policy.keep_high}
    for class_, quota in quotas.items():
        counted = []
        stuck = 0
        for usage in members[class_]:
            rule, reason = _set_aside(usage, policy, taken_ns, held or {}, emergency=emergency)
            if rule is None:
                counted.append(usage)
                continue
            stuck += rule == "may-not-go"
            verdicts.append(Verdict(usage, class_, rule, keep=True, reason=reason))
        excess = max(0, len(counted) - max(0, quota - stuck))
        rule = "emergency" if emergency else _EXCESS[class_]
        why = f"of {len(counted) + stuck} {class_} containers {quota} are kept"
        if many:
            why = f"{managed} managed containers are more than {policy.maximum}; {why}"
        elif unfinished:
            why = f"an emergency is not over yet; {why}"
        verdicts += [Verdict(u, class_, rule, keep=False, reason=why) for u in counted[:excess]]
        stays = f"it is among the {quota} {class_} containers that are kept"
        verdicts += [
            Verdict(u, class_, "within-limits", keep=True, reason=stays) for u in counted[excess:]
        ]
    # Sorting is stable: within those that go, and those that stay, the worst comes first.
    verdicts.sort(key=lambda verdict: (verdict.keep, _worst_first(verdict.usage)))
    return Plan(taken_ns=taken_ns, emergency=emergency, verdicts=verdicts)


def age(container: Container, taken_ns: int) -> float | None:
    """Tell for how many seconds a container ran at `taken_ns`; None where that is not known."""
    if container.started_ns is None:
        return None
    return (taken_ns - container.started_ns) / _NS


def _set_aside(
    usage: ContainerUsage,
    policy: Policy,
    taken_ns: int,
    held: Mapping[str, str],
    *,
    emergency: bool,
) -> tuple[Rule | None, str]:
    """Tell by which rule a managed container is not weighed; None where it is."""
    container = usage.container
    seconds = age(container, taken_ns)
    if container.looping:
        return "restarting", "it ends again soon after every start"
    if container.restarts and (seconds or 0) < _SETTLED_S:
        times = "once" if container.restarts == 1 else f"{container.restarts} times"
        return "restarting", f"the engine restarted it {times}, last within {_SETTLED_S // 60} min"
    if usage.memory is None or seconds is None:
        return "unmeasured", "its memory is not known, so it is not weighed against others"
    if not emergency and seconds < policy.grace:
        return "grace-period", f"it is younger than {policy.grace:g} s"
    if why := held.get(container.id):
        return "may-not-go", why
    return None, ""


def _worst_first(usage: ContainerUsage) -> tuple[float, float, str]:
    return -(usage.memory or 0), -usage.cpu, usage.container.id
