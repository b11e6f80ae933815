# SPDX-License-Identifier: MIT
"""One writer to a database: a lock file beside it, held as long as the daemon runs."""

import fcntl
import os
import struct
from pathlib import Path

# struct flock of 64-bit Linux: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


class LockedError(Exception):
    """Another daemon holds the lock; the message says which."""


def _beside(database: Path) -> Path:
    # Beside the file itself: who comes through a link must meet the same lock.
    return Path(f"{os.path.realpath(database)}.lock")


def hold(database: Path) -> int:
    """Take the lock and return its file descriptor; the kernel frees it when the process ends.

    Raises LockedError where another process holds it, OSError where there can be no lock file.
    """
    path = _beside(database)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise LockedError(
            f"another so1 daemon (pid {holder(database) or 'unknown'}) writes to {database};"
            " stop that one first"
        ) from error
    return file


def holder(database: Path) -> int | None:
    """Tell the pid of the daemon that writes to the database, None where none does.

    Only asks: a daemon that starts meanwhile is not in its way. Raises OSError where the lock file
    may not be read.
    """
    try:
        file = os.open(_beside(database), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return blocker(file)
    finally:
        os.close(file)


def blocker(file: int, start: int = 0, length: int = 0) -> int | None:
    """Tell the pid of another process that has locked some of these bytes, None where none has.

    Raises OSError where locks cannot be asked for.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid
