# SPDX-License-Identifier: MIT
"""Where a snapshot comes from: the kernel modules where they are loaded, else /proc itself."""

from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from so1.model import Snapshot
from so1.sources import cgroups, kernel, procfs
from so1.sources.error import SourceError

__all__ = ["SourceError", "take"]


def take(
    source: Literal["auto", "module", "procfs"],
    suffix: str,
    proc: Path = Path("/proc"),
    cgroup_root: Path = cgroups.ROOT,
) -> Snapshot:
    """Take a snapshot of the host; `auto` falls back to /proc where the modules give none.

    Where it does so although they are there, the snapshot's `passed_over` says why. Raises
    SourceError where the wanted source gives none.
    """
    if source == "procfs" or (source == "auto" and not kernel.available(suffix, proc)):
        return procfs.take(proc, cgroup_root)
    try:
        return kernel.take(suffix, proc)
    except SourceError as error:
        if source == "module":
            raise
        # They were unloaded since we looked, or write what we do not know.
        return replace(procfs.take(proc, cgroup_root), passed_over=str(error))
