# SPDX-License-Identifier: MIT
"""Keeping readers away from the moment of a commit."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from so1.store.lock import blocker

# https://www.sqlite.org/lockingv3.html: a connection locks the first for a moment when it begins to
# read, and some of the others until it is closed.
_PENDING = 0x4000_0000
_SHARED = _PENDING + 2
_SHARED_BYTES = 510
# https://www.sqlite.org/walformat.html: of the index, those that are in a transaction lock one.
_TRANSACTIONS = 123
_TRANSACTIONS_BYTES = 5
_PATIENCE_S = 0.5
"""Less than what a reader waits: nobody gives up because of one who stays."""
_PAUSE_S = 0.001


class Readers:
    """Whoever else reads a database, for the connection that writes to it.

    A commit rewrites the header of the index of SQLite's write-ahead log, and is over some
    microseconds later. A reader that meets a header half written looks whether anybody writes, and
    takes its chance to repair what a crash has left, as it thinks, if nobody does any more. One
    that may not write cannot, and its query fails: «attempt to write a readonly database».
    """

    def __init__(self, path: Path) -> None:
        """Open the database, which is made where there is none. Raises OSError."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._file = os.fdopen(file, "r+b", buffering=0)
        self._index: int | None = None
        self._parts = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
        self._opened: list[tuple[int, int]] = []
        self._stays: int | None = None
        """The pid of one that was waited for in vain."""

    def connected(self) -> None:
        """Remember which files a connection of this process uses. Raises OSError."""
        self._index = os.open(self._parts[-1], os.O_RDWR | os.O_CLOEXEC)
        self._opened = self._found()

    def moved(self) -> bool:
        """Whether other files, or none, have taken the place of those that were connected to."""
        try:
            return self._found() != self._opened
        except OSError:
            return True

    def _found(self) -> list[tuple[int, int]]:
        return [(found.st_dev, found.st_ino) for found in map(os.stat, self._parts)]

    def inside(self) -> int | None:
        """Tell the pid of another process that is in a transaction, None where none is.

        0 stands for a process that has no pid here. The log cannot be brought into the file, and
        begin anew, beyond what that process may still read.
        """
        return (
            None
            if self._index is None
            else blocker(self._index, _TRANSACTIONS, _TRANSACTIONS_BYTES)
        )

    def close(self) -> None:
        """Not while this process has a connection to it: closing a file frees all locks on it."""
        self._file.close()
        if self._index is not None:
            os.close(self._index)
            self._index = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let those who read come to their end, and those who begin wait.

        Half a second is enough for queries. Who stays for longer is waited for once: a connection
        that is open for hours does not slow the writer down.
        """
        until = time.monotonic() + _PATIENCE_S
        while (reader := self._reader()) not in (None, self._stays) and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        self._stays = reader
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _PENDING)

    def _reader(self) -> int | None:
        """Keep others from beginning, and tell the pid of one who reads or is just beginning."""
        with contextlib.suppress(BlockingIOError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _PENDING)
        return blocker(self._file.fileno(), _PENDING, _SHARED_BYTES + 2)
