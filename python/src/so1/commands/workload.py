# SPDX-License-Identifier: MIT
"""`so1 workload generate`."""

import contextlib
import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from so1 import workload
from so1.commands import settings
from so1.config import Config
from so1.docker_engine import Engine, EngineError
from so1.escape_controls import escape_controls

_MOST = 5


@click.group()
def command() -> None:
    """Make test load: containers for the governor to deal with."""


@command.command()
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help=f"How many to make, room permitting; by default 1 to {_MOST} at random.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be made.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def generate(path: Path, count: int | None, *, dry_run: bool, as_json: bool) -> None:
    """Make a few test containers of random kinds.

    Low ones sleep, high ones use RAM or CPU. They are managed (labels so1.managed=true and
    so1.class). They have limits on memory, CPU and processes, have no network, and are removed when
    their command ends. There are never more managed containers than governor.maximum. An image
    that is not on the host is pulled.

    Exit codes: 0 made, or no room, or another run is making some; 1 one could not be made (one
    sentence says why); 2 wrong usage.
    """
    settled = settings.load(path)
    folder = Path(settled.store.path).parent
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(workload.alone(folder))
        except workload.BusyError:
            _nothing("another run makes containers at this moment", as_json=as_json)
            return
        except OSError as error:
            raise click.ClickException(
                f"there can be no lock in {folder} ({error.strerror}); run it as root or as the"
                " daemon's user, on a host where so1 is installed"
            ) from error
        try:
            _generate(settled, count, random.SystemRandom(), dry_run=dry_run, as_json=as_json)
        except EngineError as error:
            raise click.ClickException(str(error)) from error


def _nothing(why: str, *, as_json: bool) -> None:
    if as_json:
        click.echo("[]")
    click.echo(f"{why}; nothing to do", err=as_json)


def _generate(
    settled: Config,
    count: int | None,
    chance: random.Random,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    engine = Engine(settled.docker)
    room = workload.places(engine, settled.governor.maximum)
    if not room:
        why = f"{settled.governor.maximum} managed containers run, no more may"
        _nothing(why, as_json=as_json)
        return
    wanted = min(count or chance.randint(1, _MOST), room)
    loads = workload.choose(wanted, settled.workload, chance, datetime.now(UTC).astimezone())
    if not dry_run:
        workload.provide({load.image for load in loads}, engine)
    rows: list[dict[str, object]] = []
    for load in loads:
        failure = None
        try:
            if not dry_run:
                workload.make(load, engine)
        except EngineError as error:
            failure = str(error)
        rows.append(
            {
                "name": load.name,
                "class": load.class_,
                "image": load.image,
                "command": load.command,
                "made": not dry_run and failure is None,
                "problem": failure,
            }
        )
        if failure:
            click.echo(f"Error: {escape_controls(failure)}", err=True)
        elif not as_json:
            line = f"{load.name}: {load.class_}, {load.image} {' '.join(load.command)}"
            click.echo(("would make " if dry_run else "made ") + escape_controls(line))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    if any(row["problem"] for row in rows):
        sys.exit(1)
