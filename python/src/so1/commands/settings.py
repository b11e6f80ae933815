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


def load_or_default(path: Path) -> config.Config:
    """Read the configuration, or take the defaults where the default file is not there.

    So that what only looks works on a host where nothing is set up. Raises click.ClickException
    where the file cannot be used, or one that was named is missing.
    """
    try:
        return config.load(path)
    except config.ConfigError as error:
        if path == config.DEFAULT_PATH and isinstance(error.__cause__, FileNotFoundError):
            return config.Config()
        raise click.ClickException(str(error)) from error
