# SPDX-License-Identifier: MIT
"""Processes made up for tests."""

from typing import Any

from so1.model import Process

SUFFIX = "202300539"
CONTAINER = "ab" * 32


def process(pid: int, **changes: Any) -> dict[str, Any]:
    """A process as the modules write it."""
    return {
        "pid": pid,
        "ppid": 1,
        "uid": 0,
        "name": f"p{pid}",
        "state": 1,
        "threads": 1,
        "rss": 100,
        "vsz": 200,
        "mem_percent": 0,
        "cpu": 0,
        "start_ns": pid * 1_000,
        "cpu_ns": 0,
    } | changes


def typed(pid: int, **changes: Any) -> Process:
    """The same, decoded."""
    return Process(**process(pid, **changes))
