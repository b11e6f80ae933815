# SPDX-License-Identifier: MIT
"""`so1 config check`."""

import json
import sys
from pathlib import Path

import click

from so1 import config
from so1.exposition.error import ServerError
from so1.store import database


@click.group()
def command() -> None:
    """Check the configuration file."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def check(path: Path, *, as_json: bool) -> None:
    """Say whether the daemon could run with this configuration, on this host.

    As the daemon does, it looks for the place of the database, looks up the address of the metrics
    and loads their certificate. Nothing is changed.

    Exit codes: 0 it could, 1 it could not, with what is wrong.
    """
    problem = _problem(path)
    if as_json:
        body = {"path": str(path), "valid": problem is None, "problem": problem}
        click.echo(json.dumps(body, indent=2))
        sys.exit(problem is not None)
    if problem:
        raise click.ClickException(problem)
    click.echo(f"{path}: valid")


def _problem(path: Path) -> str | None:
    try:
        settled = config.load(path)
    except config.ConfigError as error:
        return str(error)
    try:
        database.check(Path(settled.store.path))
        if settled.metrics.enabled:
            from so1.exposition import server  # noqa: PLC0415 - only where it is wanted

            server.check(settled.metrics)
    except (database.DatabaseError, ServerError) as error:
        return f"{path}: {error}"
    return None
