# SPDX-License-Identifier: MIT
"""`so1 status`."""

import contextlib
import json
import sqlite3
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from so1.clock import moment
from so1.commands import settings, tables
from so1.config import Config
from so1.escape_controls import escape_controls
from so1.sources import SourceError, kernel, limits
from so1.store import lock, trash
from so1.store.database import DatabaseError, open_reader

_PROC = Path("/proc")
_DEGRADED = 3
_LATE = 3
"""A last tick older than so many intervals is a fault."""
_AHEAD = 2
"""Seconds; a tick that is dated so much later than now was written by a clock that was wrong."""
_EVENTS = 5
_BASKET = "SELECT count(*) FROM removals WHERE step IN (?, ?)"


def _daemon(store: Path, problems: list[str]) -> dict[str, object]:
    try:
        pid = lock.holder(store)
    except OSError as error:
        problems.append(
            f"whether the daemon runs cannot be told: {store}.lock: {error.strerror};"
            " be a member of the group so1"
        )
        return {"running": None, "pid": None}
    if pid is None:
        problems.append("the daemon does not run; start its service")
    return {"running": pid is not None, "pid": pid}


def _limited(problems: list[str]) -> int | None:
    """How many processes are limited; None where that is not known or there is no limiter."""
    try:
        return len(limits.take(_PROC)) if limits.available(_PROC) else None
    except SourceError as error:
        problems.append(str(error))
    return None


def _history(settled: Config, problems: list[str]) -> dict[str, object]:
    store = Path(settled.store.path)
    try:
        with contextlib.closing(open_reader(store)) as connection:
            return _last(connection, settled, store, problems)
    except DatabaseError as error:
        problems.append(str(error))
    except sqlite3.Error as error:
        problems.append(f"{store} cannot be read: {error}")
    return {}


def _last(
    connection: sqlite3.Connection, settled: Config, store: Path, problems: list[str]
) -> dict[str, object]:
    sizes = (store, Path(f"{store.resolve()}-wal"))
    found: dict[str, object] = {
        "database": {
            "path": str(store),
            "bytes": sum(part.stat().st_size for part in sizes if part.exists()),
            "ticks": connection.execute("SELECT count(*) FROM metrics").fetchone()[0],
        },
        # They do not run, so they are in none of the figures of the tick.
        "wastebasket": connection.execute(_BASKET, trash.HERE).fetchone()[0],
        "events": [
            dict(row)
            for row in connection.execute(
                "SELECT timestamp, kind, outcome, container_name, rule, detail FROM events"
                " ORDER BY id DESC LIMIT ?",
                (_EVENTS,),
            )
        ],
    }
    row = connection.execute("SELECT * FROM metrics ORDER BY id DESC LIMIT 1").fetchone()
    if row is None:
        problems.append("there is no tick in the database yet")
        return found
    now = time.time()
    age = now - row["timestamp"] / 1000
    found["clock"] = _clock(connection, now)
    if age < -_AHEAD:
        problems.append(
            f"the last tick is dated {moment(row['timestamp'] / 1000)}, which is to come:"
            " the clock was wrong then, or is now"
        )
    if age > _LATE * settled.interval:
        problems.append(
            f"the last tick is {age:.0f} s old, one is due every {settled.interval:g} s"
        )
    if row["source"] == "procfs" and settled.snapshot.source == "auto":
        problems.append("the kernel modules are not in use, snapshots come from /proc")
    problems += (row["troubles"] or "").splitlines()
    classes = connection.execute(
        "SELECT class, count(*) FROM container_totals WHERE timestamp = ? GROUP BY class",
        (row["timestamp"],),
    )
    found["tick"] = {
        **{key: row[key] for key in row.keys() if key != "id"},  # noqa: SIM118 - a sqlite3.Row
        "age_seconds": round(age, 1),
    }
    found["containers"] = {"low": 0, "high": 0, "unmanaged": 0} | dict(map(tuple, classes))
    return found


def _clock(connection: sqlite3.Connection, now: float) -> dict[str, object]:
    """When the clock was last set, and what it made wrong."""
    query = "SELECT detail FROM events WHERE kind = 'clock' ORDER BY id DESC LIMIT 1"
    last = connection.execute(query).fetchone()
    (ahead,) = connection.execute(
        "SELECT count(*) FROM metrics WHERE timestamp > ?", (round((now + _AHEAD) * 1000),)
    ).fetchone()
    return {"last_set": last and last["detail"], "ticks_ahead": ahead}


def _show(report: dict[str, object], settled: Config) -> None:
    daemon, policy = report["daemon"], settled.governor
    assert isinstance(daemon, dict)  # noqa: S101 - for the type checker
    state = {True: f"running (pid {daemon['pid']})", False: "not running", None: "unknown"}
    lines = {
        "daemon": state[daemon["running"]],
        "kernel modules": "readable" if report["modules_readable"] else "not readable",
    }
    if isinstance(tick := report.get("tick"), dict):
        lines["last tick"] = (
            f"{tick['age_seconds']:.0f} s ago from {tick['source']}:"
            f" {tick['process_count']} processes, {tick['container_count']} containers,"
            f" {tables.mib(tick['used_ram'])} of {tables.mib(tick['total_ram'])} used"
        )
        heard = tick["docker_age"]
        lines["docker"] = (
            "not heard before that tick"
            if heard is None
            else f"last heard {heard:.1f} s before that tick"
        )
    if isinstance(database := report.get("database"), dict):
        lines["database"] = (
            f"{database['path']}, {database['bytes'] / 2**20:.1f} MiB"
            f" of {settled.store.max_mib}, {database['ticks']} ticks"
        )
    if isinstance(clock := report.get("clock"), dict):
        said = [clock["last_set"]] if clock["last_set"] else []
        if clock["ticks_ahead"]:
            said.append(
                f"It was wrong: dated later than now are {clock['ticks_ahead']} of the ticks."
            )
        if said:
            lines["clock"] = escape_controls(" ".join(said))
    if isinstance(containers := report.get("containers"), dict):
        lines["containers"] = (
            f"{containers['low']} low (keeps {policy.keep_low}),"
            f" {containers['high']} high (keeps {policy.keep_high}),"
            f" {containers['unmanaged']} not managed; at most {policy.maximum}"
            f" managed, mode {policy.mode}"
        )
    if report.get("wastebasket"):
        lines["wastebasket"] = f"{report['wastebasket']} removed containers; see so1 trash"
    if report["limited_processes"] is not None:
        lines["memory limits"] = f"{report['limited_processes']} set"
    for name, value in lines.items():
        click.echo(f"{name + ':':16}{value}")
    events = report.get("events")
    if isinstance(events, list) and events:
        tables.show(
            "\nlast events",
            ["TIME", "KIND", "OUTCOME", "CONTAINER", "DETAIL"],
            (
                (
                    datetime.fromtimestamp(e["timestamp"] / 1000, UTC)
                    .astimezone()
                    .strftime("%Y-%m-%d %H:%M:%S"),
                    *(e["kind"], e["outcome"], e["container_name"], e["detail"]),
                )
                for e in events
            ),
        )
    problems = report["problems"]
    assert isinstance(problems, list)  # noqa: S101 - for the type checker
    for problem in problems:
        click.echo(f"degraded: {problem}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def command(path: Path, *, as_json: bool) -> None:
    """Show whether the daemon runs, its last tick, the containers and the last events.

    Needs no root. Reading the database needs the group so1. What you may not see is named.

    Exit codes: 0 all is well, 1 the configuration cannot be used, 2 wrong usage, 3 degraded (each
    reason is a line).
    """
    settled = settings.load_or_default(path)
    problems: list[str] = []
    report: dict[str, object] = {
        "daemon": _daemon(Path(settled.store.path), problems),
        "modules_readable": kernel.available(settled.snapshot.suffix, _PROC),
        "limited_processes": _limited(problems),
        "governor": msgspec.to_builtins(settled.governor),
        **_history(settled, problems),
        "problems": problems,
    }
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _show(report, settled)
    if problems:
        sys.exit(_DEGRADED)
