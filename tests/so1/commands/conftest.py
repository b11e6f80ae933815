# SPDX-License-Identifier: MIT
"""A configuration of its own for each test, and the command line as a function."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from so1.cli import main


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


@pytest.fixture
def so1(tmp_path: Path, store: Path) -> Callable[..., Result]:
    config = tmp_path / "config.toml"
    config.write_text(f'[snapshot]\nsource = "procfs"\n[store]\npath = "{store}"\n')

    def run(*arguments: str) -> Result:
        # Whatever a command does wrong is a failure of the test, never an exit code.
        return CliRunner().invoke(
            main, ["--config", str(config), *arguments], catch_exceptions=False
        )

    return run
