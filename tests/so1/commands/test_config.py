# SPDX-License-Identifier: MIT
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from so1.store.database import Database


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[store]\npath = "/absent/metrics.db"', "its directory does not exist"),
        ('[store]\npath = "/etc"', "Is a directory"),
        ('[metrics]\nenabled = true\naddress = "127.0.0..1"', "127.0.0..1 port"),
        (f'[metrics]\nenabled = true\naddress = "{"a" * 64}"', "set metrics.address"),
        ('[metrics]\nenabled = true\ntls_certificate = "/x"\ntls_key = "/y"', "/x and /y"),
    ],
)
def test_what_the_daemon_could_not_do_is_said(
    so1: Callable[..., Result], tmp_path: Path, text: str, said: str
) -> None:
    store = "" if "[store]" in text else f'\n[store]\npath = "{tmp_path}/metrics.db"'
    (tmp_path / "config.toml").write_text(text + store)
    result = so1("config", "check")
    assert (result.exit_code, said in result.output) == (1, True)
    assert len(result.output.splitlines()) == 1
    # What is not to be served need not be there.
    (tmp_path / "config.toml").write_text(text.replace("true", "false") + store)
    assert so1("config", "check").exit_code == (1 if "[store]" in text else 0)


def test_a_database_of_a_newer_so1_is_known_and_nothing_is_touched(
    so1: Callable[..., Result], store: Path
) -> None:
    Database(store).close()
    before = {file.name for file in store.parent.iterdir()}
    assert so1("config", "check").exit_code == 0
    with contextlib.closing(sqlite3.connect(store)) as other:
        other.executescript("PRAGMA user_version = 999; PRAGMA application_id = 0")
    for end in ("-wal", "-shm"):
        store.with_name(store.name + end).unlink(missing_ok=True)
    result = so1("config", "check")
    assert (result.exit_code, "newer so1" in result.output) == (1, True)
    assert {file.name for file in store.parent.iterdir()} == before - {
        "metrics.db-wal",
        "metrics.db-shm",
    }
    store.write_bytes(b"not a database, which the daemon moves aside")
    assert so1("config", "check").exit_code == 0


def test_missing(so1: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config.toml").unlink()
    result = so1("config", "check")
    assert result.exit_code == 1
    assert "does not exist" in result.output
