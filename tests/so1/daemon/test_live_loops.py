# SPDX-License-Identifier: MIT
"""Whatever an engine does, no tick is late and none is lost."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.cgroups import Mirror
from tests.support.docker_engine import LiveEngine

pytestmark = pytest.mark.engine
SECONDS = 8
TIMEOUT_S = 4
PATIENCE_S = 60


class Running:
    """A daemon that ticks every second, and its database."""

    def __init__(self, folder: Path, engine: LiveEngine, fault: str, policy: str) -> None:
        self.path = folder / "metrics.db"
        self.mirror = Mirror(folder / "cgroup")
        self.mirror.update()
        self._ending = threading.Event()
        self._writer = threading.Thread(target=self._write)
        self._writer.start()
        settings = folder / "config.toml"
        settings.write_text(
            f"interval = 1\n[snapshot]\nsource = 'procfs'\n[store]\npath = '{self.path}'\n"
            f"[docker]\nhost = '{engine.host}'\ntimeout = {TIMEOUT_S}\n[governor]\n{policy}\n"
        )
        command = [sys.executable, "-m", "tests.so1.daemon.running", str(settings)]
        self.process = subprocess.Popen([*command, str(self.mirror.root), fault])

    def _write(self) -> None:
        while not self._ending.wait(0.3):
            self.mirror.update()

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=20)) as connection:
            return connection.execute(query).fetchall()

    def ticks(self) -> int:
        try:
            return int(self.rows("SELECT count(*) FROM metrics")[0][0])
        except sqlite3.OperationalError:
            return 0

    def wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.1)

    def stop(self) -> float:
        """End it after enough ticks to judge; gives how many seconds its end took."""
        self.wait(lambda: self.ticks() >= SECONDS)
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        return time.monotonic() - began

    def judge(self) -> None:
        """See that none of the ticks waited for the engine.

        One that did would be late by the time limit of a call at the least; a machine with other
        things to do makes them late by less.
        """
        stamps = [stamp / 1000 for (stamp,) in self.rows("SELECT timestamp FROM metrics")]
        assert len(stamps) >= SECONDS
        assert max(after - before for before, after in pairwise(stamps)) < TIMEOUT_S, stamps

    def close(self) -> None:
        self._ending.set()
        self._writer.join()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def running(engine: LiveEngine, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with contextlib.ExitStack() as opened:

        def make(fault: str = "", policy: str = "mode = 'observe'") -> Running:
            made = Running(tmp_path, engine, fault, policy)
            opened.callback(made.close)
            made.wait(lambda: made.ticks() >= 2)
            return made

        yield make


def figures(so1: Running) -> list[tuple[int, int]]:
    return so1.rows(
        "SELECT count(*), count(memory) FROM container_totals JOIN metrics USING (timestamp)"
        " WHERE container_name = 'web' GROUP BY metrics.id"
    )


def test_an_engine_that_hangs(engine: LiveEngine, running: Callable[..., Running]) -> None:
    engine.start("web", command="while :; do :; done")
    so1 = running()
    so1.wait(lambda: bool(figures(so1)))
    with engine.paused():
        before = so1.ticks()
        so1.wait(lambda: so1.ticks() >= before + 16)
        took = so1.stop()
    assert took < 10
    so1.judge()
    # The figures of the container go on, and each tick says how old Docker's word is.
    assert figures(so1)[-16:] == [(1, 1)] * 16
    ages = [age for (age,) in so1.rows("SELECT docker_age FROM metrics ORDER BY id")]
    assert ages[-1] > 10
    ((cpu,),) = so1.rows(
        "SELECT avg(cpu_usage) FROM container_totals WHERE container_name = 'web'"
        " AND timestamp >= (SELECT max(timestamp) - 8000 FROM metrics)"
    )
    assert cpu > 5
    (told, *_) = so1.rows("SELECT outcome, detail FROM events WHERE kind = 'docker'")
    assert told[0] == "failed"


def test_an_engine_that_is_started_again_and_again(
    engine: LiveEngine, running: Callable[..., Running]
) -> None:
    engine.start("web")
    so1 = running()
    for _ in range(2):
        engine.restart()
        before = so1.ticks()
        so1.wait(lambda before=before: so1.ticks() >= before + 3)  # type: ignore[misc]
    engine.start("again")
    so1.wait(
        lambda: bool(so1.rows("SELECT 1 FROM container_totals WHERE container_name = 'again'"))
    )
    so1.stop()
    so1.judge()
    outcomes = [o for (o,) in so1.rows("SELECT outcome FROM events WHERE kind = 'docker'")]
    # Each reason is told once: it goes while it is asked, and then nothing listens.
    assert outcomes[0] == "failed"
    assert outcomes[-1] == "done"


def test_a_socket_that_goes_and_comes_back(
    engine: LiveEngine, running: Callable[..., Running]
) -> None:
    so1 = running()
    socket = Path(engine.host.removeprefix("unix://"))
    aside = socket.with_name("aside")
    socket.rename(aside)
    try:
        # A stream that is open goes on; the next one finds nobody.
        so1.wait(lambda: bool(so1.rows("SELECT 1 FROM events WHERE kind = 'docker'")))
    finally:
        aside.rename(socket)
    so1.wait(lambda: len(so1.rows("SELECT 1 FROM events WHERE kind = 'docker'")) == 2)
    so1.stop()
    so1.judge()


def test_removals_that_are_slow(engine: LiveEngine, running: Callable[..., Running]) -> None:
    for number in range(5):
        engine.managed(
            *(f"low-{number}", "low", "--stop-signal=TERM"),
            command="trap '' TERM; while :; do sleep 1; done",
        )
    so1 = running(policy="keep_low = 0\ngrace = 0\nstop_timeout = 4")
    so1.wait(lambda: len(so1.rows("SELECT 1 FROM events WHERE kind = 'remove'")) >= 5)
    # The last of them is counted by the tick after it.
    so1.wait(lambda: so1.rows("SELECT sum(deleted_count) FROM metrics") == [(5,)])
    so1.stop()
    so1.judge()
    removed = so1.rows("SELECT outcome FROM events WHERE kind = 'remove'")
    assert removed == [("done",)] * 5


def test_a_governor_that_raises(engine: LiveEngine, running: Callable[..., Running]) -> None:
    engine.managed("low")
    so1 = running("raise")
    so1.stop()
    so1.judge()
    (told,) = so1.rows("SELECT outcome, detail FROM events WHERE kind = 'governor'")
    assert told[0] == "failed"
    assert engine.names() == {"low"}


def test_what_becomes_of_containers_is_told(
    engine: LiveEngine, running: Callable[..., Running]
) -> None:
    so1 = running()
    engine.start("fails", command="sleep 1; exit 3")
    engine.start("loops", "--restart=always", command="exit 4")
    engine.start("asked")
    engine.docker("stop", "asked")

    def told() -> set[tuple[str, str]]:
        return set(so1.rows("SELECT container_name, detail FROM events WHERE kind = 'container'"))

    so1.wait(lambda: any("after every start" in detail for _, detail in told()))
    so1.wait(lambda: ("fails", "It ended with exit code 3.") in told())
    so1.wait(lambda: (so1.rows("SELECT max(restarts) FROM container_totals")[0][0] or 0) >= 3)
    so1.stop()
    so1.judge()
    assert {name for name, _ in told()} == {"fails", "loops"}
    inspected = json.loads(engine.docker("inspect", "loops").stdout)[0]
    assert inspected["RestartCount"] >= 3
