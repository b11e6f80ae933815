# SPDX-License-Identifier: MIT
"""kill -9 at any moment: no half tick, and a sound file."""

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from so1.store.database import Database
from tests.store.ticks import tick

KILLS = 40
_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from ticks import tick
from so1.store.database import Database
database = Database(Path(sys.argv[1]))
last = "SELECT coalesce(max(timestamp), 0) FROM metrics"
(start,) = database._connection.execute(last).fetchone()
print("ready", flush=True)
while True:
    start += 1
    database.write_tick(tick(start, start % 300))
    database.prune(start - 300, 1 << 40)
"""


def test_kill_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    moments = random.Random(1)
    written = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, path, Path(__file__).parent], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
            assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            half = reader.execute(
                "SELECT m.timestamp FROM metrics m WHERE m.process_count !="
                " (SELECT count(*) FROM process_stats p WHERE p.timestamp = m.timestamp)"
                " OR 1 != (SELECT count(*) FROM events e WHERE e.timestamp = m.timestamp)"
                " OR 1 != (SELECT count(*) FROM container_totals t WHERE t.timestamp = m.timestamp)"
            ).fetchall()
            # A tick that is being pruned goes from all tables at once, but never in part.
            assert half == []
            ((last,),) = reader.execute("SELECT coalesce(max(timestamp), 0) FROM metrics")
            assert last >= written
            written = last
    assert written > KILLS
    database = Database(path)
    assert database.moved_to is None
    database.write_tick(tick(written + 1))
    database.close()
