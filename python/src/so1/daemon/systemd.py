# SPDX-License-Identifier: MIT
"""What systemd is told about the daemon, over the socket it names in NOTIFY_SOCKET."""

import os
import socket
import time
from collections.abc import Mapping

_PATIENCE = 1.0
"""Seconds that systemd may take to read; a message more is not worth a tick."""
_BEATS = 8
"""Signs of life in the time after which systemd takes a silent daemon for dead."""


class Notifier:
    """Sends sd_notify messages; where systemd did not start us, it sends nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        # '@' stands for the NUL byte of the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        given = environment.get("WATCHDOG_USEC", "")
        microseconds = int(given) if ours and given.isdecimal() else 0
        self.watchdog_seconds: float | None = microseconds / 1e6 if microseconds else None
        """How often systemd must hear from us at the least; None where it does not watch."""
        self._beat_due = 0.0

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_PATIENCE)
                sender.sendto(message.encode(), self._address)
        except OSError:
            # systemd that cannot be reached is no reason to stop watching the host.
            return

    def ready(self) -> None:
        """Say that the daemon runs, at its start and after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """Say that the daemon is about to end."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Say that the daemon is alive, where it has not been said for a while."""
        if not self.watchdog_seconds:
            return
        now = time.monotonic()
        if now >= self._beat_due:
            self._beat_due = now + self.watchdog_seconds / _BEATS
            self._send("WATCHDOG=1")

    def status(self, sentence: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send("STATUS=" + sentence.replace("\n", " "))
