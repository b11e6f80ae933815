# SPDX-License-Identifier: MIT
"""A time limit for a whole HTTP call: that of requests begins anew with each byte that comes."""

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool


class _Call(threading.local):
    """The call that this thread is in."""

    ends = math.inf


_call = _Call()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let what this thread reads from our adapters' connections end in time.

    What comes later raises TimeoutError there. math.inf leaves each read its own limit.
    """
    before = _call.ends
    extend(seconds)
    try:
        yield
    finally:
        _call.ends = before


def extend(seconds: float) -> None:
    """Let the call end so many seconds from now."""
    _call.ends = time.monotonic() + seconds


def left() -> float:
    """Seconds that this thread's call has left; negative where it has none."""
    return _call.ends - time.monotonic()


class _Socket(socket.socket):
    """One whose every read has what is left of the call."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ANN401
        seconds = left()
        if seconds <= 0:
            raise TimeoutError("the call has taken its time")
        if seconds < math.inf:
            self.settimeout(seconds)
        return super().recv_into(buffer, nbytes, flags)


def _limited(connected: socket.socket) -> _Socket:
    seconds = connected.gettimeout()
    made = _Socket(fileno=connected.detach())
    made.settimeout(seconds)
    return made


class _Connection(HTTPConnection):
    sock: socket.socket

    def connect(self) -> None:
        super().connect()
        self.sock = _limited(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class TcpAdapter(HTTPAdapter):
    """For http://."""

    def __init__(self) -> None:
        """Make its connections ours."""
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool}


class _UnixConnection(UnixHTTPConnection):  # type: ignore[misc] # the SDK has no types
    sock: socket.socket

    def connect(self) -> None:
        super().connect()
        self.sock = _limited(self.sock)


class _UnixPool(UnixHTTPConnectionPool):  # type: ignore[misc] # as above
    def _new_conn(self) -> _UnixConnection:
        return _UnixConnection(self.base_url, self.socket_path, self.timeout)


class UnixAdapter(UnixHTTPAdapter):  # type: ignore[misc] # as above
    """For http+docker://, the SDK's name for a socket of the file system."""

    def get_connection(self, url: str, proxies: object = None) -> _UnixPool:  # noqa: ARG002
        """Give the pool of a URL."""
        with self.pools.lock:
            pool: _UnixPool | None = self.pools.get(url)
            if pool is None:
                size = self.max_pool_size
                pool = _UnixPool(url, self.socket_path, self.timeout, maxsize=size)
                self.pools[url] = pool
            return pool
