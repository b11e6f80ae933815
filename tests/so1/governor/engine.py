# SPDX-License-Identifier: MIT
"""An engine made up at its edge."""

from collections.abc import Callable

import msgspec

from so1.config import Docker
from so1.docker_engine import Engine, Inspected
from so1.model import ContainerUsage


class Made(Engine):
    """An engine whose containers are what a test wants them to be."""

    on_stop: Callable[[str], None]

    def __init__(self, usages: list[ContainerUsage]) -> None:
        super().__init__(Docker())
        self.asked: list[tuple[str, str]] = []
        self.patience: list[int] = []
        self.stop_fails: dict[str, Exception] = {}
        self.remove_fails: dict[str, Exception] = {}
        self.looks: dict[str, Inspected | Exception] = {
            u.container.id: Inspected(
                id=u.container.id,
                image=u.container.image,
                image_id="sha256:1",
                running=True,
                started_at=u.container.started_at,
                started_ns=u.container.started_ns,
                pid=u.container.pid,
                restarts=u.container.restarts,
                name=u.container.name,
                labels=u.container.labels,
                auto_remove=False,
                volumes=[],
                raw={
                    "Id": u.container.id,
                    "Name": "/" + u.container.name,
                    "Config": {"Image": u.container.image},
                    "HostConfig": {},
                },
            )
            for u in usages
        }
        self.on_stop = lambda _: None
        self.later: dict[str, dict[str, object]] = {}
        """What changes about a container after it was next looked at."""

    def inspect(self, container_id: str) -> Inspected:
        self.asked.append(("inspect", container_id))
        found = self.looks[container_id]
        if isinstance(found, Exception):
            raise found
        if changes := self.later.pop(container_id, None):
            change(self, container_id, **changes)
        return found

    def inspect_image(self, image: str) -> dict[str, object] | None:  # noqa: ARG002
        return {}

    def changes(self, container_id: str) -> list[str]:  # noqa: ARG002
        return []

    def stop(self, container_id: str, patience: int) -> None:
        self.patience.append(patience)
        self.asked.append(("stop", container_id))
        self.on_stop(container_id)
        if error := self.stop_fails.get(container_id):
            raise error

    def remove(self, container_id: str) -> None:
        if error := self.remove_fails.get(container_id):
            raise error
        self.asked.append(("remove", container_id))

    def removed(self) -> set[str]:
        return {id_ for what, id_ in self.asked if what == "remove"}


def change(engine: Made, id_: str, **changes: object) -> None:
    found = engine.looks[id_]
    assert isinstance(found, Inspected)
    engine.looks[id_] = msgspec.structs.replace(found, **changes)
