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
from so1.store.database import Database, DatabaseError
from so1.store.lock import blocker
from so1.store.readers import Readers
from tests.so1.store.ticks import KEEP_MS, Watched, event, tick

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


_INSIDE = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM metrics").fetchone()
print("in", flush=True)
input()
"""


@contextlib.contextmanager
def inside(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that leaves a transaction open."""
    with subprocess.Popen(
        [sys.executable, "-c", _INSIDE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


def test_who_is_in_a_transaction_is_known(database: Database, path: Path) -> None:
    assert database._readers.inside() is None
    with reader(path, "stay"):
        assert database._readers.inside() is None
        with inside(path) as process:
            assert database._readers.inside() == process.pid
    assert database._readers.inside() is None


def test_a_transaction_that_stays_open_bounds_the_log_and_is_told(
    database: Database, path: Path
) -> None:
    bound = 8 << 20
    log = path.with_name(path.name + "-wal")
    database.prune(KEEP_MS, KEEP_MS, bound)
    with inside(path) as process:
        for now in range(2, 3_000):
            try:
                database.write_tick(tick(now, 200))
                database.prune(KEEP_MS, KEEP_MS, bound)
            except DatabaseError as error:
                refused = str(error)
                break
            held = database.held()
            assert (held is not None) == (log.stat().st_size >= bound / 8)
        else:
            pytest.fail("the log grows without a bound")
        assert f"process {process.pid} (" in refused
        assert held
        assert f"process {process.pid} (" in held
        assert "8 MiB with it" in held
        assert 0.9 * bound < path.stat().st_size + log.stat().st_size < 1.05 * bound
        # What was done is told all the same.
        database.add_events([event(now)])
    database.write_tick(tick(now))
    assert database.held() is None
    database.write_tick(tick(now + 1))
    database.prune(KEEP_MS, KEEP_MS, bound)
    assert log.stat().st_size <= bound / 8
    assert path.stat().st_size + log.stat().st_size < bound


def test_what_readers_meet_changes_in_pauses_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECKPOINT_COMMITS", 7)
    headers: list[bytes] = []
    paused = Readers.paused
    watched = Watched()
    database = Database(path, watched)
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
        watched.seconds += 300
        database.prune(20 * 300_000, KEEP_MS, 1 << 40)
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
