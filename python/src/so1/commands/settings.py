# SPDX-License-Identifier: MIT
"""The configuration, for a command: an error in it ends the command with its sentence."""

from pathlib import Path

import click

from so1 import config


def load(path: Path) -> config.Config:
    """Read the configuration.

    Raises click.ClickException where it cannot be used.
    """
    try:
        return config.load(path)
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from error
