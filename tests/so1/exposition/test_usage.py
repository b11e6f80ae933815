# SPDX-License-Identifier: MIT
from hypothesis import given
from hypothesis import strategies as st

from so1.exposition.usage import Listing, Spending, Usage

OTHER = "(other)"
TICKS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 9), max_size=8),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(TICKS)
def test_sums_are_those_of_all_and_counters_only_grow(
    ticks: list[tuple[dict[str, int], int]],
) -> None:
    listing: Listing[str] = Listing(OTHER)
    before: dict[str, int] = {}
    for used, places in ticks:
        usages = {name: Usage(value, 1, Spending(value)) for name, value in used.items()}
        deserving = sorted(used, key=lambda name: -used[name])
        listed = listing.advance(usages, deserving, places)
        assert len(listed) <= places + 1
        assert set(deserving[:places]) <= set(listed)
        assert sum(each.rss for each in listed.values()) == sum(used.values())
        assert sum(each.processes for each in listed.values()) == len(used)
        grown = {name: each.spent.cpu_ns - before.get(name, 0) for name, each in listed.items()}
        assert min(grown.values()) >= 0
        # What was used is counted exactly once.
        assert sum(grown.values()) == sum(used.values())
        before = {name: each.spent.cpu_ns for name, each in listed.items()}


def test_a_place_is_kept_until_a_more_deserving_one_needs_it() -> None:
    listing: Listing[str] = Listing(OTHER)
    usages = {name: Usage(1, 1, Spending(1)) for name in "abcd"}
    assert set(listing.advance(usages, "ab", 3)) == {"a", "b", OTHER}
    assert set(listing.advance(usages, "c", 3)) == {"a", "b", "c", OTHER}
    # Of a and b, b was less deserving.
    assert set(listing.advance(usages, "d", 3)) == {"a", "c", "d", OTHER}
    del usages["a"]
    assert set(listing.advance(usages, "", 3)) == {"c", "d", OTHER}


def test_what_is_folded_is_counted() -> None:
    listing: Listing[str] = Listing(OTHER)
    usages = {name: Usage(1, 1, Spending(1)) for name in "abcd"}
    for folded in (3, 6):
        listing.advance(usages, "a", 1)
        assert listing.folded == folded
