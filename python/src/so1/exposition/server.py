# SPDX-License-Identifier: MIT
"""Hands out a page that others made: one address, TLS and passwords where they are configured."""

import base64
import binascii
import contextlib
import hashlib
import hmac
import http
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bcrypt
import msgspec
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

import so1
from so1.config import Metrics
from so1.exposition.error import ServerError

_log = logging.getLogger(__name__)
_AT_ONCE = 8
"""Connections served side by side, each by a thread and a timer's; the daemon may have few, and its
ticks need some."""
_PATIENCE = 10
"""Seconds that a connection has for everything: handshake, request and answer."""
_NOBODY = b"$2b$10$uvMFqaukp3TLhUmsKWBLH.lwp7jgZAXSkQHBmaJ4MgbYQ1XT0BXJi"
"""A hash of no password: an unknown name takes as long as a wrong password."""


class Page(msgspec.Struct, frozen=True):
    """The exposition after a tick."""

    text: bytes
    gzipped: bytes


class Passwords:
    """Who may read."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """Take names and bcrypt hashes; without any, everybody may."""
        self._users = {name: hash_.encode() for name, hash_ in users.items()}
        # A hash is slow on purpose: who has shown the password is known again by a quick one,
        # under a key that never leaves this process.
        self._key = os.urandom(32)
        self._known: set[bytes] = set()

    def admit(self, authorization: str) -> bool:
        """Look at a request's Authorization."""
        if not self._users:
            return True
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            credentials = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        digest = hmac.digest(self._key, credentials, hashlib.sha256)
        if digest in self._known:
            return True
        name, _, password = credentials.partition(b":")
        expected = self._users.get(name.decode(errors="replace"))
        try:
            right = bcrypt.checkpw(password, expected or _NOBODY)
        except ValueError:  # longer than bcrypt takes, or a NUL in it
            return False
        if right and expected:
            self._known.add(digest)
        return right and expected is not None


class _Handler(BaseHTTPRequestHandler):
    server: "Server"
    server_version = f"so1/{so1.__version__}"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        if not self.server.passwords.admit(self.headers.get("Authorization", "")):
            self._say(http.HTTPStatus.UNAUTHORIZED, "A name and a password are needed.")
        elif self.path.partition("?")[0] != "/metrics":
            self._say(http.HTTPStatus.NOT_FOUND, "The metrics are at /metrics.")
        elif (page := self.server.page()) is None:
            self._say(http.HTTPStatus.SERVICE_UNAVAILABLE, "There was no tick yet.")
        elif "gzip" in self.headers.get("Accept-Encoding", ""):
            self._send(http.HTTPStatus.OK, page.gzipped, {"Content-Encoding": "gzip"})
        else:
            self._send(http.HTTPStatus.OK, page.text, {})

    def _say(self, status: http.HTTPStatus, sentence: str) -> None:
        ask = {"WWW-Authenticate": 'Basic realm="so1"'} if status == 401 else {}
        self._send(status, f"{sentence}\n".encode(), ask)

    def _send(self, status: http.HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        ours = {
            "Content-Type": CONTENT_TYPE_PLAIN_0_0_4,
            "Content-Length": str(len(body)),
            "Vary": "Accept-Encoding",
        }
        for name, value in {**ours, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Log requests only where someone looks for them."""
        _log.debug("%s: " + format, self.client_address[0], *args)


class Server(ThreadingHTTPServer):
    """Serves from threads of its own until `stop`."""

    daemon_threads = True
    request_queue_size = 2 * _AT_ONCE

    def __init__(self, settings: Metrics, page: Callable[[], Page | None]) -> None:
        """Listen, and begin to serve.

        Raises ServerError where the address cannot be had or the certificate is not one.
        """
        where = f"{settings.address} port {settings.port}"
        self.page = page
        self.passwords = Passwords(settings.users)
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._tls = _context(settings)
        try:
            found = socket.getaddrinfo(
                settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            self.address_family, _, _, _, address = found[0]
            super().__init__(address[:2], _Handler)  # type: ignore[arg-type]  # of IP families only
        except OSError as error:
            raise ServerError(
                f"The metrics cannot be served at {where} ({error.strerror});"
                " set metrics.address and metrics.port to what is this host's and free"
            ) from error
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without asking a name server what we are called, as the base class would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(  # type: ignore[override]  # of UDP servers it is something else
        self, request: socket.socket, client_address: tuple[str, int]
    ) -> None:
        """Begin a thread for a connection, or close it where too many are open."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(  # type: ignore[override]  # as above
        self, request: socket.socket, client_address: tuple[str, int]
    ) -> None:
        """Serve one connection; the handshake is here, so that a slow one holds up nobody else."""
        try:
            if self._tls:
                # The first read begins with the handshake.
                request = self._tls.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
            with _patience(request):
                self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001 - whatever a stranger sends
            _log.debug("%s: %s", client_address[0], error)
        finally:
            self.shutdown_request(request)
            self._free.release()

    def stop(self) -> None:
        """Listen no more."""
        self.shutdown()
        self._thread.join()
        self.server_close()


@contextlib.contextmanager
def _patience(connection: socket.socket) -> Iterator[None]:
    """Cut a connection off that takes too long.

    A limit for each read would not do: a byte now and then is always in time.
    """

    def cut() -> None:
        with contextlib.suppress(OSError):
            # Not the TLS socket's own method: after it, the answer would be sent in the clear.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(_PATIENCE, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _context(settings: Metrics) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ServerError(
            f"The metrics cannot be served with {settings.tls_certificate} and"
            f" {settings.tls_key} ({error.strerror or error}); both must be PEM, belong together"
            " and be readable by the daemon's user"
        ) from error
    return context
