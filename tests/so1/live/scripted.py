# SPDX-License-Identifier: MIT
"""The live view over a host that a file directs: `python -m tests.so1.live.scripted FILE`.

The file has one word, read for each sample: `calm`, `tick` (one figure differs), `gone` (a
container ended), `fail` (there is no sample), `hang` (the sample takes a minute), `mistake` (a
bug).
"""

import contextlib
import sys
import time
from pathlib import Path

import click
from msgspec.structs import replace

from so1.live.screen import watch
from so1.live.source import Source
from so1.live.view import Shown, View
from tests.so1.live.hosts import TIGHT, host, shown

EVERY = 0.2


def take() -> Shown:
    """Do as the file says."""
    match Path(sys.argv[1]).read_text():
        case "tick":
            return Shown(host(cpu_of_redis=70_000_000))
        case "gone":
            now = host()
            return Shown(
                replace(now, containers=[u for u in now.containers if u.container.id != TIGHT])
            )
        case "fail":
            raise click.ClickException("/proc/sysinfo_so1_202300539 is gone")
        case "hang":
            time.sleep(60)
        case "mistake":
            raise ZeroDivisionError("a mistake of ours")
    return shown()


if __name__ == "__main__":
    source = Source(take, EVERY)
    with contextlib.suppress(KeyboardInterrupt):
        watch(View(source.newest(), "ram"), source)
