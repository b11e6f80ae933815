# SPDX-License-Identifier: MIT
"""Whatever processes and containers are called, Prometheus' own tool takes the exposition."""

import random
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so1.config import Metrics
from so1.exposition.families import Families
from so1.exposition.label import LONGEST, label
from so1.sources.kernel import take
from tests.so1.exposition.samples import Series, complaints, container, series, text, told
from tests.so1.processes import SUFFIX, process, typed

HOSTILE = [
    'quote"',
    "back\\slash",
    "end\\",
    "line\nbreak",
    "\r\n# HELP so1_x y\nso1_x 1\n",
    '"} 1\nso1_evil{a="',
    "\0",
    "\x7f\x1b[31m",
    "\u202emarc",
    "\ud800",
    "\U0010ffff",
    "é",
    "日本語" * 40,
    "x" * 4_096,
    "x" * 4_097,
    "",
    " ",
    "(other)",
    "(unknown)",
    "{}",
    "NaN",
    "\\x00",
]
NAMES = st.text(st.characters(), max_size=40) | st.sampled_from(HOSTILE)


def judged(names: list[str], images: list[str], families: Families) -> Series:
    ids = [f"{number:064x}" for number in range(len(images))]
    processes = [
        typed(pid, name=name, rss=7, container_id=ids[pid % len(ids)] if ids else None)
        for pid, name in enumerate(names)
    ]
    containers = [
        container(id_, name=name, image=image)
        for id_, name, image in zip(ids, reversed(names), images, strict=False)
    ]
    round_ = told(processes, containers, used=dict.fromkeys(range(len(names)), 1))
    shown = text(families, round_)
    assert complaints(shown) == ""
    found = series(shown)
    assert len(found) <= round_.own.config.metrics.max_series
    rss = [v for (name, _), v in found.items() if name == "so1_process_group_resident_memory_bytes"]
    assert sum(rss) == 7 * 1024 * len(names)
    return found


def test_known_ones() -> None:
    found = judged(HOSTILE, HOSTILE, Families())
    assert not {name for name, _ in found if "evil" in name or name == "so1_x"}
    values = {value for _, labels in found for _, value in labels}
    assert 'quote"' in values
    assert "back\\slash" in values
    assert "line\\x0abreak" in values
    assert max(map(len, values)) <= LONGEST


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NAMES, max_size=60), st.lists(NAMES, max_size=30))
def test_any(names: list[str], images: list[str]) -> None:
    judged(names, images, Families())


def test_of_one_host_over_time() -> None:
    chosen = random.Random(4)
    families = Families()
    for _ in range(10):
        names = ["".join(chr(chosen.randrange(0x500)) for _ in range(15)) for _ in range(100)]
        judged(names + chosen.sample(HOSTILE, 10), chosen.sample(HOSTILE, 15), families)


@given(NAMES)
def test_a_label_is_printable_and_short(name: str) -> None:
    shown = label(name)
    assert shown.isprintable()
    assert len(shown) <= LONGEST


def test_two_that_look_the_same_are_one_series() -> None:
    long = ["x" * 4_096 + end for end in "ab"]
    named = [container(c * 64, name=n) for c, n in zip("ab", long, strict=True)]
    inside = [typed(1, name=long[0], container_id="a" * 64), typed(2, name=long[1])]
    found = series(text(Families(), told(inside, named)))
    shortened = ("name", label(long[0]))
    groups = [
        value
        for (name, labels), value in found.items()
        if name == "so1_process_group_processes" and shortened in labels
    ]
    assert groups == [2]


def test_names_as_the_kernel_writes_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    one = process(1, name="\\xff\\xfe\\\\")
    host = {"total_ram": 1_000, "free_ram": 400, "used_ram": 600, "processes": [one]}
    (tmp_path / f"sysinfo_so1_{SUFFIX}").write_bytes(msgspec.json.encode(host))
    (tmp_path / f"continfo_so1_{SUFFIX}").write_text("[]")
    shown = text(Families(), told(snapshot=take(SUFFIX, tmp_path)))
    assert complaints(shown) == ""
    assert 'name="\\\\xff\\\\xfe\\\\\\\\"' in shown


def test_a_tight_budget_too() -> None:
    families = Families()
    crowd = [typed(pid, name=f"{HOSTILE[pid % len(HOSTILE)]}{pid}") for pid in range(400)]
    shown = text(families, told(crowd, settings=Metrics(enabled=True, max_series=200)))
    assert complaints(shown) == ""
    assert len(series(shown)) <= 200
