# SPDX-License-Identifier: MIT
"""Every command and option of `so1` is in the package's README, and what is there exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from so1.cli import main
from so1.live.view import KEYS
from tests.docs.pages import ROOT, code, rows, section

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "python/README.md").read_text()
SECTION = section(PAGE, "## Commands")


def walk(command: click.Command, name: str) -> Iterator[tuple[str, set[str]]]:
    """Each command that does something, with its options."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            assert child is not None
            yield from walk(child, f"{name} {each}")
        return
    options = (option for option in command.params if isinstance(option, click.Option))
    yield name, {name for option in options for name in option.opts if name.startswith("--")}


THERE = dict(walk(main, "so1"))


def shown() -> dict[str, set[str]]:
    """The commands of the README's table, each with the options in its row."""
    found: dict[str, set[str]] = {}
    for row in rows(SECTION):
        if row[0].startswith("`so1"):
            words = row[0].strip("`").split()
            name = " ".join(word for word in words if re.fullmatch("[a-z0-9]+", word))
            spans = " ".join(code("|".join(row)))
            found[name] = set(re.findall(r"--[a-z-]+", spans))
    return found


def test_every_command_is_described_and_no_other() -> None:
    assert "so1 limit add" in THERE
    assert set(shown()) == set(THERE)


def test_every_option_of_each_is_described_and_no_other() -> None:
    assert "--dry-run" in THERE["so1 cleanup"]
    assert shown() == THERE


def test_the_options_of_all_commands_are_described() -> None:
    options = {name for option in main.params for name in option.opts}
    assert "--config" in options
    assert options <= set(re.findall(r"--[a-z-]+", SECTION))


def test_no_page_shows_a_command_that_is_not_there() -> None:
    pages = [ROOT / "README.md", ROOT / "LEEME.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages += [ROOT / "python/README.md", *sorted((ROOT / "roles").glob("*/README.md"))]
    first = {name.split()[1] for name in THERE}
    named = {
        (page.name, word)
        for page in pages
        for word in re.findall(r"(?:`|^)(?:sudo )?so1 ([a-z]+)", page.read_text(), re.MULTILINE)
    }
    assert ("README.md", "plan") in named
    assert [each for each in named if each[1] not in first] == []


def test_the_keys_of_top_are_described_and_no_other() -> None:
    there = set(" ".join(keys for keys, _ in KEYS).lower().split())
    shown = section(PAGE, "### so1 top")
    keys = {key.lower() for row in rows(shown)[1:] for key in re.findall(r"[\w/?]+", row[0])}
    assert "pgup" in there
    # The help names each arrow; j, k and Ctrl-C stand in its text.
    assert keys - {"arrows", "j", "k", "ctrl", "c"} == there - {"up", "down", "c"}
    assert "c" in there
