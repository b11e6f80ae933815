# SPDX-License-Identifier: MIT
"""`so1 config check`."""

from pathlib import Path

import click

from so1.commands import settings
from so1.exposition.error import ServerError
from so1.store import database


@click.group()
def command() -> None:
    """Check the configuration file."""


@command.command()
@click.pass_obj
def check(path: Path) -> None:
    """Say whether the daemon could run with this configuration, on this host.

    As the daemon does, it looks for the place of the database, looks up the address of the metrics
    and loads their certificate. Nothing is changed.

    Exit codes: 0 it could, 1 it could not, with what is wrong.
    """
    settled = settings.load(path)
    try:
        database.check(Path(settled.store.path))
        if settled.metrics.enabled:
            from so1.exposition import server  # noqa: PLC0415 - only where it is wanted

            server.check(settled.metrics)
    except (database.DatabaseError, ServerError) as error:
        raise click.ClickException(f"{path}: {error}") from error
    click.echo(f"{path}: valid")
