# SPDX-License-Identifier: MIT
"""A policy that is only tried: its numbers on the command line, or a file of them."""

import functools
from collections.abc import Callable
from pathlib import Path

import click
from msgspec.structs import replace

from so1 import config
from so1.commands import settings
from so1.config import Policy
from so1.governor.replay import Try

_COUNT = click.IntRange(min=0, max=10_000)
_OPTIONS = [
    click.option("--maximum", type=_COUNT, help="Try this governor.maximum."),
    click.option("--keep-low", type=_COUNT, help="Try this governor.keep_low."),
    click.option("--keep-high", type=_COUNT, help="Try this governor.keep_high."),
    click.option(
        "--grace",
        type=click.FloatRange(min=0, max=86_400),
        metavar="SECONDS",
        help="Try this governor.grace.",
    ),
    click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Try the policy in this configuration file.",
    ),
]


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a policy to be tried; the command gets what they say as `tried`.

    It is None where nothing is to be tried. What is tried counts as enforced, and numbers that are
    not given stay as they ran. `tried` raises click.ClickException where a policy keeps more than
    its maximum.
    """

    @functools.wraps(command)
    def with_policy(
        *args: object,
        maximum: int | None,
        keep_low: int | None,
        keep_high: int | None,
        grace: float | None,
        file: Path | None,
        **others: object,
    ) -> None:
        tried = _policy(file, maximum=maximum, keep_low=keep_low, keep_high=keep_high, grace=grace)
        command(*args, tried=tried, **others)

    decorated: Callable[..., None] = with_policy
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _policy(file: Path | None, **numbers: float | None) -> Try | None:
    given = {name: number for name, number in numbers.items() if number is not None}
    if file is None and not given:
        return None
    if file is not None and given:
        raise click.UsageError("--config gives the whole policy; leave it out, or the numbers")
    of_file = settings.load(file).governor if file is not None else None

    def tried(ran: Policy) -> Policy:
        made = replace(of_file or ran, mode="enforce", stop_timeout=ran.stop_timeout, **given)
        try:
            config.check(made, "the policy that is tried")
        except config.ConfigError as error:
            raise click.ClickException(str(error)) from error
        return made

    return tried
