# SPDX-License-Identifier: MIT
"""A snapshot for a command, with CPU over a short while."""

import time
from collections.abc import Sequence

import click
from msgspec.structs import replace

from so1 import sources
from so1.config import Config
from so1.cpu_usage import lifetime
from so1.model import Container, ContainerUsage
from so1.sample import Sample, Sampler, Word

over = click.option(
    "--over",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to measure CPU; 0: at once, each process's average since it started.",
)


def take(settled: Config, seconds: float, containers: Sequence[Container] = ()) -> Sample:
    """Take a sample with what CPU was used over so many seconds.

    0 takes no time and gives the average of each process's life. `containers` are those that the
    engine told of. Raises click.ClickException where there is no snapshot.
    """
    word = Word(tuple(containers), time.monotonic())
    sampler = Sampler(settled.snapshot)
    try:
        sample = one(sampler, word)
        if not seconds:
            return _averaged(sample)
        time.sleep(seconds)
        return one(sampler, word)
    finally:
        sampler.close()


def one(sampler: Sampler, word: Word) -> Sample:
    """Take a sample; raises click.ClickException where there is none."""
    try:
        return sampler.take(word)
    except sources.SourceError as error:
        raise click.ClickException(str(error)) from error


def _averaged(sample: Sample) -> Sample:
    cpu = lifetime(sample.snapshot)

    def averaged(usages: Sequence[ContainerUsage]) -> list[ContainerUsage]:
        return [replace(u, cpu=sum(map(cpu.percent, u.members))) for u in usages]

    return replace(
        sample,
        cpu=cpu,
        containers=averaged(sample.containers),
        strangers=averaged(sample.strangers),
    )
