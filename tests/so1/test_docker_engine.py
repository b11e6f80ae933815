# SPDX-License-Identifier: MIT
"""What becomes of an engine that is not there, slow, or no engine at all."""

import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from docker.errors import APIError, NotFound

from so1.config import Docker
from so1.docker_engine import Engine, EngineError, NotFoundError, UnreachableError, _tagged
from tests.so1.registry import Registry
from tests.support import cgroups
from tests.support.docker_engine import IMAGE, OTHER_IMAGE, LiveEngine


@contextmanager
def server(path: Path, answer: bytes | None) -> Iterator[str]:
    """Listen on a socket; answer each request so, or for None never."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        open_connections = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_connections.append(connection)
                if answer is not None:
                    # Who only looks whether somebody listens does not wait for an answer.
                    with connection, suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in open_connections:
            connection.close()


def fails(host: str, timeout: float = 5) -> str:
    with pytest.raises(EngineError) as caught:
        Engine(Docker(host=host, timeout=timeout)).running()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


def test_not_there(tmp_path: Path) -> None:
    assert "start the Docker service" in fails(f"unix://{tmp_path}/absent")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    assert "start the Docker service" in fails(f"unix://{tmp_path}/s")


def test_no_answer_in_time(tmp_path: Path) -> None:
    with server(tmp_path / "s", None) as host:
        assert "did not answer within 0.2 s" in fails(host, timeout=0.2)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}',
        b'HTTP/1.1 500 No\r\nContent-Length: 17\r\n\r\n{"message": "no"}',
    ],
)
def test_not_an_engine(tmp_path: Path, answer: bytes) -> None:
    with server(tmp_path / "s", answer) as host:
        assert host in fails(host)


@pytest.mark.root  # only root can become another user
def test_not_allowed(tmp_path: Path) -> None:
    with server(tmp_path / "s", None) as host:
        (tmp_path / "s").chmod(0o600)
        for folder in (tmp_path, *tmp_path.parents[:3]):
            folder.chmod(folder.stat().st_mode | 0o011)
        (tmp_path / "config.toml").write_text(f'[docker]\nhost = "{host}"\n')
        program = (
            "import os\nfrom so1.cli import main\n"
            "from so1.commands import plan\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"main(['--config', {str(tmp_path / 'config.toml')!r}, 'plan', '--over', '0'])"
        )
        (tmp_path / "config.toml").chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "group docker" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("alpine", ("alpine", "latest")),
        ("alpine:3", ("alpine", "3")),
        ("host:5000/alpine", ("host:5000/alpine", "latest")),
        ("host:5000/alpine:3", ("host:5000/alpine", "3")),
        ("alpine@sha256:ab", ("alpine", "sha256:ab")),
    ],
)
def test_an_image_is_pulled_by_one_tag(image: str, parts: tuple[str, str]) -> None:
    assert _tagged(image) == parts


class Client:
    """Docker's client for one container, the tag of whose image has moved."""

    def __init__(self, error: Exception | None = None) -> None:
        self.listed = [{"Id": "a", "Image": "sha256:1", "Created": 1}]
        self.looks = 0
        self._error = error

    def containers(self) -> list[dict[str, object]]:
        return self.listed

    def inspect_container(self, container_id: str) -> dict[str, object]:
        self.looks += 1
        if self._error:
            raise self._error
        return {
            "Id": container_id,
            "Image": "sha256:1",
            "State": {"Running": True, "StartedAt": "2026-01-01T00:00:00Z", "Pid": 7},
            "Config": {"Image": "alpine"},
            "HostConfig": {},
        }


def asking(client: Client, proc: Path = Path("/proc")) -> Engine:
    engine = Engine(Docker(), proc)
    engine._client = client
    return engine


def test_an_image_keeps_its_name_when_its_tag_moves(tmp_path: Path) -> None:
    cgroups.process(tmp_path, 7, "/docker/a")
    client = Client()
    engine = asking(client, tmp_path)
    for _ in range(3):
        assert [c.image for c in engine.running()] == ["alpine"]
    assert client.looks == 1
    # Of one that is gone nothing is kept.
    listed, client.listed = client.listed, []
    assert engine.running() == []
    client.listed = listed
    engine.running()
    assert client.looks == 2


@pytest.mark.parametrize("error", [NotFound("gone"), APIError("broken")])
def test_an_image_whose_name_cannot_be_had_is_left_as_listed(error: Exception) -> None:
    assert [c.image for c in asking(Client(error)).running()] == ["sha256:1"]


def test_an_engine_that_falls_silent_at_an_image_is_not_asked_on() -> None:
    with pytest.raises(UnreachableError):
        asking(Client(requests.Timeout())).running()


def test_a_call_ends_in_time_however_its_answer_trickles(tmp_path: Path) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        over = threading.Event()

        def trickle() -> None:
            listener.accept()[0].close()  # who looks whether somebody listens
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                for byte in answer:
                    connection.sendall(bytes([byte]))
                    if over.wait(0.2):
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        began = time.monotonic()
        assert "did not answer within 0.5 s" in fails(f"unix://{tmp_path}/s", timeout=0.5)
        took = time.monotonic() - began
        over.set()
        thread.join()
    # Byte by byte it would take 13 s.
    assert took < 5


VERSION = (
    b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}'
)
EVENT = b'{"Action": "start", "Actor": {"ID": "a", "Attributes": {"name": "c"}}, "timeNano": 1}\r\n'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = CHUNKED + f"{len(EVENT):x}\r\n".encode() + EVENT + b"\r\n"


class Versed(http.server.BaseHTTPRequestHandler):
    """An engine that tells its version, and answers all else as a test wants it."""

    answer = b""

    def do_GET(self) -> None:
        self.wfile.write(VERSION if self.path.endswith("/version") else self.answer)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def versed(answer: bytes) -> Iterator[str]:
    handler = type("Answering", (Versed,), {"answer": answer})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        CHUNK,
        CHUNK + b"40",
        CHUNK + b'40\r\n{"Act',
        CHUNKED + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + EVENT,
    ],
)
def test_a_stream_that_is_cut_off_is_said_in_a_sentence(answer: bytes) -> None:
    with versed(answer) as host:
        engine = Engine(Docker(host=host, timeout=5))
        with pytest.raises(UnreachableError) as caught:
            list(engine.events(0, 1))
    assert str(caught.value) == (
        f"{host} ended in the middle of an answer; the Docker service may have stopped or"
        " been restarted"
    )


def test_half_a_line_of_the_stream_is_not_docker_s() -> None:
    with versed(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + EVENT[:20]) as host:
        engine = Engine(Docker(host=host, timeout=5))
        with pytest.raises(EngineError, match=r"what tcp.* answers is not Docker's \("):
            list(engine.events(0, 1))


def test_another_engine_may_be_named_while_one_that_hangs_is_called(tmp_path: Path) -> None:
    hung, said = [], []
    with server(tmp_path / "s", None) as host, versed(b"") as other:
        engine = Engine(Docker(host=host, timeout=3))

        def ask() -> None:
            try:
                engine.running()
            except EngineError as error:
                hung.append(str(error))

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        time.sleep(0.5)
        # A reload does this in the thread that takes the samples.
        began = time.monotonic()
        engine.reconfigure(Docker(host=other, timeout=3))
        took = time.monotonic() - began
        for thread in asking:
            thread.join()
        try:
            engine.running()
        except EngineError as error:
            said.append(str(error))
    assert took < 1
    # What was asked of the one before is told of it, and whoever waited its turn asks the other.
    assert f"{host} did not answer within 3 s; look at the Docker service, or raise" in hung[0]
    assert said[0].startswith(f"{other} ended in the middle of an answer")


def test_one_thread_s_failure_takes_no_stream_from_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with versed(CHUNK + b"0\r\n\r\n") as host:
        engine = Engine(Docker(host=host, timeout=5))
        stream = engine.events(0, 1)
        assert next(stream).action == "start"
        # Another thread's connection broke, and the engine takes no new one.
        engine._client = None
        monkeypatch.setattr(engine, "_connect", lambda _: pytest.fail("it connects anew"))
        assert list(stream) == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    asked: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.encode())
            answer = b'{"ApiVersion": "1.41"}' if self.path == "/version" else b"[]"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as engine:
        thread = threading.Thread(target=engine.serve_forever)
        thread.start()
        # Nothing listens there: who asked it would fail.
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
        try:
            assert Engine(Docker(host=f"tcp://127.0.0.1:{engine.server_port}")).running() == []
        finally:
            engine.shutdown()
            thread.join()
    assert asked[0] == b"/version"
    assert all(path.startswith(b"/") for path in asked)


class Starting:
    """Docker's client, whose engine starts a container too slowly."""

    def __init__(self, left: Exception | None = None) -> None:
        self.removed: list[tuple[str, bool, bool]] = []
        self._left = left

    def create_container_from_config(self, _body: object, _name: str) -> dict[str, str]:
        return {"Id": "a"}

    def start(self, _id: str) -> None:
        raise requests.Timeout

    def remove_container(self, container_id: str, *, force: bool, v: bool) -> None:
        self.removed.append((container_id, force, v))
        if self._left:
            raise self._left


@pytest.mark.parametrize("left", [None, APIError("it is running"), NotFound("gone")])
def test_why_one_does_not_start_is_said_whatever_becomes_of_it(
    monkeypatch: pytest.MonkeyPatch, left: Exception | None
) -> None:
    client = Starting(left)
    engine = Engine(Docker())
    monkeypatch.setattr(engine, "_connected", lambda _: client)
    with pytest.raises(UnreachableError, match="did not answer within 5 s"):
        engine.run("web", "alpine", [], {})
    # By now it may run.
    assert client.removed == [("a", True, False)]


def test_a_name_with_an_inner_slash_is_a_links(tmp_path: Path) -> None:
    client = Client()
    client.listed = [
        {"Id": "a", "Names": names, "Image": "alpine", "Created": 1}
        for names in (["/app/db", "/web-db"], ["/web-db", "/app/db"], ["/app/db"], [], None)
    ]
    names = [c.name for c in asking(client, tmp_path).running()]
    assert names == ["web-db", "web-db", "a", "a", "a"]


class Imaged(Client):
    """One whose container has labels, and an image with some."""

    def __init__(self, image: dict[str, object] | Exception) -> None:
        super().__init__()
        labels = {"so1.managed": "true"}
        self.listed = [{"Id": "a", "Image": "alpine", "Created": 1, "Labels": labels}]
        self.image = image
        self.asked = 0

    def inspect_container(self, container_id: str) -> dict[str, object]:
        found = super().inspect_container(container_id)
        found["Config"] = {"Image": "alpine", "Labels": {"so1.managed": "true"}}
        return found

    def inspect_image(self, _image: str) -> dict[str, object]:
        self.asked += 1
        if isinstance(self.image, Exception):
            raise self.image
        return self.image


@pytest.mark.parametrize(
    ("image", "managed"),
    [
        ({"Config": {"Labels": {"so1.managed": "true"}}}, False),
        ({"Config": {"Labels": None}}, True),
        ({"Config": None}, True),
        ({}, True),
        ({"Config": {"Labels": "odd"}}, False),
        (NotFound("gone"), False),
        (APIError("broken"), False),
    ],
)
def test_whose_label_it_is_shows_in_the_image(
    tmp_path: Path, image: dict[str, object] | Exception, *, managed: bool
) -> None:
    cgroups.process(tmp_path, 7, "/docker/a")
    client = Imaged(image)
    engine = asking(client, tmp_path)
    for _ in range(3):
        (found,) = engine.running()
        assert found.managed == managed
        assert (found.image_labels is None) == (
            managed is False and "no consent" not in str(found.odd_labels)
        )
    assert engine.inspect("a").container.managed == managed
    # What an image says stays as it is; what it did not say is asked again.
    known = isinstance(image, dict) and image.get("Config") != {"Labels": "odd"}
    assert (client.asked == 1) == known


@pytest.mark.engine
class TestLive:
    """Against a Docker Engine that the run starts itself."""

    def test_running(self, engine: LiveEngine) -> None:
        before = time.time()
        id_ = engine.managed("web", "high")
        engine.docker("create", "--name", "never-started", IMAGE)
        (found,) = Engine(engine.settings).running()
        assert (found.id, found.name, found.image) == (id_, "web", IMAGE)
        assert found.labels == {"so1.managed": "true", "so1.class": "high"}
        assert found.managed
        assert int(before) <= found.started_at <= time.time()

    def test_a_later_start_is_known_by_its_first_process(self, engine: LiveEngine) -> None:
        id_ = engine.start("web")
        ours = Engine(engine.settings)
        (before,) = ours.running()
        assert before.pid == engine.inspect(id_)["State"]["Pid"]
        assert (before.started_ns or 0) > 0
        time.sleep(1.1)
        engine.docker("restart", "web")
        (after,) = ours.running()
        seen = ours.inspect(id_)
        assert (after.pid, after.started_ns) == (seen.pid, seen.started_ns)
        assert (after.started_ns or 0) > (before.started_ns or 0) + 10**9
        assert (after.restarts, seen.stop_timeout) == (0, None)

    def test_an_image_keeps_its_name_when_its_tag_moves(self, engine: LiveEngine) -> None:
        engine.docker("tag", IMAGE, "moves/alpine")
        engine.docker("run", "--detach", "--network", "none", "--name", "web", "moves/alpine")
        engine.docker("tag", OTHER_IMAGE, "moves/alpine")
        ours = Engine(engine.settings)
        assert engine.docker("ps", "--format", "{{.Image}}").stdout.strip() != "moves/alpine"
        assert [c.image for c in ours.running()] == ["moves/alpine"]
        engine.docker("rmi", "moves/alpine")
        assert [c.image for c in ours.running()] == ["moves/alpine"]

    def test_a_label_that_a_commit_copied_is_no_consent(self, engine: LiveEngine) -> None:
        engine.managed("first", "high")
        engine.docker("commit", "first", "so1-lab/committed")
        try:
            engine.docker(
                "run", "--detach", "--network", "none", "--name", "copy", "so1-lab/committed"
            )
            ours = Engine(engine.settings)
            assert {c.name: c.managed for c in ours.running()} == {"first": True, "copy": False}
            assert [c.name for c, _ in ours.managed()] == ["first"]
            assert not ours.inspect("copy").container.managed
        finally:
            engine.docker("rm", "--force", "copy", check=False)
            engine.docker("rmi", "so1-lab/committed")

    def test_what_it_wrote_into_its_own_layer(self, engine: LiveEngine) -> None:
        id_ = engine.start("web", command="echo x >/own; mkdir /folder; rm /bin/id; sleep 600")
        ours = Engine(engine.settings)
        deadline = time.monotonic() + 30
        while not {"/own", "/folder"} <= set(ours.changes(id_)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "/bin/id" not in ours.changes(id_)

    def test_managed_lists_stopped_ones_and_no_others(self, engine: LiveEngine) -> None:
        engine.managed("runs")
        engine.managed("ended", command="exit")
        engine.start("web")
        engine.start("like", labels={"so1.managed": "truely"})
        engine.docker("wait", "ended")
        found = {c.name: state for c, state in Engine(engine.settings).managed()}
        assert found == {"runs": "running", "ended": "exited"}

    def test_stop_and_remove_keep_the_volumes(self, engine: LiveEngine) -> None:
        id_ = engine.start("web", "--volume=data:/data", "--volume=/anonymous")
        ours = Engine(engine.settings)
        volumes = set(engine.docker("volume", "ls", "-q").stdout.split())
        looked = ours.inspect(id_)
        assert set(looked.volumes) == volumes
        assert set(looked.anonymous_volumes) == volumes - {"data"}
        ours.stop(id_, 1)
        ours.remove(id_)
        ours.remove(id_)
        assert set(engine.docker("volume", "ls", "-q").stdout.split()) == volumes
        with pytest.raises(NotFoundError, match="No such container"):
            ours.inspect(id_)

    def test_a_running_one_is_not_removed(self, engine: LiveEngine) -> None:
        id_ = engine.start("web")
        with pytest.raises(EngineError, match="running container"):
            Engine(engine.settings).remove(id_)
        assert engine.names() == {"web"}

    def test_one_that_cannot_be_started_leaves_nothing(self, engine: LiveEngine) -> None:
        ours = Engine(engine.settings)
        with pytest.raises(EngineError, match=r"web cannot be started: .*absent"):
            ours.run("web", IMAGE, ["/absent"], {"HostConfig": {"NetworkMode": "none"}})
        assert engine.names("-a") == set()

    def test_an_image_that_cannot_be_had(self, engine: LiveEngine) -> None:
        ours = Engine(engine.settings)
        assert ours.inspect_image("so1-lab/absent") is None
        # A name that no registry answers to: nothing listens on that port.
        with pytest.raises(EngineError, match=r"image 127\.0\.0\.1:1/absent cannot be pulled"):
            ours.pull("127.0.0.1:1/absent")

    @pytest.mark.parametrize("which", ["", ":1.0", "@digest"])
    def test_an_image_from_elsewhere_is_pulled(
        self, engine: LiveEngine, registry: Registry, which: str
    ) -> None:
        which = which.replace("digest", registry.digest)
        image = f"{registry.address}/so1-lab/alpine{which}"
        ours = Engine(engine.settings)
        assert ours.inspect_image(image) is None
        ours.pull(image)
        assert (ours.inspect_image(image) or {})["Id"] == registry.image
        first, *_ = (path for path in registry.asked if "/manifests/" in path)
        assert first == f"/v2/so1-lab/alpine/manifests/{which[1:] or 'latest'}"
        # It is whole.
        id_ = ours.run("web", image, ["sleep", "600"], {"HostConfig": {"NetworkMode": "none"}})
        assert ours.inspect(id_).image == image
        assert engine.names() == {"web"}

    def test_a_tag_that_the_registry_does_not_have(
        self, engine: LiveEngine, registry: Registry
    ) -> None:
        with pytest.raises(
            EngineError, match=r"alpine:absent cannot be pulled: .*manifest unknown"
        ):
            Engine(engine.settings).pull(f"{registry.address}/so1-lab/alpine:absent")

    def test_it_is_found_again(self, engine: LiveEngine) -> None:
        ours = Engine(Docker(host=engine.host, timeout=1))
        assert ours.running() == []
        with engine.paused(), pytest.raises(EngineError, match="did not answer within 1 s"):
            ours.running()
        assert ours.running() == []


FIRST_USE = """
import sys, threading
import msgspec
from so1.docker_engine import _Looked

sys.setswitchinterval(1e-6)
raw = {
    "Id": "a",
    "Image": "b",
    "State": {"Running": True, "StartedAt": "2026-01-01T00:00:00Z"},
    "Config": {"Image": "c", "Labels": {}},
    "HostConfig": {"AutoRemove": False},
}
barrier = threading.Barrier(8)

def look():
    barrier.wait()
    msgspec.convert(raw, _Looked)

threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_answers_may_come_to_several_threads_at_once() -> None:
    # Types that were not learnt before crash the process in about one run of five.
    for _ in range(12):
        done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
