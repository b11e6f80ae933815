# SPDX-License-Identifier: MIT
"""`so1 events`."""

import contextlib
import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from so1.commands import period, settings, tables
from so1.escape_controls import escape_controls
from so1.store.database import DatabaseError, open_reader

_QUERY = (
    "SELECT id, timestamp, kind, outcome, container_id, container_name, image, class, ram_usage,"
    " cpu_usage, rule, detail, recreate FROM events WHERE timestamp >= ? ORDER BY id DESC LIMIT ?"
)


def _read(store: Path, since_ms: int, limit: int) -> list[dict[str, object]]:
    try:
        with contextlib.closing(open_reader(store)) as connection:
            rows = connection.execute(_QUERY, (since_ms, limit or -1)).fetchall()
    except DatabaseError as error:
        raise click.ClickException(str(error)) from error
    except sqlite3.Error as error:
        raise click.ClickException(f"{store} cannot be read: {error}") from error
    return [dict(row) for row in reversed(rows)]


def _cells(event: dict[str, object]) -> tuple[object, ...]:
    at, ram = event["timestamp"], event["ram_usage"]
    return (
        event["id"],
        datetime.fromtimestamp(int(str(at)) / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        *(event["kind"], event["outcome"], event["container_name"], event["image"], event["rule"]),
        f"{int(str(ram)) / 1024:.1f}" if ram is not None else "",
        event["cpu_usage"] if event["cpu_usage"] is not None else "",
        event["detail"],
    )


@click.command()
@period.since
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many of the latest; 0 for all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def command(path: Path, since: int, limit: int, *, as_json: bool) -> None:
    """Show what the daemon did, refused or could not do, the latest last.

    `so1 undo EVENT` takes a removed container back. Below the table are the command lines that make
    removed containers anew. They hold no values of environment variables: `--env NAME` takes each
    value from your shell.

    In JSON RAM is in KiB, CPU in percent of one CPU, the timestamp in milliseconds since 1970.

    Exit codes: 0 shown, or there are none; 1 the database cannot be read; 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    found = _read(Path(settled.store.path), round(max(0, time.time() - since) * 1000), limit)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no events in this period")
        return
    tables.show(
        "",
        [
            "EVENT",
            "TIME",
            "KIND",
            "OUTCOME",
            "CONTAINER",
            "IMAGE",
            "RULE",
            "RAM MiB",
            "CPU %",
            "DETAIL",
        ],
        map(_cells, found),
    )
    back = [event for event in found if event["outcome"] == "done" and event["recreate"]]
    if back:
        click.echo("\nto bring one back: so1 undo EVENT, or make it anew:")
    for event in back:
        click.echo(escape_controls(str(event["recreate"])))
