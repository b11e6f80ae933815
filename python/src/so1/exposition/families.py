# SPDX-License-Identifier: MIT
"""From a sample to metric families: names, base units, types and help as Prometheus wants them."""

import heapq
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, get_args

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import so1
from so1.exposition.label import label
from so1.exposition.own import Own
from so1.exposition.usage import Listing, Spending, Usage
from so1.model import ContainerUsage, Source
from so1.sample import Sample
from so1.store import rows
from so1.store.event import Outcome

_KIB = 1024
_MIB = 1 << 20
_NS = 1e9
OTHER = rows.OTHER
UNKNOWN = "(unknown)"
_CLASSES = ("low", "high", "unmanaged")
_RULES = ("excess-low", "excess-high", "emergency")
_OUTCOMES: tuple[str, ...] = get_args(Outcome)
_DROPPED = ("late", "snapshot", "database", "fault")
FIXED = 64
"""Series that neither containers nor process names make, at the most."""
OF_NAME = 3
"""Series of each listed process name."""
OF_CONTAINER = OF_NAME + 5
"""Series of each listed container, at the most."""

_Key = tuple[str, str, str]
_T = TypeVar("_T")


class Families:
    """Counts over rounds and lays each out; what it holds does not grow with time."""

    def __init__(self) -> None:
        """Begin all counters at zero."""
        self._ticks = 0
        self._removals: Counter[tuple[str, str]] = Counter()
        self._containers: Listing[_Key] = Listing((OTHER, "", ""))
        self._names: Listing[str] = Listing(OTHER)
        self._self = ProcessCollector(registry=None)

    def collect(self, sample: Sample, own: Own) -> list[Metric]:
        """Take one sample in and give all families."""
        self._ticks += 1
        metrics = own.config.metrics
        room = metrics.max_series - FIXED - OF_CONTAINER - OF_NAME  # an (other) of each
        # Containers are few and each was started by somebody: process names give way first.
        containers = self._advance_containers(sample, room // OF_CONTAINER)
        room -= (len(containers) - 1) * OF_CONTAINER
        top = metrics.top_processes
        names = self._advance_names(sample, top, min(2 * top, room // OF_NAME))
        return [
            *_host(sample),
            *_processes(names),
            *_of_containers(sample, containers),
            *self._governor(own),
            *_limiter(sample),
            *self._daemon(sample, own),
            *self._self.collect(),
        ]

    def _advance_containers(self, sample: Sample, places: int) -> Mapping[_Key, Usage]:
        usages: dict[_Key, Usage] = {}
        for each in sample.containers:
            container = each.container
            key = (label(container.name), label(container.image), container.class_)
            _add(usages, key, _used(each))
        for each in sample.strangers:
            _add(usages, (UNKNOWN, "", "unmanaged"), _used(each))
        largest = heapq.nlargest(places, usages, key=lambda key: _size(usages[key]))
        return self._containers.advance(usages, largest, places)

    def _advance_names(self, sample: Sample, top: int, places: int) -> Mapping[str, Usage]:
        usages: dict[str, Usage] = {}
        used_ns = sample.cpu.used_ns
        for process in sample.snapshot.processes:
            usage = usages.get(process.name)
            if usage is None:
                usage = usages[process.name] = Usage()
            usage.rss += process.rss
            usage.processes += 1
            usage.spent.cpu_ns += used_ns.get((process.pid, process.start_ns), 0)
        for name, ended_ns in sample.cpu.ended_ns.items():
            usages.setdefault(name, Usage()).spent.cpu_ns += ended_ns
        shown: dict[str, Usage] = {}
        for name, usage in usages.items():
            _add(shown, label(name), usage)
        largest = heapq.nlargest(top, shown, key=lambda name: shown[name].rss)
        busiest = heapq.nlargest(top, shown, key=lambda name: shown[name].spent.cpu_ns)
        turns = (name for pair in zip(largest, busiest, strict=True) for name in pair)
        return self._names.advance(shown, turns, places)

    def _governor(self, own: Own) -> Iterator[Metric]:
        for event in own.events:
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
        policy = own.config.governor
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
        if own.basket is not None:
            yield _gauge(
                "so1_wastebasket_containers",
                "Removed containers that can be taken back as they were.",
                value=own.basket.containers,
            )
            yield _gauge(
                "so1_wastebasket_size_bytes",
                "Bytes that they wrote into their own layers, as far as those are measured.",
                value=own.basket.size,
            )

    def _daemon(self, sample: Sample, own: Own) -> Iterator[Metric]:
        yield _gauge(
            "so1_tick_timestamp_seconds",
            "When the last tick was, Unix time.",
            value=sample.timestamp,
        )
        yield _gauge(
            "so1_tick_interval_seconds",
            "Configured time between two ticks.",
            value=own.config.interval,
        )
        yield _gauge("so1_tick_duration_seconds", "How long the last tick took.", value=own.took)
        yield _gauge(
            "so1_tick_lateness_seconds",
            "How long after it was due the last tick began.",
            value=own.late,
        )
        yield CounterMetricFamily("so1_ticks", "Ticks since the daemon started.", self._ticks)
        dropped = CounterMetricFamily(
            "so1_ticks_dropped",
            "Ticks that are missing in the database, by reason: the one before took too long"
            " (late), no source gave a snapshot, the database could not be written, a fault.",
            labels=("reason",),
        )
        for reason in _DROPPED:
            dropped.add_metric((reason,), own.dropped.get(reason, 0))
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
            value=own.database_bytes,
        )
        yield _gauge(
            "so1_database_limit_bytes",
            "Bytes that the database may grow to; above nine tenths the oldest ticks go.",
            value=own.config.store.max_mib * _MIB,
        )
        yield _gauge(
            "so1_docker_up",
            "1 where the Docker Engine answered when it was last asked.",
            value=sample.docker_answers,
        )
        if sample.docker_age is not None:
            yield _gauge(
                "so1_docker_age_seconds",
                "How long before the last tick the Docker Engine was last heard.",
                value=sample.docker_age,
            )
        build = GaugeMetricFamily(
            "so1_build_info", "The daemon's version.", labels=("version", "python")
        )
        build.add_metric((so1.__version__, platform.python_version()), 1)
        yield build


def _host(sample: Sample) -> Iterator[Metric]:
    snapshot = sample.snapshot
    yield _gauge("so1_host_memory_size_bytes", "RAM of the host.", value=snapshot.total_ram * _KIB)
    yield _gauge(
        "so1_host_memory_free_bytes",
        "RAM that is used for nothing, not even a cache.",
        value=snapshot.free_ram * _KIB,
    )
    if snapshot.available_ram is not None:
        yield _gauge(
            "so1_host_memory_available_bytes",
            "RAM that programs could get without swapping, as the kernel estimates it.",
            value=snapshot.available_ram * _KIB,
        )
    yield _gauge(
        "so1_host_cpu_busy_ratio",
        "Share of all CPUs that was busy over the last interval, 0 to 1.",
        value=sample.host_cpu / 100,
    )
    states = rows.states(snapshot.processes)
    yield _gauge(
        "so1_host_processes",
        "Processes by state.",
        "state",
        {state: states[state] for state in rows.STATES.values()},
    )
    yield _gauge(
        "so1_snapshot_source",
        "1 for the source of the last snapshot: the kernel modules, or /proc in their place.",
        "source",
        {source: int(source == snapshot.source) for source in get_args(Source)},
    )
    yield _gauge(
        "so1_snapshot_blind",
        "1 where /proc hides processes of other users from the daemon.",
        value=snapshot.blind is not None,
    )


def _processes(listed: Mapping[str, Usage]) -> Iterator[Metric]:
    named = [((name,), usage) for name, usage in listed.items()]
    yield from _usage_families("process_group", "the processes of one name", ("name",), named)


def _of_containers(sample: Sample, listed: Mapping[_Key, Usage]) -> Iterator[Metric]:
    labels = ("name", "image", "class")
    yield from _usage_families("container", "a container", labels, listed.items())
    memory = GaugeMetricFamily(
        "so1_container_memory_bytes",
        "Memory that the kernel charges a container, without the file cache that it gives back"
        " first, as docker stats has it. None where its cgroup cannot be read.",
        labels=labels,
    )
    limit = GaugeMetricFamily(
        "so1_container_memory_limit_bytes",
        "Memory that a container may be charged. None where there is no limit.",
        labels=labels,
    )
    kills = CounterMetricFamily(
        "so1_container_oom_kills",
        "Processes of a container killed for want of memory since it is listed.",
        labels=labels,
    )
    throttled = CounterMetricFamily(
        "so1_container_cpu_throttled_seconds",
        "Time for which its CPU quota made a container wait since it is listed.",
        labels=labels,
    )
    restarts = GaugeMetricFamily(
        "so1_container_restarts",
        "How often its restart policy has started a container again, by the Docker Engine's count.",
        labels=labels,
    )
    for key, usage in listed.items():
        if usage.memory is not None:
            memory.add_metric(key, usage.memory * _KIB)
        if usage.memory_limit is not None:
            limit.add_metric(key, usage.memory_limit * _KIB)
        kills.add_metric(key, usage.spent.oom_kills)
        throttled.add_metric(key, usage.spent.throttled_ns / _NS)
        restarts.add_metric(key, usage.restarts)
    yield from (memory, limit, kills, throttled, restarts)
    classes: Counter[str] = Counter(usage.container.class_ for usage in sample.containers)
    yield _gauge(
        "so1_containers",
        "Running containers by class; only low and high are the governor's.",
        "class",
        {name: classes[name] for name in _CLASSES},
    )
    yield _gauge(
        "so1_unmeasured_containers",
        "Containers whose memory the kernel does not tell: the governor leaves them alone.",
        value=sum(usage.memory is None for usage in sample.containers),
    )
    yield _gauge(
        "so1_looping_containers",
        "Containers that end again soon after every start.",
        value=sum(usage.container.looping for usage in sample.containers),
    )
    yield _gauge(
        "so1_unattributed_processes",
        "Processes in containers that the Docker Engine did not name.",
        value=sum(usage.processes for usage in sample.strangers),
    )


def _usage_families(
    subject: str, whose: str, labels: Sequence[str], listed: Iterable[tuple[Sequence[str], Usage]]
) -> Iterator[Metric]:
    resident = GaugeMetricFamily(
        f"so1_{subject}_resident_memory_bytes",
        f"Resident memory of {whose}; what processes share counts for each of them.",
        labels=labels,
    )
    cpu = CounterMetricFamily(
        f"so1_{subject}_cpu_seconds",
        f"CPU time of {whose} since it is listed, or the daemon runs; where no cgroup counts it,"
        " of processes that ended between two ticks the last interval is not in it.",
        labels=labels,
    )
    processes = GaugeMetricFamily(
        f"so1_{subject}_processes", f"How many processes {whose} has.", labels=labels
    )
    for key, usage in listed:
        resident.add_metric(key, usage.rss * _KIB)
        cpu.add_metric(key, usage.spent.cpu_ns / _NS)
        processes.add_metric(key, usage.processes)
    return iter((resident, cpu, processes))


def _limiter(sample: Sample) -> Iterator[Metric]:
    alive = {process.pid for process in sample.snapshot.processes}
    yield _gauge(
        "so1_limiter_entries",
        "Processes whose memory the limiter limits.",
        value=len(sample.limits),
    )
    yield _gauge(
        "so1_limiter_dead_entries",
        "Entries of the limiter whose process was not in the last snapshot.",
        value=sum(limit.pid not in alive for limit in sample.limits),
    )


def _used(each: ContainerUsage) -> Usage:
    charged, spent = each.charged, each.spent
    return Usage(
        rss=each.ram,
        processes=each.processes,
        spent=Spending(each.cpu_ns, spent.throttled_ns or 0, spent.oom_kills or 0),
        memory=each.memory,
        memory_limit=charged.memory_limit if charged else None,
        restarts=each.container.restarts,
    )


def _size(usage: Usage) -> int:
    """List a container by what it is charged, or else by what its processes hold."""
    return usage.rss if usage.memory is None else usage.memory


def _add(usages: dict[_T, Usage], key: _T, usage: Usage) -> None:
    if key in usages:
        usages[key].add(usage)
    else:
        usages[key] = usage


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
