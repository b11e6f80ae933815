# SPDX-License-Identifier: MIT
"""What must hold of every plan, whatever runs and whatever the policy."""

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from so1.config import Policy
from so1.governor.policy import Plan, Verdict, plan
from so1.model import Container, ContainerUsage, classify
from tests.so1.governor.containers import NOW, usage

# Few different figures, so that ties are common.
figures = st.integers(0, 4)
usages = st.lists(
    st.builds(
        usage,
        st.integers(0, 10**9),
        st.sampled_from(["low", "high", None]),
        managed=st.booleans() | st.just(True),  # noqa: FBT003 - a strategy
        ram=figures,
        cpu=figures.map(float),
        age=st.sampled_from([0.0, 29.9, 30.0, 3600.0]) | st.floats(0, 100),
    ),
    unique_by=lambda u: u.container.id,
    max_size=30,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    low, high = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    maximum = draw(st.integers(low + high, low + high + 10))
    return Policy(maximum=maximum, keep_low=low, keep_high=high, grace=30)


def worst_first(u: ContainerUsage) -> tuple[float, float, str]:
    return -u.ram, -u.cpu, u.container.id


def managed(found: list[ContainerUsage], class_: str | None = None) -> list[ContainerUsage]:
    return [u for u in found if u.container.managed and class_ in (None, classify(u.container))]


def removed(made: Plan, class_: str) -> list[Verdict]:
    return [v for v in made.removals if v.class_ == class_]


@given(usages, policies())
def test_every_container_has_one_verdict_with_its_own_figures(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = plan(found, policy, NOW)
    assert sorted(v.container.id for v in made.verdicts) == sorted(u.container.id for u in found)
    by_id = {u.container.id: u for u in found}
    for verdict in made.verdicts:
        assert verdict.usage is by_id[verdict.container.id]
        assert verdict.reason
        assert verdict.keep == (verdict.rule in ("not-managed", "within-limits", "grace-period"))


@given(usages, policies())
def test_what_is_not_managed_is_never_removed_and_changes_nothing(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = plan(found, policy, NOW)
    for verdict in made.verdicts:
        assert (verdict.rule == "not-managed") == (not verdict.container.managed)
        assert (verdict.class_ == "unmanaged") == (not verdict.container.managed)
    assert made.removals == plan(managed(found), policy, NOW).removals


@given(usages, policies())
def test_never_more_than_asked_for(found: list[ContainerUsage], policy: Policy) -> None:
    made = plan(found, policy, NOW)
    assert made.emergency == (len(managed(found)) > policy.maximum)
    for class_, quota in (("low", policy.keep_low), ("high", policy.keep_high)):
        members = managed(found, class_)
        settled = [u for u in members if NOW - u.container.started_at >= policy.grace]
        weighed = members if made.emergency else settled
        assert len(removed(made, class_)) == max(0, len(weighed) - quota)


@given(usages, policies())
def test_the_worst_go_first(found: list[ContainerUsage], policy: Policy) -> None:
    made = plan(found, policy, NOW)
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
    made = plan(found, policy, NOW)
    for verdict in made.verdicts:
        young = NOW - verdict.container.started_at < policy.grace
        spared = verdict.rule == "grace-period"
        assert spared == (young and verdict.container.managed and not made.emergency)


@given(usages, policies())
def test_a_plan_carried_out_leaves_nothing_to_do(
    found: list[ContainerUsage], policy: Policy
) -> None:
    left = [v.usage for v in plan(found, policy, NOW).verdicts if v.keep]
    assert plan(left, policy, NOW).removals == []


@given(usages, policies(), st.randoms(use_true_random=False))
def test_the_order_in_which_they_are_listed_does_not_matter(
    found: list[ContainerUsage], policy: Policy, chance: Random
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert plan(shuffled, policy, NOW) == plan(found, policy, NOW)


@given(usages, policies())
def test_above_the_maximum_exactly_the_quotas_stay(
    found: list[ContainerUsage], policy: Policy
) -> None:
    assume(len(managed(found)) > policy.maximum)
    made = plan(found, policy, NOW)
    stay = Counter(v.class_ for v in made.verdicts if v.keep)
    assert stay["low"] == min(policy.keep_low, len(managed(found, "low")))
    assert stay["high"] == min(policy.keep_high, len(managed(found, "high")))
    assert {v.rule for v in made.removals} == {"emergency"}


@given(usages, policies())
def test_an_emergency_that_is_not_over_brings_down_to_the_quotas_too(
    found: list[ContainerUsage], policy: Policy
) -> None:
    made = plan(found, policy, NOW, unfinished=True)
    most = msgspec.structs.replace(policy, maximum=0)
    assert made.emergency
    assert [(v.container, v.rule, v.keep) for v in made.verdicts] == [
        (v.container, v.rule, v.keep) for v in plan(found, most, NOW, unfinished=True).verdicts
    ]
    left = [v.usage for v in made.verdicts if v.keep]
    assert plan(left, policy, NOW, unfinished=True).removals == []


def test_the_default_policy_brings_twelve_down_to_three_and_two() -> None:
    found = [usage(n, "low", ram=n, age=0) for n in range(7)]
    found += [usage(n, "high", ram=n, age=0) for n in range(10, 15)]
    found += [usage(n, managed=False, ram=10**9) for n in range(20, 40)]
    made = plan(found, Policy(), NOW)
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
    made = plan([usage(n, "low") for n in range(11)], Policy(), NOW)
    assert made.emergency
    assert len(made.removals) == 11 - Policy().keep_low


def test_ten_are_no_emergency() -> None:
    made = plan([usage(n, "low", age=0) for n in range(10)], Policy(), NOW)
    assert not made.emergency
    assert made.removals == []


def test_equal_ones_go_by_their_id() -> None:
    made = plan([usage(n, "low") for n in (5, 3, 4, 1, 2)], Policy(), NOW)
    assert [v.container.name for v in made.removals] == ["c1", "c2"]


def test_cpu_decides_where_ram_is_equal() -> None:
    found = [usage(n, "high", ram=50, cpu=n) for n in range(3)] + [usage(9, "high", ram=49, cpu=99)]
    made = plan(found, Policy(), NOW)
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
    assert classify(msgspec.structs.replace(container, image=image)) == class_


@pytest.mark.parametrize("value", ["false", "True", "1", ""])
def test_only_the_exact_label_hands_it_over(value: str) -> None:
    container = Container("ab" * 32, "web", "alpine", {"so1.managed": value}, 0)
    assert not container.managed
