# SPDX-License-Identifier: MIT
"""The reader of exits against the real file: none twice, and what it missed is known; TAP."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from so1.model import Exit

sys.path.insert(0, "/packages")

from so1.sources.error import SourceError
from so1.sources.exits import Exits

SUFFIX = "202300539"
RECORDS = 1024
"""As many as the module keeps at least."""

number = 0


def ok(true: object, what: str, seen: object = "") -> None:
    """Print one result; what was seen where it is not what it should be."""
    global number  # noqa: PLW0603 - the numbers of TAP
    number += 1
    print(f"{'ok' if true else 'not ok'} {number} - {what}", flush=True)
    if not true:
        print(f"# {seen!r}", flush=True)


def end(code: int = 0) -> int:
    """Have a child end; its pid."""
    pid = os.fork()
    if not pid:
        os._exit(code)
    os.waitpid(pid, 0)
    return pid


def module(command: str, *arguments: str) -> None:
    """Load or unload the module."""
    subprocess.run([command, *arguments], check=True)


def load() -> None:
    """Load it, with as little room as there may be."""
    module("insmod", "/modules/so1_exits.ko", f"records={RECORDS}")


def codes(found: list[Exit], pids: set[int]) -> list[int]:
    """The exit codes of those processes, in the order they were told."""
    return [one.code for one in found if one.pid in pids]


def main() -> int:
    """Run all."""
    try:
        Exits(SUFFIX)
    except SourceError as error:
        ok("load the kernel module so1_exits" in str(error), "without the module it says so", error)
    load()
    early = end(3)
    held, later = Exits(SUFFIX, held=True), Exits(SUFFIX)
    pids = {early, *(end(code) for code in (4, 5))}
    found, missed = held.take()
    ok((codes(found, pids), missed) == ([3, 4, 5], 0), "all that are held", (found, missed))
    found, missed = later.take()
    ok((codes(found, pids), missed) == ([4, 5], 0), "those from now on", (found, missed))
    found, missed = later.take()
    ok(not codes(found, pids) and not missed, "none twice", (found, missed))

    first = (found or [Exits(SUFFIX, held=True).take()[0][-1]])[-1].seq + 1
    for _ in range(RECORDS + 100):
        end()
    found, missed = later.take()
    seen = len(found), missed
    ok(seen[0] == RECORDS and missed >= 100, "what was overwritten is missed", seen)
    ok(sum(seen) == found[-1].seq + 1 - first, "and counted", (seen, first))

    module("rmmod", "so1_exits")
    try:
        later.take()
    except SourceError as error:
        ok("exits are not known" in str(error), "a module that went is told", error)
    load()
    pid = end(6)
    found, missed = later.take()
    ok(
        (codes(found, {pid}), missed) == ([6], 0),
        "a new module is read from its begin",
        (found, missed),
    )
    for _ in range(RECORDS):
        end()
    later.take()
    module("rmmod", "so1_exits")
    load()
    for _ in range(RECORDS):
        end()
    pid = end(7)
    found, _ = later.take()
    ok(codes(found, {pid}) == [7], "one whose numbers have come as far as well", len(found))
    module("rmmod", "so1_exits")
    print(f"1..{number}", flush=True)
    return 0


sys.exit(main())
