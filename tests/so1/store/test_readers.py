# SPDX-License-Identifier: MIT
"""Readers are away while a commit changes what they would meet half written."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so1.store import database as module
from so1.store import readers
from so1.store.database import Database
from so1.store.lock import blocker
from so1.store.readers import Readers
from tests.so1.store.ticks import tick

_HEADER_BYTES = 96
"""At the start of -shm: what SQLite keeps twice, since it may be met half written."""
_SALT = slice(32, 40)
"""Of it: what is new whenever the log begins anew."""
_READER = """
import sqlite3, sys
while True:
    connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=2)
    count = connection.execute("SELECT count(*) FROM metrics").fetchone()
    print("read", flush=True)
    if sys.argv[2:] and input() == "end":
        break
    connection.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path)
    database.write_tick(tick(1))
    yield database
    database.close()


@contextlib.contextmanager
def reader(path: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that reads the database again and again, or, with an argument, stays in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _READER, path, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "read\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_nobody_reads_in_a_pause(database: Database, path: Path) -> None:
    def somebody_reads() -> bool:
        file = database._readers._file.fileno()
        return blocker(file, readers._SHARED, readers._SHARED_BYTES) is not None

    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(reader(path)) for _ in range(3)]
        met = 0
        for _ in range(100):
            met += somebody_reads()
            with database._readers.paused():
                for _ in range(10):
                    time.sleep(0.001)
                    assert not somebody_reads()
            time.sleep(0.005)
        assert met
        assert [process.poll() for process in processes] == [None] * 3


def test_a_reader_without_patience_is_told(database: Database, path: Path) -> None:
    look = f"import sqlite3; print(*sqlite3.connect('{path}', timeout=0).execute('SELECT 1'))"
    command = [sys.executable, "-c", f"{look.replace('SELECT 1', 'SELECT id FROM metrics')}"]
    with database._readers.paused():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "database is locked" in done.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_one_who_stays_is_waited_for_once(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr("so1.store.readers.time.sleep", naps.append)
    with reader(path, "stay"):
        monkeypatch.setattr(readers, "_PATIENCE_S", 0.05)
        database.write_tick(tick(2))
        assert naps
        naps.clear()
        database.write_tick(tick(3))
        assert not naps
    database.write_tick(tick(4))
    assert not naps
    with reader(path, "stay"):
        database.write_tick(tick(5))
        assert naps


def test_what_readers_meet_changes_in_pauses_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECKPOINT_COMMITS", 7)
    headers: list[bytes] = []
    paused = Readers.paused
    database = Database(path)
    index = path.with_name(path.name + "-shm").open("rb", buffering=0)

    def header() -> bytes:
        return os.pread(index.fileno(), _HEADER_BYTES, 0)

    @contextlib.contextmanager
    def observed(self: Readers) -> Iterator[None]:
        with paused(self):
            headers.append(header())
            yield
            headers.append(header())

    monkeypatch.setattr(Readers, "paused", observed)
    before = header()
    for now in range(1, 100):
        database.write_tick(tick(now, 20))
        database.prune(now - 20, 1 << 40)
    database.close()
    after = header()
    index.close()
    assert [before, *headers[1::2]] == [*headers[::2], after]
    assert len({*headers}) > 100
    assert len({seen[_SALT] for seen in headers}) > 10


def test_the_log_of_a_daemon_that_never_runs_for_long_begins_anew(path: Path) -> None:
    sizes = []
    for now in range(1, 40):
        database = Database(path)
        database.write_tick(tick(now, 20))
        database.close()
        sizes.append(path.with_name(path.name + "-wal").stat().st_size)
    assert max(sizes) < 3 * sizes[0]
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
