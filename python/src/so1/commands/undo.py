# SPDX-License-Identifier: MIT
"""`so1 undo`."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from so1.commands import settings
from so1.docker_engine import Engine, EngineError, NotFoundError, UnreachableError
from so1.escape_controls import escape_controls
from so1.governor import basket
from so1.store import basket_lock, trash
from so1.store.database import DatabaseError
from so1.store.handover import Handover
from so1.store.removal import Removal
from so1.store.trash import Item

_WAIT = 30.0
"""Seconds to wait for the daemon, which may be emptying the wastebasket."""
_ID = 12
_GONE = ("removed", "emptied")


@click.command()
@click.argument("what", metavar="EVENT|NAME", required=False)
@click.option("--last", is_flag=True, help="Take back what was removed last.")
@click.pass_obj
def command(path: Path, what: str | None, *, last: bool) -> None:
    """Take back a container that the governor or `so1 cleanup` removed.

    Name it by the number of its removal's event (so1 events), by its name, or by its id.

    From the wastebasket it comes back as it was: with its name, files, volumes, networks,
    environment and restart policy. It is started if it ran. If its name or a port of it is taken,
    it stays in the wastebasket. The governor leaves it alone for governor.undo_spare_hours.

    A container that was removed for good is made anew from what is known of it: without the files
    of its own layer, and with the values of its environment variables taken from your shell.

    Exit codes: 0 it is back; 1 it is not (one sentence says why); 2 wrong usage.
    """
    if last == (what is not None):
        raise click.UsageError("give the number of an event, a name, or --last")
    settled = settings.load_or_default(path)
    store = Path(settled.store.path)
    engine = Engine(settled.docker)
    with alone(store.parent) as handover:
        try:
            item = _newest(trash.read(store)) if what is None else _find(store, what)
        except DatabaseError as error:
            raise click.ClickException(str(error)) from error
        try:
            _take_back(item.removal, engine, handover)
        except UnreachableError as error:
            message = f"{error}; what was begun is finished by the daemon"
            raise click.ClickException(message) from error
        except EngineError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            message = f"it cannot be written down before it is done ({error.strerror or error})"
            raise click.ClickException(f"nothing was changed: {message}") from error


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[Handover]:
    """Keep the daemon away from the wastebasket; gives a place to write each step down."""
    with contextlib.ExitStack() as stack:
        try:
            if not stack.enter_context(basket_lock.held(folder, _WAIT)):
                raise click.ClickException(
                    "another so1 is at work on the wastebasket; try it again in a moment"
                )
            handover = Handover(folder)
        except FileNotFoundError as error:
            raise click.ClickException(
                f"there is no wastebasket here, as {folder} does not exist; is SO1 installed?"
            ) from error
        except OSError as error:
            raise click.ClickException(
                f"{folder} cannot be written to ({error.strerror or error}); run it as root"
            ) from error
        stack.callback(handover.close)
        yield handover


def _newest(items: Sequence[Item]) -> Item:
    for steps in (trash.HERE, _GONE):
        if found := [item for item in items if item.removal.step in steps]:
            return found[-1]
    raise click.ClickException("nothing was removed that is still known")


def _find(store: Path, what: str) -> Item:
    items = trash.read(store)
    found = [item for item in items if _is_called(item.removal, what)]
    if not found and what.isdecimal():
        id_ = trash.of_event(store, int(what)) if len(what) < 19 else None
        if id_ is None:
            raise click.ClickException(f"no event {what} is about a container; see so1 events")
        found = [item for item in items if item.removal.container_id == id_]
        if not found:
            raise click.ClickException(
                f"the container of event {what} is not known any more; where the event is the"
                " removal, so1 events has the command line that makes it anew"
            )
    for steps in (trash.HERE, _GONE):
        if able := [item for item in found if item.removal.step in steps]:
            return able[-1]
    if not found:
        raise click.ClickException(f"no container called {what} was removed; see so1 trash")
    step = found[-1].removal.step
    if step == "returned":
        raise click.ClickException(f"{what} was taken back already")
    if step in ("planned", "stopping"):
        raise click.ClickException(f"{what} is being removed just now; try it again in a moment")
    raise click.ClickException(f"{what} was not removed: {found[-1].removal.reason}")


def _is_called(removal: Removal, what: str) -> bool:
    names = {removal.container_name, *removal.trash_names}
    if removal.original:
        names.add(removal.original.name)
    return what in names or (len(what) >= _ID and removal.container_id.startswith(what))


def _take_back(removal: Removal, engine: Engine, handover: Handover) -> None:
    if removal.step in trash.HERE:
        try:
            came = basket.take_back(removal, engine, write=handover.write, clock=time.time)
        except NotFoundError:
            click.echo("somebody else has removed it from the engine", err=True)
        else:
            handover.write(came)
            ran = removal.original is not None and removal.original.running
            end = "and started" if ran else "; it did not run"
            click.echo(
                escape_controls(f"taken back {came.container_name} {end}".replace(" ;", ";"))
            )
            return
    came = basket.create_again(removal, engine, os.environ, time.time)
    handover.write(came)
    click.echo(escape_controls(f"made {came.container_name} anew: {came.reason}"))
