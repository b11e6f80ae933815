# SPDX-License-Identifier: MIT
"""The daemon in a process of its own, with cgroups where a test has them."""

import sys
from pathlib import Path

from so1 import config
from so1.daemon.daemon import Daemon
from so1.daemon.systemd import Notifier
from so1.docker_engine import Engine
from so1.governor.governor import Governor
from so1.store.database import Database
from so1.store.removals import Removals


class Raising(Governor):
    """A governor with a fault in it."""

    def govern(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
        raise ValueError("a fault")


def main(path: Path, cgroup_root: Path, fault: str) -> None:
    """Run until told to stop; `fault` is 'raise' for a governor that always does."""
    settled = config.load(path)
    database = Database(Path(settled.store.path))
    kind = Raising if fault == "raise" else Governor
    Daemon(
        settled,
        database,
        containers=kind(Engine(settled.docker), settled.governor, Removals(database)),
        reload=lambda: config.load(path),
        notifier=Notifier({}),
        cgroup_root=cgroup_root,
    ).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
