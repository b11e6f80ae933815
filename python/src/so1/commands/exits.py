# SPDX-License-Identifier: MIT
"""`so1 exits`."""

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from so1.commands import period, settings, tables
from so1.model import SHORT_ID, Exit
from so1.sources import SourceError
from so1.sources.exits import Exits
from so1.store.database import DatabaseError, open_reader

_NAMES = (
    "SELECT container_id, container_name FROM container_totals"
    " WHERE id IN (SELECT max(id) FROM container_totals GROUP BY container_id)"
)
_SECOND = 1_000_000_000


def _names(store: Path) -> dict[str, str]:
    """Give the names of containers that the daemon has seen, by id; none without a database."""
    try:
        with contextlib.closing(open_reader(store)) as connection:
            return {str(id_): str(name) for id_, name in connection.execute(_NAMES)}
    except (DatabaseError, sqlite3.Error):
        return {}


def ended(one: Exit) -> str:
    """Say in a few words how it ended."""
    if one.oom_killed and one.signal == signal.SIGKILL:
        return "out of memory"
    if one.signal:
        with contextlib.suppress(ValueError):
            return signal.Signals(one.signal).name
        return f"signal {one.signal}"
    return f"code {one.code}"


def _is_of(one: Exit, container: str, names: Mapping[str, str]) -> bool:
    id_ = one.container_id
    return id_ is not None and (id_.startswith(container) or names.get(id_) == container)


def _rows(
    found: Iterable[Exit], names: Mapping[str, str], booted: float
) -> Iterable[tuple[object, ...]]:
    for one in found:
        at = datetime.fromtimestamp(booted + one.end_ns / _SECOND, UTC).astimezone()
        id_ = one.container_id
        yield (
            at.strftime("%H:%M:%S"),
            one.pid,
            one.name,
            "" if id_ is None else names.get(id_, id_[:SHORT_ID]),
            ended(one),
            (one.end_ns - one.start_ns) / _SECOND,
            one.cpu_ns / _SECOND,
            one.peak_rss / 1024,
        )


@click.command()
@period.since
@click.option("--container", metavar="NAME|ID", help="Only those in this container.")
@click.option("--name", help="Only processes of this name.")
@click.option("--failed", is_flag=True, help="Only those with another exit code than 0, or killed.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many of the latest; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def command(
    path: Path,
    since: int,
    container: str | None,
    name: str | None,
    limit: int,
    *,
    failed: bool,
    as_json: bool,
) -> None:
    """Show which processes ended, how, and what they had used, the latest last.

    The kernel module so1_exits keeps the last 16,384 of them. In JSON memory is in KiB, times are
    in nanoseconds since boot.

    Exit codes: 0 shown, or there are none; 1 exits are not known; 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    try:
        held, missed = Exits(settled.snapshot.suffix, held=True).take()
    except SourceError as error:
        raise click.ClickException(str(error)) from error
    names = _names(Path(settled.store.path))
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    found = [
        one
        for one in held
        if now_ns - one.end_ns <= since * _SECOND
        and (not failed or one.failed)
        and (name is None or one.name == name)
        and (container is None or _is_of(one, container, names))
    ]
    if limit:
        found = found[-limit:]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    if not found:
        click.echo("no such process ended in this period")
    else:
        columns = ["ENDED", "PID", "NAME", "CONTAINER", "HOW", "LIVED s", "CPU s", "PEAK MiB"]
        tables.show("", columns, _rows(found, names, time.time() - now_ns / _SECOND))
    if missed:
        click.echo(f"{missed:,} older ones are no longer kept", err=True)
