# SPDX-License-Identifier: MIT
"""As the role sets it up: a user of its own, who reads the daemon's files and writes one folder."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so1.store.database import Database
from so1.store.event import Event
from tests.so1.notify.receiver import Receiver
from tests.so1.notify.running import wait_until

pytestmark = pytest.mark.root  # only root can be two users
TELLER, READERS = 64_321, 64_322
# What it needs is imported while it is root: the tests' files may be root's alone.
_RUN = """
import os, sys
import so1.commands.notify, encodings.idna
from so1.cli import main
os.setgroups([int(sys.argv[2])])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
main(sys.argv[3:])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="so1-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_it_may_read_and_needs_no_more(folder: Path, receiver: Receiver) -> None:
    history, state = folder / "so1", folder / "so1-notify"
    for path, group, mode in ((history, READERS, 0o2750), (state, TELLER, 0o700)):
        path.mkdir()
        os.chown(path, TELLER if path == state else 0, group)
        path.chmod(mode)
    secret = receiver.secret(folder)
    configuration = folder / "config.toml"
    configuration.write_text(
        f'[store]\npath = "{history}/metrics.db"\n[notify]\nbatch_seconds = 0\n'
        f'[notify.webhook]\nenabled = true\nsecret = "{secret}"\n'
    )
    for path, group in ((secret, TELLER), (configuration, READERS)):
        os.chown(path, 0, group)
        path.chmod(0o640)
    database = Database(history / "metrics.db")
    command = ["--config", str(configuration), "notify", "run", "webhook", "--state", str(state)]
    program = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(TELLER), str(READERS), *command], cwd="/"
    )
    try:
        wait_until((state / "webhook.json").exists, program)
        now = round(time.time() * 1000)
        database.add_events([Event(timestamp=now, kind="daemon", outcome="done", detail="x")])
        wait_until(lambda: receiver.requests, program)
    finally:
        program.kill()
        program.wait()
        database.close()
    assert [item["id"] for item in receiver.requests[0].told["items"]] == [1]
    assert {path.stat().st_uid for path in history.iterdir()} == {0}
