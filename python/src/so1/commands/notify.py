# SPDX-License-Identifier: MIT
"""`so1 notify`."""

import os
import sys
import time
from pathlib import Path

import click

from so1.commands import settings
from so1.daemon import journal
from so1.daemon.systemd import Notifier
from so1.notify.error import NotSentError
from so1.notify.message import Item, make
from so1.notify.state import StateError
from so1.notify.teller import Teller
from so1.notify.ways import WAYS, Way, sender
from so1.store import lock

_SLICE_S = 5.0
"""A wait is slept in pieces, so that systemd hears from us meanwhile."""


@click.group()
def command() -> None:
    """Tell somebody of events, by a webhook or by mail."""


@command.command()
@click.argument("way", type=click.Choice(WAYS))
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default="/var/lib/so1-notify",
    show_default=True,
    envvar="STATE_DIRECTORY",
    help="Where it keeps what it has told.",
)
@click.pass_obj
def run(path: Path, way: Way, state: Path) -> None:
    """Tell of events as they come, for as long as it runs.

    It only reads the daemon's database. It may be ended at any moment, by kill -9 too: then it goes
    on where it was. A message that may have been sent is sent again with the same id.

    Exit codes: 1 it could not start (one sentence says why).
    """
    current = settings.load(path)
    journal.configure(current.log_level)
    send = sender(current.notify, way)
    if send is None:
        raise click.ClickException(f"notify.{way}.enabled is false in {path}")
    file = state / f"{way}.json"
    try:
        lock.hold(file)
        teller = Teller(current.notify, Path(current.store.path), file, send, os.uname().nodename)
    except (lock.LockedError, StateError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{state} cannot be used ({error.strerror})") from error
    notifier = Notifier()
    notifier.ready()
    while True:
        until = time.monotonic() + teller.step()
        notifier.watchdog()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
            notifier.watchdog()


@command.command()
@click.pass_obj
def test(path: Path) -> None:
    """Send a test message by each way that is enabled.

    It does not touch what the services have told. Run it as root, who may read the webhook's URL.

    Exit codes: 0 each was taken; 1 one was not, or none is enabled; 2 wrong usage.
    """
    policy = settings.load(path).notify
    senders = {way: send for way in WAYS if (send := sender(policy, way))}
    if not senders:
        raise click.ClickException(f"no way to tell anybody is enabled in {path}")
    now = time.time()
    item = Item(
        id=0,
        timestamp=round(now * 1000),
        kind="test",
        outcome="done",
        detail="Somebody ran `so1 notify test`. Messages arrive.",
    )
    message = make(os.uname().nodename, now, [item], 0, 0)
    failed = False
    for way, send in senders.items():
        try:
            send(message)
        except NotSentError as error:
            failed = True
            click.echo(f"{way}: not sent: {error}", err=True)
        else:
            click.echo(f"{way}: sent")
    sys.exit(failed)
