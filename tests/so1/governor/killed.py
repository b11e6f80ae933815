# SPDX-License-Identifier: MIT
"""A process that is killed at a chosen step, and a journal whose writing is one."""

import os
import signal
from collections.abc import Callable, Iterable

from so1.store.database import Database
from so1.store.removal import Removal
from so1.store.removals import Removals


class Steps:
    """Counts what a process does, and kills it before one of them."""

    def __init__(self, last: int) -> None:
        self._left = last

    def __call__(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class Counted(Removals):
    """A journal that counts what it writes."""

    def __init__(self, database: Database, steps: Callable[[], None]) -> None:
        super().__init__(database)
        self._steps = steps

    def write(self, removals: Iterable[Removal], *, dropped: Iterable[str] = ()) -> None:
        self._steps()
        super().write(removals, dropped=dropped)
        self._steps()


def killed(act: Callable[[Callable[[], None]], None], steps: Callable[[], None]) -> bool:
    """Do something in a process of its own; gives whether that was killed at a step."""
    child = os.fork()
    if child == 0:
        try:
            act(steps)
        except BaseException:  # noqa: BLE001 - whatever it is, it is not to run the tests again
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)
