# SPDX-License-Identifier: MIT
"""`so1 plan`."""

import json
from pathlib import Path

import click
import msgspec

from so1.commands import measure, settings, tables
from so1.config import Config
from so1.docker_engine import Engine, EngineError, UnreachableError
from so1.governor.act import objection
from so1.governor.policy import Plan, Verdict, plan


def _plan(settled: Config, over: float) -> tuple[Plan, dict[str, str]]:
    """Plan as the daemon does; gives the plan, and what stands against a removal, by container."""
    engine = Engine(settled.docker)
    sample = measure.take(settled, over, engine.completed(engine.running()))
    planned = plan(sample.containers, settled.governor, sample.timestamp)
    against = {}
    for verdict in planned.removals:
        try:
            why = objection(engine.inspect(verdict.container.id), verdict, planned)
        except UnreachableError:
            raise
        except EngineError as error:
            # Gone, or broken: the governor could not remove this one, and goes on to the others.
            why = str(error)
        if why:
            against[verdict.container.id] = why
    return planned, against


def _row(verdict: Verdict, planned: Plan, against: dict[str, str]) -> dict[str, object]:
    container = verdict.container
    return {
        "container_id": container.id,
        "name": container.name,
        "image": container.image,
        "class": verdict.class_,
        "ram": verdict.usage.ram,
        "cpu": round(verdict.usage.cpu, 1),
        "age_seconds": round(max(0.0, planned.now - container.started_at)),
        "rule": verdict.rule,
        "keep": verdict.keep,
        "reason": verdict.reason,
        "refused": against.get(container.id),
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@measure.over
@click.pass_obj
def command(path: Path, over: float, *, as_json: bool) -> None:
    """Show what the governor would do now and why; nothing is changed.

    Every running container with its class, its RAM and CPU, and the rule that applies:

    \b
    not-managed    without the label so1.managed=true; never touched
    within-limits  among those of its class that are kept
    grace-period   too young to be weighed
    excess-low     more low ones than governor.keep_low; the worst go
    excess-high    more high ones than governor.keep_high; the worst go
    emergency      more managed ones than governor.maximum; young ones go too

    RAM is in KiB in JSON, CPU in percent of one CPU. The daemon measures CPU over its whole
    interval, so where RAM ties it may choose another.

    Exit codes: 0 shown, 1 Docker does not answer or there is no snapshot, 2 wrong usage.
    """  # noqa: D301 - click's \b is a backspace
    settled = settings.load_or_default(path)
    try:
        planned, against = _plan(settled, over)
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    rows = [_row(verdict, planned, against) for verdict in planned.verdicts]
    policy = settled.governor
    if as_json:
        body = {
            "now": planned.now,
            "emergency": planned.emergency,
            "policy": msgspec.to_builtins(policy),
            "containers": rows,
        }
        click.echo(json.dumps(body, indent=2))
        return
    managed = [verdict for verdict in planned.verdicts if verdict.class_ != "unmanaged"]
    going = len(planned.removals) - len(against)
    click.echo(
        f"{len(managed)} managed containers ({_count(managed, 'low')} low,"
        f" {_count(managed, 'high')} high), {len(rows) - len(managed)} others;"
        f" kept are {policy.keep_low} low and {policy.keep_high} high, at most {policy.maximum};"
        f" mode {policy.mode}"
    )
    acts = "remove" if policy.mode == "enforce" else "would remove"
    tables.show(
        "",
        ["ACTION", "NAME", "IMAGE", "CLASS", "RAM MiB", "CPU %", "AGE s", "RULE", "REASON"],
        (
            (
                "keep" if row["keep"] else "refuse" if row["refused"] else acts,
                *(row["name"], row["image"], row["class"]),
                *(int(str(row["ram"])) / 1024, row["cpu"], row["age_seconds"]),
                *(row["rule"], row["refused"] or row["reason"]),
            )
            for row in rows
        ),
    )
    click.echo(f"{going} to remove" if going else "nothing to remove")


def _count(verdicts: list[Verdict], class_: str) -> int:
    return sum(verdict.class_ == class_ for verdict in verdicts)
