# SPDX-License-Identifier: MIT
"""kill -9 at every step of a removal; the next process finishes it and tells it once."""

import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from so1.config import Policy
from so1.docker_engine import Inspected, NotFoundError
from so1.governor.governor import Governor
from so1.store.database import Database
from so1.store.event import Event
from tests.so1.governor.containers import TAKEN, usage
from tests.so1.governor.engine import Made
from tests.so1.governor.filed_engine import nothing
from tests.so1.governor.killed import Counted, Steps, killed

USAGE = usage(1)
ID = USAGE.container.id
MOST = 40
"""More acts than a removal takes."""


class Kept(Made):
    """An engine whose one container lies in a folder, where it outlives the process."""

    def __init__(self, folder: Path, steps: Callable[[], None], *, fleeting: bool) -> None:
        super().__init__([USAGE])
        self._state = folder / "state"
        self._steps = steps
        self._fleeting = fleeting

    def inspect(self, container_id: str) -> Inspected:
        self._steps()
        if not self._state.exists():
            raise NotFoundError("gone")
        found = super().inspect(container_id)
        running = self._state.read_text() == "running"
        return replace(found, running=running, auto_remove=self._fleeting)

    def stop(self, container_id: str, patience: int) -> None:  # noqa: ARG002
        self._steps()
        if self._fleeting:
            self._state.unlink()
        else:
            self._state.write_text("stopped")
        self._steps()

    def remove(self, container_id: str) -> None:  # noqa: ARG002
        self._steps()
        self._state.unlink(missing_ok=True)
        self._steps()


def two_ticks(folder: Path, steps: Callable[[], None], *, fleeting: bool) -> None:
    """Govern once with the container, as long as it runs, and once more."""
    database = Database(folder / "metrics.db")

    def tell(event: Event) -> None:
        steps()
        database.add_events([event])
        steps()

    engine = Kept(folder, steps, fleeting=fleeting)
    governor = Governor(engine, Policy(trash_hours=0, keep_low=0), Counted(database, steps))
    for _ in range(2):
        state = folder / "state"
        running = state.exists() and state.read_text() == "running"
        governor.govern([USAGE] if running else [], TAKEN, tell)
    database.close()


@pytest.mark.parametrize("fleeting", [False, True])
def test_each_step_may_be_the_last(tmp_path: Path, *, fleeting: bool) -> None:
    for last in range(MOST):
        folder = tmp_path / str(last)
        folder.mkdir()
        (folder / "state").write_text("running")
        govern = partial(two_ticks, folder, fleeting=fleeting)
        was_killed = killed(govern, Steps(last))
        assert not killed(govern, nothing)
        assert not (folder / "state").exists()
        with contextlib.closing(sqlite3.connect(folder / "metrics.db")) as connection:
            events = connection.execute("SELECT outcome, recreate FROM events").fetchall()
            steps = connection.execute("SELECT step, told FROM removals").fetchall()
        assert events == [("done", "docker run --detach --name c1 alpine")], last
        assert steps == [("removed", 1)], last
        if not was_killed:
            break
    else:
        pytest.fail("no run came to its end")
    assert last > 8
