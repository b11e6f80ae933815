# SPDX-License-Identifier: MIT
"""Whatever a document holds, so1_facts returns facts or a sentence, never a traceback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import so1_facts
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modules.captured_host import HERE, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURED = HERE / "hosts" / "debian-12" / "proc"
SYSINFO = (CAPTURED / f"sysinfo_so1_{SUFFIX}").read_bytes()
CONTINFO = (CAPTURED / f"continfo_so1_{SUFFIX}").read_bytes()
LIMITS = (CAPTURED / so1_facts.LIMITS).read_bytes()
SUBSET = frozenset({"memory", "processes", "containers", "limits"})

documents = st.sampled_from([SYSINFO, CONTINFO, LIMITS])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def source() -> Iterator[so1_facts.Source]:
    with tempfile.TemporaryDirectory() as root:
        yield so1_facts.Source(Path(root), Path(root) / "sys", SUFFIX)


def survives(source: so1_facts.Source, content: bytes) -> None:
    """Give every module this document: each part is in the facts or has its problem."""
    for name in (*so1_facts.MODULES, so1_facts.LIMITER):
        source.path(name).write_bytes(content)
    facts, problems = so1_facts.gather(source, source.proc_root / "none", SUBSET, "rss", 3)
    there = [part for part in ("memory", "containers", "memory_limits") if part in facts]
    assert len(problems) + len(there) == 3
    for problem in problems:
        assert problem.endswith(".")
        assert problem.isprintable()
        assert len(problem) < 1000
    json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()


@given(content=st.binary())
def test_random_bytes(source: so1_facts.Source, content: bytes) -> None:
    survives(source, content)


@given(document=documents, end=st.integers(0, len(SYSINFO)))
def test_truncated_documents(source: so1_facts.Source, document: bytes, end: int) -> None:
    survives(source, document[:end])


@given(document=documents, at=st.integers(0, 4000), junk=st.binary(min_size=1, max_size=8))
def test_damaged_documents(source: so1_facts.Source, document: bytes, at: int, junk: bytes) -> None:
    at %= len(document)
    survives(source, document[:at] + junk + document[at + len(junk) :])


def places(document: Any) -> list[tuple[Any, Any]]:
    """Return every (object or list, key or index) of a document."""
    if not isinstance(document, (dict, list)):
        return []
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    here = [(document, key) for key in keys]
    return here + [place for key in keys for place in places(document[key])]


@given(document=documents, pick=st.integers(0), value=anything, drop=st.booleans())
def test_documents_with_one_wrong_value(
    source: so1_facts.Source, document: bytes, pick: int, value: object, *, drop: bool
) -> None:
    parsed = json.loads(document)
    everywhere = places(parsed)
    holder, key = everywhere[pick % len(everywhere)]
    if drop:
        del holder[key]
    else:
        holder[key] = value
    survives(source, json.dumps(parsed).encode())


@given(value=anything)
def test_any_json(source: so1_facts.Source, value: object) -> None:
    survives(source, json.dumps(value).encode())


number = st.integers(0, so1_facts.NUMBER_MAX)
container_processes = st.lists(
    st.fixed_dictionaries(
        {
            **dict.fromkeys(so1_facts.NUMBERS, number),
            "name": st.text(),
            "container_id": st.sampled_from(["0a" * 32, "1b" * 32, "2c" * 32]),
        }
    ),
    unique_by=lambda process: process["pid"],
)


@settings(max_examples=200)
@given(processes=container_processes, sort=st.sampled_from(so1_facts.SORTS), top=st.integers(0, 5))
def test_no_process_is_lost_or_counted_twice(
    processes: list[dict[str, Any]], sort: str, top: int
) -> None:
    containers = so1_facts.group(so1_facts.parse_continfo(processes), sort, top)
    assert sum(one["process_count"] for one in containers) == len(processes)
    for key in so1_facts.SUMMED:
        assert sum(one[key] for one in containers) == sum(one[key] for one in processes)
    if sort in so1_facts.SUMMED:
        sums = [one[sort] for one in containers]
        assert sums == sorted(sums, reverse=True)
    for one in containers:
        assert len(one["processes"]) == min(one["process_count"], top or len(processes))
        shown = [process[sort] for process in one["processes"]]
        assert shown == sorted(shown, reverse=sort not in so1_facts.ASCENDING)
        assert set(one["names"]) == {process["name"] for process in one["processes"]}
