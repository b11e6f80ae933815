# SPDX-License-Identifier: MIT
import click
import pytest
from click.testing import CliRunner

from so1.cli import _COMMANDS, main


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    command = main.get_command(click.Context(main), name)
    assert command
    assert command.help
    if not isinstance(command, click.Group):
        assert "Exit codes:" in result.output


def test_help_lists_them_without_loading_them() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in _COMMANDS:
        assert f"\n  {name} " in result.output


def test_an_unknown_command() -> None:
    assert CliRunner().invoke(main, ["dance"]).exit_code == 2
