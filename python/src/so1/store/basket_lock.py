# SPDX-License-Identifier: MIT
"""One at a time empties the wastebasket or takes something out: the daemon or a command.

Without it one could remove for good what the other takes back at that moment.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

_NAME = "wastebasket.lock"
_PAUSE = 0.1


@contextlib.contextmanager
def held(folder: Path, seconds: float = 0) -> Iterator[bool]:
    """Hold the lock for the block; gives False where another holds it for longer than that.

    The file is beside the database. Raises OSError where there can be none.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(folder / _NAME, flags, 0o600)
    try:
        owner = folder.stat()
        if os.geteuid() == 0 and os.fstat(file).st_uid != owner.st_uid:
            os.fchown(file, owner.st_uid, owner.st_gid)  # the daemon is another user
        yield _locked(file, time.monotonic() + seconds)
    finally:
        os.close(file)


def _locked(file: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)
        else:
            return True
