# SPDX-License-Identifier: MIT
"""A reader of another user, as Grafana is: it may only read, and always can.

Through ticks, pruning, a clean end of the daemon, a kill, and the time until the next start.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534
_READER = """
import json, os, sqlite3, sys, time
path, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
reads, ticks, errors = 0, set(), []
print("ready", flush=True)
parent = os.getppid()
while os.getppid() == parent and not os.access(path + ".done", os.F_OK):
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        ticks.add(connection.execute("SELECT max(timestamp) FROM metrics").fetchone()[0])
        connection.execute("SELECT sum(ram_usage) FROM process_stats").fetchone()
        connection.close()
        reads += 1
    except sqlite3.Error as error:
        errors.append(str(error))
    time.sleep(0.001)
try:
    open(path + ".mine", "w")
    errors.append("it may write into the directory")
except PermissionError:
    pass
print(json.dumps([reads, len(ticks), errors]))
"""
_WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import signal
from ticks import KEEP_MS, Watched, tick
from so1.store.database import Database
watched = Watched()
database = Database(Path(sys.argv[1]), watched)
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
print("ready", flush=True)
while not stop:
    now = time.time_ns() // 1_000_000
    database.write_tick(tick(now, 200))
    watched.seconds += 300
    database.prune(100 * 300_000, KEEP_MS, 1 << 40)
database.close()
"""

pytestmark = pytest.mark.root  # only root can be two users


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that the reader's group may enter and read, and nothing more."""
    folder = Path(tempfile.mkdtemp(prefix="so1-"))
    os.chown(folder, 0, NOBODY)
    folder.chmod(0o2750)
    yield folder
    shutil.rmtree(folder)


def _writer(path: Path) -> "subprocess.Popen[bytes]":
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, path, Path(__file__).parent], stdout=subprocess.PIPE
    )
    assert writer.stdout
    assert writer.stdout.readline() == b"ready\n"
    return writer


def test_a_reader_of_another_user_always_can(shared: Path) -> None:
    path = shared / "metrics.db"
    writer = _writer(path)
    reader = subprocess.Popen(
        [sys.executable, "-c", _READER, path, str(NOBODY)], stdout=subprocess.PIPE
    )
    assert reader.stdout
    assert reader.stdout.readline() == b"ready\n"
    for end in [signal.SIGTERM, signal.SIGKILL] * 4:
        time.sleep(0.3)
        writer.send_signal(end)
        writer.communicate()
        time.sleep(0.2)
        writer = _writer(path)
    writer.kill()
    writer.communicate()
    (shared / "metrics.db.done").touch()
    reads, ticks, errors = json.loads(reader.communicate()[0])
    assert errors == []
    assert reads > 100
    assert ticks > 50
