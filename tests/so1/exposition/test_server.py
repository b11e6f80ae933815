# SPDX-License-Identifier: MIT
import base64
import contextlib
import gzip
import http.client
import itertools
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import bcrypt
import msgspec
import pytest

from so1.config import Metrics
from so1.exposition import server as module
from so1.exposition.error import ServerError
from so1.exposition.publisher import Publisher
from so1.exposition.server import Page, Passwords, Server

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
    users = {"p": bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()}
    server = serve(users=users)
    for _ in range(3):
        assert get(port, user="p:x")[0] == 200
    # A reload that changes no password forgets none.
    server.take(Metrics(enabled=True, port=port, top_processes=7, users=users))
    assert get(port, user="p:x")[0] == 200
    assert check.call_count == 1
    server.take(Metrics(enabled=True, port=port, users={"q": users["p"]}))
    assert get(port, user="p:x")[0] == 401


@pytest.mark.parametrize("costs", [(6, 6), (4, 8), (8, 4), (5, 7)])
def test_every_wrong_guess_costs_the_same(
    monkeypatch: pytest.MonkeyPatch, costs: tuple[int, int]
) -> None:
    users = {
        name: bcrypt.hashpw(b"x", bcrypt.gensalt(cost)).decode()
        for name, cost in zip("ab", costs, strict=True)
    }
    spent: list[int] = []
    compare = bcrypt.checkpw

    def counted(password: bytes, hash_: bytes) -> bool:
        spent.append(1 << int(hash_[4:6]))
        return compare(password, hash_)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    passwords = Passwords(users)
    for name in ("a", "b", "nobody", ""):
        spent.clear()
        assert not passwords.admit("Basic " + base64.b64encode(f"{name}:no".encode()).decode())
        assert sum(spent) == 1 << max(costs), name


def test_guesses_are_made_one_at_a_time_with_a_rest_and_the_known_do_not_wait(
    serve: Serve, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = threading.Event(), threading.Event()
    at_once = most = 0
    naps: list[float] = []

    def slow(password: bytes, _hash: bytes) -> bool:
        nonlocal at_once, most
        if password == b"right":
            return True
        at_once += 1
        most = max(most, at_once)
        began.set()
        ended.wait(30)
        at_once -= 1
        return False

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    monkeypatch.setattr("so1.exposition.server.time.sleep", naps.append)
    serve(users={"p": bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()})
    assert get(port, user="p:right")[0] == 200
    with ThreadPoolExecutor(7) as strangers:
        answers = [strangers.submit(get, port, user=f"p:wrong{n}") for n in range(7)]
        assert began.wait(30)
        # More of them than may wait are sent away at once, and the known are served.
        busy = [one.result()[0] for one in itertools.islice(as_completed(answers), 3)]
        assert get(port, user="p:right")[0] == 200
        ended.set()
    assert busy == [503] * 3
    assert sorted(one.result()[0] for one in answers) == [401] * 4 + [503] * 3
    assert most == 1
    assert len(naps) == 4


def test_head_is_answered_without_the_page(serve: Serve, port: int) -> None:
    serve()
    status, body, headers = get(port, method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(PAGE.text)))


@pytest.mark.parametrize("secured", [False, True])
def test_silent_connections_keep_nobody_waiting(
    serve: Serve, port: int, certificate: Callable[[str], tuple[Path, Path]], *, secured: bool
) -> None:
    pem, key = certificate("so1") if secured else ("", "")
    serve(tls_certificate=str(pem), tls_key=str(key))
    with contextlib.ExitStack() as opened:
        for _ in range(8):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        began = time.monotonic()
        assert get(port, trust=Path(pem) if pem else None)[0] == 200
        assert time.monotonic() - began < module._PATIENCE / 2


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
    for address in ("127.0.0..1", "a" * 64, "a b"):
        with pytest.raises(ServerError, match="set metrics"):
            serve(address=address)
    with pytest.raises(ServerError, match="both must be PEM"):
        serve(tls_certificate=str(tmp_path / "no"), tls_key=str(tmp_path / "no"))
    with pytest.raises(ServerError, match="both must be PEM"):
        serve(tls_certificate=str(certificate("a")[0]), tls_key=str(certificate("b")[1]))


def encrypt(key: Path) -> Path:
    """Give a copy of a key that needs a pass phrase."""
    locked = key.with_suffix(".locked")
    command = f"openssl ec -in {key} -aes256 -passout pass:x -out {locked}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return locked


def test_an_encrypted_key_is_refused_and_not_asked_for(
    serve: Serve, certificate: Callable[[str], tuple[Path, Path]]
) -> None:
    pem, key = certificate("so1")
    with pytest.raises(ServerError, match="the key is encrypted"):
        serve(tls_certificate=str(pem), tls_key=str(encrypt(key)))


def test_what_cannot_be_served_leaves_what_is(
    port: int, tmp_path: Path, certificate: Callable[[str], tuple[Path, Path]]
) -> None:
    pem, key = certificate("so1")
    secured = Metrics(enabled=True, port=port, tls_certificate=str(pem), tls_key=str(key))
    publisher = Publisher()
    publisher.configure(secured)
    publisher._page = PAGE
    bad: list[dict[str, Any]] = [
        {"tls_key": str(tmp_path / "none")},
        {"tls_key": str(encrypt(key))},
        {"address": "192.0.2.1"},
        {"address": "127.0.0..1"},
        {"address": "127.0.0.2", "tls_key": str(tmp_path / "none")},
    ]
    with contextlib.closing(publisher):
        for change in bad:
            with pytest.raises(ServerError):
                publisher.configure(msgspec.structs.replace(secured, **change))
            assert get(port, trust=pem)[0] == 200
        # Of the same port, an address that includes the one before.
        publisher.configure(msgspec.structs.replace(secured, address="0.0.0.0"))
        assert get(port, trust=pem)[0] == 200
        other, key = certificate("other")
        publisher.configure(
            msgspec.structs.replace(
                secured, address="0.0.0.0", tls_certificate=str(other), tls_key=str(key)
            )
        )
        assert get(port, trust=other)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(port)


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
        # The first ones make room for the last.
        assert silent[0].recv(1) == b""
        # The thread of one that was cut off ends when it gets to.
        deadline = time.monotonic() + 30
        while threading.active_count() > before + 2 * 8:
            assert time.monotonic() < deadline, threading.active_count()
            time.sleep(0.05)
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
