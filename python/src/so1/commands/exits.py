# SPDX-License-Identifier: MIT
"""`so1 exits`."""

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from so1.commands import period, settings, tables
from so1.model import SHORT_ID
from so1.sources import SourceError
from so1.sources.exits import Exits
from so1.store.database import DatabaseError, open_reader
from so1.store.rows import ExitRow, exit_row

_NAMES = (
    "SELECT container_id, container_name FROM container_totals"
    " WHERE id IN (SELECT max(id) FROM container_totals GROUP BY container_id)"
)
_STORED = (
    f"SELECT {', '.join(ExitRow._fields)} FROM exits"  # noqa: S608 - constants
    " WHERE ended_at >= ? AND ended_at < ? ORDER BY ended_at, id"
)


def _stored(store: Path, since_ms: int, until_ms: int) -> tuple[list[ExitRow], dict[str, str]]:
    """Give what the daemon kept of that time, and the names of containers by id.

    Nothing where there is no database, or one from before.
    """
    try:
        with contextlib.closing(open_reader(store)) as connection:
            names = {str(id_): str(name) for id_, name in connection.execute(_NAMES)}
            rows = connection.execute(_STORED, (since_ms, until_ms))
            return [ExitRow(*row) for row in rows], names
    except (DatabaseError, sqlite3.Error):
        return [], {}


def _held(suffix: str, booted_ms: float) -> tuple[list[ExitRow], int]:
    held, missed = Exits(suffix, held=True).take()
    return [exit_row(one, booted_ms, {}) for one in held], missed


def ended(one: ExitRow) -> str:
    """Say in a few words how it ended."""
    if one.oom_killed and one.signal == signal.SIGKILL:
        return "out of memory"
    if one.signal:
        with contextlib.suppress(ValueError):
            return signal.Signals(one.signal).name
        return f"signal {one.signal}"
    return f"code {one.code}"


def _cells(found: Iterable[ExitRow]) -> Iterable[tuple[object, ...]]:
    for one in found:
        at = datetime.fromtimestamp(one.ended_at / 1000, UTC).astimezone()
        yield (
            at.strftime("%Y-%m-%d %H:%M:%S"),
            one.pid,
            one.name,
            one.container_name or (one.container_id or "")[:SHORT_ID],
            ended(one),
            one.lived_ms / 1000,
            one.cpu_ms / 1000,
            one.peak_ram / 1024,
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

    The kernel module so1_exits keeps the last 16,384 of them. Of older ones the daemon keeps those
    that failed, had 100 MiB or used a second of CPU.

    In JSON times are in milliseconds (ended_at since 1970), memory is in KiB.

    Exit codes: 0 shown, or there are none; 1 exits are not known; 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    now_ms = time.time() * 1000
    since_ms = round(now_ms - since * 1000)
    trouble, missed = "", 0
    held: list[ExitRow] = []
    try:
        booted_ms = now_ms - time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
        held, missed = _held(settled.snapshot.suffix, booted_ms)
    except SourceError as error:
        trouble = str(error)
    first_ms = held[0].ended_at if held else round(now_ms)
    stored, names = _stored(Path(settled.store.path), since_ms, first_ms)
    if trouble and not stored:
        raise click.ClickException(trouble)
    named = (one._replace(container_name=names.get(one.container_id or "")) for one in held)
    found = [
        one
        for one in (*stored, *named)
        if one.ended_at >= since_ms
        and (not failed or one.code or one.signal)
        and (name is None or one.name == name)
        and (container is None or _is_in(one, container))
    ]
    if limit:
        found = found[-limit:]
    if as_json:
        click.echo(json.dumps([_document(one) for one in found], indent=2))
    elif found:
        columns = ["ENDED", "PID", "NAME", "CONTAINER", "HOW", "LIVED s", "CPU s", "PEAK MiB"]
        tables.show("", columns, _cells(found))
    else:
        click.echo("no such process ended in this period")
    if trouble:
        click.echo(f"Warning: {trouble}", err=True)
    if missed:
        click.echo("of older ones only those that failed or were large are kept", err=True)


def _is_in(one: ExitRow, container: str) -> bool:
    id_ = one.container_id or ""
    return one.container_name == container or (bool(id_) and id_.startswith(container))


def _document(one: ExitRow) -> dict[str, object]:
    return {**one._asdict(), "oom_killed": bool(one.oom_killed)}
