# SPDX-License-Identifier: MIT
"""`so1 cleanup`."""

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import click

from so1.commands import settings, tables, trash
from so1.config import Config
from so1.docker_engine import Engine, EngineError
from so1.escape_controls import escape_controls
from so1.governor import cleanup
from so1.governor.removal import GONE
from so1.model import Container
from so1.store.database import DatabaseError
from so1.store.handover import Handover
from so1.store.removal import Removal, old_name
from so1.store.removals import JournalError
from so1.store.trash import Item, held, may_be_there


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array; asks nothing.")
@click.option("--now", is_flag=True, help="Remove for good, and empty the wastebasket too.")
@click.pass_obj
def command(path: Path, *, dry_run: bool, yes: bool, as_json: bool, now: bool) -> None:
    """Remove the managed containers (label so1.managed=true), stopped ones too.

    They go to the wastebasket, and `so1 undo` takes them back. They are removed for good with
    --now, with governor.trash_hours = 0, or where SO1 is not installed. Nothing else is touched:
    other containers, volumes, images and networks stay.

    Before each removal the command line that makes the container anew is printed, and left for the
    daemon as an event. A container has its own stop timeout, or else governor.stop_timeout. After
    Ctrl-C what is under way is finished, and nothing more is begun. With --json progress goes to
    standard error.

    Exit codes: 0 none is left, or it was a dry run; 1 one could not be removed, it was interrupted,
    or the answer was no; 2 wrong usage.
    """
    if as_json and not (dry_run or yes):
        raise click.UsageError("--json asks nothing; give --yes to remove, or --dry-run to look")
    settled = settings.load_or_default(path)
    engine = Engine(settled.docker)
    try:
        found = engine.managed()
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    folder = Path(settled.store.path).parent
    # What is in the wastebasket has its own id in its name; a name alone removes nothing.
    aside = [c for c, _ in found if old_name(c.id, c.name) != c.name]
    found = [(c, state) for c, state in found if c not in aside]
    keep = settled.governor.trash_hours > 0 and not now and folder.is_dir()
    basket = _basket(settled) if now else []
    if now:
        _leave(aside, basket)
    came: dict[str, Removal] = {}
    if as_json and (dry_run or not (found or basket)):
        _print(found, came)
        return
    if not found and not basket:
        click.echo("no managed container is here; nothing to do")
        return
    if not as_json:
        tables.show(
            "",
            ["CONTAINER", "NAME", "CLASS", "STATE", "IMAGE"],
            [*map(_listed, found), *map(_listed_in_basket, basket)],
        )
    if dry_run:
        click.echo(f"would remove {len(found) + len(basket)}; their volumes stay")
        return
    if not yes:
        _ask(len(found) + len(basket))

    def tell(row: Removal) -> None:
        came[row.container_id] = row
        _tell(row, err=as_json)

    with _interrupts() as interrupted, _Record(folder, needed=keep, err=as_json) as record:
        left = cleanup.remove(
            engine,
            [container for container, _ in found],
            settled.governor.stop_timeout,
            write=record.write,
            tell=tell,
            interrupted=interrupted,
            keep=keep,
        )
    stuck = 0
    if basket and not interrupted.is_set():
        for item in basket:
            _announce(item.removal, _from_basket(item.removal), err=as_json)
        stuck = trash.empty_all(settled, engine, err=as_json)
    if as_json:
        _print(found, came)
    if left.not_begun:
        click.echo(f"interrupted: {left.not_begun} of {len(found)} were not begun", err=True)
    if here := left.failed + left.not_begun + stuck:
        click.echo(f"Error: {here} of {len(found) + len(basket)} are still here", err=True)
        sys.exit(1)


def _basket(settled: Config) -> list[Item]:
    """Give what is in the wastebasket; where that is not known, the rest goes all the same.

    Where SO1 is not installed there is none.
    """
    store = Path(settled.store.path)
    try:
        return held(store) if may_be_there(store) else []
    except DatabaseError as error:
        click.echo(f"Warning: what is in the wastebasket is not known: {error}", err=True)
        return []


def _leave(aside: list[Container], basket: list[Item]) -> None:
    """Tell of containers that have a name as in the wastebasket, but are not known to be in it."""
    known = {item.removal.container_id for item in basket}
    for container in aside:
        if container.id not in known:
            name = container.name
            old = old_name(container.id, name)
            why = (
                "so1 does not know that it set it aside;"
                f" `docker rename {name} {old} && docker start {old}` brings it back,"
                " docker rm removes it"
            )
            click.echo(escape_controls(f"left {name}: {why}"), err=True)


def _listed(one: tuple[Container, str]) -> tuple[str, ...]:
    container, state = one
    return container.id[:12], container.name, container.class_, state, container.image


def _listed_in_basket(item: Item) -> tuple[str, ...]:
    one = item.removal
    return one.container_id[:12], one.container_name, one.class_, "wastebasket", one.image


def _from_basket(removal: Removal) -> str:
    lost = removal.original.lost if removal.original else []
    return " for good, from the wastebasket" + (f": {'; '.join(lost)}" if lost else "")


def _announce(removal: Removal, note: str, *, err: bool) -> None:
    """Print what brings a container back before it goes."""
    click.echo(escape_controls(f"removing {removal.container_name}{note}"), err=err)
    if removal.recreate:
        click.echo(f"  {escape_controls(removal.recreate)}", err=err)


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Let Ctrl-C, or being asked to end, only be noted: what was begun is to be told."""
    event = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: event.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(found: list[tuple[Container, str]], came: dict[str, Removal]) -> None:
    """Print each container with what became of it; null where nothing was begun."""
    rows: list[dict[str, object]] = []
    for container, state in found:
        row = came.get(container.id)
        rows.append(
            {
                "container_id": container.id,
                "name": container.name,
                "image": container.image,
                "class": container.class_,
                "state": state,
                "outcome": row and ("done" if row.reason == GONE else row.outcome),
                "reason": row and (row.reason if row.ended else row.failure),
                "recreate": row and row.recreate,
            }
        )
    click.echo(json.dumps(rows, indent=2))


def _tell(came: Removal, *, err: bool) -> None:
    if came.step == "removed":
        line = f"removed {came.container_name}"
    elif came.step == "trashed":
        line = f"removed {came.container_name}: it is in the wastebasket"
    elif came.reason == GONE:
        line = f"removed {came.container_name}: it went by itself"
    elif came.step == "refused":
        line = f"kept {came.container_name}: {came.reason}"
    else:
        line = f"failed {came.container_name}: {came.failure or came.reason}"
    click.echo(escape_controls(line), err=err)


class _Record:
    """The terminal and, where SO1 is installed, the daemon are told of each step beforehand."""

    def __init__(self, folder: Path, *, needed: bool, err: bool) -> None:
        self._folder = folder
        self._needed = needed
        self._err = err
        self._handover: Handover | None = None

    def __enter__(self) -> Self:
        try:
            self._handover = Handover(self._folder)
        except FileNotFoundError:
            pass  # SO1 is not installed: nobody keeps a history
        except OSError as error:
            self._lost(error)
        return self

    def __exit__(self, *error: object) -> None:
        if self._handover:
            self._handover.close()

    def write(self, row: Removal) -> None:
        """Print what brings a container back, and write the step down, before it is taken."""
        if row.step == "stopping" and not row.failure:
            note = row.reason.partition("; ")[2]
            _announce(row, f": {note}" if note else "", err=self._err)
        if self._handover:
            try:
                self._handover.write(row)
            except OSError as error:
                self._lost(error)
                self._handover.close()
                self._handover = None
        if self._needed and not self._handover:
            raise JournalError(f"{self._folder} cannot be written to; --now removes it for good")

    def _lost(self, error: OSError) -> None:
        if self._needed:
            return
        # What was asked for is done all the same; the terminal has the lines.
        click.echo(
            f"Warning: no events are kept of this, as {self._folder} cannot be written to"
            f" ({error.strerror or error})",
            err=True,
        )


def _ask(count: int) -> None:
    try:
        click.confirm(f"remove {count}? Their volumes stay", abort=True)
    except click.Abort as error:
        raise click.ClickException("nothing was removed; to remove unasked give --yes") from error
