# SPDX-License-Identifier: MIT
"""`so1 config check`."""

from pathlib import Path

import click

from so1.commands import settings


@click.group()
def command() -> None:
    """Check the configuration file."""


@command.command()
@click.pass_obj
def check(path: Path) -> None:
    """Say whether the daemon could run with this configuration.

    Exit codes: 0 it could, 1 it could not, with the key that is wrong.
    """
    settings.load(path)
    click.echo(f"{path}: valid")
