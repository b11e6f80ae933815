# SPDX-License-Identifier: MIT
"""The command `so1`; what a subcommand needs is imported only when that one is called."""

import contextlib
import errno
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from so1 import __version__
from so1.config import DEFAULT_PATH
from so1.escape_controls import escape_controls

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

_COMMANDS = {
    "daemon": "Watch this host until told to stop.",
    "status": "Show whether the daemon runs, and whether containers are within the policy.",
    "snapshot": "Show what runs now, as a table or as JSON.",
    "top": "Show what runs, live.",
    "plan": "Show what the governor would do now, and why.",
    "replay": "Show what another policy would have removed, and when.",
    "events": "Show what the daemon did, refused or could not do.",
    "exits": "Show which processes ended, how, and what they had used.",
    "notify": "Tell somebody of events, by a webhook or by mail.",
    "workload": "Make test load: containers for the governor to deal with.",
    "cleanup": "Remove the managed containers, and nothing else.",
    "trash": "Show or empty the wastebasket of removed containers.",
    "undo": "Take back a container that was removed.",
    "limit": "Cap the address space (virtual memory) of running processes.",
    "report": "Summarise a period as a table, CSV or a web page.",
    "config": "Check the configuration file.",
}


class _Lazy(click.Group):
    """Knows its commands by name; the daemon must not load what only reports need.

    And sees to it that each survives whatever it writes to.
    """

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's signature
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # What the locale's encoding does not have becomes a question mark.
                stream.reconfigure(errors="replace")
        try:
            return super().main(*args, **extra)
        except OSError as error:
            # Of a file that was named, its command says so itself.
            if error.errno not in _FULL or error.filename is not None:
                raise
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or it is tried again at the end
            click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().invoke(ctx)
        except click.UsageError:
            raise
        except click.ClickException as error:
            # A sentence may hold what a stranger sent, a registry say.
            raise click.ClickException(escape_controls(error.format_message())) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"so1.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="so1")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PATH,
    show_default=True,
    envvar="SO1_CONFIG",
    help="The configuration file.",
)
@click.pass_context
def main(ctx: click.Context, path: Path) -> None:
    """Watch a Docker host, keep its containers within policy, and show its history.

    Exit codes: 0 done, 1 it failed (one sentence on standard error says why), 2 wrong usage;
    `so1 status` also 3, degraded.
    """
    ctx.obj = path
