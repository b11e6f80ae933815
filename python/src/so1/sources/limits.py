# SPDX-License-Identifier: MIT
"""The limited processes, from the kernel's memory limiter where there is one."""

from pathlib import Path

import msgspec

from so1.model import MemoryLimit
from so1.sources.error import SourceError

_decoder = msgspec.json.Decoder(list[MemoryLimit])


def _path(proc: Path) -> Path:
    return proc / "so2_memory_limits"


def available(proc: Path = Path("/proc")) -> bool:
    """Whether this kernel has the limiter."""
    return _path(proc).exists()


def take(proc: Path = Path("/proc")) -> list[MemoryLimit]:
    """Read the list, the earliest limit first; empty without a limiter.

    Raises SourceError where it is unreadable or not what the limiter writes.
    """
    path = _path(proc)
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror}); be a member of the group so1, or give that"
            " group to the limiter (parameter gid of so2_memlimit)"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path} is not what this so1 knows ({error}); load the limiter of its release"
        ) from error
