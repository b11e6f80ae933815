#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Is told of an event by both ways, as a receiver on this host.

With «nobody», sees that nothing is left of them.
"""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PORT = 9077
UNITS = ("so1-notify-webhook.service", "so1-notify-mail.service")
CONFIGURATION = Path("/etc/so1/config.toml")
STATE = Path("/var/lib/so1-notify")
SENDMAIL = Path("/usr/local/sbin/told-sendmail")
SECRET = Path("/etc/so1/notify-webhook")
PATIENCE = 240
"""Seconds that anything may take; an emulated machine is slow."""

requests: list[bytes] = []


class Receiver(BaseHTTPRequestHandler):
    """Takes what comes."""

    def do_POST(self) -> None:
        """Keep it."""
        requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{PATIENCE} s on, still not: {what}")
        time.sleep(1)


def active(unit: str) -> bool:
    """Tell whether it runs."""
    return not subprocess.call(["systemctl", "is-active", "--quiet", unit])


def letters() -> list[str]:
    """Read what sendmail was given."""
    return [
        message_from_bytes(one.read_bytes(), policy=policy.default).get_content()
        for one in STATE.glob("letter.*")
    ]


def somebody() -> None:
    """See both services tell of an event, each as a user that cannot reach the engine."""
    SENDMAIL.write_text(f"#!/bin/sh\ncat >{STATE}/new.$$ && mv {STATE}/new.$$ {STATE}/letter.$$\n")
    SENDMAIL.chmod(0o755)
    server = HTTPServer(("127.0.0.1", PORT), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    until("both run", lambda: all(map(active, UNITS)))
    sent = subprocess.run(["so1", "notify", "test"], capture_output=True, text=True, check=False)
    assert sent.stdout == "webhook: sent\nmail: sent\n", sent
    good = CONFIGURATION.read_text()
    try:
        CONFIGURATION.write_text("interval = 0\n")
        subprocess.run(["systemctl", "reload", "so1"], check=False)
        until(
            "the webhook told of it",
            lambda: any(
                item["kind"] == "config" for body in requests for item in json.loads(body)["items"]
            ),
        )
        until("a letter told of it", lambda: any("config" in letter for letter in letters()))
    finally:
        CONFIGURATION.write_text(good)
        subprocess.run(["systemctl", "reload", "so1"], check=True)
    groups = subprocess.run(["id", "-nG", "so1-notify"], capture_output=True, text=True, check=True)
    assert "docker" not in groups.stdout.split(), groups.stdout
    SENDMAIL.unlink()


def nobody() -> None:
    """See that the services, their user and their files are gone."""
    for unit in UNITS:
        assert subprocess.call(["systemctl", "cat", unit], stderr=subprocess.DEVNULL), unit
    assert not [one for one in pwd.getpwall() if one.pw_name == "so1-notify"]
    assert not SECRET.exists()
    assert not STATE.exists()


if __name__ == "__main__":
    nobody() if sys.argv[1:] == ["nobody"] else somebody()
