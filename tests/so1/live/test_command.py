# SPDX-License-Identifier: MIT
"""`so1 top` of this machine, in a terminal."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from so1.cli import main
from so1.live.view import KEYS
from tests.so1.live.terminal import Terminal
from tests.support.docker_engine import LiveEngine


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start `so1 top` in a terminal, with a Docker Engine at an address or none."""
    terminals = []

    def start(docker: str = "unix:///absent", before: str = "") -> Terminal:
        config = tmp_path / "config.toml"
        config.write_text(f'[snapshot]\nsource = "procfs"\n[docker]\nhost = "{docker}"\n')
        terminal = Terminal(tmp_path)
        terminals.append(terminal)
        program = f"{sys.executable} -c 'from so1.cli import main; main()'"
        terminal.run(
            f"clear; {before} {program} --config {config} top --every 0.3; echo ended with $?"
        )
        return terminal

    yield start
    for terminal in terminals:
        terminal.close()


def test_shows_this_machine(opened: Callable[..., Terminal]) -> None:
    terminal = opened()
    terminal.wait("outside containers")
    terminal.wait("Docker cannot be asked, so containers have only an id here: nothing")
    terminal.press("/", "t", "m", "u", "x", "Enter")
    terminal.wait(lambda seen: "tmux" in seen and "filter: tmux" in seen)
    terminal.press("q")
    terminal.wait("ended with 0")


def test_ctrl_c_ends_it_too(opened: Callable[..., Terminal]) -> None:
    terminal = opened()
    terminal.wait("outside containers")
    terminal.press("C-c")
    terminal.wait("ended with 0")


@pytest.mark.parametrize("name", ["dumb", "of-nobody"])
def test_a_terminal_that_cannot_be_drawn_on(opened: Callable[..., Terminal], name: str) -> None:
    terminal = opened(before=f"TERM={name}")
    assert f"TERM={name}" in terminal.wait("ended with 2")
    assert "--once" in terminal.seen()


def test_the_help_of_the_command_has_every_key() -> None:
    output = " ".join(CliRunner().invoke(main, ["top", "--help"]).output.split())
    for keys, does in KEYS:
        assert f"{keys} {does}" in output


@pytest.mark.engine
def test_a_real_container_unfolds(opened: Callable[..., Terminal], engine: LiveEngine) -> None:
    engine.managed("busy", "high", command="while :; do :; done")
    terminal = opened(engine.host)
    terminal.wait("+ busy (1)")
    terminal.press("Home", "Space")
    seen = terminal.wait("- busy (1)")
    assert any(line.split()[:1] == ["sh"] or " sh " in line for line in seen.splitlines())
