# SPDX-License-Identifier: MIT
"""From a round to metric families: names, base units, types and help as Prometheus wants them."""

import heapq
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

import psutil
from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import so1
from so1 import tick
from so1.exposition.label import label
from so1.exposition.round import Round
from so1.exposition.usage import Listed, Listing, Usage
from so1.model import ContainerUsage, Source
from so1.store.event import Outcome

_KIB = 1024
_MIB = 1 << 20
_NS = 1e9
OTHER = "(other)"
UNKNOWN = "(unknown)"
_CLASSES = ("low", "high", "unmanaged")
_RULES = ("excess-low", "excess-high", "emergency")
_OUTCOMES: tuple[str, ...] = get_args(Outcome)
_DROPPED = ("late", "snapshot", "database", "fault")
FIXED = 60
"""Series that neither containers nor process names make, at the most."""
EACH = 3
"""Series of each listed container, and of each listed process name."""

_Key = tuple[str, str, str]


class Families:
    """Counts over rounds and lays each out; what it holds does not grow with time."""

    def __init__(self) -> None:
        """Begin all counters at zero."""
        self._ticks = 0
        self._removals: Counter[tuple[str, str]] = Counter()
        self._containers: Listing[_Key] = Listing((OTHER, "", ""))
        self._names: Listing[str] = Listing(OTHER)
        self._self = ProcessCollector(registry=None)

    def collect(self, told: Round) -> list[Metric]:
        """Take one round in and give all families."""
        self._ticks += 1
        metrics = told.config.metrics
        names = 2 * metrics.top_processes
        room = (metrics.max_series - FIXED) // EACH - 2  # an (other) of each
        # Containers are few and each was started by somebody: process names give way first.
        containers = self._advance_containers(told, room)
        listed = self._advance_names(told, min(names, room - len(containers) + 1))
        return [
            *_host(told),
            *_processes(listed),
            *self._of_containers(told, containers),
            *self._governor(told),
            *_limiter(told),
            *self._daemon(told),
            *self._self.collect(),
        ]

    def _advance_containers(self, told: Round, places: int) -> Mapping[_Key, Listed]:
        usages: dict[_Key, Usage] = {}
        for container in told.containers:
            key = (
                label(container.container.name),
                label(container.container.image),
                _class(told, container),
            )
            usages.setdefault(key, Usage()).add(_used(told, container))
        for container in told.strangers:
            usages.setdefault((UNKNOWN, "", "unmanaged"), Usage()).add(_used(told, container))
        largest = heapq.nlargest(places, usages, key=lambda key: usages[key].rss)
        return self._containers.advance(usages, largest, places)

    def _advance_names(self, told: Round, places: int) -> Mapping[str, Listed]:
        usages: dict[str, Usage] = {}
        for process in told.snapshot.processes:
            usage = usages.get(process.name)
            if usage is None:
                usage = usages[process.name] = Usage()
            usage.rss += process.rss
            usage.cpu_ns += told.used_ns(process)
            usage.processes += 1
        shown: dict[str, Usage] = {}
        for name, usage in usages.items():
            shown.setdefault(label(name), Usage()).add(usage)
        top = told.config.metrics.top_processes
        largest = heapq.nlargest(top, shown, key=lambda name: shown[name].rss)
        busiest = heapq.nlargest(top, shown, key=lambda name: shown[name].cpu_ns)
        turns = (name for pair in zip(largest, busiest, strict=True) for name in pair)
        return self._names.advance(shown, turns, places)

    def _of_containers(self, told: Round, listed: Mapping[_Key, Listed]) -> Iterator[Metric]:
        labels = ("name", "image", "class")
        yield from _usage_families("container", "a container", labels, listed.items())
        classes = Counter(_class(told, usage) for usage in told.containers)
        yield _gauge(
            "so1_containers",
            "Running containers by class; only low and high are the governor's.",
            "class",
            {name: classes[name] for name in _CLASSES},
        )
        yield _gauge(
            "so1_unattributed_processes",
            "Processes in containers that the Docker Engine did not name.",
            value=sum(usage.processes for usage in told.strangers),
        )

    def _governor(self, told: Round) -> Iterator[Metric]:
        for event in told.events:
            if event.kind == "remove" and event.rule in _RULES:
                self._removals[event.outcome, event.rule] += 1
        removals = CounterMetricFamily(
            "so1_governor_removals",
            "Removals by outcome (done, planned, refused, failed) and rule; one that stays"
            " planned, refused or failed for the same reason counts once.",
            labels=("outcome", "rule"),
        )
        for outcome in _OUTCOMES:
            for rule in _RULES:
                removals.add_metric((outcome, rule), self._removals[outcome, rule])
        yield removals
        policy = told.config.governor
        yield _gauge(
            "so1_governor_limit_containers",
            "How many managed containers may run (maximum), and how many of a class are kept.",
            "limit",
            {
                "maximum": policy.maximum,
                "keep_low": policy.keep_low,
                "keep_high": policy.keep_high,
            },
        )
        yield _gauge(
            "so1_governor_enforcing",
            "1 where the governor removes containers, 0 where it only observes.",
            value=policy.mode == "enforce",
        )

    def _daemon(self, told: Round) -> Iterator[Metric]:
        yield _gauge(
            "so1_tick_timestamp_seconds", "When the last tick was, Unix time.", value=told.timestamp
        )
        yield _gauge(
            "so1_tick_interval_seconds",
            "Configured time between two ticks.",
            value=told.config.interval,
        )
        yield _gauge("so1_tick_duration_seconds", "How long the last tick took.", value=told.took)
        yield _gauge(
            "so1_tick_lateness_seconds",
            "How long after it was due the last tick began.",
            value=told.late,
        )
        yield CounterMetricFamily("so1_ticks", "Ticks since the daemon started.", self._ticks)
        dropped = CounterMetricFamily(
            "so1_ticks_dropped",
            "Ticks that are missing in the database, by reason: the one before took too long"
            " (late), no source gave a snapshot, the database could not be written, a fault.",
            labels=("reason",),
        )
        for reason in _DROPPED:
            dropped.add_metric((reason,), told.dropped.get(reason, 0))
        yield dropped
        folded = CounterMetricFamily(
            "so1_folded",
            f"Containers and process names counted for {OTHER}, summed over the ticks.",
            labels=("kind",),
        )
        folded.add_metric(("container",), self._containers.folded)
        folded.add_metric(("process",), self._names.folded)
        yield folded
        yield _gauge(
            "so1_database_size_bytes",
            "Bytes of the database that hold something.",
            value=told.database_bytes,
        )
        yield _gauge(
            "so1_database_limit_bytes",
            "Bytes that the database may grow to; above nine tenths the oldest ticks go.",
            value=told.config.store.max_mib * _MIB,
        )
        yield _gauge(
            "so1_docker_up",
            "1 where the Docker Engine answered when it was last asked, at most a minute before"
            " the last tick.",
            value=told.docker_answered,
        )
        build = GaugeMetricFamily(
            "so1_build_info", "The daemon's version.", labels=("version", "python")
        )
        build.add_metric((so1.__version__, platform.python_version()), 1)
        yield build


def _host(told: Round) -> Iterator[Metric]:
    snapshot = told.snapshot
    yield _gauge("so1_host_memory_size_bytes", "RAM of the host.", value=snapshot.total_ram * _KIB)
    yield _gauge(
        "so1_host_memory_free_bytes",
        "RAM that is used for nothing, not even a cache.",
        value=snapshot.free_ram * _KIB,
    )
    yield _gauge(
        "so1_host_memory_available_bytes",
        "RAM that programs could get without swapping, as the kernel estimates it.",
        value=psutil.virtual_memory().available,
    )
    yield _gauge(
        "so1_host_cpu_busy_ratio",
        "Share of all CPUs that was busy over the last interval, 0 to 1.",
        value=told.host_cpu / 100,
    )
    states = Counter(tick.state_name(process.state) for process in snapshot.processes)
    yield _gauge(
        "so1_host_processes",
        "Processes by state.",
        "state",
        {state: states[state] for state in tick.STATES.values()},
    )
    yield _gauge(
        "so1_snapshot_source",
        "1 for the source of the last snapshot: the kernel modules, or /proc in their place.",
        "source",
        {source: int(source == snapshot.source) for source in get_args(Source)},
    )


def _processes(listed: Mapping[str, Listed]) -> Iterator[Metric]:
    named = (((name,), usage) for name, usage in listed.items())
    yield from _usage_families("process_group", "the processes of one name", ("name",), named)


def _usage_families(
    subject: str, whose: str, labels: Sequence[str], listed: Iterable[tuple[Sequence[str], Listed]]
) -> Iterator[Metric]:
    resident = GaugeMetricFamily(
        f"so1_{subject}_resident_memory_bytes",
        f"Resident memory of {whose}; what processes share counts for each of them.",
        labels=labels,
    )
    cpu = CounterMetricFamily(
        f"so1_{subject}_cpu_seconds",
        f"CPU time of {whose} since it is listed, or the daemon runs; of processes that ended"
        " between two ticks the last interval is not in it.",
        labels=labels,
    )
    processes = GaugeMetricFamily(
        f"so1_{subject}_processes", f"How many processes {whose} has.", labels=labels
    )
    for key, usage in listed:
        resident.add_metric(key, usage.rss * _KIB)
        cpu.add_metric(key, usage.cpu_ns / _NS)
        processes.add_metric(key, usage.processes)
    return iter((resident, cpu, processes))


def _limiter(told: Round) -> Iterator[Metric]:
    alive = {process.pid for process in told.snapshot.processes}
    yield _gauge(
        "so1_limiter_entries", "Processes whose memory the limiter limits.", value=len(told.limits)
    )
    yield _gauge(
        "so1_limiter_dead_entries",
        "Entries of the limiter whose process was not in the last snapshot.",
        value=sum(limit.pid not in alive for limit in told.limits),
    )


def _class(told: Round, usage: ContainerUsage) -> str:
    return told.classify(usage.container) if usage.container.managed else "unmanaged"


def _used(told: Round, container: ContainerUsage) -> Usage:
    processes = told.snapshot.by_container.get(container.container.id, ())
    return Usage(container.ram, sum(map(told.used_ns, processes)), container.processes)


def _gauge(
    name: str,
    documentation: str,
    by: str = "",
    values: Mapping[str, float] | None = None,
    *,
    value: float | None = None,
) -> GaugeMetricFamily:
    """Make a family of one series, or of one for each of `values`."""
    if values is None:
        return GaugeMetricFamily(name, documentation, value)
    family = GaugeMetricFamily(name, documentation, labels=(by,))
    for key, each in values.items():
        family.add_metric((key,), each)
    return family
