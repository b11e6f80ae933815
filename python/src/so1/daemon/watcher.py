# SPDX-License-Identifier: MIT
"""The loop that takes a sample at its time, stores and publishes it, whatever else goes on.

It reads /proc, cgroup files and the database, and nothing that can hang. What Docker said last it
finds in the follower's word; the governor gets the sample, and is not waited for.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from so1.clock import Steps
from so1.config import Config, Metrics
from so1.daemon import deaths
from so1.daemon.conditions import Conditions
from so1.daemon.outbox import Outbox
from so1.daemon.storing import Storing
from so1.daemon.systemd import Notifier
from so1.escape_controls import escape_controls
from so1.exposition.error import ServerError
from so1.exposition.own import Own
from so1.sample import Gap, Sample, Sampler, Word
from so1.sources import SourceError
from so1.store import rows

_log = logging.getLogger(__name__)
_DAY_MS = 86_400_000
_MIB = 1 << 20
_SOURCES = {"module": "the kernel modules", "procfs": "/proc (the kernel modules are not in use)"}
_OVER: dict[Gap, str] = {
    "source": "Snapshots are taken again as they should.",
    "blind": "Processes of other users are seen again.",
    "cgroups": "All containers are measured.",
    "limits": "The limited processes are known again.",
}
_SETTLING_S: dict[Gap, float] = {"cgroups": 60.0}
"""Seconds for which a gap is no trouble yet: a container that starts or ends is not measured."""


class Publisher(Protocol):
    """What the watcher needs of the exposition."""

    def configure(self, settings: Metrics) -> None:
        """Serve as `settings` say; raises ServerError."""

    def publish(self, sample: Sample, own: Own) -> None:
        """Make this sample what is served."""

    def close(self) -> None:
        """Stop serving."""


class Watcher:
    """Takes samples; each goes to the database, to the metrics and to the governor."""

    def __init__(
        self,
        config: Config,
        sampler: Sampler,
        storing: Storing,
        outbox: Outbox,
        conditions: Conditions,
        *,
        word: Callable[[], Word],
        hand: Callable[[Sample], None],
        steps: Steps,
        notifier: Notifier,
        publisher: Callable[[], Publisher] | None = None,
    ) -> None:
        """Begin without a sample.

        `word` tells what Docker said last, `hand` gives a sample to the governor; neither may take
        time. `steps` tells when the clock was set. `publisher` is called once there are metrics to
        be served.
        """
        self._config = config
        self._sampler = sampler
        self._storing = storing
        self._outbox = outbox
        self._conditions = conditions
        self._word = word
        self._hand = hand
        self._steps = steps
        self._notifier = notifier
        self._make_publisher = publisher
        self._publisher: Publisher | None = None
        self._serving = False
        self._source: str | None = None
        self._since: dict[Gap, float] = {}
        """When each gap of the last sample began, on CLOCK_MONOTONIC."""
        self._dropped: Counter[str] = Counter()

    def reconfigure(self, config: Config) -> None:
        """Go by another configuration from the next tick on."""
        self._config = config
        self._sampler.settings = config.snapshot
        self._serving = False  # on another address, or with another certificate

    def missed(self, ticks: int) -> None:
        """Count ticks that were left out because the one before took too long."""
        _log.warning("a tick took too long; %d left out", ticks)
        self._dropped["late"] += ticks

    def tick(self, late: float = 0.0) -> None:
        """Take one sample, `late` seconds after it was due; no fault in it ends the daemon."""
        try:
            self._tick(late)
        except Exception:  # noqa: BLE001 - logged, and the next tick may do better
            # A fault of ours: the journal gets the whole of it.
            _log.exception("a tick failed")
            self._dropped["fault"] += 1
        self._notifier.watchdog()

    def close(self) -> None:
        """Stop serving, and let go of what is held open."""
        if self._publisher:
            self._publisher.close()
        self._sampler.close()

    def _tick(self, late: float) -> None:
        began = time.monotonic()
        if step := self._steps.told():
            self._conditions.happened("clock", "done", step, logging.WARNING)
        sample = self._sample()
        if sample is None:
            self._dropped["snapshot"] += 1
            return
        if sample.docker_answers:
            self._hand(sample)
        for event in deaths.events(sample):
            _log.warning("%s", escape_controls(event.detail))
            self._outbox.put(event)
        self._store(sample)
        took = time.monotonic() - began
        self._notifier.status(self._status(sample, took))
        if self._publisher is None and self._config.metrics.enabled and self._make_publisher:
            self._publisher = self._make_publisher()
        if self._publisher:
            own = Own(
                config=self._config,
                events=self._outbox.fresh(),
                dropped=dict(self._dropped),
                database_bytes=self._storing.database.size(),
                basket=self._storing.database.basket(),
                took=took,
                late=late,
            )
            self._publish(self._publisher, sample, own)

    def _status(self, sample: Sample, took: float) -> str:
        age = "never" if sample.docker_age is None else f"{sample.docker_age:.0f} s ago"
        return (
            f"{len(sample.snapshot.processes)} processes, {len(sample.everyone)} containers"
            f" ({sample.snapshot.source}), {took * 1000:.0f} ms; Docker heard {age}"
            + "".join(f"; {sentence}" for sentence in self._conditions.current)
        )

    def _sample(self) -> Sample | None:
        try:
            sample = self._sampler.take(self._word())
        except SourceError as error:
            self._conditions.begins("source", f"No snapshot: {error}.")
            self._storing.flush()
            return None
        now = time.monotonic()
        for gap, over in _OVER.items():
            if gap not in sample.gaps:
                self._since.pop(gap, None)
                self._conditions.over(gap, over)
            elif now - self._since.setdefault(gap, now) >= _SETTLING_S.get(gap, 0):
                self._conditions.begins(gap, sample.gaps[gap])
        source = sample.snapshot.source
        if source != self._source:
            self._conditions.happened("source", "done", f"Snapshots come from {_SOURCES[source]}.")
            self._source = source
        return sample

    def _store(self, sample: Sample) -> None:
        store = self._config.store
        written = self._storing.tick(
            lambda removed, events, decisions: rows.build(
                sample,
                top=store.top_processes,
                removed=removed,
                troubles=self._conditions.current,
                events=events,
                decisions=decisions,
            )
        )
        if written is None:
            self._dropped["database"] += 1
            return
        self._storing.prune(
            round(store.retention_days * _DAY_MS),
            round(store.events_days * _DAY_MS),
            store.max_mib * _MIB,
        )

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
