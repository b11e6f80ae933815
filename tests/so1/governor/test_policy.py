# SPDX-License-Identifier: MIT
"""What must hold of every plan, whatever runs and whatever the policy."""

import gc
import time
from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from so1.config import Policy
from so1.governor.policy import Plan, Verdict, age, plan
from so1.model import CLASS, Container, ContainerClass, ContainerUsage
from tests.so1.governor.containers import TAKEN, usage

# Few different figures, so that ties are common.
figures = st.integers(0, 4)
usages = st.lists(
    st.builds(
        usage,
        st.integers(0, 10**9),
        st.sampled_from(["low", "high", None]),
        managed=st.booleans() | st.just(True),  # noqa: FBT003 - a strategy
        memory=figures | st.just(None) | figures,
        cpu=figures.map(float),
        age=st.sampled_from([0.0, 29.9, 30.0, 599.9, 600.0, 3600.0]) | st.floats(0, 100),
        restarts=st.sampled_from([0, 0, 0, 1, 5]),
        looping=st.sampled_from([False, False, False, True]),
    ),
    unique_by=lambda u: u.container.id,
    max_size=30,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    low, high = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    maximum = draw(st.integers(low + high, low + high + 10))
    return Policy(maximum=maximum, keep_low=low, keep_high=high, grace=30)


def held(found: list[ContainerUsage]) -> dict[str, str]:
    """Some that may never be removed."""
    return {u.container.id: "a volume" for u in found if int(u.container.id, 16) % 7 == 0}


def planned(found: list[ContainerUsage], policy: Policy, *, unfinished: bool = False) -> Plan:
    return plan(found, policy, TAKEN, unfinished=unfinished, held=held(found))


def worst_first(u: ContainerUsage) -> tuple[float, float, str]:
    return -(u.memory or 0), -u.cpu, u.container.id


def managed(found: list[ContainerUsage], class_: str | None = None) -> list[ContainerUsage]:
    return [u for u in found if u.container.managed and class_ in (None, u.container.class_)]


def seconds(u: ContainerUsage) -> float:
    found = age(u.container, TAKEN)
    assert found is not None
    return found


def unsettled(u: ContainerUsage) -> bool:
    return u.container.looping or (u.container.restarts > 0 and seconds(u) < 600)


def weighed(found: list[ContainerUsage], policy: Policy, *, young: bool) -> list[ContainerUsage]:
    """Those that are measured, settled and old enough."""
    return [
        u
        for u in found
        if u.memory is not None and not unsettled(u) and (young or seconds(u) >= policy.grace)
    ]


def removed(made: Plan, class_: str) -> list[Verdict]:
    return [v for v in made.removals if v.class_ == class_]


@given(usages, policies())
def test_every_container_has_one_verdict_with_its_own_figures(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = planned(found, policy)
    assert sorted(v.container.id for v in made.verdicts) == sorted(u.container.id for u in found)
    by_id = {u.container.id: u for u in found}
    for verdict in made.verdicts:
        assert verdict.usage is by_id[verdict.container.id]
        assert verdict.reason
        assert verdict.keep == (verdict.rule not in ("excess-low", "excess-high", "emergency"))


@given(usages, policies())
def test_what_is_not_managed_is_never_removed_and_changes_nothing(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = planned(found, policy)
    for verdict in made.verdicts:
        assert (verdict.rule == "not-managed") == (not verdict.container.managed)
        assert (verdict.class_ == "unmanaged") == (not verdict.container.managed)
    assert made.removals == planned(managed(found), policy).removals


@given(usages, policies())
def test_never_more_than_asked_for(found: list[ContainerUsage], policy: Policy) -> None:
    made = planned(found, policy)
    assert made.emergency == (len(managed(found)) > policy.maximum)
    for class_, quota in (("low", policy.keep_low), ("high", policy.keep_high)):
        members = weighed(managed(found, class_), policy, young=made.emergency)
        stuck = [u for u in members if u.container.id in held(found)]
        assert len(removed(made, class_)) == min(
            max(0, len(members) - quota), len(members) - len(stuck)
        )


@given(usages, policies())
def test_what_is_not_known_is_neither_removed_nor_in_anyones_place(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = planned(found, policy)
    for verdict in made.removals:
        assert verdict.usage.memory is not None
        assert not unsettled(verdict.usage)
        assert verdict.container.id not in held(found)
    for verdict in made.verdicts:
        blind = verdict.container.managed and not unsettled(verdict.usage)
        assert (verdict.rule == "unmeasured") == (blind and verdict.usage.memory is None)
        loops = verdict.container.managed and unsettled(verdict.usage)
        assert (verdict.rule == "restarting") == loops
    # Whether they are there does not decide who of the others goes, unless they make it too many.
    others = [v.usage for v in made.verdicts if v.rule not in ("unmeasured", "restarting")]
    if not made.emergency:
        assert [v.container for v in planned(others, policy).removals] == [
            v.container for v in made.removals
        ]


def test_one_whose_start_is_not_known_is_unmeasured() -> None:
    one = usage(1, memory=9)
    blind = msgspec.structs.replace(
        one, container=msgspec.structs.replace(one.container, started_ns=None)
    )
    (verdict,) = plan([blind], Policy(keep_low=0, keep_high=0), TAKEN).verdicts
    assert (verdict.rule, verdict.keep) == ("unmeasured", True)


def test_memory_that_is_shared_is_nobodys_excess() -> None:
    # 9 processes that share 64 MiB, beside hogs: what their RSS adds up to says nothing.
    shared = msgspec.structs.replace(usage(1, "high", memory=67_584), ram=570_368)
    hogs = [usage(2, "high", memory=204_800), usage(3, "high", memory=102_400)]
    made = plan([shared, *hogs], Policy(keep_high=1), TAKEN)
    assert [v.container.name for v in made.removals] == ["c2", "c3"]


def test_one_that_keeps_crashing_does_not_displace_a_healthy_one() -> None:
    loops = usage(1, "high", memory=0, age=45, restarts=3)
    found = [loops, usage(2, "high", memory=900), usage(3, "high", memory=800)]
    made = plan(found, Policy(keep_high=2), TAKEN)
    assert made.removals == []
    (verdict,) = [v for v in made.verdicts if v.container.name == "c1"]
    assert verdict.reason == "the engine restarted it 3 times, last within 10 min"
    # Once it has run for long, it is like any other.
    settled = usage(1, "high", memory=0, age=700, restarts=3)
    assert [v.container.name for v in plan([settled, *found[1:]], Policy(), TAKEN).removals] == [
        "c2"
    ]


def test_in_place_of_one_that_may_not_go_another_does() -> None:
    found = [usage(n, memory=n) for n in (1, 2, 3, 4)]
    made = plan(found, Policy(), TAKEN, held={found[3].container.id: "it has a volume"})
    assert [v.container.name for v in made.removals] == ["c3"]
    assert made.removals[0].reason == "of 4 low containers 3 are kept"
    (stuck,) = [v for v in made.verdicts if v.rule == "may-not-go"]
    assert (stuck.container.name, stuck.reason) == ("c4", "it has a volume")


def test_thousands_are_planned_in_linear_time() -> None:
    policy = Policy(maximum=10_000)

    def took(count: int) -> float:
        found = [usage(n, memory=n, age=n % 60) for n in range(count)]
        best = []
        for _ in range(5):
            gc.collect()
            began = time.thread_time()
            plan(found, policy, TAKEN)
            best.append(time.thread_time() - began)
        return min(best)

    took(100)
    # Eight times as many take eight times as long; what compares each with each takes sixty.
    assert took(8_000) < 32 * took(1_000)


@given(usages, policies())
def test_the_worst_go_first(found: list[ContainerUsage], policy: Policy) -> None:
    made = planned(found, policy)
    assert made.removals == made.verdicts[: len(made.removals)]
    assert made.removals == sorted(made.removals, key=lambda v: worst_first(v.usage))
    for class_ in ("low", "high"):
        kept = [v for v in made.verdicts if v.class_ == class_ and v.rule == "within-limits"]
        for gone in removed(made, class_):
            assert all(worst_first(gone.usage) < worst_first(stays.usage) for stays in kept)


@given(usages, policies())
def test_the_young_are_spared_except_in_an_emergency(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = planned(found, policy)
    for verdict in made.verdicts:
        known = verdict.usage.memory is not None and not unsettled(verdict.usage)
        young = known and seconds(verdict.usage) < policy.grace
        spared = verdict.rule == "grace-period"
        assert spared == (young and verdict.container.managed and not made.emergency)


@given(usages, policies())
def test_a_plan_carried_out_leaves_nothing_to_do(
    found: list[ContainerUsage], policy: Policy
) -> None:
    left = [v.usage for v in planned(found, policy).verdicts if v.keep]
    assert planned(left, policy).removals == []


@given(usages, policies(), st.randoms(use_true_random=False))
def test_the_order_in_which_they_are_listed_does_not_matter(
    found: list[ContainerUsage], policy: Policy, chance: Random
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert planned(shuffled, policy) == planned(found, policy)


@given(usages, policies())
def test_above_the_maximum_exactly_the_quotas_stay(
    found: list[ContainerUsage], policy: Policy
) -> None:
    assume(len(managed(found)) > policy.maximum)
    made = planned(found, policy)
    stay = Counter(v.class_ for v in made.verdicts if v.rule == "within-limits")
    stuck = Counter(v.class_ for v in made.verdicts if v.rule == "may-not-go")
    quotas: dict[ContainerClass, int] = {"low": policy.keep_low, "high": policy.keep_high}
    for class_, quota in quotas.items():
        free = len(weighed(managed(found, class_), policy, young=True)) - stuck[class_]
        assert stay[class_] == min(max(0, quota - stuck[class_]), free)
    assert {v.rule for v in made.removals} <= {"emergency"}


@given(usages, policies())
def test_an_emergency_that_is_not_over_brings_down_to_the_quotas_too(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = planned(found, policy, unfinished=True)
    most = msgspec.structs.replace(policy, maximum=0)
    assert made.emergency
    assert [(v.container, v.rule, v.keep) for v in made.verdicts] == [
        (v.container, v.rule, v.keep) for v in planned(found, most, unfinished=True).verdicts
    ]
    left = [v.usage for v in made.verdicts if v.keep]
    assert planned(left, policy, unfinished=True).removals == []


def test_the_default_policy_brings_twelve_down_to_three_and_two() -> None:
    found = [usage(n, "low", memory=n, age=0) for n in range(7)]
    found += [usage(n, "high", memory=n, age=0) for n in range(10, 15)]
    found += [usage(n, managed=False, memory=10**9) for n in range(20, 40)]
    made = plan(found, Policy(), TAKEN)
    assert [v.container.name for v in made.removals] == [
        "c14",
        "c13",
        "c12",
        "c6",
        "c5",
        "c4",
        "c3",
    ]


def test_a_class_does_not_lend_its_places() -> None:
    made = plan([usage(n, "low") for n in range(11)], Policy(), TAKEN)
    assert made.emergency
    assert len(made.removals) == 11 - Policy().keep_low


def test_ten_are_no_emergency() -> None:
    made = plan([usage(n, "low", age=0) for n in range(10)], Policy(), TAKEN)
    assert not made.emergency
    assert made.removals == []


def test_equal_ones_go_by_their_id() -> None:
    made = plan([usage(n, "low") for n in (5, 3, 4, 1, 2)], Policy(), TAKEN)
    assert [v.container.name for v in made.removals] == ["c1", "c2"]


def test_cpu_decides_where_ram_is_equal() -> None:
    found = [usage(n, "high", memory=50, cpu=n) for n in range(3)] + [
        usage(9, "high", memory=49, cpu=99)
    ]
    made = plan(found, Policy(), TAKEN)
    assert [v.container.name for v in made.removals] == ["c2", "c1"]


@pytest.mark.parametrize(
    ("image", "label", "class_"),
    [
        ("alpine", None, "low"),
        ("alpine:3.20", None, "low"),
        ("library/alpine", None, "low"),
        ("registry.example:5000/library/alpine:3.20", None, "low"),
        ("alpine@sha256:" + "ab" * 32, None, "low"),
        ("alpine-nginx", None, "high"),
        ("stress", None, "high"),
        ("alpine/git", None, "high"),
        ("sha256:" + "ab" * 32, None, "high"),
        ("alpine", "high", "high"),
        ("stress", "low", "low"),
        ("stress", "medium", "high"),
        ("alpine", "", "low"),
    ],
)
def test_class(image: str, label: str | None, class_: str) -> None:
    container = usage(1, label).container
    if label == "":
        container.labels["so1.class"] = ""
    assert msgspec.structs.replace(container, image=image).class_ == class_


def labelled(
    value: str | None, image: dict[str, str] | None = None, class_: str | None = None
) -> Container:
    given = {"so1.managed": value, CLASS: class_}
    labels = {label: said for label, said in given.items() if said is not None}
    return Container("ab" * 32, "web", "stress", labels, 0, image_labels=image or {})


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_the_label_hands_it_over_however_it_is_written(value: str) -> None:
    container = labelled(value)
    assert (container.managed, container.class_, container.odd_labels) == (True, "high", [])


@pytest.mark.parametrize(
    ("value", "odd"),
    [(None, 0), ("false", 0), ("False", 0), ("1", 1), ("yes", 1), ("", 1), ("true ", 1)],
)
def test_nothing_else_does_and_what_is_odd_is_said(value: str | None, odd: int) -> None:
    container = labelled(value)
    assert (container.managed, container.class_) == (False, "unmanaged")
    assert len(container.odd_labels) == odd
    assert all(f"so1.managed={value} is neither" in why for why in container.odd_labels)


def test_a_label_of_the_image_is_no_consent() -> None:
    container = labelled("true", {"so1.managed": "true"})
    assert not container.managed
    assert "no consent" in container.odd_labels[0]
    assert labelled("true", {"so1.managed": "false"}).managed
    unknown = msgspec.structs.replace(labelled("true"), image_labels=None)
    assert not unknown.managed
    assert "not known" in unknown.odd_labels[0]


@pytest.mark.parametrize(
    ("value", "class_", "odd"),
    [("Low", "low", 0), ("HIGH", "high", 0), ("medium", "high", 1), ("", "high", 1)],
)
def test_a_class_is_read_however_it_is_written(value: str, class_: str, odd: int) -> None:
    container = labelled("true", class_=value)
    assert container.class_ == class_
    assert len(container.odd_labels) == odd
    assert labelled("false", class_=value).odd_labels == []
