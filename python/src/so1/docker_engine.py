# SPDX-License-Identifier: MIT
"""The Docker Engine, through the SDK's low-level client: one request a call, each with a limit."""

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import requests
from docker.api import APIClient
from docker.errors import APIError, DockerException, NotFound
from msgspec.structs import replace

from so1.config import Docker
from so1.model import MANAGED, Container

T = TypeVar("T")

_log = logging.getLogger(__name__)
_ANSWER_MAX = 200
"""Characters of what the engine says that stand in our sentence."""
_CONFLICT = 409


class EngineError(Exception):
    """The engine did not do what it was asked; the message is one sentence with the way out."""


class UnreachableError(EngineError):
    """The engine is down, slow or not for us; the next question would fare no better."""


class NotFoundError(EngineError):
    """There is no such container or image."""


class _Listed(msgspec.Struct, frozen=True, rename="pascal"):
    """An element of the engine's list; of its many keys only these are read."""

    id: str
    names: list[str] | None = None
    image: str = ""
    created: int = 0
    labels: dict[str, str] | None = None
    state: str = ""


class _Health(msgspec.Struct, frozen=True, rename="pascal"):
    status: str = "none"


class _State(msgspec.Struct, frozen=True, rename="pascal"):
    running: bool
    started_at: datetime
    pid: int = 0
    health: _Health | None = None


class _Config(msgspec.Struct, frozen=True, rename="pascal"):
    image: str
    labels: dict[str, str] | None = None


class _HostConfig(msgspec.Struct, frozen=True, rename="pascal"):
    auto_remove: bool = False


class _Mount(msgspec.Struct, frozen=True, rename="pascal"):
    type: str = ""
    name: str = ""


class _Looked(msgspec.Struct, frozen=True, rename="pascal"):
    id: str
    image: str
    state: _State
    config: _Config
    host_config: _HostConfig
    mounts: list[_Mount] | None = None
    restart_count: int = 0


# msgspec learns a type when it is first used, and crashes where two threads are the first at once.
for _type in (list[_Listed], _Looked):
    msgspec.json.Decoder(_type)


class Inspected(msgspec.Struct, frozen=True):
    """A container as it is now; `raw` is the whole of what the engine says about it.

    image is what it was made from by name, image_id what that name stood for then. pid is its
    first process, 0 where it does not run; restarts how often its restart policy started it again;
    health what its health check says, None without one.
    """

    id: str
    image: str
    image_id: str
    running: bool
    started_at: float
    labels: dict[str, str]
    auto_remove: bool
    volumes: list[str]
    raw: dict[str, Any]
    pid: int = 0
    restarts: int = 0
    health: str | None = None

    @property
    def anonymous_volumes(self) -> list[str]:
        """The volumes that got their name from the engine; with --rm they go with the container."""
        return [name for name in self.volumes if _is_digest(name)]


class Engine:
    """One Docker Engine; connects when it is first asked something, and again after a failure.

    Its methods may be called from several threads. Each raises EngineError where the engine is
    down, slow or refuses.
    """

    def __init__(self, docker: Docker) -> None:
        """Remember where the engine is; that it is there shows with the first call."""
        self._docker = docker
        self._client: APIClient | None = None
        self._lock = threading.Lock()
        self._looked: dict[str, _Looked] = {}

    def _call(self, what: str, ask: Callable[[APIClient], T]) -> T:
        try:
            return ask(self._connected())
        except NotFound as error:
            raise NotFoundError(f"{what}: {_said(error)}") from error
        except APIError as error:
            raise EngineError(f"{what}: {_said(error)}") from error
        except (DockerException, requests.RequestException, OSError) as error:
            self._disconnect()
            raise UnreachableError(self._unreachable(error)) from error
        except (msgspec.ValidationError, LookupError, TypeError, ValueError) as error:
            raise EngineError(
                f"{what}: what {self._docker.host} answers is not Docker's ({error})"
            ) from error

    def _connected(self) -> APIClient:
        with self._lock:
            if self._client is None:
                self._knock()
                self._client = APIClient(
                    self._docker.host, version="auto", timeout=self._docker.timeout
                )
                # No proxy and no .netrc stands between us and it; looking takes time.
                self._client.trust_env = False
            return self._client

    def _knock(self) -> None:
        """Raise OSError where nothing listens; the SDK would leave a socket open over it."""
        path = self._docker.host.removeprefix("unix://")
        if path != self._docker.host:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                door.settimeout(self._docker.timeout)
                door.connect(path)

    def _disconnect(self) -> None:
        # Another engine, or another version of it, may answer next time.
        with self._lock:
            self._client = None

    def _unreachable(self, error: BaseException) -> str:
        host = self._docker.host
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, requests.Timeout | TimeoutError):
                return (
                    f"{host} did not answer within {self._docker.timeout:g} s;"
                    " look at the Docker service, or raise docker.timeout"
                )
            number = getattr(cause, "errno", None)
            if number in (errno.EACCES, errno.EPERM):
                return f"{host} may not be used; be root or a member of the group docker"
            if number in (errno.ENOENT, errno.ECONNREFUSED):
                return (
                    f"nothing listens on {host}; start the Docker service, or set docker.host"
                    " in the configuration"
                )
        return f"{host} cannot be used: {_short(causes[-1])}"

    def running(self) -> list[Container]:
        """List the running containers, in one request; once in one more where a tag has moved.

        The list tells when a container was created, not when it was started; a later start is
        known only of those that `inspect` has shown.
        """
        found = self._call("containers cannot be listed", lambda client: client.containers())
        result = self._call("containers cannot be listed", lambda _: list(self._containers(found)))
        listed = {c.id for c in result}
        with self._lock:
            self._looked = {id_: seen for id_, seen in self._looked.items() if id_ in listed}
        return result

    def managed(self) -> list[tuple[Container, str]]:
        """List the managed containers, stopped ones too, each with its state ('running', …)."""

        def ask(client: APIClient) -> list[tuple[Container, str]]:
            found = client.containers(all=True, filters={"label": f"{MANAGED}=true"})
            states = [entry.state for entry in msgspec.convert(found, list[_Listed])]
            return list(zip(self._containers(found), states, strict=True))

        return self._call("containers cannot be listed", ask)

    def _containers(self, found: object) -> Iterator[Container]:
        for entry in msgspec.convert(found, list[_Listed]):
            if entry.image.startswith("sha256:") and entry.id not in self._looked:
                self._look(entry.id)
            looked = self._looked.get(entry.id)
            yield Container(
                id=entry.id,
                name=entry.names[0].removeprefix("/") if entry.names else entry.id[:12],
                image=looked.config.image if looked else entry.image,
                labels=entry.labels or {},
                started_at=max(entry.created, looked.state.started_at.timestamp() if looked else 0),
            )

    def _look(self, container_id: str) -> None:
        """Learn an image's name, of which the list tells but an id once its tag went elsewhere."""
        try:
            self.inspect(container_id)
        except UnreachableError:
            raise
        except EngineError as error:
            # Gone, or broken: the others are listed all the same.
            _log.info("%s", error)

    def inspect(self, container_id: str) -> Inspected:
        """Look at one container; raises NotFoundError where it is gone."""
        what = f"container {container_id[:12]} cannot be looked at"
        raw = self._call(what, lambda client: client.inspect_container(container_id))
        looked = self._call(what, lambda _: msgspec.convert(raw, _Looked))
        with self._lock:
            self._looked[looked.id] = looked
        return Inspected(
            id=looked.id,
            image=looked.config.image,
            image_id=looked.image,
            running=looked.state.running,
            started_at=looked.state.started_at.timestamp(),
            labels=looked.config.labels or {},
            auto_remove=looked.host_config.auto_remove,
            volumes=[mount.name for mount in looked.mounts or () if mount.type == "volume"],
            raw=raw,
            pid=looked.state.pid,
            restarts=looked.restart_count,
            health=_health(looked.state),
        )

    def completed(self, containers: Iterable[Container]) -> list[Container]:
        """Add what only an inspection of each tells; what has ended since the list drops out.

        One that cannot be looked at stays as the list has it.
        """
        result = []
        for container in containers:
            try:
                now = self.inspect(container.id)
            except NotFoundError:
                continue
            except UnreachableError:
                raise
            except EngineError as error:
                _log.info("%s", error)
                result.append(container)
                continue
            if now.running:
                result.append(completed(container, now))
        return result

    def inspect_image(self, image: str) -> dict[str, Any] | None:
        """Look at an image; None where it is not here."""
        try:
            found: dict[str, Any] = self._call(
                f"image {image} cannot be looked at", lambda client: client.inspect_image(image)
            )
        except NotFoundError:
            return None
        return found

    def stop(self, container_id: str, patience: int) -> None:
        """Stop a container: its stop signal, after `patience` seconds SIGKILL."""
        self._call(
            f"container {container_id[:12]} cannot be stopped",
            lambda client: client.stop(container_id, timeout=patience),
        )

    def remove(self, container_id: str) -> None:
        """Remove a stopped container and none of its volumes; one that is gone is fine."""
        what = f"container {container_id[:12]} cannot be removed"
        try:
            self._call(what, lambda client: client.remove_container(container_id, v=False))
        except NotFoundError:
            return
        except EngineError as error:
            # Of one that was started with --rm the engine may be half-way through.
            cause = error.__cause__
            if not (
                isinstance(cause, APIError)
                and cause.status_code == _CONFLICT
                and "already in progress" in str(cause.explanation)
            ):
                raise

    def pull(self, image: str) -> None:
        """Pull an image; the time limit holds for each message about its progress."""

        def ask(client: APIClient) -> None:
            # The SDK's own pull() has no time limit.
            name, tag = _tagged(image)
            answer = client.post(
                f"{client.base_url}/v{client.api_version}/images/create",
                params={"fromImage": name, "tag": tag},
                timeout=max(60.0, self._docker.timeout),
                stream=True,
            )
            with answer:
                for line in answer.iter_lines():
                    message = msgspec.json.decode(line) if line else {}
                    if said := message.get("error") or message.get("message"):
                        raise EngineError(f"image {image} cannot be pulled: {_one_line(said)}")

        self._call(f"image {image} cannot be pulled", ask)

    def run(self, name: str, image: str, command: list[str], options: dict[str, Any]) -> str:
        """Create a container from `options`, the engine's own names, and start it; gives its id.

        One that cannot be started is removed again.
        """
        body = {**options, "Image": image, "Cmd": command}
        created: str = self._call(
            f"container {name} cannot be created",
            lambda client: client.create_container_from_config(body, name)["Id"],
        )
        try:
            self._call(f"container {name} cannot be started", lambda client: client.start(created))
        except EngineError:
            self.remove(created)
            raise
        return created


def completed(container: Container, now: Inspected) -> Container:
    """Add to a container of the list what its inspection tells."""
    return replace(
        container,
        started_at=now.started_at,
        pid=now.pid,
        restarts=now.restarts,
        health=now.health,
    )


def _health(state: _State) -> str | None:
    status = state.health.status if state.health else ""
    return None if status in ("", "none") else status


def _tagged(image: str) -> tuple[str, str]:
    """Split an image's name; without a tag the engine would pull every one there is."""
    if "@" in image:
        name, _, digest = image.rpartition("@")
        return name, digest
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _is_digest(name: str) -> bool:
    """Whether a volume's name is one that the engine made up."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def _causes(error: BaseException) -> Iterable[BaseException]:
    """Give an error and all it came from; requests and urllib3 hide some among the arguments."""
    seen: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            pending += [cause.__cause__, cause.__context__, *cause.args]
            pending.append(getattr(cause, "reason", None))
    return seen


def _said(error: APIError) -> str:
    return _one_line(str(error.explanation or error))


def _short(error: BaseException) -> str:
    return _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _ANSWER_MAX else line[: _ANSWER_MAX - 1] + "…"
