# SPDX-License-Identifier: MIT
"""A snapshot for a command, with CPU over a short while."""

import time
from collections.abc import Callable

import click

from so1 import sources
from so1.config import Config
from so1.cpu_usage import Interval
from so1.model import Process, Snapshot

Percent = Callable[[Process], float]

over = click.option(
    "--over",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Measure CPU over so long; 0 answers at once, with the average of each process's life.",
)


def take(settled: Config, seconds: float) -> tuple[Snapshot, Percent]:
    """Take a snapshot with what CPU each process used over so many seconds.

    0 takes no time and gives the average of each process's life. Raises click.ClickException where
    there is no snapshot.
    """
    snapshot = one(settled)
    if not seconds:
        return snapshot, lambda process: float(process.cpu)
    interval = Interval()
    interval.advance(snapshot)
    time.sleep(seconds)
    snapshot = one(settled)
    interval.advance(snapshot)
    return snapshot, interval.percent


def one(settled: Config) -> Snapshot:
    """Take a snapshot; raises click.ClickException where there is none."""
    try:
        return sources.take(settled.snapshot.source, settled.snapshot.suffix)
    except sources.SourceError as error:
        raise click.ClickException(str(error)) from error
