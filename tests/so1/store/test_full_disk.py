# SPDX-License-Identifier: MIT
"""A disk that runs full and is given room again."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from so1.store.database import Database, open_reader
from tests.so1.store.ticks import tick

pytestmark = pytest.mark.root  # only root can mount a small disk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def test_nothing_is_lost_but_what_did_not_fit(small: Path) -> None:
    database = Database(small / "metrics.db")
    database.write_tick(tick(1))
    filler = fill(small)
    kept = 1
    for timestamp in range(2, 200):
        try:
            database.write_tick(tick(timestamp))
            kept += 1
        except sqlite3.OperationalError as error:
            assert "full" in str(error)  # noqa: PT017 - the loop ends with it
            break
    else:
        pytest.fail("the disk never was full")
    with contextlib.closing(open_reader(small / "metrics.db")) as reader:
        assert reader.execute("SELECT count(*) FROM metrics").fetchone()[0] == kept
    filler.unlink()
    database.write_tick(tick(1000))
    with contextlib.closing(open_reader(small / "metrics.db")) as reader:
        assert reader.execute("SELECT count(*) FROM metrics").fetchone()[0] == kept + 1
        assert reader.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    database.close()
