# SPDX-License-Identifier: MIT
"""A message to a URL, by one POST."""

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

import so1
from so1.config import Format
from so1.escape_controls import escape_controls
from so1.notify.error import NotSentError
from so1.notify.formats import body
from so1.notify.message import Message

SECONDS = 20.0
"""For all of it, from the first connection to the status."""
_CONNECT_S = 5.0
"""For one address of the host; it may have others that answer."""
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True):
    """Where messages go; `path` and `token` are secrets."""

    secure: bool
    host: str
    port: int
    path: str
    token: str | None


def target(secret: Path) -> Target:
    """Read the file with the secret: line 1 is the URL, line 2, if there is one, a bearer token.

    Raises NotSentError where it cannot be used, without a word of what is in it.
    """
    try:
        lines = secret.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise NotSentError(f"{secret} cannot be read: {reason}") from error
    url, *others = lines or [""]
    token = others[0] if others else ""
    if not _VISIBLE.fullmatch(url) or not re.fullmatch(r"[\x21-\x7e]*", token) or any(others[1:]):
        raise NotSentError(f"{secret} must have a URL, and a token on line 2 if one is needed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotSentError(f"{secret} has no valid URL on line 1") from None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise NotSentError(
            f"{secret} must have a URL with https:// or http:// on line 1, without a user's name"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], path, token or None
    )


def post(where: Target, message: Message, wanted: Format, seconds: float = SECONDS) -> None:
    """Send it; of the answer only the status counts, and no redirect is followed.

    Raises NotSentError where that was not 2xx, or nothing came within `seconds`.
    """
    content, media = body(message, wanted)
    headers = {
        "Content-Type": media,
        "Idempotency-Key": message.id,
        "User-Agent": f"so1/{so1.__version__}",
    }
    if wanted == "ntfy":
        headers["Title"] = "SO1"
    if where.token:
        headers["Authorization"] = f"Bearer {where.token}"
    ends = time.monotonic() + seconds
    try:
        status = _status(where, content, headers, ends)
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        if time.monotonic() >= ends:
            raise NotSentError(f"the webhook did not answer within {seconds:.0f} s") from error
        reason = escape_controls(str(error) or type(error).__name__)
        raise NotSentError(f"the webhook cannot be reached: {reason}") from error
    if status // 100 == 3:
        raise NotSentError(f"the webhook answered {status}; a redirect is not followed")
    if status // 100 != 2:
        raise NotSentError(f"the webhook answered {status}")


def _status(where: Target, content: bytes, headers: dict[str, str], ends: float) -> int:
    connected = _connect(where, ends)
    if where.secure:
        context = ssl.create_default_context()
        connected = context.wrap_socket(
            connected, server_hostname=where.host, do_handshake_on_connect=False
        )
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            where.host, where.port, context=context
        )
    else:
        connection = http.client.HTTPConnection(where.host, where.port)
    with contextlib.closing(connected):
        # A time limit of a socket begins anew with each byte.
        timer = threading.Timer(max(0, ends - time.monotonic()), _cut, (connected,))
        timer.daemon = True
        timer.start()
        try:
            if isinstance(connected, ssl.SSLSocket):
                connected.do_handshake()
            connection.sock = connected
            connection.request("POST", where.path, content, headers)
            with contextlib.closing(connection.getresponse()) as answer:
                return answer.status
        finally:
            timer.cancel()


def _connect(where: Target, ends: float) -> socket.socket:
    problem: OSError = TimeoutError("it has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        where.host, where.port, type=socket.SOCK_STREAM
    ):
        left = ends - time.monotonic()
        if left <= 0:
            break
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(min(left, _CONNECT_S))
            made.connect(address)
        except OSError as error:
            made.close()
            problem = error
        else:
            made.settimeout(max(0.001, ends - time.monotonic()))
            return made
    raise problem


def _cut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not the method of TLS, which forgets its state while another thread reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
