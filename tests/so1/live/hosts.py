# SPDX-License-Identifier: MIT
"""A host for the live view: three containers, one of each colour, and what is outside of them."""

from msgspec.structs import replace

from so1.live.view import Shown
from so1.model import Container, MemoryLimit, Process, Snapshot, Spent
from so1.sample import Sample
from tests.so1.processes import typed
from tests.so1.samples import charged, sample, usage

MIB = 1024
CALM, TIGHT, FULL = ("a" * 64, "b" * 64, "c" * 64)
HOSTILE = "evil\x1b[2J\rname"

PROCESSES = [
    typed(100, name="nginx", rss=20 * MIB, container_id=CALM, threads=4),
    typed(101, name="nginx-worker", rss=30 * MIB, container_id=CALM),
    typed(200, name="redis", rss=90 * MIB, container_id=TIGHT),
    typed(300, name="java", rss=500 * MIB, container_id=FULL, state=2),
    typed(1, name="systemd", rss=10 * MIB),
    typed(400, name="python3", rss=200 * MIB),
    typed(401, name=HOSTILE, rss=MIB),
]
"""Three containers' processes, and three outside."""

USED = {100: 10_000_000, 101: 30_000_000, 200: 50_000_000, 300: 990_000_000, 400: 150_000_000}


def host(cpu_of_redis: int = USED[200]) -> Sample:
    """The host; only what redis uses may differ."""
    containers = {
        CALM: Container(CALM, "web", "nginx:1.27", {"so1.managed": "true"}, 0, health="healthy"),
        TIGHT: Container(TIGHT, "cache", "redis:7", {}, 0),
        FULL: Container(FULL, "batch-of-the-night", "registry/java:21", {}, 0, health="unhealthy"),
    }
    charges = {
        CALM: charged(60 * MIB, memory_limit=600 * MIB),
        TIGHT: charged(85 * MIB, memory_limit=100 * MIB),
        FULL: charged(506 * MIB, memory_limit=512 * MIB, oom_kills=2),
    }
    spent = {
        CALM: Spent(memory_pressure=0.0, cpu_pressure=1.0, io_pressure=0.0),
        TIGHT: Spent(memory_pressure=12.0, cpu_pressure=0.0, io_pressure=0.0),
        FULL: Spent(memory_pressure=41.0, cpu_pressure=3.0, io_pressure=7.0, oom_kills=2),
    }
    made = sample(
        PROCESSES,
        used=USED | {200: cpu_of_redis},
        snapshot=Snapshot("module", 1, 2048 * MIB, 300, 0, PROCESSES, available_ram=205 * MIB),
        host_cpu=62.0,
        limits=[MemoryLimit(400, "python3", 512 << 20, 500 << 20, 0, 0)],
    )
    usages = [
        usage(each, _members(id_), made.cpu, charged=charges[id_], spent=spent[id_])
        for id_, each in containers.items()
    ]
    return replace(made, containers=usages)


def shown(trouble: str = "") -> Shown:
    """The host, to be shown."""
    return Shown(host(), trouble)


def _members(id_: str) -> list[Process]:
    return [p for p in PROCESSES if p.container_id == id_]
