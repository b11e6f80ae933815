# SPDX-License-Identifier: MIT
"""Lengths of time on the command line."""

import re

import click

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """Read a length of time such as 90m, 24h or 7d; gives seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not a period such as 90m, 24h or 7d")
    return int(found[1]) * _SECONDS[found[2]]


since = click.option(
    "--since",
    callback=_seconds,
    default="24h",
    show_default=True,
    metavar="PERIOD",
    help="How far back: a number and s, m, h, d or w.",
)
