# SPDX-License-Identifier: MIT
"""`so1 daemon`."""

from pathlib import Path

import click

from so1 import config, journal
from so1.commands import settings
from so1.daemon import Daemon
from so1.model import Container, ContainerUsage
from so1.notify import Notifier
from so1.store import lock
from so1.store.database import Database, DatabaseError
from so1.store.event import Event


class _Unlisted:
    """Containers as the kernel sees them, without their names and without a governor."""

    def running(self) -> list[Container]:
        return []

    def govern(self, usages: list[ContainerUsage], now: float) -> list[Event]:  # noqa: ARG002
        return []

    def classify(self, container: Container) -> str:  # noqa: ARG002
        return "low"


@click.command()
@click.pass_obj
def command(path: Path) -> None:
    """Watch this host: every interval a snapshot, the governor, and one tick in the database.

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
    Daemon(
        current,
        database,
        containers=lambda _: _Unlisted(),
        reload=lambda: config.load(path),
        notifier=Notifier(),
    ).run()
