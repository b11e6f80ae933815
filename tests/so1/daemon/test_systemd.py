# SPDX-License-Identifier: MIT
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from so1.daemon.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    name = f"@so1-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(10)
        yield name, listener


def test_messages(systemd: tuple[str, socket.socket]) -> None:
    name, listener = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"})
    notifier.ready()
    notifier.status("a\nREADY=0")
    notifier.watchdog()
    notifier.stopping()
    received = [listener.recv(1000) for _ in range(4)]
    assert received == [b"READY=1", b"STATUS=a READY=0", b"WATCHDOG=1", b"STOPPING=1"]
    notifier.reloading()
    first, second = listener.recv(1000).split(b"\n")
    assert first == b"RELOADING=1"
    assert int(second.removeprefix(b"MONOTONIC_USEC=")) > 0


def test_a_sign_of_life_is_not_given_more_often_than_it_is_worth(
    systemd: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, listener = systemd
    clock = iter((1000, 1001, 1009.9, 1010, 1011))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "80000000"})
    for _ in range(5):
        notifier.watchdog()
    notifier.stopping()
    received = [listener.recv(1000) for _ in range(3)]
    assert received == [b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "nonsense"}, None),
    ],
)
def test_who_is_watched(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds


def test_no_watchdog_message_where_nobody_watches(systemd: tuple[str, socket.socket]) -> None:
    name, listener = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.watchdog()
    notifier.ready()
    assert listener.recv(1000) == b"READY=1"


def test_systemd_away_is_no_error(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")}).ready()
    Notifier({}).ready()
