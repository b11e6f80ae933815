# SPDX-License-Identifier: MIT
"""`so1 limit`."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click

from so1.commands import tables
from so1.escape_controls import escape_controls
from so1.memory_limiter import LIMIT_MAX, Limit, Limiter, LimiterError
from so1.sources import procfs

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_PROC = Path("/proc")
_NAME_BYTES = 15
_CANNOT_RUN, _NOT_FOUND = 126, 127


class Size(click.ParamType[int]):
    """Bytes, with K, M, G or T for powers of 1024."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read '512M' as 536870912."""
        match = re.fullmatch(r"(\d{1,20})([KMGT]?)(?:I?B)?", str(value).strip().upper())
        size = int(match[1]) * _UNITS[match[2]] if match else 0
        if not 0 < size <= LIMIT_MAX:
            self.fail(f"{value!r} is not a size; write bytes, or 512M, 2G", param, ctx)
        return size


@click.group()
def command() -> None:
    """Cap the address space of processes. Beyond the cap allocations fail; nothing is killed.

    A process is named by its pid, or with --name every process of that name. A child has the limit
    its parent had when it was forked. Sizes are bytes, or 512M, 2G.

    Exit codes: 0 done, 1 it failed (one sentence says why), 2 wrong usage.
    """


def _targets(pid: int | None, name: str | None) -> list[int]:
    if (pid is None) == (name is None):
        raise click.UsageError("give either a pid or --name")
    if pid is not None:
        return [pid]
    names = _names()
    wanted = str(name)
    found = _called(wanted, names)
    cut = os.fsencode(wanted)[:_NAME_BYTES]
    if not found and cut != os.fsencode(wanted):
        found = _called(os.fsdecode(cut), names)
        if found:
            click.echo(f"the kernel keeps {_NAME_BYTES} bytes of a name: {_shown(cut)}", err=True)
    if not found:
        raise click.ClickException(
            f"no process is called {name!r}; `so1 snapshot --top 0` lists them"
        )
    return sorted(found)


def _names() -> dict[int, bytes]:
    """Read the names of all processes but this one, which is gone before it could be limited."""
    names = {}
    for path in _PROC.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            names[int(path.parent.name)] = path.read_bytes().removesuffix(b"\n")
    names.pop(os.getpid(), None)
    return names


def _called(wanted: str, names: dict[int, bytes]) -> list[int]:
    """Who has this name, as it is or as commands print it."""
    return [pid for pid, raw in names.items() if wanted in (os.fsdecode(raw), _shown(raw))]


def _shown(raw: bytes) -> str:
    return escape_controls(procfs.escape(os.fsdecode(raw)))


def _limiter() -> Limiter:
    try:
        return Limiter()
    except LimiterError as error:
        raise click.ClickException(str(error)) from error


def _each(pids: list[int], act: Callable[[int], None], done: str) -> None:
    """Do it to every process; one that fails does not stop the rest."""
    failed = 0
    for pid in pids:
        try:
            act(pid)
        except LimiterError as error:
            click.echo(f"Error: {error}", err=True)
            failed += 1
        else:
            click.echo(f"{done} {pid}")
    if failed:
        sys.exit(1)


_pid = click.argument("pid", type=click.IntRange(min=1), required=False)
_name = click.option("--name", help="Every process of this name instead of one pid.")
_limit = click.option("--limit", type=Size(), required=True, help="Address space, say 512M.")


@command.command()
@_pid
@_name
@_limit
def add(pid: int | None, name: str | None, limit: int) -> None:
    """Limit a process that is not limited yet."""
    pids, limiter = _targets(pid, name), _limiter()
    _each(pids, lambda one: limiter.add(one, limit), "limited")


@command.command()
@_pid
@_name
@_limit
def update(pid: int | None, name: str | None, limit: int) -> None:
    """Change the limit of a process that has one."""
    pids, limiter = _targets(pid, name), _limiter()
    _each(pids, lambda one: limiter.update(one, limit), "limited")


@command.command()
@_pid
@_name
def remove(pid: int | None, name: str | None) -> None:
    """Give a process back the limits it had before."""
    pids, limiter = _targets(pid, name), _limiter()
    _each(pids, limiter.remove, "freed")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List the limited processes, the earliest limit first."""
    try:
        limits = _limiter().limits()
    except LimiterError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        rows = [{"pid": one.pid, "name": _comm(one), "limit": one.limit} for one in limits]
        click.echo(json.dumps(rows, indent=2))
    elif limits:
        columns = ["PID", "LIMIT MiB", "NAME"]
        tables.show("", columns, ((one.pid, one.limit / (1 << 20), _comm(one)) for one in limits))
    else:
        click.echo("no process is limited")


def _comm(limit: Limit) -> str:
    try:
        raw = (_PROC / f"{limit.pid}/comm").read_bytes()
    except OSError:
        return ""
    return procfs.escape(os.fsdecode(raw.removesuffix(b"\n")))


@command.command(context_settings={"ignore_unknown_options": True})
@_limit
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(limit: int, words: tuple[str, ...]) -> None:
    """Run a command that is limited from its start, and end as it ends.

    Only root can do this, and the command runs as root, which can lift the limit again. To run it
    as another user: so1 limit run --limit 512M -- runuser -u USER -- COMMAND.

    Exit codes: the command's own; 1 it could not be limited; 126, 127 it could not be started.
    """
    limiter = _limiter()
    try:
        # Exec keeps the limit, so this process becomes the command.
        limiter.add(os.getpid(), limit)
    except LimiterError as error:
        raise click.ClickException(str(error)) from error
    try:
        os.execvp(words[0], words)  # noqa: S606 - the command that the user gave
    except (OSError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) else "the limit is too small to start it"
        click.echo(f"Error: {escape_controls(words[0])} cannot be run: {why}", err=True)
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_RUN)
