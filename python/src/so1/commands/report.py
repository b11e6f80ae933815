# SPDX-License-Identifier: MIT
"""`so1 report`."""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from so1.commands import period, settings, tables
from so1.store.database import DatabaseError, open_reader

if TYPE_CHECKING:
    from so1.report import Summary


def _print(summary: "Summary") -> None:
    from so1.report import rows  # noqa: PLC0415 - after the check that the extra is installed

    for name, frame in {**summary.tables(), "events": summary.events}.items():
        tables.show(f"\n{name}", [str(column) for column in frame.columns], rows(frame))
    click.echo("\nCPU is in percent of one CPU (the host's: of all).")


@click.command()
@period.since
@click.option(
    "--format",
    "layout",
    type=click.Choice(["table", "csv", "html"]),
    default="table",
    show_default=True,
    help="A table for the terminal, one CSV table, or a web page with plots in one file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    help="The file to write CSV or the page to; standard output by default.",
)
@click.pass_obj
def command(path: Path, since: int, layout: str, output: Path, *, as_json: bool) -> None:
    """Summarise a period: the host, its containers, the largest processes, what was done.

    Needs the extra 'report' of the package. In CSV and JSON RAM is in KiB. CPU is in percent of one
    CPU; the host's is in percent of all CPUs.

    Exit codes: 0 written, 1 there is nothing to report or it cannot be read or written, 2 wrong
    usage.
    """
    settled = settings.load_or_default(path)
    try:
        from so1.report import Summary  # noqa: PLC0415 - heavy, and not always installed
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"so1 report needs {error.name}; install it with: pip install 'so1[report]'"
        ) from error
    now = time.time()
    start, end = round(max(0, now - since) * 1000), round(now * 1000)
    try:
        with contextlib.closing(open_reader(Path(settled.store.path))) as connection:
            summary = Summary(connection, start, end)
    except DatabaseError as error:
        raise click.ClickException(str(error)) from error
    except sqlite3.Error as error:
        raise click.ClickException(f"{settled.store.path} cannot be read: {error}") from error
    if summary.empty:
        raise click.ClickException("there is no tick in this period; try a longer --since")
    if as_json:
        text = summary.json() + "\n"
    elif layout == "table":
        if str(output) != "-":
            raise click.UsageError("--output goes with --json, or --format csv or html")
        _print(summary)
        return
    else:
        text = summary.csv() if layout == "csv" else summary.page()
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
