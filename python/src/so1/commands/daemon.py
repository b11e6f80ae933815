# SPDX-License-Identifier: MIT
"""`so1 daemon`."""

import logging
import os
import resource
from pathlib import Path

import click

from so1 import config
from so1.commands import settings
from so1.daemon import journal
from so1.daemon.daemon import Daemon
from so1.daemon.systemd import Notifier
from so1.daemon.watcher import Publisher
from so1.docker_engine import Engine
from so1.governor.governor import Governor
from so1.store import lock
from so1.store.database import Database, DatabaseError
from so1.store.removals import Removals


@click.command()
@click.pass_obj
def command(path: Path) -> None:
    """Watch this host: at each interval take a sample, store it, and let the governor act.

    Runs in the foreground, as systemd wants it, and logs to standard error. SIGHUP reads the
    configuration again, SIGTERM and SIGINT end it.

    Exit codes: 0 stopped by a signal, 1 it could not start (one sentence says why).
    """
    current = settings.load(path)
    journal.configure(current.log_level)
    store = Path(current.store.path)
    try:
        lock.hold(store)
        database = Database(store)
    except (lock.LockedError, DatabaseError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{store} cannot be used ({error.strerror}); its directory must exist"
            " and belong to the daemon's user"
        ) from error
    notifier = Notifier()
    _raise_limits()
    ended = Daemon(
        current,
        database,
        containers=Governor(Engine(current.docker), current.governor, Removals(database)),
        reload=lambda: config.load(path),
        notifier=notifier,
        publisher=_publisher,
    ).run()
    if not ended:
        # A thread waits for an engine that hangs; Python would wait for it to end. All is stored.
        logging.shutdown()
        os._exit(0)


def _raise_limits() -> None:
    """Allow as many open files as the service may have: each container takes eleven."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _publisher() -> Publisher:
    # Only where it is wanted: what it stands on is a tenth of the daemon's memory.
    from so1.exposition import publisher  # noqa: PLC0415

    return publisher.Publisher()
