# SPDX-License-Identifier: MIT
"""The Docker Engine, through the SDK's low-level client: one request a call, each with a limit."""

import errno
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import requests
import urllib3
from docker.api import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound
from msgspec.structs import replace

from so1 import first_process, http_deadline
from so1.config import Docker
from so1.model import MANAGED, Container

T = TypeVar("T")

_log = logging.getLogger(__name__)
_ANSWER_MAX = 200
"""Characters of what the engine says that stand in our sentence."""
_CONFLICT = 409
_DELETED = 2
"""The kind of a change of the file system that took something away."""
_LONGEST_STOP = 300
_LONGEST_START = 30.0
_CUT = (
    ConnectionError,
    http.client.IncompleteRead,
    urllib3.exceptions.IncompleteRead,
    urllib3.exceptions.InvalidChunkLength,
    requests.exceptions.ChunkedEncodingError,
)
"""What a connection that is closed in the middle of an answer looks like."""


class EngineError(Exception):
    """The engine did not do what it was asked; the message is one sentence with the way out."""

    def __init__(self, what: str, way_out: str = "") -> None:
        """Say what went wrong, and the way out of it where there is one."""
        super().__init__(f"{what}; {way_out}" if way_out else what)
        self.what = what


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
    status: str = ""


class _Health(msgspec.Struct, frozen=True, rename="pascal"):
    status: str = "none"


class _State(msgspec.Struct, frozen=True, rename="pascal"):
    running: bool
    started_at: datetime
    pid: int = 0
    status: str = ""
    health: _Health | None = None


class _Config(msgspec.Struct, frozen=True, rename="pascal"):
    image: str
    labels: dict[str, str] | None = None
    stop_timeout: int | None = None


class _Restart(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""


class _HostConfig(msgspec.Struct, frozen=True, rename="pascal"):
    auto_remove: bool = False
    restart_policy: _Restart = _Restart()


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
    name: str = ""
    restart_count: int = 0

    @property
    def volumes(self) -> list[str]:
        """The names of its volumes."""
        return [mount.name for mount in self.mounts or () if mount.type == "volume"]

    @property
    def volumes_at_stake(self) -> bool:
        """Whether the engine would remove volumes with it."""
        return self.host_config.auto_remove and any(map(_is_digest, self.volumes))


class _ImageConfig(msgspec.Struct, frozen=True, rename="pascal"):
    labels: dict[str, str] | None = None


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    config: _ImageConfig | None = None


class _Sized(msgspec.Struct, frozen=True, rename="pascal"):
    size_rw: int = 0


class _Info(msgspec.Struct, frozen=True, rename="pascal"):
    docker_root_dir: str


class _Change(msgspec.Struct, frozen=True, rename="pascal"):
    path: str
    kind: int


class _Actor(msgspec.Struct, frozen=True, rename="pascal"):
    id: str = msgspec.field(name="ID")
    attributes: dict[str, str] = {}


class _Event(msgspec.Struct, frozen=True, rename="pascal"):
    action: str
    actor: _Actor
    time_nano: int = msgspec.field(name="timeNano")


# msgspec learns a type when it is first used, and crashes where two threads are the first at once.
for _type in (list[_Listed], _Looked, _Image, _Sized, _Info, list[_Change], _Event):
    msgspec.json.Decoder(_type)


class Inspected(msgspec.Struct, frozen=True):
    """A container as it is now; `raw` is the whole of what the engine says about it.

    image is what it was made from by name, image_id what that name stood for then. started_at is
    Unix epoch seconds by the engine's clock: the same for as long as it is the same start. For
    pid, started_ns, restarts, health and image_labels see Container. stop_timeout is the
    container's own, in seconds; None where it has none. restarting is the name of its restart
    policy, status the engine's word for its state ('exited', …).
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
    name: str = ""
    pid: int = 0
    started_ns: int | None = None
    restarts: int = 0
    health: str | None = None
    stop_timeout: int | None = None
    image_labels: dict[str, str] | None = {}
    restarting: str = ""
    status: str = ""

    @property
    def container(self) -> Container:
        """What a list would tell of it."""
        return Container(
            id=self.id,
            name=self.name,
            image=self.image,
            labels=self.labels,
            started_at=self.started_at,
            pid=self.pid,
            started_ns=self.started_ns,
            restarts=self.restarts,
            health=self.health,
            image_labels=self.image_labels,
            volumes_at_stake=self.auto_remove and bool(self.anonymous_volumes),
        )

    @property
    def anonymous_volumes(self) -> list[str]:
        """The volumes that got their name from the engine; with --rm they go with the container."""
        return [name for name in self.volumes if _is_digest(name)]


class Happened(msgspec.Struct, frozen=True):
    """One of the engine's events about a container.

    action is 'start', 'die', 'oom', 'kill', 'health_status: healthy', …; time_ns Unix epoch
    nanoseconds by the engine's clock; exit_code is known of 'die' alone.
    """

    action: str
    container_id: str
    name: str
    image: str
    time_ns: int
    exit_code: int | None = None


class Engine:
    """One Docker Engine; connects when it is first asked something, and again after a failure.

    Its methods may be called from several threads. Each raises EngineError where the engine is
    down, slow or refuses.
    """

    def __init__(self, docker: Docker, proc: Path = Path("/proc")) -> None:
        """Remember where the engine is; that it is there shows with the first call.

        `proc` is where the first processes of its containers are looked up.
        """
        self._docker = docker
        self._proc = proc
        self._client: APIClient | None = None
        self._connecting = threading.Lock()
        """Held while one thread connects, for as long as a call may take."""
        self._lock = threading.Lock()
        """For what is remembered; never held while the engine is waited for."""
        self._looked: dict[str, _Looked] = {}
        self._of_image: dict[str, dict[str, str]] = {}
        """The labels of the images of managed containers, by the image's id."""

    def reconfigure(self, docker: Docker) -> None:
        """Reach the engine so from the next call on."""
        with self._lock:
            if docker != self._docker:
                self._docker = docker
                self._client = None
                self._looked.clear()
                self._of_image.clear()

    def _call(
        self,
        what: str,
        ask: Callable[[APIClient], T],
        limit: float = 0,
        client: APIClient | None = None,
    ) -> T:
        """Ask, within docker.timeout or `limit` seconds for the whole of it.

        `client` is the connection where it has to be a certain one.
        """
        docker = self._docker
        try:
            with http_deadline.within(limit or docker.timeout):
                client = client or self._connected(docker)
                return ask(client)
        except NotFound as error:
            raise NotFoundError(f"{what}: {_said(error)}") from error
        except APIError as error:
            raise EngineError(f"{what}: {_said(error)}") from error
        except (DockerException, requests.RequestException, OSError) as error:
            self._disconnect(client)
            raise _unreachable(error, docker) from error
        except (msgspec.DecodeError, LookupError, TypeError, ValueError) as error:
            raise EngineError(
                f"{what}: what {docker.host} answers is not Docker's ({error})"
            ) from error

    def _connected(self, docker: Docker) -> APIClient:
        with self._lock:
            if self._client is not None and docker == self._docker:
                return self._client
        # One thread connects, and the others wait for it no longer than they may.
        if not self._connecting.acquire(
            timeout=min(max(0, http_deadline.left()), threading.TIMEOUT_MAX)
        ):
            raise TimeoutError
        try:
            with self._lock:
                if self._client is not None and docker == self._docker:
                    return self._client
            client = self._connect(docker)
            with self._lock:
                # Meanwhile another engine may have been named.
                if docker == self._docker:
                    self._client = client
            return client
        finally:
            self._connecting.release()

    def _connect(self, docker: Docker) -> APIClient:
        _knock(docker)
        # Asked for its version, the SDK's constructor would go by the environment's proxy.
        try:
            version = _made(docker, MINIMUM_DOCKER_API_VERSION).version(api_version=False)
        except APIError as error:
            raise DockerException(_said(error)) from None
        return _made(docker, version["ApiVersion"])

    def _disconnect(self, client: APIClient | None) -> None:
        # Another engine, or another version of it, may answer next time.
        with self._lock:
            if self._client is client:
                self._client = None

    def running(self) -> list[Container]:
        """List the running containers, in one request, and in one more for each that is new.

        The list does not tell when a container was started, nor which is its first process. So it
        is looked at when it is first seen, and when that process is there no more.
        """
        result = [self._whole(entry) for entry in self._list()]
        ids = {c.id for c in result}
        with self._lock:
            self._looked = {id_: seen for id_, seen in self._looked.items() if id_ in ids}
            images = {seen.image for seen in self._looked.values()}
            self._of_image = {id_: of for id_, of in self._of_image.items() if id_ in images}
        return result

    def managed(self) -> list[tuple[Container, str]]:
        """List the managed containers, stopped ones too, each with its state ('running', …)."""
        listed = self._list(all=True, filters={"label": MANAGED})
        whole = [(self._whole(entry), entry.state) for entry in listed]
        return [(container, state) for container, state in whole if container.managed]

    def _list(self, **options: object) -> list[_Listed]:
        return self._call(
            "containers cannot be listed",
            lambda client: msgspec.convert(client.containers(**options), list[_Listed]),
        )

    def _whole(self, entry: _Listed) -> Container:
        """Complete what the list tells of a container by what an inspection does."""
        looked = self._looked.get(entry.id)
        started_ns = self._started_ns(looked) if looked else None
        if started_ns is None:
            try:
                now = self.inspect(entry.id)
            except UnreachableError:
                raise
            except EngineError as error:
                # Gone, or broken: the others are listed all the same.
                _log.info("%s", error)
            else:
                return replace(now.container, name=_name(entry.names, entry.id))
        labels = entry.labels or {}
        return Container(
            id=entry.id,
            name=_name(entry.names, entry.id),
            image=looked.config.image if looked else entry.image,
            labels=labels,
            started_at=looked.state.started_at.timestamp() if looked else entry.created,
            pid=looked.state.pid if looked and started_ns is not None else 0,
            started_ns=started_ns,
            restarts=looked.restart_count if looked else 0,
            health=_listed_health(entry.status),
            image_labels=self._image_labels(looked.image, labels) if looked else None,
            volumes_at_stake=looked is not None and looked.volumes_at_stake,
        )

    def _started_ns(self, looked: _Looked) -> int | None:
        return first_process.start_ns(looked.state.pid, looked.id, self._proc)

    def _image_labels(self, image_id: str, labels: dict[str, str]) -> dict[str, str] | None:
        """Tell the labels that an image gives its containers; None where they cannot be had.

        Only a container that has the label so1.managed gives a reason to ask.
        """
        if MANAGED not in labels:
            return {}
        with self._lock:
            known = self._of_image.get(image_id)
        if known is None:
            try:
                image = self._call(
                    f"image {image_id} cannot be looked at",
                    lambda client: msgspec.convert(client.inspect_image(image_id), _Image),
                )
            except UnreachableError:
                raise
            except EngineError as error:
                _log.info("%s", error)
                return None
            known = (image.config and image.config.labels) or {}
            with self._lock:
                self._of_image[image_id] = known
        return known

    def inspect(self, container_id: str) -> Inspected:
        """Look at one container; raises NotFoundError where it is gone."""

        def ask(client: APIClient) -> tuple[dict[str, Any], _Looked]:
            raw = client.inspect_container(container_id)
            return raw, msgspec.convert(raw, _Looked)

        raw, looked = self._call(f"container {container_id[:12]} cannot be looked at", ask)
        with self._lock:
            self._looked[looked.id] = looked
        labels = looked.config.labels or {}
        return Inspected(
            id=looked.id,
            image=looked.config.image,
            image_id=looked.image,
            running=looked.state.running,
            started_at=looked.state.started_at.timestamp(),
            labels=labels,
            auto_remove=looked.host_config.auto_remove,
            volumes=looked.volumes,
            raw=raw,
            name=_name([looked.name], looked.id),
            pid=looked.state.pid,
            started_ns=self._started_ns(looked),
            restarts=looked.restart_count,
            health=_health(looked.state),
            stop_timeout=looked.config.stop_timeout,
            restarting=looked.host_config.restart_policy.name,
            status=looked.state.status,
            image_labels=self._image_labels(looked.image, labels),
        )

    def changes(self, container_id: str) -> list[str]:
        """List what a container wrote into its own layer, by path; raises EngineError."""
        changes = self._call(
            f"the files of container {container_id[:12]} cannot be listed",
            lambda client: msgspec.convert(client.diff(container_id) or [], list[_Change]),
        )
        return sorted(change.path for change in changes if change.kind != _DELETED)

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
        """Stop a container: its stop signal, after `patience` seconds SIGKILL.

        A negative patience, which Docker has for «no SIGKILL ever», is waited for as long as the
        longest that the configuration may grant.
        """
        self._call(
            f"container {container_id[:12]} cannot be stopped",
            # What is negative, the SDK would take from its own time limit; the engine knows it.
            lambda client: client.stop(container_id, timeout=patience if patience >= 0 else None),
            limit=(patience if patience >= 0 else _LONGEST_STOP) + self._docker.timeout,
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

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name."""
        self._call(
            f"container {container_id[:12]} cannot be called {name}",
            lambda client: client.rename(container_id, name),
        )

    def set_restart(self, container_id: str, policy: dict[str, Any]) -> None:
        """Give a container another restart policy, as the engine writes them."""
        self._call(
            f"container {container_id[:12]} cannot be given its restart policy",
            lambda client: client.update_container(container_id, restart_policy=policy),
        )

    def start(self, container_id: str) -> None:
        """Start a container; one that runs is fine."""
        self._call(
            f"container {container_id[:12]} cannot be started",
            lambda client: client.start(container_id),
            limit=max(_LONGEST_START, self._docker.timeout),
        )

    def create(self, name: str, body: dict[str, Any]) -> str:
        """Create a container from the engine's own words, and start nothing; gives its id."""
        created: str = self._call(
            f"container {name} cannot be created",
            lambda client: client.create_container_from_config(body, name)["Id"],
        )
        return created

    def connect(self, container_id: str, network: str, endpoint: dict[str, Any]) -> None:
        """Connect a container to one more network, as the engine's endpoint settings say."""

        def ask(client: APIClient) -> None:
            # The SDK's own method knows some of the settings only.
            name = quote(network, safe="")
            answer = client.post(
                f"{client.base_url}/v{client.api_version}/networks/{name}/connect",
                json={"Container": container_id, "EndpointConfig": endpoint},
                timeout=self._docker.timeout,
            )
            client._raise_for_status(answer)

        self._call(f"container {container_id[:12]} cannot be connected to {network}", ask)

    def layer_bytes(self, container_id: str) -> int:
        """Tell how many bytes a container has written into its own layer; takes its time."""

        def ask(client: APIClient) -> _Sized:
            answer = client.get(
                f"{client.base_url}/v{client.api_version}/containers/{container_id}/json",
                params={"size": "1"},
                timeout=self._docker.timeout,
            )
            client._raise_for_status(answer)
            return msgspec.convert(answer.json(), _Sized)

        return self._call(f"container {container_id[:12]} cannot be measured", ask).size_rw

    def data_root(self) -> Path | None:
        """Tell where the engine keeps its data on this host; None where it is on another."""
        if not self._docker.host.startswith("unix://"):
            return None
        return Path(
            self._call(
                "the engine does not tell where its data are",
                lambda client: msgspec.convert(client.info(), _Info),
            ).docker_root_dir
        )

    def events(self, since_ns: int, seconds: int) -> Iterator[Happened]:
        """Give what happened to containers since then, and what does for so many seconds.

        Each comes as soon as it happens; since_ns is Unix epoch nanoseconds. The engine remembers
        some hundreds of events at most. Raises EngineError, also where it does not end the stream
        in its time.
        """
        what = "events cannot be followed"
        ends = time.monotonic() + seconds + self._docker.timeout

        def ask(client: APIClient) -> tuple[APIClient, requests.Response]:
            answer: requests.Response = client.get(
                f"{client.base_url}/v{client.api_version}/events",
                params={
                    "since": f"{since_ns // 10**9}.{since_ns % 10**9:09d}",
                    "until": f"{time.time() + seconds:.3f}",
                    "filters": '{"type":["container"]}',
                },
                timeout=seconds + self._docker.timeout,
                stream=True,
            )
            return client, answer

        def follow(client: APIClient) -> Happened | None:  # noqa: ARG001 - the answer is its own
            return _happened(next(lines, b""))

        client, answer = self._call(what, ask, seconds + self._docker.timeout)
        with answer:
            lines = answer.iter_lines()
            while happened := self._call(what, follow, max(0.001, ends - time.monotonic()), client):
                yield happened

    def pull(self, image: str) -> None:
        """Pull an image; the time limit holds for each message about its progress."""
        limit = max(60.0, self._docker.timeout)

        def ask(client: APIClient) -> None:
            # The SDK's own pull() has no time limit.
            name, tag = _tagged(image)
            answer = client.post(
                f"{client.base_url}/v{client.api_version}/images/create",
                params={"fromImage": name, "tag": tag},
                timeout=limit,
                stream=True,
            )
            with answer:
                for line in answer.iter_lines():
                    http_deadline.extend(limit)
                    message = msgspec.json.decode(line) if line else {}
                    if said := message.get("error") or message.get("message"):
                        raise EngineError(f"image {image} cannot be pulled: {_one_line(said)}")

        self._call(f"image {image} cannot be pulled", ask, limit)

    def run(self, name: str, image: str, command: list[str], options: dict[str, Any]) -> str:
        """Create a container from `options`, the engine's own names, and start it; gives its id.

        One that cannot be started, or not in time, is removed again.
        """
        body = {**options, "Image": image, "Cmd": command}
        created: str = self._call(
            f"container {name} cannot be created",
            lambda client: client.create_container_from_config(body, name)["Id"],
        )
        try:
            self._call(f"container {name} cannot be started", lambda client: client.start(created))
        except EngineError:
            # Started too late, it may run by now. Why it could not be started is what matters.
            try:
                self._call(
                    f"container {name} cannot be removed again",
                    lambda client: client.remove_container(created, force=True, v=False),
                )
            except NotFoundError:
                pass
            except EngineError as left:
                _log.warning("%s", left)
            raise
        return created


def _name(names: Iterable[str] | None, container_id: str) -> str:
    """Give a container's own name; one with an inner slash is what a legacy link calls it."""
    own = [name.removeprefix("/") for name in names or ()]
    return next((name for name in own if name and "/" not in name), container_id[:12])


def _happened(line: bytes) -> Happened | None:
    """Read a line of the event stream; None at its end."""
    if not line:
        return None
    event = msgspec.json.decode(line, type=_Event)
    known = event.actor.attributes
    return Happened(
        action=event.action,
        container_id=event.actor.id,
        name=known.get("name", event.actor.id[:12]),
        image=known.get("image", ""),
        time_ns=event.time_nano,
        exit_code=_number(known.get("exitCode", "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _listed_health(status: str) -> str | None:
    """Find what a health check says in the list's own words: «Up 5 minutes (healthy)»."""
    said = status.rpartition("(")[2].removesuffix(")").removeprefix("health: ")
    return said if said in ("healthy", "unhealthy", "starting") else None


def _health(state: _State) -> str | None:
    status = state.health.status if state.health else ""
    return None if status in ("", "none") else status


def _made(docker: Docker, version: str) -> APIClient:
    client = APIClient(docker.host, version=version, timeout=docker.timeout)
    # No proxy and no .netrc stands between us and it; looking takes time.
    client.trust_env = False
    if docker.host.startswith("unix://"):
        path = docker.host.removeprefix("unix://")
        client.mount("http+docker://", http_deadline.UnixAdapter(path, docker.timeout))
    else:
        client.mount("http://", http_deadline.TcpAdapter())
    return client


def _knock(docker: Docker) -> None:
    """Raise OSError where nothing listens; the SDK would leave a socket open over it."""
    path = docker.host.removeprefix("unix://")
    if path != docker.host:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(docker.timeout)
            door.connect(path)


def _unreachable(error: BaseException, docker: Docker) -> UnreachableError:
    host = docker.host
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, requests.Timeout | TimeoutError):
            return UnreachableError(
                f"{host} did not answer within {docker.timeout:g} s",
                "look at the Docker service, or raise docker.timeout",
            )
        number = getattr(cause, "errno", None)
        if number in (errno.EACCES, errno.EPERM):
            return UnreachableError(
                f"{host} may not be used", "be root or a member of the group docker"
            )
        if number in (errno.ENOENT, errno.ECONNREFUSED):
            return UnreachableError(
                f"nothing listens on {host}",
                "start the Docker service, or set docker.host in the configuration",
            )
    if any(isinstance(cause, _CUT) for cause in causes):
        return UnreachableError(
            f"{host} ended in the middle of an answer",
            "the Docker service may have stopped or been restarted",
        )
    return UnreachableError(f"{host} cannot be used: {_short(causes[-1])}")


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
