# SPDX-License-Identifier: MIT
"""kill -9 at any moment: no half tick, and a sound file."""

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from so1.store import database as module
from so1.store.database import Database
from tests.so1.store.seed import seed
from tests.so1.store.ticks import tick

KILLS = 40
OLD_TICKS, OLD_PROCESSES = 50, 1000
_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from ticks import KEEP_MS, Watched, tick
from so1.store.database import Database
print("opening", flush=True)
watched = Watched()
database = Database(Path(sys.argv[1]), watched)
last = "SELECT coalesce(max(timestamp), 0) FROM metrics"
(start,) = database._connection.execute(last).fetchone()
print("ready", flush=True)
while True:
    start += 1
    watched.seconds += 300
    database.write_tick(tick(start, start % 300))
    database.prune(int(sys.argv[3]) * 300_000, KEEP_MS, 1 << 40)
"""


def _writer(path: Path, keep: int) -> "subprocess.Popen[bytes]":
    """Start a writer of ever more ticks, and wait until it opens the database."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, path, Path(__file__).parent, str(keep)],
        stdout=subprocess.PIPE,
    )
    _wait_for(writer, b"opening\n")
    return writer


def _wait_for(writer: "subprocess.Popen[bytes]", word: bytes) -> None:
    assert writer.stdout
    assert writer.stdout.readline() == word


def _assert_whole(reader: sqlite3.Connection) -> None:
    """Assert that the file is sound, no tick lacks rows, and no rows lack their tick."""
    assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    others = [table for table in module._TABLES if table != "metrics"]
    lacks = " OR ".join(
        f"(SELECT count(*) FROM {table} t WHERE t.timestamp = m.timestamp) != "
        # The seed's ticks have no source, and rows in no table but this.
        + ("process_count" if table == "process_stats" else "(source IS NOT NULL)")
        for table in others
    )
    assert reader.execute(f"SELECT timestamp FROM metrics m WHERE {lacks}").fetchall() == []
    for table in others[:-1]:  # events stay for longer
        orphans = reader.execute(
            f"SELECT timestamp FROM {table} WHERE timestamp NOT IN (SELECT timestamp FROM metrics)"
        )
        assert (table, orphans.fetchall()) == (table, [])


def test_kill_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    moments = random.Random(1)
    written = 0
    for _ in range(KILLS):
        with _writer(path, 300) as writer:
            _wait_for(writer, b"ready\n")
            time.sleep(moments.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
            # A tick that is being pruned goes from all tables at once, but never in part.
            _assert_whole(reader)
            ((last,),) = reader.execute("SELECT coalesce(max(timestamp), 0) FROM metrics")
            assert last >= written
            written = last
    assert written > KILLS
    database = Database(path)
    assert database.moved_to is None
    database.write_tick(tick(written + 1))
    database.close()


def _stage(path: Path, aside: Path) -> tuple[int, int]:
    """Tell the schema's version and auto_vacuum of a copy, as looking may roll something back."""
    shutil.copytree(path.parent, aside)
    with contextlib.closing(sqlite3.connect(aside / path.name)) as reader:
        ((version,), (vacuum,)) = (
            reader.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "auto_vacuum")
        )
    shutil.rmtree(aside)
    return version, vacuum


def test_kill_while_an_old_database_is_upgraded(tmp_path: Path) -> None:
    old, path = tmp_path / "old.db", tmp_path / "now" / "metrics.db"
    seed(old, OLD_TICKS, OLD_PROCESSES)

    def upgrade() -> "subprocess.Popen[bytes]":
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        shutil.copy(old, path)
        return _writer(path, 1 << 40)

    with upgrade() as writer:
        began = time.monotonic()
        _wait_for(writer, b"ready\n")
        took = time.monotonic() - began
        writer.kill()
    newest = module._migrations()[-1][0]
    moments = random.Random(1)
    stages: set[tuple[int, int]] = set()
    kills = 0
    # A busy machine may need more of them to be met in every stage.
    while kills < KILLS or not stages >= {(0, 0), (newest, 0), (newest, 2)}:
        assert kills < 10 * KILLS, stages
        kills += 1
        with upgrade() as writer:
            time.sleep(moments.uniform(0, 1.2 * took))
            writer.send_signal(signal.SIGKILL)
        stages.add(_stage(path, tmp_path / "aside"))
        database = Database(path)
        assert database.moved_to is None
        database.write_tick(tick(OLD_TICKS + 1_000_000))
        database.close()
        assert _stage(path, tmp_path / "aside") == (newest, 2)
        with contextlib.closing(sqlite3.connect(path)) as reader:
            _assert_whole(reader)
            ((ticks,),) = reader.execute("SELECT count(*) FROM metrics WHERE source IS NULL")
            assert ticks == OLD_TICKS
