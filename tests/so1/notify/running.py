# SPDX-License-Identifier: MIT
"""A program that runs beside the test."""

import subprocess
import time
from collections.abc import Callable


def wait_until(
    holds: Callable[[], object], program: subprocess.Popen[bytes], seconds: float = 60
) -> None:
    """Wait until it holds; the program must not end before."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
