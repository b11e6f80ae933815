# SPDX-License-Identifier: MIT
"""`so1 cleanup`."""

import sys
from pathlib import Path

import click

from so1.commands import settings, tables
from so1.docker_engine import Engine, EngineError
from so1.escape_controls import escape_controls
from so1.governor import cleanup
from so1.model import classify


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(path: Path, *, dry_run: bool, yes: bool) -> None:
    """Remove the managed containers (label so1.managed=true), stopped ones too.

    Nothing else is touched: other containers, volumes, images and networks stay. For each that is
    removed, the command line that brings it back is printed.

    Exit codes: 0 none is left, or it was a dry run; 1 one could not be removed, or the answer was
    no; 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    engine = Engine(settled.docker)
    try:
        found = engine.managed()
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    if not found:
        click.echo("no managed container is here; nothing to do")
        return
    tables.show(
        "",
        ["CONTAINER", "NAME", "CLASS", "STATE", "IMAGE"],
        ((c.id[:12], c.name, classify(c), state, c.image) for c, state in found),
    )
    if dry_run:
        click.echo(f"would remove {len(found)}; their volumes stay")
        return
    if not yes:
        _ask(len(found))
    left = 0
    for done in cleanup.remove(engine, [c for c, _ in found], settled.governor.stop_timeout):
        line = f"{done.outcome} {done.container.name}"
        click.echo(escape_controls(f"{line}: {done.detail}" if done.detail else line))
        if done.recreate:
            click.echo(f"  {escape_controls(done.recreate)}")
        left += done.outcome != "removed"
    if left:
        click.echo(f"Error: {left} of {len(found)} are still here", err=True)
        sys.exit(1)


def _ask(count: int) -> None:
    try:
        click.confirm(f"remove {count}? Their volumes stay", abort=True)
    except click.Abort as error:
        raise click.ClickException("nothing was removed; to remove unasked give --yes") from error
