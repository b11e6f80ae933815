# SPDX-License-Identifier: MIT
"""Samples made up for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from so1.cpu_usage import CpuUsage
from so1.model import Charged, Container, ContainerUsage, Process, Snapshot, Spent
from so1.sample import Sample

SECOND = 1_000_000_000


def charged(memory: int, **changes: Any) -> Charged:
    """What a cgroup with every controller says."""
    figures = {
        "memory_limit": 4 * memory,
        "oom_kills": 0,
        "cpu_ns": 7,
        "throttled_ns": 0,
        "read_bytes": 0,
        "written_bytes": 0,
        "pids": 3,
        "cpu_pressure_ns": 0,
        "memory_pressure_ns": 0,
        "io_pressure_ns": 0,
    }
    return Charged(memory=memory, **(figures | changes))


def usage(
    of: Container,
    members: Sequence[Process],
    cpu: CpuUsage,
    *,
    charged: Charged | None = None,
    spent: Spent | None = None,
) -> ContainerUsage:
    """What a container uses; without `charged` it is not measured."""
    spent = spent or Spent()
    used = sum(map(cpu.of, members)) if spent.cpu_ns is None else spent.cpu_ns
    return ContainerUsage(
        container=of,
        ram=sum(p.rss for p in members),
        cpu=cpu.share(used),
        processes=len(members),
        memory=charged.memory if charged else None,
        members=members,
        charged=charged,
        spent=spent,
        cpu_ns=used,
    )


def sample(
    processes: Sequence[Process],
    containers: Sequence[Container] = (),
    *,
    strangers: Sequence[Container] = (),
    used: Mapping[int, int] | None = None,
    charges: Mapping[str, Charged] | None = None,
    **changes: Any,
) -> Sample:
    """One tick of a second, `used` nanoseconds by pid, `charges` by container id."""
    used, charges = used or {}, charges or {}
    cpu = CpuUsage(
        SECOND,
        {p.key: used[p.pid] for p in processes if used.get(p.pid)},
        tuple(p for p in processes if used.get(p.pid)),
    )

    def usages(of: Sequence[Container]) -> list[ContainerUsage]:
        return [
            usage(
                c,
                [p for p in processes if p.container_id == c.id],
                cpu,
                charged=charges.get(c.id),
            )
            for c in of
        ]

    fields: dict[str, Any] = {
        "timestamp": 1_700_000_000.5,
        "snapshot": Snapshot("module", 1, 1_000, 400, 600, list(processes), available_ram=700),
        "cpu": cpu,
        "host_cpu": 25.0,
        "containers": usages(containers),
        "strangers": usages(strangers),
        "docker_age": 0.5,
        "docker_answers": True,
    }
    return Sample(**(fields | changes))
