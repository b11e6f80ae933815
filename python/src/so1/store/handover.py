# SPDX-License-Identifier: MIT
"""What `so1 cleanup`, `undo` and `trash empty` leave for the daemon.

The daemon alone writes to the database. Each run writes a file of its own beside it, a line for
each step of a removal, before the step is taken. The file is locked for as long as the run lasts,
so that the daemon does not finish what is still under way. Without a daemon the files wait for the
next one.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from so1.store.removal import Removal

_log = logging.getLogger(__name__)
_PREFIX, _SUFFIX = "cleanup-", ".jsonl"


class Handover:
    """One run's file; several threads may write."""

    def __init__(self, folder: Path) -> None:
        """Make the file in the database's folder; raises OSError where that cannot be."""
        name = f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        # The folder is the daemon's: what it may have put there under the name is not followed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC
        self._path = folder / name
        self._file = os.open(self._path, flags, 0o644)
        self._lock = threading.Lock()
        self._empty = True
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.fchmod(self._file, 0o644)  # whatever the umask: the daemon is another user

    def write(self, removal: Removal) -> None:
        """Write a step down; it is on the disk when this returns. Raises OSError."""
        with self._lock:
            line = msgspec.json.encode(removal) + b"\n"
            if os.write(self._file, line) < len(line):
                raise OSError("the disk is full")
            os.fsync(self._file)
            self._empty = False

    def close(self) -> None:
        """End the run; a file without a line goes."""
        if self._empty:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


class Run(NamedTuple):
    """What a run left: the last step of each removal; of one that lasts, only those that ended.

    returning are the containers that a run which lasts takes back just now.
    """

    path: Path
    removals: list[Removal]
    over: bool
    returning: list[str]


def read(folder: Path) -> list[Run]:
    """Read what the runs of `so1 cleanup` left; raises OSError where the folder cannot be read."""
    found = []
    for path in sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            found.append(_read(path))
        except OSError as error:
            _log.warning("%s cannot be read: %s", path, error)
    return found


def discard(runs: Iterable[Run]) -> None:
    """Delete the files of runs that are over."""
    for run in runs:
        if run.over:
            with contextlib.suppress(OSError):
                run.path.unlink()


def _read(path: Path) -> Run:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            over = False
        else:
            over = True
        last = {}
        for line in file.read().splitlines():
            try:
                removal = msgspec.json.decode(line, type=Removal)
            except msgspec.DecodeError as error:
                # The last one may have been cut off by a kill or a full disk.
                _log.warning("a line of %s is not understood: %s", path, error)
            else:
                last[removal.container_id] = removal
    found = list(last.values())
    returning = [one.container_id for one in found if one.step == "returning" and not over]
    return Run(path, [one for one in found if over or one.ended], over, returning)
