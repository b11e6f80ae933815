# SPDX-License-Identifier: MIT
"""Starts the loops, waits for signals, and ends in time whatever hangs."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from so1.clock import Steps, boottime
from so1.config import Config, ConfigError
from so1.daemon import follower, governing
from so1.daemon.conditions import Conditions
from so1.daemon.follower import Follower
from so1.daemon.governing import Governing
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.daemon.systemd import Notifier
from so1.daemon.watcher import Publisher, Watcher
from so1.sample import Sampler
from so1.sources import cgroups
from so1.store.database import Database

_log = logging.getLogger(__name__)
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_FIRST_WORD = 1.0
"""Seconds that the first tick waits for Docker's first word."""
_ENDING = 40.0
"""Seconds, beside what a container gets to stop and a call to be answered, that removals under way
get when the daemon is told to stop; systemd gives a few more."""


class Containers(follower.Engine, governing.Governor, Protocol):
    """What the daemon needs of Docker and of the governor."""

    def reconfigure(self, config: Config) -> None:
        """Go by another configuration from now on."""


class Daemon:
    """Watches the host until a signal says stop."""

    def __init__(
        self,
        config: Config,
        database: Database,
        *,
        containers: Containers,
        reload: Callable[[], Config],
        notifier: Notifier,
        publisher: Callable[[], Publisher] | None = None,
        proc: Path = Path("/proc"),
        cgroup_root: Path = cgroups.ROOT,
        clock: Callable[[], float] = time.time,
        boottime: Callable[[], float] = boottime,
    ) -> None:
        """Take over the open database; `reload` reads the configuration again on SIGHUP.

        `publisher` is called once there are metrics to be served.
        """
        self._config = config
        self._database = database
        self._containers = containers
        self._reload = reload
        self._notifier = notifier
        self._outbox = Outbox()
        self.conditions = Conditions(self._outbox, clock)
        self._storing = Storing(database, self._outbox, self.conditions)
        self.follower = Follower(containers, self._outbox, self.conditions, clock=clock)
        self.governing = Governing(containers, self._storing, self._outbox, self.conditions)
        self.watcher = Watcher(
            config,
            Sampler(config.snapshot, proc=proc, cgroup_root=cgroup_root, clock=clock),
            self._storing,
            self._outbox,
            self.conditions,
            word=lambda: self.follower.word,
            hand=self.governing.hand,
            steps=Steps(clock, boottime),
            notifier=notifier,
            publisher=publisher,
        )

    def run(self) -> bool:
        """Tick until SIGTERM or SIGINT; SIGHUP reloads the configuration.

        The signals are blocked, in all threads, and waited for in this one: a tick under way is
        finished, the wait between two ends at once. Gives whether everything has come to its end;
        where it has not, a thread hangs that can only be left behind.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        threads = [
            threading.Thread(target=loop.run, name=name, daemon=True)
            for name, loop in (("follower", self.follower), ("governor", self.governing))
        ]
        try:
            for thread in threads:
                thread.start()
            self._loop()
        finally:
            self._notifier.stopping()
            ended = self._stop(*threads)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return ended

    def _loop(self) -> None:
        self.conditions.happened("daemon", "done", "The daemon started.")
        self.follower.heard.wait(_FIRST_WORD)
        due = time.monotonic()
        ready = False
        while True:
            self.watcher.tick(max(0.0, time.monotonic() - due))
            if not ready:
                ready = True
                self._notifier.ready()
            due += self._config.interval
            late = time.monotonic() - due
            if late > 0:
                # Ticks that are late are left out: run one after the other they would only be
                # the load that made them late.
                missed = int(late // self._config.interval) + 1
                self.watcher.missed(missed)
                due += missed * self._config.interval
            if not self._wait(due):
                return

    def _wait(self, due: float) -> bool:
        """Wait for the next tick; False where it is time to stop."""
        watched = self._notifier.watchdog_seconds
        while True:
            left = max(0.0, due - time.monotonic())
            received = signal.sigtimedwait(_SIGNALS, min(left, watched / 3) if watched else left)
            self._notifier.watchdog()
            if received is None:
                if left <= 0:
                    return True
            elif received.si_signo == signal.SIGHUP:
                self.read_again()
                due = min(due, time.monotonic() + self._config.interval)
            else:
                _log.info("stopping on %s", signal.Signals(received.si_signo).name)
                return False

    def read_again(self) -> None:
        """Reload the configuration; where that cannot be used, the one before stays."""
        self._notifier.reloading()
        try:
            config = self._reload()
        except ConfigError as error:
            detail = f"The configuration was not reloaded, the one before stays: {error}."
            self.conditions.happened("config", "failed", detail, logging.ERROR)
        else:
            if config.store.path != self._config.store.path:
                _log.warning("store.path takes effect at the next start")
            self._config = config
            self.watcher.reconfigure(config)
            self._containers.reconfigure(config)
            self.follower.ask_anew()
            logging.getLogger().setLevel(config.log_level.upper())
            self.conditions.happened("config", "done", "The configuration was reloaded.")
        self._notifier.ready()

    def _stop(self, *threads: threading.Thread) -> bool:
        self.follower.stop()
        self.governing.stop()
        # The follower may wait for an engine that says nothing more: it holds nothing.
        governor = threads[-1]
        config = self._config
        allowed = _ENDING + config.governor.stop_timeout + config.docker.timeout
        until = time.monotonic() + allowed
        while governor.is_alive() and time.monotonic() < until:
            governor.join(1.0)
            self._notifier.watchdog()
        self.watcher.close()
        self.conditions.happened("daemon", "done", "The daemon stopped.")
        self._storing.flush()
        self._database.close()
        return not governor.is_alive()
