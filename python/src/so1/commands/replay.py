# SPDX-License-Identifier: MIT
"""`so1 replay`."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from so1.commands import period, settings, tables, trial
from so1.config import Policy
from so1.governor.difference import Difference, Pair, compare
from so1.governor.replay import Going, Replay, Try
from so1.store import decisions
from so1.store.database import DatabaseError, open_reader
from so1.store.decisions import History
from so1.store.event import Event

_EVENTS = (
    "SELECT timestamp, kind, outcome, detail, container_id, container_name, image, class AS class_,"
    " ram_usage, cpu_usage, rule FROM events WHERE kind = 'remove' AND rule IS NOT 'cleanup'"
    " AND timestamp >= ? ORDER BY id"
)
_NOTE = (
    "What would have come next is not known: a container that would have been removed counts as"
    " gone from then on, and nothing is known of one after it was really removed."
)


class Found(msgspec.Struct):
    """What came of a replay."""

    replay: Replay
    difference: Difference
    since: int | None
    lost: int


def _look(store: Path, since_ms: int, tried: Try | None) -> Found:
    """Decide again on what is stored; raises click.ClickException where it cannot be read."""
    replay = Replay(tried)
    try:
        with contextlib.closing(open_reader(store)) as connection:
            history = History(connection, since_ms)
            for past in history:
                replay.decide(past)
            since = history.since
            rows = connection.execute(_EVENTS, (since_ms if since is None else since,)).fetchall()
    except DatabaseError as error:
        raise click.ClickException(str(error)) from error
    except sqlite3.Error as error:
        why = f"{store} cannot be read: {error}"
        if str(error).startswith("no such"):
            why = f"{store} is from before replay; the daemon brings it up to date when it starts"
        raise click.ClickException(why) from error
    events = [msgspec.convert(dict(row), Event) for row in rows] if since is not None else []
    difference = compare(replay.going, events, tried=tried is not None)
    return Found(replay, difference, since, history.lost)


def _really(pair: Pair) -> str:
    """Say in a few words what really became of it."""
    event = pair.really
    if event is None:
        return f"not removed; last seen {_time(pair.going.until)}"
    said = {"done": "removed", "planned": "planned, not removed"}.get(event.outcome, event.outcome)
    return f"{said} {_time(event.timestamp)}"


def _time(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _sum(going: Sequence[Going]) -> int:
    return sum(one.memory or 0 for one in going)


def _body(found: Found, tried: Try | None, since_ms: int) -> dict[str, object]:
    replay, difference = found.replay, found.difference
    return {
        "since": since_ms,
        "from": found.since,
        "decisions": replay.decisions,
        "lost": found.lost,
        "tried": tried is not None,
        "policies": [_numbers(policy) for policy in replay.policies],
        "removals": [
            {
                **msgspec.to_builtins(pair.going),
                "really": _event(pair.really) if pair.really else None,
            }
            for pair in difference.pairs
        ],
        "only_really": [_event(event) for event in difference.only_really],
        "freed": _sum(replay.going),
        "freed_at_once": replay.most,
        "note": _NOTE,
    }


def _numbers(policy: Policy) -> dict[str, object]:
    return {name: getattr(policy, name) for name in decisions.POLICY}


def _event(event: Event) -> dict[str, object]:
    row: dict[str, object] = msgspec.to_builtins(event)
    return {name.rstrip("_"): value for name, value in row.items() if name != "recreate"}


@click.command()
@period.since
@trial.options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def command(
    path: Path,
    since: int,
    tried: Try | None,
    *,
    as_json: bool,
) -> None:
    """Show what another policy would have removed, when, by which rule, and what really went.

    Every decision of the governor is made again, by the same function, from what is stored. Without
    a policy to try, this shows what the policy that ran decided. With one, it shows what that
    policy would have removed if it had been enforced. Nothing is changed.

    A container that would have been removed counts as gone from then on, and its memory as freed.
    What would have come next cannot be known: whether somebody would have started it again, or what
    a container that was really removed would have used.

    Memory is what the kernel charges a container. In JSON memory is in KiB, CPU in percent of one
    CPU, times in milliseconds since 1970.

    Exit codes: 0 shown, or there is nothing to show; 1 the database cannot be read, or the policy
    cannot be used; 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    since_ms = round(max(0, time.time() - since) * 1000)
    found = _look(Path(settled.store.path), since_ms, tried)
    if as_json:
        click.echo(json.dumps(_body(found, tried, since_ms), indent=2))
        return
    if found.since is None:
        click.echo("no decision of the governor is stored of this period")
        return
    _show(found, tried)


def _show(found: Found, tried: Try | None) -> None:
    replay, (pairs, only_really) = found.replay, found.difference
    click.echo(f"{replay.decisions} decisions since {_time(found.since or 0)}")
    if found.lost:
        click.echo(f"{found.lost} more stand on ticks that could not be stored")
    for policy in replay.policies:
        click.echo(
            f"{'tried' if tried else 'as it ran'}: maximum {policy.maximum}, keep_low"
            f" {policy.keep_low}, keep_high {policy.keep_high}, grace {policy.grace:g} s,"
            f" mode {policy.mode}"
        )
    if pairs:
        tables.show(
            "",
            ["TIME", "NAME", "IMAGE", "CLASS", "RULE", "MEMORY MiB", "AGE s", "REALLY"],
            (
                (
                    *(_time(one.timestamp), one.container_name, one.image, one.class_, one.rule),
                    None if one.memory is None else one.memory / 1024,
                    None if one.age is None else round(one.age),
                    _really(pair),
                )
                for pair in pairs
                for one in [pair.going]
            ),
        )
    if only_really:
        tables.show(
            "really removed, and would not have been"
            if tried
            else "told by the daemon, and not decided again",
            ["TIME", "NAME", "IMAGE", "CLASS", "RULE", "MEMORY MiB"],
            (
                (
                    *(_time(event.timestamp), event.container_name, event.image, event.class_),
                    event.rule,
                    None if event.ram_usage is None else event.ram_usage / 1024,
                )
                for event in only_really
            ),
        )
    really = sum(pair.really is not None and pair.really.outcome == "done" for pair in pairs)
    click.echo(
        f"{len(pairs)} would have gone and freed {tables.mib(_sum(replay.going))}"
        if pairs
        else "nothing would have gone"
    )
    if replay.most:
        click.echo(f"afterwards they really used up to {tables.mib(replay.most)} at one time")
    if tried:
        stayed = f"{len(only_really)} more really went that would have stayed"
    else:
        stayed = f"{len(only_really)} more that the daemon told of were not decided again"
    click.echo(f"{really} of them really went; {stayed}")
    click.echo(_NOTE)
