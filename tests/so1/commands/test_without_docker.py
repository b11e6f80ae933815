# SPDX-License-Identifier: MIT
"""The commands that ask Docker, where nothing answers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result


@pytest.fixture(autouse=True)
def _no_docker(so1: Callable[..., Result], tmp_path: Path) -> None:  # noqa: ARG001 - writes the file
    config = tmp_path / "config.toml"
    config.write_text(config.read_text() + f'[docker]\nhost = "unix://{tmp_path}/absent"\n')


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--over", "0"],
        ["plan", "--json", "--over", "0"],
        ["cleanup", "--yes"],
        ["cleanup", "--dry-run"],
        ["workload", "generate"],
        ["workload", "generate", "--dry-run"],
    ],
)
def test_one_sentence_says_what_to_do(so1: Callable[..., Result], arguments: list[str]) -> None:
    result = so1(*arguments)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "start the Docker service" in line


def test_top_shows_the_processes_all_the_same(so1: Callable[..., Result], tmp_path: Path) -> None:
    result = so1("top", "--once")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    where = f"nothing listens on unix://{tmp_path}/absent"
    assert said.endswith(f"Docker cannot be asked, so containers have only an id here: {where}")
    assert "start the Docker service" not in said
    assert "RAM MiB" in said
    assert max(map(len, result.output.splitlines())) <= 100


def test_top_wants_a_terminal(so1: Callable[..., Result]) -> None:
    result = so1("top")
    assert result.exit_code == 2
    assert "--once" in result.output


def test_a_workload_without_a_place_for_its_lock(
    so1: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(f'[store]\npath = "{tmp_path}/absent/metrics.db"\n')
    result = so1("workload", "generate")
    assert result.exit_code == 1
    assert "there can be no lock" in result.output
    assert len(result.output.splitlines()) == 1
