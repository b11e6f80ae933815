# SPDX-License-Identifier: MIT
"""The screen as lines: it fits whatever the window is, and loses nobody."""

import string

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from so1.live import groups
from so1.live.groups import OUTSIDE
from so1.live.severity import Level, busy, complaints, share, waiting
from so1.live.table import Line
from so1.live.view import KEYS, Shown, View
from so1.model import Container, ContainerUsage, Spent
from tests.so1.live.hosts import CALM, FULL, PROCESSES, TIGHT, host, shown
from tests.so1.processes import typed
from tests.so1.samples import charged, sample

PRESSES = st.sampled_from(
    [
        *("enter", "escape", "up", "down", "left", "right", "pageup", "pagedown", "home", "end"),
        *("backspace", "other", *"rcplnva/hjkxz? "),
    ]
)


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


def texts(view: View, width: int = 120, height: int = 40) -> list[str]:
    lines, _ = view.lines(width, height)
    return [text(line).rstrip() for line in lines]


def pressed(*keys: str) -> View:
    view = View(shown(), "ram")
    for key in keys:
        view.press(key)
    return view


@given(
    width=st.integers(1, 220),
    height=st.integers(1, 60),
    keys=st.lists(PRESSES, max_size=12),
    name=st.text(max_size=60),
)
def test_whatever_is_pressed_it_fits_the_window(
    width: int, height: int, keys: list[str], name: str
) -> None:
    now = host()
    odd = Container("d" * 64, name, "image", {}, 0)
    now = replace(now, strangers=[ContainerUsage(odd, 0, 0.0, 0)])
    view = View(Shown(now, f"no new sample: {name}"), "ram")
    for key in keys:
        view.press(key)
        lines, chosen = view.lines(width, height)
        assert len(lines) <= height
        assert all(cell_len(text(line)) <= width for line in lines)
        assert all(text(line).isprintable() for line in lines)
        assert chosen is None or chosen < len(lines)


def test_figures_are_never_cut() -> None:
    view = pressed("a")
    for width in range(40, 200):
        for line in texts(view, width):
            if line.startswith("! + batch"):
                assert " 506.0" in line


def test_the_sorted_column_is_the_last_to_go() -> None:
    for key, title in (("c", "CPU %"), ("r", "MEM MiB"), ("l", "LIMIT %"), ("p", "PSI MEM")):
        view = pressed(key)
        assert any(title in line for line in texts(view, 24)), title


def test_all_processes_are_somewhere() -> None:
    whole = "\n".join(texts(pressed("a")))
    for each in PROCESSES:
        assert f" {each.pid} " in whole


def test_what_is_chosen_stays_chosen() -> None:
    view = pressed("down")
    lines, chosen = view.lines(120, 40)
    assert chosen is not None
    assert "cache" in text(lines[chosen])
    view.press("n")
    view.press("v")
    lines, chosen = view.lines(120, 40)
    assert chosen is not None
    assert "cache" in text(lines[chosen])
    # It ended: the choice stays in its place.
    now = host()
    view.shown = Shown(
        replace(now, containers=[u for u in now.containers if u.container.id != TIGHT])
    )
    _, after = view.lines(120, 40)
    assert after == chosen


def test_the_chosen_row_is_always_in_the_window() -> None:
    many = [typed(n, rss=n, container_id=None) for n in range(1, 500)]
    view = View(Shown(sample(many)), "ram")
    last = ""
    for key in ("end", "pageup", "pageup", "home", "pagedown", "down", "end", "up"):
        view.press(key)
        lines, chosen = view.lines(80, 20)
        assert chosen is not None
        assert 4 <= chosen < 19, key
        last = text(lines[chosen])
        assert last.strip()
    # 499 processes and the line above them; the last but one is p2.
    assert " p2 " in last


def test_a_filter_finds_containers_by_image_and_processes_by_pid() -> None:
    assert [g.key for g in groups.grouped(host(), "ram", "redis:7")] == [TIGHT]
    (found,) = groups.grouped(host(), "ram", "300")
    assert [p.pid for p in found.processes] == [300]
    assert [g.key for g in groups.grouped(host(), "ram", CALM[:12])] == [CALM]
    assert [g.key for g in groups.grouped(host(), "ram", "SYSTEMD")] == [OUTSIDE]


def test_what_is_not_known_is_last_whichever_way() -> None:
    unmeasured = ContainerUsage(Container("d" * 64, "new", "image", {}, 0), 0, 0.0, 0)
    now = replace(host(), strangers=[unmeasured])
    for reverse in (False, True):
        for order in ("pressure", "limit"):
            found = groups.containers(now, order, reverse=reverse)
            assert found[-1].container.name == "new"
    lines = "\n".join(texts(View(Shown(now), "ram")))
    assert "+ new (?)" in lines


def test_levels_are_those_of_the_dashboards() -> None:
    assert [share(each) for each in (None, 79.9, 80, 94.9, 95, 120)] == [0, 0, 1, 1, 2, 2]
    assert [waiting(each) for each in (None, 9.9, 10, 29.9, 30, 100)] == [0, 0, 1, 1, 2, 2]
    assert [busy(each) for each in (0, 79.9, 80, 1600)] == [0, 0, 1, 1]


def test_the_worst_complaint_comes_first() -> None:
    container = Container("d" * 64, "x", "i", {}, 0, restarts=5, health="starting", looping=True)
    usage = ContainerUsage(
        container, 0, 0.0, 1, charged=charged(1, oom_kills=3), spent=Spent(throttled=35.0)
    )
    assert complaints(usage) == [
        ("looping", Level.BAD),
        ("throttled 35 %", Level.BAD),
        ("starting", Level.WARNING),
        ("OOM kills before 3", Level.WARNING),
        ("restarts 5", Level.WARNING),
    ]
    assert (
        complaints(
            ContainerUsage(replace(container, restarts=0, health="healthy", looping=False), 0, 0, 1)
        )
        == []
    )


def test_every_key_that_does_something_is_in_the_help_and_no_other() -> None:
    described = set(" ".join(f"{keys} {does}" for keys, does in KEYS).split())
    for key in string.ascii_lowercase + string.punctuation:
        # By name, which no key is that is tried first, and not in the first line.
        before, after = pressed("n", "down"), pressed("n", "down", key)
        if key == "n":
            before = pressed("down")
        changed = before.lines(120, 40) != after.lines(120, 40) or after.ended
        assert changed == (key in described), key


def test_reversed_once_more_is_as_before() -> None:
    assert texts(pressed("v", "v")) == texts(pressed())
    assert groups.containers(host(), "ram", reverse=True)[-1].container.id == FULL
