# SPDX-License-Identifier: MIT
"""The live view in a real terminal: what is on the screen, and what is sent to it."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.so1.live.scripted import EVERY
from tests.so1.live.terminal import Terminal

RED, YELLOW = "\x1b[31m", "\x1b[33m"
FULL, TIGHT = "batch-of-the-night", "cache (1)"


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    path = tmp_path / "stage"
    path.write_text("calm")
    return path


def opened(folder: Path, stage: Path, **env: str) -> Terminal:
    terminal = Terminal(folder, **env)
    terminal.run(f"{sys.executable} -m tests.so1.live.scripted {stage}; echo ended with $?")
    return terminal


@pytest.fixture
def terminal(tmp_path: Path, stage: Path) -> Iterator[Terminal]:
    made = opened(tmp_path, stage)
    try:
        made.wait("sorted by ram")
        yield made
    finally:
        made.close()


def names(seen: str) -> list[str]:
    """The containers on the screen, from above."""
    return re.findall(r"^.\s[+-] (\S+) ", seen, re.MULTILINE)


def test_shows_limits_and_pressure_in_their_colours(terminal: Terminal) -> None:
    seen = terminal.seen()
    assert names(seen) == [FULL, "cache", "web", "outside"]
    assert re.search(rf"^! \+ {FULL} .* 506\.0 +512\.0 +99 +41 ", seen, re.MULTILINE)
    assert re.search(r"^~ \+ cache .* 85\.0 +100\.0 +85 +12 ", seen, re.MULTILINE)
    # A process has the cap of the memory limiter.
    assert re.search(r"python3 +400 +15\.0 +200\.0 +512\.0 +98 ", seen)
    assert "1,843 of 2,048 MiB" in seen
    full = terminal.line(FULL, colours=True)
    assert re.search(r"\x1b\[1m\x1b\[31m[^\x1b]*99", full), full
    assert "OOM kills 2" in full
    tight = terminal.line(TIGHT, colours=True)
    assert (RED in tight, YELLOW in tight) == (False, True), tight
    calm = terminal.line("web (2)", colours=True)
    assert (RED in calm, YELLOW in calm) == (False, False), calm


def test_keys_sort(terminal: Terminal) -> None:
    for key, order, expected in (
        ("n", "name", [FULL, "cache", "web"]),
        ("c", "cpu", [FULL, "cache", "web"]),
        ("v", "cpu, reversed", ["web", "cache", FULL]),
        ("p", "pressure, reversed", ["web", "cache", FULL]),
        ("v", "pressure", [FULL, "cache", "web"]),
        ("l", "limit", [FULL, "cache", "web"]),
        ("r", "ram", [FULL, "cache", "web"]),
    ):
        terminal.press(key)
        seen = terminal.wait(f"sorted by {order},")
        assert names(seen)[:3] == expected


def test_containers_fold_and_unfold(terminal: Terminal) -> None:
    assert "java" not in terminal.seen()
    terminal.press("Space")
    assert "disk-sleep" in terminal.wait("java")
    # The choice stays with a container whatever its place, and keys with arrows reach the others.
    terminal.press("Down", "Down", "Down", "Right")
    terminal.wait("nginx-worker")
    terminal.press("Left")
    terminal.wait(lambda seen: "nginx-worker" not in seen and "java" in seen)
    terminal.press("a")
    terminal.wait(lambda seen: "redis" in seen and "nginx-worker" in seen)
    terminal.press("a")
    terminal.wait(lambda seen: "redis" not in seen and "systemd" not in seen)


def test_a_filter_shows_what_has_the_text(terminal: Terminal) -> None:
    terminal.press("/")
    terminal.wait("filter: _")
    terminal.press("w", "o", "r", "k", "x", "BSpace")
    # A folded container shows the process that was looked for, and only that one.
    seen = terminal.wait(lambda seen: "nginx-worker" in seen and "java" not in seen)
    assert names(seen) == ["web"]
    terminal.press("Enter")
    terminal.wait("filter: work ")
    # q is a key again, no part of the text; but first all of it comes back.
    terminal.press("Escape")
    terminal.wait(FULL)
    terminal.press("/", "z", "z", "Enter")
    terminal.wait("Nothing has «zz»")
    terminal.press("q")
    terminal.wait("ended with 0")


def test_nothing_flickers(terminal: Terminal, stage: Path) -> None:
    time.sleep(3 * EVERY)
    terminal.record()
    time.sleep(8 * EVERY)
    assert terminal.sent_by_now(wait=False) == b""
    stage.write_text("tick")
    terminal.wait(lambda seen: bool(re.search(r"cache \(1\) +7\.0 ", seen)))
    sent = terminal.sent_by_now()
    # What has changed is sent, not the screen; above all nothing that empties it.
    assert 0 < len(sent) < 60, sent
    assert b"\x1b[2J" not in sent
    assert b"\x1b[J" not in sent


def test_it_follows_the_size_of_the_window(terminal: Terminal) -> None:
    assert "IMAGE" not in terminal.seen()
    terminal.resize(170, 40)
    assert "registry/java:21" in terminal.wait("IMAGE")
    for width, height in ((60, 15), (34, 8), (20, 5), (6, 3), (1, 1), (2, 20)):
        terminal.resize(width, height)
        time.sleep(3 * EVERY)
        assert "ended with" not in terminal.seen()
    terminal.resize(80, 24)
    seen = terminal.wait(lambda seen: "LIMIT %" in seen and "q quit" in seen)
    assert FULL[:12] in seen
    assert all(len(line) <= 80 for line in seen.splitlines())


def test_a_slow_engine_holds_up_no_key(terminal: Terminal, stage: Path) -> None:
    stage.write_text("hang")
    time.sleep(3 * EVERY)
    began = time.monotonic()
    terminal.press("c")
    terminal.wait("sorted by cpu")
    terminal.press("q")
    terminal.wait("ended with 0")
    assert time.monotonic() - began < 30


def test_what_cannot_be_known_is_said_until_it_can(terminal: Terminal, stage: Path) -> None:
    stage.write_text("fail")
    said = "no new sample: /proc/sysinfo_so1_202300539 is gone"
    assert FULL in terminal.wait(said)
    stage.write_text("gone")
    terminal.wait(lambda seen: said not in seen and TIGHT not in seen)


def test_a_mistake_is_not_swallowed(terminal: Terminal, stage: Path) -> None:
    stage.write_text("mistake")
    assert "a mistake of ours" in terminal.wait("ended with 1")


def test_names_cannot_steer_the_terminal(terminal: Terminal) -> None:
    assert "evil\\x1b[2J\\x0dn" in terminal.seen()
    assert FULL in terminal.seen()


def test_help_shows_every_key(terminal: Terminal) -> None:
    terminal.press("h")
    seen = terminal.wait("Any key leads back")
    assert "fold or unfold all" in seen
    terminal.press("x")
    terminal.wait(FULL)


@pytest.mark.parametrize(("sent", "status"), [("TERM", 143), ("INT", 0)])
def test_a_signal_gives_the_terminal_back(
    terminal: Terminal, stage: Path, tmp_path: Path, sent: str, status: int
) -> None:
    terminal.press("q")
    terminal.wait("ended with 0")
    pid = tmp_path / "pid"
    terminal.run(
        f"clear; echo kept; stty -g > {tmp_path}/before;"
        f" bash -c 'echo $$ > {pid}; exec {sys.executable} -m tests.so1.live.scripted {stage}';"
        f" echo ended with $?; stty -g > {tmp_path}/after"
    )
    terminal.wait(FULL)
    os.kill(int(pid.read_text()), signal.Signals[f"SIG{sent}"])
    assert "kept" in terminal.wait(f"ended with {status}")
    terminal.wait(lambda _: (tmp_path / "after").exists())
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()


def test_it_can_be_stopped_and_goes_on(terminal: Terminal) -> None:
    terminal.press("C-z")
    terminal.wait("Stopped")
    terminal.run("clear; fg")
    terminal.wait(lambda seen: FULL in seen and "q quit" in seen)


def test_without_colours(tmp_path: Path, stage: Path) -> None:
    terminal = opened(tmp_path, stage, NO_COLOR="1")
    try:
        terminal.wait(FULL)
        full = terminal.line(FULL, colours=True)
        assert RED not in full
        assert re.search(r"\x1b\[[0-9;]*4m", full), full
    finally:
        terminal.close()


def test_without_utf_8(tmp_path: Path, stage: Path) -> None:
    terminal = opened(tmp_path, stage, LC_ALL="C")
    try:
        terminal.wait(FULL[:10])
        terminal.resize(34, 20)
        terminal.wait(lambda seen: "batch-of-the-~" in seen and "CPU %" in seen)
    finally:
        terminal.close()
