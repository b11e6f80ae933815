# SPDX-License-Identifier: MIT
"""so1 top on a terminal of its own."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

LINES, COLUMNS = 30, 100
PATIENCE_S = 60


class Terminal:
    """A terminal with the program in it."""

    def __init__(self, config: Path, *options: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [
                # A shell's background job ignores SIGINT, and so would what these tests start.
                *("env", "--default-signal=INT"),
                *(sys.executable, "-c", "from so1.cli import main; main()"),
                *("--config", str(config), "top", *options),
            ],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        self.seen = ""

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            ready, _, _ = select.select([self._ours], [], [], 1)
            if ready:
                self.seen += os.read(self._ours, 65536).decode(errors="replace")

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(so1: Callable[..., Result], tmp_path: Path) -> Iterator[Terminal]:  # noqa: ARG001 - writes the file
    opened = Terminal(tmp_path / "config.toml", "--every", "0.2")
    yield opened
    opened.close()


def test_keys_change_the_order_and_q_ends_it(terminal: Terminal) -> None:
    terminal.read_until("sorted by ram")
    for key, said in (("c", "sorted by cpu"), ("r", "sorted by ram")):
        terminal.seen = ""
        terminal.press(key)
        terminal.read_until(said)
    terminal.press("q")
    assert terminal.process.wait(timeout=PATIENCE_S) == 0
    # The terminal is as it was.
    assert terminal.settings() == terminal.before


def test_ctrl_c_ends_it_too(terminal: Terminal) -> None:
    terminal.read_until("PID")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(timeout=PATIENCE_S) == 0
    assert terminal.settings() == terminal.before
