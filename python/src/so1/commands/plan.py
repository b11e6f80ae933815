# SPDX-License-Identifier: MIT
"""`so1 plan`."""

import json
import time
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from so1.commands import measure, settings, tables, trial
from so1.config import Config
from so1.docker_engine import Engine, EngineError, UnreachableError
from so1.escape_controls import escape_controls
from so1.governor import checks
from so1.governor.policy import Plan, Verdict, age, plan
from so1.governor.replay import Try
from so1.store import trash
from so1.store.database import DatabaseError


def _plan(settled: Config, over: float) -> tuple[Plan, dict[str, str]]:
    """Plan as the daemon does; gives the plan, and what stands against a removal, by container."""
    engine = Engine(settled.docker)
    sample = measure.take(settled, over, engine.running())
    look = checks.look_again(sample.containers, engine)
    planned = plan(
        look.usages,
        settled.governor,
        sample.snapshot.taken_ns,
        held=look.held,
        spared=_spared(settled),
    )
    against = {}
    for verdict in planned.removals:
        try:
            why = checks.objection(engine.inspect(verdict.container.id), verdict)
        except UnreachableError:
            raise
        except EngineError as error:
            # Gone, or broken: the governor could not remove this one, and goes on to the others.
            why = str(error)
        if why:
            against[verdict.container.id] = why
    return planned, against


def _in_basket(settled: Config) -> int | None:
    """Count what is in the wastebasket, and so in no plan; None where that is not known."""
    try:
        return len(trash.held(Path(settled.store.path)))
    except DatabaseError:
        return None  # where there is a database, _spared has warned of it


def _spared(settled: Config) -> dict[str, str]:
    try:
        return trash.spared(Path(settled.store.path), settled.governor.undo_spare_hours)
    except DatabaseError as error:
        click.echo(f"Warning: what was taken back is not known: {error}", err=True)
        return {}


def _row(verdict: Verdict, planned: Plan, against: dict[str, str]) -> dict[str, object]:
    container = verdict.container
    seconds = age(container, planned.taken_ns)
    return {
        "container_id": container.id,
        "name": container.name,
        "image": container.image,
        "class": verdict.class_,
        "memory": verdict.usage.memory,
        "ram": verdict.usage.ram,
        "cpu": round(verdict.usage.cpu, 1),
        "age_seconds": None if seconds is None else round(seconds),
        "rule": verdict.rule,
        "keep": verdict.keep,
        "reason": verdict.reason,
        "refused": against.get(container.id),
        "labels": container.odd_labels,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@measure.over
@trial.options
@click.pass_obj
def command(
    path: Path,
    over: float,
    tried: Try | None,
    *,
    as_json: bool,
) -> None:
    """Show what the governor would do now and why; nothing is changed.

    Every running container is listed, with its class, its memory and CPU, and its rule:

    \b
    not-managed    it has no label so1.managed=true of its own; never touched
    unmeasured     its memory is not known; kept outside its class's quota
    restarting     it was restarted, or keeps ending; kept outside its class's quota
    may-not-go     a volume would be removed with it; kept
    taken-back     somebody took it back (so1 undo); kept for a while, and not counted
    within-limits  it is within its class's quota; kept
    grace-period   it is younger than governor.grace; kept until it is older
    excess-low     its class has more than governor.keep_low; the largest go
    excess-high    its class has more than governor.keep_high; the largest go
    emergency      more managed ones than governor.maximum; young ones go too

    The largest is the one with the most memory; of equals, the one with the most CPU. The daemon
    measures CPU over a longer time than this command, so of equals it may remove another.

    Memory is what the kernel charges a container, without the file cache that it would give back
    first. CPU is in percent of one CPU. In JSON memory is in KiB, and ram is the sum of the
    processes' RSS.

    With a policy to try, this shows what that policy would do now if it were enforced. `so1 replay`
    shows what it would have done in the past.

    Exit codes: 0 shown, 1 Docker does not answer or there is no snapshot, 2 wrong usage.
    """  # noqa: D301 - click's \b is a backspace
    settled = settings.load_or_default(path)
    if tried:
        settled = replace(settled, governor=tried(settled.governor))
    try:
        planned, against = _plan(settled, over)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    rows = [_row(verdict, planned, against) for verdict in planned.verdicts]
    policy = settled.governor
    in_basket = _in_basket(settled)
    if as_json:
        body = {
            "now": time.time(),
            "emergency": planned.emergency,
            "policy": msgspec.to_builtins(policy),
            "containers": rows,
            "wastebasket": in_basket,
        }
        click.echo(json.dumps(body, indent=2))
        return
    managed = [verdict for verdict in planned.verdicts if verdict.class_ != "unmanaged"]
    going = len(planned.removals) - len(against)
    click.echo(
        f"{len(managed)} managed containers ({_count(managed, 'low')} low,"
        f" {_count(managed, 'high')} high), {len(rows) - len(managed)} others;"
        f" kept are {policy.keep_low} low and {policy.keep_high} high, at most {policy.maximum};"
        f" mode {policy.mode}" + (f"; in the wastebasket are {in_basket}" if in_basket else "")
    )
    acts = "remove" if policy.mode == "enforce" else "would remove"
    tables.show(
        "",
        ["ACTION", "NAME", "IMAGE", "CLASS", "MEMORY MiB", "CPU %", "AGE s", "RULE", "REASON"],
        (
            (
                "keep" if row["keep"] else "refuse" if row["refused"] else acts,
                *(row["name"], row["image"], row["class"]),
                *(_mib(verdict.usage.memory), row["cpu"], row["age_seconds"]),
                *(row["rule"], row["refused"] or row["reason"]),
            )
            for row, verdict in zip(rows, planned.verdicts, strict=True)
        ),
    )
    for verdict in planned.verdicts:
        for why in verdict.container.odd_labels:
            click.echo(escape_controls(f"{verdict.container.name}: {why}"))
    click.echo(f"{going} to remove" if going else "nothing to remove")


def _mib(kib: int | None) -> float | None:
    return None if kib is None else kib / 1024


def _count(verdicts: list[Verdict], class_: str) -> int:
    return sum(verdict.class_ == class_ for verdict in verdicts)
