# SPDX-License-Identifier: MIT
"""The memory limiter's list."""

from pathlib import Path

import msgspec


class _Entry(msgspec.Struct, frozen=True):
    pid: int


def pids(proc: Path) -> list[int] | None:
    """Read which processes are limited; None where there is no limiter, or its list is not ours."""
    try:
        document = (proc / "so2_memory_limits").read_bytes()
        return [entry.pid for entry in msgspec.json.decode(document, type=list[_Entry])]
    except (OSError, msgspec.DecodeError):
        return None
