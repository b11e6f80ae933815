# SPDX-License-Identifier: MIT
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result


def test_valid(so1: Callable[..., Result]) -> None:
    result = so1("config", "check")
    assert (result.exit_code, "valid" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("interval = 'often'", "$.interval"),
        ("[governor]\nmaximun = 3", "maximun"),
        ("[governor]\nmaximum = 3", "governor.keep_low + governor.keep_high"),
        ("[store]\nmax_mib = 1", "$.store.max_mib"),
        ("[[", "not valid TOML"),
    ],
)
def test_the_wrong_key_is_named(
    so1: Callable[..., Result], tmp_path: Path, text: str, named: str
) -> None:
    (tmp_path / "config.toml").write_text(text)
    result = so1("config", "check")
    assert result.exit_code == 1
    assert named in result.output
    assert len(result.output.splitlines()) == 1


def test_missing(so1: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config.toml").unlink()
    result = so1("config", "check")
    assert result.exit_code == 1
    assert "does not exist" in result.output
