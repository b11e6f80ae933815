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
import time
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
_CHECKS = _AT_ONCE // 2
"""Passwords that are checked or wait for it: who is known always finds a connection."""
_LONGEST = 72
"""Bytes of a password that bcrypt looks at."""
_REST = 3
"""How many times as long as a check of a password took none is begun after it failed."""
_NOBODY = b"$2b$%02d$uvMFqaukp3TLhUmsKWBLH.lwp7jgZAXSkQHBmaJ4MgbYQ1XT0BXJi"
"""A hash of no password, of a cost to be chosen."""


class Page(msgspec.Struct, frozen=True):
    """The exposition after a tick."""

    text: bytes
    gzipped: bytes


class BusyError(Exception):
    """Too many passwords are to be checked at this moment."""


class Passwords:
    """Who may read."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """Take names and bcrypt hashes; without any, everybody may."""
        self._users = {name: hash_.encode() for name, hash_ in users.items()}
        # A hash is slow on purpose: who has shown the password is known again by a quick one,
        # under a key that never leaves this process.
        self._key = os.urandom(32)
        self._known: set[bytes] = set()
        self._cost = max(map(_cost, self._users.values()), default=0)
        self._waiting = threading.BoundedSemaphore(_CHECKS)
        self._alone = threading.Lock()

    def admit(self, authorization: str) -> bool:
        """Look at a request's Authorization; raises BusyError."""
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
        if len(password) > _LONGEST or b"\0" in password:  # which bcrypt does not take
            return False
        if not self._waiting.acquire(blocking=False):
            raise BusyError
        try:
            # One at a time, and with a rest: strangers have a quarter of one core at most.
            with self._alone:
                began = time.monotonic()
                right = self._check(password, self._users.get(name.decode(errors="replace")))
                if not right:
                    time.sleep(_REST * (time.monotonic() - began))
        finally:
            self._waiting.release()
        if right:
            self._known.add(digest)
        return right

    def _check(self, password: bytes, expected: bytes | None) -> bool:
        """Compare at the cost of the dearest hash, whoever it is, so that no name can be found."""
        right = expected is not None and bcrypt.checkpw(password, expected)
        # Each step doubles: what is left to the dearest is one check of each cost below it.
        begun = _cost(expected) if expected else self._cost
        for cost in range(begun, self._cost) if expected else [self._cost]:
            bcrypt.checkpw(password, _NOBODY % cost)
        return right


def _cost(hash_: bytes) -> int:
    return int(hash_[4:6])


class _Handler(BaseHTTPRequestHandler):
    server: "Server"
    server_version = f"so1/{so1.__version__}"
    sys_version = ""

    def do_HEAD(self) -> None:
        """Answer as to GET, without the page."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer one request."""
        self.server.heard(self.connection)
        try:
            admitted = self.server.passwords.admit(self.headers.get("Authorization", ""))
        except BusyError:
            self._say(http.HTTPStatus.SERVICE_UNAVAILABLE, "Too many try passwords; try again.")
            return
        if not admitted:
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
        if self.command != "HEAD":
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
        self.page = page
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._silent: dict[int, socket.socket] = {}
        """Connections without a request yet, by file descriptor, the oldest first."""
        self.settings = settings
        self.passwords = Passwords(settings.users)
        self._tls = context(settings)
        self.address_family, address = resolve(settings)
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise _unserved(settings, error.strerror) from error
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def take(self, settings: Metrics) -> None:
        """Let these certificates and passwords hold from the next connection on.

        Raises ServerError where the certificate cannot be loaded; those before stay then.
        """
        self._tls = context(settings)
        if settings.users != self.settings.users:
            self.passwords = Passwords(settings.users)
        self.settings = settings

    def server_bind(self) -> None:
        """Bind without asking a name server what we are called, as the base class would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(  # type: ignore[override]  # of UDP servers it is something else
        self, request: socket.socket, client_address: tuple[str, int]
    ) -> None:
        """Begin a thread for a connection.

        Where too many are open, the one that has been silent for longest makes room; where none is
        silent, the new one is closed.
        """
        if not self._free.acquire(blocking=False) and not self._make_room():
            self.shutdown_request(request)
            return
        self._silent[request.fileno()] = request
        try:
            super().process_request(request, client_address)
        except BaseException:
            self.heard(request)
            self._free.release()
            raise

    def _make_room(self) -> bool:
        with contextlib.suppress(StopIteration, RuntimeError):  # others end meanwhile
            _cut(self._silent.pop(next(iter(self._silent))))
            return self._free.acquire(timeout=1)
        return False

    def heard(self, connection: socket.socket) -> None:
        """Note that a connection has sent its request, or has ended."""
        self._silent.pop(connection.fileno(), None)

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
                self._silent[request.fileno()] = request
            with _patience(request):
                self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001 - whatever a stranger sends
            _log.debug("%s: %s", client_address[0], error)
        finally:
            self.heard(request)
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
    timer = threading.Timer(_PATIENCE, _cut, [connection])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not the TLS socket's own method: after it, the answer would be sent in the clear.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def check(settings: Metrics) -> None:
    """Look whether the metrics could be served, short of taking the address.

    Raises ServerError where the address is none or the certificate cannot be loaded.
    """
    resolve(settings)
    context(settings)


def resolve(settings: Metrics) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Look up the address to serve at; raises ServerError where it is none."""
    try:
        found = socket.getaddrinfo(
            settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise _unserved(settings, error.strerror) from error
    except UnicodeError as error:  # a part of a name that is empty or too long
        raise _unserved(settings, "this is no name of a host") from error
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _unserved(settings: Metrics, why: str | None) -> ServerError:
    return ServerError(
        f"The metrics cannot be served at {settings.address} port {settings.port} ({why});"
        " set metrics.address and metrics.port to what is this host's and free"
    )


def context(settings: Metrics) -> ssl.SSLContext | None:
    """Load the certificate and its key, None where there are none.

    Raises ServerError where they cannot be loaded.
    """
    if not settings.tls_certificate:
        return None

    def encrypted() -> str:
        # Without this, the library would ask for a pass phrase where the daemon has a terminal.
        raise ServerError(
            f"The metrics cannot be served with {settings.tls_key}: the key is encrypted, and"
            " nobody is here to give its pass phrase; store it decrypted, readable by the daemon"
            " alone"
        )

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(settings.tls_certificate, settings.tls_key, encrypted)
    except (OSError, ssl.SSLError) as error:
        raise ServerError(
            f"The metrics cannot be served with {settings.tls_certificate} and"
            f" {settings.tls_key} ({error.strerror or error}); both must be PEM, belong together"
            " and be readable by the daemon's user"
        ) from error
    return made
