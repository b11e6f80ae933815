# SPDX-License-Identifier: MIT
"""Takes samples in a thread, so that a slow Docker Engine holds up no key."""

import threading
from collections.abc import Callable

import click
from msgspec.structs import replace

from so1.live.view import Shown


class Source:
    """Takes a sample, waits, and takes the next one, until it is closed."""

    def __init__(self, take: Callable[[], Shown], every: float) -> None:
        """Take the first sample now: raises click.ClickException where there is none."""
        self._take = take
        self._every = every
        self._newest = take()
        self._ended = threading.Event()
        self._broken: BaseException | None = None
        # Whoever quits does not wait for an engine that does not answer.
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._thread.start()

    def newest(self) -> Shown:
        """Give the newest sample; raises what went wrong in the thread, if it was a mistake."""
        if self._broken:
            raise self._broken
        return self._newest

    def close(self) -> None:
        """Take no further sample."""
        self._ended.set()

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every):
                self._newest = self._once()
        except BaseException as error:  # noqa: BLE001 - raised where the screen is
            self._broken = error

    def _once(self) -> Shown:
        try:
            return self._take()
        except click.ClickException as error:
            # It may come back; until then the last one stands, and the screen says so.
            return replace(self._newest, trouble=f"no new sample: {error.message}")
