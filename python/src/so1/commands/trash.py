# SPDX-License-Identifier: MIT
"""`so1 trash`."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from so1.commands import settings, tables, undo
from so1.config import Config
from so1.docker_engine import Engine, EngineError
from so1.escape_controls import escape_controls
from so1.governor import basket
from so1.store import trash
from so1.store.database import DatabaseError
from so1.store.trash import Item


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Show the wastebasket: removed containers that `so1 undo` can take back as they were.

    They are stopped, and called so1-trash-ID-NAME. They are removed for good after
    governor.trash_hours. The oldest go sooner if the wastebasket holds more than
    governor.trash_gib, or if the disk of Docker's data is fuller than governor.trash_disk_percent.

    SIZE is what a container wrote into its own layer; in JSON it is in bytes. Hours count only
    while the daemon runs.

    Exit codes: 0 shown, or it is empty; 1 the database cannot be read; 2 wrong usage.
    """
    if context.invoked_subcommand:
        return
    settled = settings.load_or_default(context.obj)
    items = held(settled)
    if as_json:
        click.echo(json.dumps([_plain(item, settled) for item in items], indent=2))
        return
    if not items:
        click.echo("the wastebasket is empty")
        return
    tables.show(
        "",
        ["CONTAINER", "NAME", "IMAGE", "CLASS", "REMOVED", "HOURS LEFT", "SIZE MiB", "RULE"],
        (
            (
                *(one.container_id[:12], one.container_name, one.image, one.class_),
                datetime.fromtimestamp(one.timestamp / 1000, UTC)
                .astimezone()
                .strftime("%Y-%m-%d %H:%M:%S"),
                f"{_left(item, settled):.1f}",
                "?" if item.layer_bytes is None else f"{item.layer_bytes / (1 << 20):.1f}",
                one.rule,
            )
            for item in items
            for one in [item.removal]
        ),
    )
    click.echo("to take one back: so1 undo NAME")


def held(settled: Config) -> list[Item]:
    """Give what is in the wastebasket, the oldest first."""
    store = Path(settled.store.path)
    try:
        return trash.held(store)
    except DatabaseError as error:
        raise click.ClickException(str(error)) from error


def _left(item: Item, settled: Config) -> float:
    return max(0.0, settled.governor.trash_hours - (item.hours or 0))


def _plain(item: Item, settled: Config) -> dict[str, object]:
    one = item.removal
    return {
        "container_id": one.container_id,
        "name": one.container_name,
        "image": one.image,
        "class": one.class_,
        "rule": one.rule,
        "removed": one.timestamp,
        "hours": item.hours,
        "hours_left": _left(item, settled),
        "layer_bytes": item.layer_bytes,
    }


@command.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def empty(path: Path, *, yes: bool) -> None:
    """Remove for good all that is in the wastebasket. Volumes stay.

    A container that somebody has started or renamed meanwhile is no longer in the wastebasket, and
    stays.

    Exit codes: 0 it is empty; 1 one could not be removed, or the answer was no; 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    count = len(held(settled))
    if not count:
        click.echo("the wastebasket is empty")
        return
    if not yes:
        try:
            click.confirm(f"remove {count} for good? Their volumes stay", abort=True)
        except click.Abort as error:
            message = "nothing was removed; to remove unasked give --yes"
            raise click.ClickException(message) from error
    if failed := empty_all(settled, Engine(settled.docker)):
        click.echo(f"Error: {failed} of {count} are still here", err=True)
        sys.exit(1)


def empty_all(settled: Config, engine: Engine, *, err: bool = False) -> int:
    """Remove for good all that is in the wastebasket; gives how many could not be."""
    failed = 0
    with undo.alone(Path(settled.store.path).parent) as handover:
        # Once more: the daemon may have been at it before.
        for item in held(settled):
            one = item.removal
            try:
                came = basket.empty(one, engine, "so1 trash empty removed it", time.time)
                handover.write(came)
            except (EngineError, OSError) as error:
                failed += 1
                click.echo(escape_controls(f"failed {one.container_name}: {error}"), err=True)
                continue
            kept = came.step == "returned"
            line = (
                f"kept {one.container_name}: {came.reason}"
                if kept
                else f"removed {one.container_name}"
            )
            click.echo(escape_controls(line), err=err)
    return failed
