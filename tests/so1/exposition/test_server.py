# SPDX-License-Identifier: MIT
import base64
import contextlib
import gzip
import http.client
import itertools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import bcrypt
import pytest

from so1.config import Metrics
from so1.exposition import server as module
from so1.exposition.error import ServerError
from so1.exposition.server import Page, Server

PAGE = Page(b"so1_x 1\n", gzip.compress(b"so1_x 1\n"))
Serve = Callable[..., Server]


@pytest.fixture
def serve(port: int) -> Iterator[Serve]:
    with contextlib.ExitStack() as started:

        def start(page: Page | None = PAGE, **settings: Any) -> Server:
            chosen = Metrics(**{"enabled": True, "port": port} | settings)
            server = Server(chosen, lambda: page)
            started.callback(server.stop)
            return server

        yield start


def get(
    port: int,
    path: str = "/metrics",
    *,
    user: str | None = None,
    trust: Path | None = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    connection: http.client.HTTPConnection
    if trust:
        context = ssl.create_default_context(cafile=str(trust))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    if user:
        headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def test_the_page_as_it_is(serve: Serve, port: int) -> None:
    serve()
    status, body, headers = get(port)
    assert (status, body) == (200, PAGE.text)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["Server"].startswith("so1/")
    _, body, headers = get(port, headers={"Accept-Encoding": "gzip, deflate"})
    assert gzip.decompress(body) == PAGE.text
    assert headers["Content-Encoding"] == "gzip"


def test_everything_else_is_refused(serve: Serve, port: int) -> None:
    serve()
    assert get(port, "/")[0] == 404
    assert get(port, "/metrics/../etc/passwd")[0] == 404
    assert get(port, method="POST")[0] == 501


def test_before_the_first_tick(serve: Serve, port: int) -> None:
    serve(page=None)
    assert get(port)[0] == 503


def test_a_password(serve: Serve, port: int) -> None:
    hash_ = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    serve(users={"prometheus": hash_})
    status, body, headers = get(port)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="so1"')
    assert b"so1_x" not in body
    for wrong in ("prometheus:wrong", "prometheus:", "nobody:secret", ":", "prometheus", "a:" * 99):
        assert get(port, user=wrong)[0] == 401, wrong
    for header in ("Basic", "Basic \xff", "Bearer secret", "Basic !!!!"):
        assert get(port, headers={"Authorization": header})[0] == 401
    for _ in range(2):
        assert get(port, user="prometheus:secret")[0] == 200
    assert get(port, user="prometheus:secret ")[0] == 401
    assert get(port, "/other", user="prometheus:wrong")[0] == 401


def test_a_password_costs_its_hash_once(
    serve: Serve, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Mock(side_effect=bcrypt.checkpw)
    monkeypatch.setattr(bcrypt, "checkpw", check)
    serve(users={"p": bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()})
    for _ in range(3):
        assert get(port, user="p:x")[0] == 200
    assert check.call_count == 1


def test_tls(serve: Serve, port: int, certificate: Callable[[str], tuple[Path, Path]]) -> None:
    pem, key = certificate("so1")
    serve(tls_certificate=str(pem), tls_key=str(key))
    assert get(port, trust=pem)[:2] == (200, PAGE.text)
    with pytest.raises((http.client.HTTPException, OSError)):
        get(port)
    assert get(port, trust=pem)[0] == 200


def test_what_cannot_be_served_is_said(
    serve: Serve, port: int, tmp_path: Path, certificate: Callable[[str], tuple[Path, Path]]
) -> None:
    serve()
    with pytest.raises(ServerError, match=rf"127.0.0.1 port {port} \(Address already in use\)"):
        serve()
    with pytest.raises(ServerError, match="set metrics"):
        serve(address="192.0.2.1")
    with pytest.raises(ServerError, match="both must be PEM"):
        serve(tls_certificate=str(tmp_path / "no"), tls_key=str(tmp_path / "no"))
    with pytest.raises(ServerError, match="both must be PEM"):
        serve(tls_certificate=str(certificate("a")[0]), tls_key=str(certificate("b")[1]))


def test_ipv6(serve: Serve, port: int) -> None:
    if not Path("/proc/net/if_inet6").read_text():
        pytest.skip("this host has no IPv6: /proc/net/if_inet6 is empty")
    serve(address="::1")
    with socket.create_connection(("::1", port), timeout=30) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.0 200 OK"


def test_silent_connections_are_bounded_and_do_not_pile_up(serve: Serve, port: int) -> None:
    serve()
    before = threading.active_count()
    with contextlib.ExitStack() as opened:
        silent = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(50)
        ]
        # The last ones are closed at once instead of being waited for.
        assert silent[-1].recv(1) == b""
        assert threading.active_count() <= before + 2 * 8
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(port)[0] == 200:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def drip(connection: socket.socket, begun: bytes) -> None:
    """Send a byte now and then, without an end."""
    deadline = time.monotonic() + 60
    for byte in itertools.chain(begun, itertools.repeat(ord("x"))):
        assert time.monotonic() < deadline
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


@pytest.mark.parametrize("within", ["a request", "a request over TLS", "a handshake"])
def test_who_sends_a_byte_now_and_then_is_cut_off(
    serve: Serve,
    port: int,
    within: str,
    certificate: Callable[[str], tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    pem, key = ("", "") if within == "a request" else map(str, certificate("so1"))
    serve(tls_certificate=pem, tls_key=key)
    begun = b"GET /"
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        if within == "a request over TLS":
            trusting = ssl.create_default_context(cafile=pem)
            connection = trusting.wrap_socket(connection, server_hostname="127.0.0.1")
            opened.enter_context(connection)
        elif within == "a handshake":
            begun = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"  # a record of 16 KiB
        with pytest.raises((ConnectionError, ssl.SSLError)):
            drip(connection, begun)


def test_nonsense_harms_nobody(serve: Serve, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    serve()
    for sent in (b"\x16\x03\x01" + os.urandom(500), b"GET " + b"x" * 70_000, b"\r\n\r\n", b""):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
            contextlib.suppress(OSError),
        ):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
    assert get(port)[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_what_stopped_is_gone(port: int) -> None:
    server = Server(Metrics(enabled=True, port=port), lambda: PAGE)
    assert get(port)[0] == 200
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        get(port)
    Server(Metrics(enabled=True, port=port), lambda: PAGE).stop()
