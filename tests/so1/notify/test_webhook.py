# SPDX-License-Identifier: MIT
"""A message to a real HTTP server on loopback."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from so1.config import Format
from so1.notify.error import NotSentError
from so1.notify.message import Item, Message, make
from so1.notify.webhook import post, target
from tests.so1.notify.receiver import Receiver, receiving

HOSTILE = "web\\x0d\\x0aX-Evil: 1"
FORMATS: tuple[Format, ...] = ("json", "slack", "ntfy")


@pytest.fixture
def message() -> Message:
    item = Item(id=7, timestamp=7000, kind="remove", outcome="done", container_name=HOSTILE)
    return make("web-1", 100.0, [item], 0, 7)


@pytest.mark.parametrize("wanted", FORMATS)
def test_it_arrives(receiver: Receiver, tmp_path: Path, message: Message, wanted: Format) -> None:
    post(target(receiver.secret(tmp_path)), message, wanted)
    (request,) = receiver.requests
    assert request.path == "/hooks/s3cret"
    assert request.headers["idempotency-key"] == message.id
    assert HOSTILE.replace("\\", "\\\\" if wanted != "ntfy" else "\\") in request.body.decode()
    # Nothing of an event is in a header.
    assert "evil" not in str(request.headers).lower()
    assert set(request.headers) <= {
        *("host", "accept-encoding", "content-length", "content-type"),
        *("idempotency-key", "user-agent", "title"),
    }


def test_a_token_is_sent(receiver: Receiver, tmp_path: Path, message: Message) -> None:
    post(target(receiver.secret(tmp_path, "tk_123")), message, "json")
    assert receiver.requests[0].headers["authorization"] == "Bearer tk_123"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
def test_any_other_status_is_not_sent(
    receiver: Receiver, tmp_path: Path, message: Message, status: int
) -> None:
    receiver.answer = lambda _: status
    with pytest.raises(NotSentError, match=f"answered {status}") as raised:
        post(target(receiver.secret(tmp_path)), message, "json")
    assert len(receiver.requests) == 1, "a redirect is not followed"
    assert "s3cret" not in str(raised.value)


def test_nobody_listens(receiver: Receiver, tmp_path: Path, message: Message) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        secret = receiver.secret(tmp_path)
        secret.write_text(f"http://127.0.0.1:{unused.getsockname()[1]}/s3cret")
        with pytest.raises(NotSentError, match=r"cannot be reached: .*refused") as raised:
            post(target(secret), message, "json")
    assert "s3cret" not in str(raised.value)


@contextlib.contextmanager
def slow(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen with something that is no good server; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connected, _ = listening.accept()
            with connected, contextlib.suppress(OSError):
                answer(connected)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def dribble(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 ")
    for _ in range(2_000):
        connected.sendall(b"2")
        time.sleep(0.05)


def silent(connected: socket.socket) -> None:
    while connected.recv(1 << 16):
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [dribble, silent])
def test_all_of_it_has_one_deadline(
    tmp_path: Path, message: Message, scheme: str, answer: Callable[[socket.socket], None]
) -> None:
    secret = tmp_path / "secret"
    with slow(answer) as port:
        secret.write_text(f"{scheme}://127.0.0.1:{port}/")
        began = time.monotonic()
        with pytest.raises(NotSentError):
            post(target(secret), message, "json", 0.5)
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 \xff\xff\r\n", b"\0" * 70_000]
)
def test_what_speaks_no_http(tmp_path: Path, message: Message, answer: bytes) -> None:
    def speak(connected: socket.socket) -> None:
        connected.recv(1 << 16)
        connected.sendall(answer)

    secret = tmp_path / "secret"
    with slow(speak) as port:
        secret.write_text(f"http://127.0.0.1:{port}/")
        with pytest.raises(NotSentError, match="cannot be reached") as raised:
            post(target(secret), message, "json", 2)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must have a URL"),
        ("ftp://host/x", "https:// or http://"),
        ("https://", "https:// or http://"),
        ("https://me:s3cret@host/", "without a user's name"),
        ("https://host:99999/s3cret", "no valid URL"),
        ("https://[half/s3cret", "no valid URL"),
        ("https://host/s3cret x", "must have a URL"),
        ("https://host/s3cret\nto ken", "a token on line 2"),
        ("https://host/s3cret\ntoken\nmore", "a token on line 2"),
        ("https://host/s3cret\nto\x00ken", "a token on line 2"),
        ("https://höst/s3cret", "must have a URL"),
    ],
)
def test_a_secret_that_is_none(tmp_path: Path, text: str, complaint: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(text)
    with pytest.raises(NotSentError, match=complaint) as raised:
        target(secret)
    assert "s3cret" not in str(raised.value)


def test_no_secret(tmp_path: Path) -> None:
    with pytest.raises(NotSentError, match="cannot be read: No such file"):
        target(tmp_path / "absent")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(NotSentError, match="not text"):
        target(tmp_path / "bytes")


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "nobody.invalid"])
def test_a_host_that_there_is_not(tmp_path: Path, message: Message, host: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"http://{host}/s3cret")
    with pytest.raises(NotSentError, match="cannot be reached"):
        post(target(secret), message, "json", 5)


def test_a_query_is_part_of_the_path(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("https://[::1]:8443/a/b?key=s3cret#x\n")
    found = target(secret)
    assert (found.host, found.port, found.path) == ("::1", 8443, "/a/b?key=s3cret")
    secret.write_text("https://host")
    assert (target(secret).port, target(secret).path) == (443, "/")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", file, "-out", tmp_path / "c"),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (tmp_path / "c").read_text())
    return file


def test_a_certificate_is_verified(
    certificate: Path, tmp_path: Path, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    with receiving(certificate) as receiver:
        secret.write_text(f"https://localhost:{receiver.port}/hook")
        with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
            post(target(secret), message, "json")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        post(target(secret), message, "json")
        secret.write_text(f"https://127.0.0.1:{receiver.port}/hook")
        with pytest.raises(NotSentError, match=r"127\.0\.0\.1"):
            post(target(secret), message, "json")
        assert len(receiver.requests) == 1
