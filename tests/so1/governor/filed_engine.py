# SPDX-License-Identifier: MIT
"""An engine whose containers lie in a file, where they outlive the process that asks."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from so1.config import Docker
from so1.docker_engine import Engine, EngineError, Inspected, NotFoundError
from so1.model import CLASS, MANAGED, Container, ContainerUsage
from tests.so1.governor.containers import SECOND, TAKEN

MIB = 1 << 20


def nothing() -> None:
    """A step at which nothing happens."""


class Filed(Engine):
    """It does what Docker does about names, restart policies and ports, in the same words."""

    def __init__(self, folder: Path, steps: Callable[[], None] = nothing) -> None:
        super().__init__(Docker())
        self._path = folder / "engine.json"
        self._steps = steps
        self._alone = threading.RLock()
        self.root = folder

    @property
    def there(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def keep(self, there: dict[str, dict[str, Any]]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(there))
        new.rename(self._path)

    def change(self, id_: str, **changes: object) -> None:
        with self._alone:
            there = self.there
            there[id_] |= changes
            self.keep(there)

    def add(
        self, number: int, name: str = "", *, managed: bool = True, restart: str = "always"
    ) -> str:
        id_ = f"{number:064x}"
        labels = {CLASS: "low"} | ({MANAGED: "true"} if managed else {})
        self.keep(
            self.there
            | {
                id_: {
                    "name": name or f"c{number}",
                    "running": True,
                    "restart": restart,
                    "start": 1,
                    "labels": labels,
                    "size": MIB,
                    "port": 0,
                    "rm": False,
                }
            }
        )
        return id_

    def usages(self) -> list[ContainerUsage]:
        return [
            ContainerUsage(self.inspect(id_).container, 1, 0, 1, memory=number)
            for number, (id_, one) in enumerate(self.there.items())
            if one["running"]
        ]

    def one(self, id_: str) -> dict[str, Any]:
        if id_ not in self.there:
            raise NotFoundError(f"container {id_[:12]} cannot be looked at: No such container")
        return self.there[id_]

    def inspect(self, container_id: str) -> Inspected:
        one = self.one(container_id)
        return Inspected(
            id=container_id,
            image="alpine",
            image_id="sha256:1",
            running=one["running"],
            started_at=float(one["start"]),
            started_ns=TAKEN - 3600 * SECOND + one["start"],
            labels=one["labels"],
            auto_remove=one["rm"],
            volumes=[],
            raw={
                "Id": container_id,
                "Name": "/" + one["name"],
                "Config": {"Image": "alpine", "Env": ["PATH=/bin", "SECRET=hunter2"]},
                "HostConfig": {"RestartPolicy": {"Name": one["restart"], "MaximumRetryCount": 0}},
            },
            name=one["name"],
            pid=7 if one["running"] else 0,
            restarting=one["restart"],
            status="running" if one["running"] else "exited",
        )

    def managed(self) -> list[tuple[Container, str]]:
        every = [(self.inspect(id_), one) for id_, one in self.there.items()]
        return [(now.container, now.status) for now, _ in every if now.container.managed]

    def inspect_image(self, image: str) -> dict[str, Any] | None:  # noqa: ARG002
        return {"Id": "sha256:1", "Config": {"Env": ["PATH=/bin"]}}

    def changes(self, container_id: str) -> list[str]:  # noqa: ARG002
        return ["/written"]

    def layer_bytes(self, container_id: str) -> int:
        return int(self.one(container_id)["size"])

    def data_root(self) -> Path | None:
        return self.root

    def _act(self, id_: str, **changes: object) -> None:
        self._steps()
        self.one(id_)
        self.change(id_, **changes)
        self._steps()

    def stop(self, container_id: str, patience: int) -> None:  # noqa: ARG002
        self._act(container_id, running=False)
        if self.one(container_id)["rm"]:
            self.remove(container_id)

    def remove(self, container_id: str) -> None:
        self._steps()
        with self._alone:
            there = self.there
            if container_id in there:
                if there[container_id]["running"]:
                    raise EngineError("cannot remove container: container is running")
                del there[container_id]
                self.keep(there)
        self._steps()

    def remove_by_force(self, container_id: str) -> None:
        """Remove it as somebody else may."""
        there = self.there
        del there[container_id]
        self.keep(there)

    def rename(self, container_id: str, name: str) -> None:
        if any(one["name"] == name for one in self.there.values()):
            raise EngineError(f'Conflict. The container name "/{name}" is already in use')
        self._act(container_id, name=name)

    def set_restart(self, container_id: str, policy: dict[str, Any]) -> None:
        self._act(container_id, restart=policy["Name"])

    def start(self, container_id: str) -> None:
        one = self.one(container_id)
        if one["running"]:
            return
        ports = [other["port"] for other in self.there.values() if other["running"]]
        if one["port"] and one["port"] in ports:
            raise EngineError("Bind for 127.0.0.1:80 failed: port is already allocated")
        self._act(container_id, running=True, start=one["start"] + 1)

    def create(self, name: str, body: dict[str, Any]) -> str:
        if any(one["name"] == name for one in self.there.values()):
            raise EngineError(f'Conflict. The container name "/{name}" is already in use')
        self._steps()
        id_ = self.add(1000 + len(self.there), name)
        self.change(id_, running=False, body=body)
        self._steps()
        return id_

    def restarted(self) -> None:
        """Start the engine anew: it starts what its restart policy says."""
        for id_, one in self.there.items():
            self.change(id_, running=False)
            if one["restart"] == "always":
                self.change(id_, running=True, start=one["start"] + 1)
