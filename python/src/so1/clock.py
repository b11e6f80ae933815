# SPDX-License-Identifier: MIT
"""Whether the time of day was set, as a clock tells that nobody can set."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_STEP = 2
"""Seconds; less is what keeping the time in small corrections may come to."""


def boottime() -> float:
    """Seconds since the host started, time asleep too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Steps:
    """Compares the time of day with the time since the host started, again and again."""

    def __init__(
        self, clock: Callable[[], float] = time.time, boottime: Callable[[], float] = boottime
    ) -> None:
        """Begin to compare; `clock` gives Unix epoch seconds, `boottime` those since the start."""
        self._clock = clock
        self._boottime = boottime
        self._difference = clock() - boottime()

    def told(self) -> str | None:
        """Tell in a sentence by how much the clock was set since this was last asked, if it was."""
        now = self._clock()
        before, self._difference = self._difference, now - self._boottime()
        step = self._difference - before
        if abs(step) < _STEP:
            return None
        way = "forward" if step > 0 else "back"
        return (
            f"The clock was set {way} by {timedelta(seconds=round(abs(step)))}, to"
            f" {moment(now)}; history keeps its old times."
        )


def moment(seconds: float) -> str:
    """Write Unix epoch seconds as a time in UTC, and as a number where no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{seconds:.0f} s after 1970"
