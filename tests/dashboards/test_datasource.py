# SPDX-License-Identifier: MIT
"""The datasource as it is provisioned: it finds the database, always reads it, and never writes."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.dashboards import plugin
from so1 import config
from tests.support.plays import defaults

REPOSITORY = Path(__file__).parents[2]
SETTINGS = plugin.datasource()["jsonData"]
PATH = Path(SETTINGS["path"])
TICKS = 300
DEADLINE_S = 60
GROUP_ID = 64_322

_WRITER = """
import sys, time
from pathlib import Path
from so1.store.database import Database
from tests.so1.store.ticks import tick
database = Database(Path(sys.argv[1]))
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    now = time.time_ns() // 1_000_000
    database.write_tick(tick(now, 200))
    database.prune(500, 500, 1 << 40)
    time.sleep(0.005)
database.close()
"""
_READER = """
import json, os, sqlite3, sys
from pathlib import Path
from benchmarks.dashboards import plugin
path, uid, group = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
plugin.datasource()
os.setgroups([group])
os.setgid(uid)
os.setuid(uid)
reads, ticks, errors = 0, set(), set()
print("ready", flush=True)
while os.getppid() == int(sys.argv[4]) and not path.with_name("done").exists():
    try:
        connection = plugin.connect(path)
        ticks.add(connection.execute("SELECT MAX(timestamp) FROM metrics").fetchone()[0])
        connection.execute("SELECT SUM(ram_usage) FROM process_stats").fetchone()
        connection.close()
        reads += 1
    except sqlite3.Error as error:
        errors.add(str(error))
try:
    path.with_name("mine").touch()
    errors.add("it may write into the directory")
except OSError:
    pass
print(json.dumps([reads, len(ticks), sorted(errors)]))
"""
# As in the container: the directory of the database is at the datasource's path, and read-only.
_MOUNTED = """
set -e
mount -t tmpfs tmpfs "$(dirname "$2")"
mkdir "$2"
mount --bind "$1" "$2"
mount -o remount,bind,ro "$2"
shift 2
exec "$@"
"""


def described(file: str) -> Any:
    return yaml.safe_load((REPOSITORY / "roles" / file).read_text())


def test_its_path_is_where_the_role_mounts_the_daemon_s_directory() -> None:
    tasks = {task["name"]: task for task in described("so1_grafana/tasks/container.yml")}
    mounts = tasks["Grafana runs"]["community.docker.docker_container"]["mounts"]
    (mount,) = [mount for mount in mounts if mount["target"] == str(PATH.parent)]
    assert mount["source"] == "{{ so1_grafana_database_directory }}"
    assert mount["read_only"] is True
    directory = defaults("so1_grafana")["so1_grafana_database_directory"]
    assert directory == described("so1_daemon/vars/main.yml")["so1_daemon_state"]
    assert Path(config.Store().path) == Path(directory, PATH.name)


def test_it_cannot_write_and_waits_for_the_writer(filled: Path) -> None:
    connection = plugin.connect(filled)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM metrics")
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
    connection.close()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory as the daemon's is: its group may enter it and read in it."""
    folder = Path(tempfile.mkdtemp(prefix="so1-"))
    os.chown(folder, 0, GROUP_ID)
    folder.chmod(0o2750)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.root
def test_the_container_s_user_reads_while_the_daemon_writes(shared: Path) -> None:
    uid = described("so1_grafana/vars/main.yml")["so1_grafana_uid"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / folder) for folder in ("", "python/src")),
    }
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, shared / PATH.name, str(TICKS)],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert writer.stdout
    assert writer.stdout.readline() == b"ready\n"
    reader = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNTED, "sh"),
            *(shared, PATH.parent, sys.executable, "-c", _READER),
            *(PATH, str(uid), str(GROUP_ID), str(os.getpid())),
        ],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert reader.stdout
    assert reader.stdout.readline() == b"ready\n"
    writer.communicate(timeout=DEADLINE_S)
    assert writer.returncode == 0
    time.sleep(0.2)  # a while without a daemon
    (shared / "done").touch()
    told, _ = reader.communicate(timeout=DEADLINE_S)
    reads, ticks, errors = json.loads(told)
    assert errors == []
    assert reads > 100
    assert ticks > 50
