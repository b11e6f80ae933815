# SPDX-License-Identifier: MIT
"""The loop: snapshot, plan, act, store; again every interval, whatever fails on the way."""

import logging
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from so1 import sources
from so1.clock import Steps, boottime
from so1.conditions import Conditions
from so1.config import Config, ConfigError, Metrics
from so1.exposition.error import ServerError
from so1.exposition.own import Own
from so1.model import Container, ContainerUsage
from so1.notify import Notifier
from so1.sample import Gap, Sample, Sampler, Word
from so1.sources import cgroups
from so1.store import rows
from so1.store.database import Database, DatabaseError
from so1.store.event import Event
from so1.store.rows import Tick

_log = logging.getLogger(__name__)
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_DAY_MS = 86_400_000
_MIB = 1 << 20


class Containers(Protocol):
    """What the loop needs of Docker and of the governor."""

    def running(self) -> list[Container]:
        """List the running containers; may raise anything, in one sentence."""

    def govern(
        self, usages: list[ContainerUsage], taken_ns: int, tell: Callable[[Event], None]
    ) -> object:
        """Plan and act on what was measured then, on CLOCK_BOOTTIME; tell each thing at once."""

    def reconfigure(self, config: Config) -> None:
        """Go by another configuration from now on."""


class Publisher(Protocol):
    """What the loop needs of the exposition."""

    def configure(self, settings: Metrics) -> None:
        """Serve as `settings` say; raises ServerError."""

    def publish(self, sample: Sample, own: Own) -> None:
        """Make this sample what is served."""

    def close(self) -> None:
        """Stop serving."""


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
        self._make_publisher = publisher
        self._publisher: Publisher | None = None
        self._serving = False
        self._dropped: Counter[str] = Counter()
        self._late = 0.0
        self._clock = clock
        self._sampler = Sampler(config.snapshot, proc=proc, cgroup_root=cgroup_root, clock=clock)
        self._steps = Steps(clock, boottime)
        self._conditions = Conditions(clock)
        self._removed = 0
        """Containers removed since the last tick that was stored."""
        self._source: str | None = None
        self._word = Word()

    def run(self) -> None:
        """Tick until SIGTERM or SIGINT; SIGHUP reloads the configuration.

        The signals are blocked and waited for: a tick under way is finished, the wait between two
        ends at once.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._loop()
        finally:
            self._notifier.stopping()
            self._stopped()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _loop(self) -> None:
        self._conditions.happened("daemon", "done", "The daemon started.")
        self._say_noticed()
        due = time.monotonic()
        ready = False
        while True:
            self._late = max(0.0, time.monotonic() - due)
            self.tick()
            if not ready:
                ready = True
                self._notifier.ready()
            due += self._config.interval
            late = time.monotonic() - due
            if late > 0:
                # Ticks that are late are left out: run one after the other they would only be
                # the load that made them late.
                missed = int(late // self._config.interval) + 1
                _log.warning("a tick took too long; %d left out", missed)
                self._dropped["late"] += missed
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
                self._read_again()
                due = min(due, time.monotonic() + self._config.interval)
            else:
                _log.info("stopping on %s", signal.Signals(received.si_signo).name)
                return False

    def _read_again(self) -> None:
        self._notifier.reloading()
        try:
            config = self._reload()
        except ConfigError as error:
            detail = f"The configuration was not reloaded, the one before stays: {error}."
            self._conditions.happened("config", "failed", detail, logging.ERROR)
        else:
            if config.store.path != self._config.store.path:
                _log.warning("store.path takes effect at the next start")
            self._config = config
            self._containers.reconfigure(config)
            self._sampler.settings = config.snapshot
            self._serving = False  # on another address, or with another certificate
            logging.getLogger().setLevel(config.log_level.upper())
            self._conditions.happened("config", "done", "The configuration was reloaded.")
        self._notifier.ready()

    def _stopped(self) -> None:
        if self._publisher:
            self._publisher.close()
        self._conditions.happened("daemon", "done", "The daemon stopped.")
        self._write_events()
        self._database.close()
        self._sampler.close()

    def tick(self) -> None:
        """Do one round; nothing that fails in it ends the daemon."""
        try:
            self._round()
        except Exception:  # noqa: BLE001 - logged, and the next round may do better
            # A fault of ours: the journal gets the whole of it.
            _log.exception("a tick failed")
            self._dropped["fault"] += 1
        self._notifier.watchdog()

    def _round(self) -> None:
        began = time.monotonic()
        self._word = self._list()
        self._notifier.watchdog()
        if step := self._steps.told():
            self._conditions.happened("clock", "done", step, logging.WARNING)
        sample = self._sample()
        if sample is None:
            self._dropped["snapshot"] += 1
            return
        events = self._govern(sample) if sample.docker_answers else []
        self._notifier.watchdog()
        self._write(
            rows.build(
                sample,
                top=self._config.store.top_processes,
                removed=self._removed,
                troubles=self._conditions.current,
                events=list(self._conditions.events),
            )
        )
        took = time.monotonic() - began
        self._notifier.status(
            f"{len(sample.snapshot.processes)} processes, {len(sample.everyone)} containers"
            f" ({sample.snapshot.source}), {took * 1000:.0f} ms"
            + "".join(f"; {sentence}" for sentence in self._conditions.current)
        )
        if self._publisher is None and self._config.metrics.enabled and self._make_publisher:
            self._publisher = self._make_publisher()
        if self._publisher:
            own = Own(
                config=self._config,
                events=events,
                dropped=self._dropped,
                database_bytes=self._database.size(),
                took=took,
                late=self._late,
            )
            self._publish(self._publisher, sample, own)

    def _publish(self, publisher: Publisher, sample: Sample, own: Own) -> None:
        if not self._serving:
            # An address of a network that is not up yet may be there at a later tick.
            try:
                publisher.configure(self._config.metrics)
            except ServerError as error:
                self._conditions.begins("metrics", str(error))
            else:
                self._serving = True
                served = "served again" if self._config.metrics.enabled else "switched off"
                self._conditions.over("metrics", f"The metrics are {served}.")
        publisher.publish(sample, own)

    def _sample(self) -> Sample | None:
        try:
            sample = self._sampler.take(self._word)
        except sources.SourceError as error:
            self._conditions.begins("source", f"No snapshot: {error}.")
            self._write_events()
            return None
        for kind, over in _OVER.items():
            if kind in sample.gaps:
                self._conditions.begins(kind, sample.gaps[kind])
            else:
                self._conditions.over(kind, over)
        source = sample.snapshot.source
        if source != self._source:
            self._conditions.happened("source", "done", f"Snapshots come from {_SOURCES[source]}.")
            self._source = source
        return sample

    def _list(self) -> Word:
        """Ask Docker which containers run; where it does not answer, what it said last stands."""
        try:
            listed = self._containers.running()
        except Exception as error:  # noqa: BLE001 - metrics go on, whatever Docker does
            trouble = f"Docker does not answer: {error}"
            self._conditions.begins("docker", trouble)
            return replace(self._word, trouble=trouble)
        self._conditions.over("docker", "Docker answers again.")
        return Word(tuple(listed), time.monotonic())

    def _govern(self, sample: Sample) -> list[Event]:
        told: list[Event] = []

        def tell(event: Event) -> None:
            line = f"{event.kind} {event.container_name} {event.outcome}: {event.detail}"
            if event.outcome == "done":
                self._removed += 1
                # On a full disk the journal may be all that is left of it.
                line += f" To bring it back: {event.recreate}" if event.recreate else ""
            _log.info("%s", line)
            told.append(event)
            self._conditions.events.append(event)
            # What is gone cannot be told again, so its event does not wait for the tick; but where
            # the database takes none, each would only be waited for: they come with the tick.
            if not self._conditions.lasts("database"):
                self._write_events()

        try:
            self._containers.govern(list(sample.containers), sample.snapshot.taken_ns, tell)
        except Exception:  # noqa: BLE001 - the tick is written all the same
            _log.exception("the governor failed")
        return told

    def _write(self, tick: Tick) -> None:
        self._store(tick)
        # After its events were stored, or they would be taken for stored too.
        self._say_noticed()

    def _store(self, tick: Tick) -> None:
        try:
            self._database.write_tick(tick)
        except sqlite3.DatabaseError as error:
            # Its events, and how many were removed, are written with the first tick that can be.
            self._dropped["database"] += 1
            self._cannot_write(error)
            return
        self._removed = 0
        self._conditions.events.clear()
        self._conditions.over("database", "The database is written to again.")
        store = self._config.store
        try:
            self._database.prune(
                round(store.retention_days * _DAY_MS),
                round(store.events_days * _DAY_MS),
                store.max_mib * _MIB,
            )
        except sqlite3.DatabaseError as error:
            self._cannot_write(error)
        if held := self._database.held():
            self._conditions.begins("reader", held)
        else:
            self._conditions.over("reader", "The log of the database begins anew again.")

    def _write_events(self) -> None:
        try:
            self._database.add_events(self._conditions.events)
        except sqlite3.DatabaseError as error:
            self._cannot_write(error)
        else:
            self._conditions.events.clear()

    def _cannot_write(self, error: sqlite3.DatabaseError) -> None:
        damaged = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
        name = getattr(error, "sqlite_errorname", "")
        if not self._database.damaged and not name.startswith(damaged):
            self._conditions.begins("database", f"The database cannot be written to: {error}.")
            return
        try:
            self._database.replace()
        except DatabaseError as failure:
            self._conditions.begins("database", f"{failure}.")

    def _say_noticed(self) -> None:
        while self._database.notices:
            notice = self._database.notices.popleft()
            self._conditions.happened("database", "failed", notice, logging.ERROR)


_OVER: dict[Gap, str] = {
    "source": "Snapshots are taken again as they should.",
    "blind": "Processes of other users are seen again.",
    "cgroups": "All containers are measured.",
    "limits": "The limited processes are known again.",
}
_SOURCES = {"module": "the kernel modules", "procfs": "/proc (the kernel modules are not in use)"}
