# SPDX-License-Identifier: MIT
"""Where a snapshot comes from: the kernel modules where they are loaded, else /proc itself."""

import logging
from pathlib import Path
from typing import Literal

from so1.model import Snapshot
from so1.sources import kernel, procfs
from so1.sources.error import SourceError

__all__ = ["SourceError", "take"]

_log = logging.getLogger(__name__)


def take(
    source: Literal["auto", "module", "procfs"], suffix: str, proc: Path = Path("/proc")
) -> Snapshot:
    """Take a snapshot of the host; `auto` falls back to /proc where the modules give none.

    Raises SourceError where the wanted source gives none.
    """
    if source == "procfs" or (source == "auto" and not kernel.available(suffix, proc)):
        return procfs.take(proc)
    try:
        return kernel.take(suffix, proc)
    except SourceError as error:
        if source == "module":
            raise
        # They were unloaded since we looked, or write what we do not know.
        _log.warning("falling back to /proc: %s", error)
        return procfs.take(proc)
