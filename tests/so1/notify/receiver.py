# SPDX-License-Identifier: MIT
"""Who is told: a real HTTP server on loopback, and a program in sendmail's place."""

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec


class Request(msgspec.Struct):
    """What came: the headers' names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """The document."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """Takes messages; `answer` gives the status of each, by its number."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[Request] = []
        self.answer: Callable[[int], int] = lambda _: 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/s3cret"

    def secret(self, folder: Path, token: str = "") -> Path:
        """Write the file that says where messages go."""
        file = folder / "notify-webhook"
        file.write_text(f"{self.url}\n{token}\n")
        return file

    def once(self) -> list[dict[str, Any]]:
        """What a receiver has that drops the ids it knows; those must be the same message."""
        found: dict[str, bytes] = {}
        for request in self.requests:
            id_ = request.headers["idempotency-key"]
            assert found.setdefault(id_, request.body) == request.body
        return [json.loads(body) for body in found.values()]


@contextlib.contextmanager
def receiving(certificate: Path | None = None) -> Iterator[Receiver]:
    """Run one; with a certificate (and its key in the same file) it speaks TLS."""
    receiver: Receiver

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(self.path, headers, body))
            self.send_response(receiver.answer(len(receiver.requests)))
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            with contextlib.suppress(OSError):
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that was killed is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_address[1])
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SENDMAIL = """#!/usr/bin/python3
import json, os, sys, time, pathlib
folder = pathlib.Path({folder!r})
if (folder / "hangs").exists():
    child = os.fork()
    (folder / ("child" if child == 0 else "parent")).write_text(str(os.getpid()))
    time.sleep(60)
letter = sys.stdin.buffer.read().decode()
if (folder / "fails").exists():
    sys.exit(75)
with (folder / "letters").open("a") as file:
    file.write(json.dumps([sys.argv[1:], letter]) + chr(10))
"""


class Sendmail:
    """A program that keeps what it is given; the files `hangs` and `fails` make it do so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "sendmail"
        self.program.write_text(SENDMAIL.format(folder=str(folder)))
        self.program.chmod(0o755)

    @property
    def letters(self) -> list[tuple[list[str], str]]:
        """The arguments and the letter of each call."""
        file = self.folder / "letters"
        lines = file.read_text().splitlines() if file.exists() else []
        return [tuple(json.loads(line)) for line in lines]
