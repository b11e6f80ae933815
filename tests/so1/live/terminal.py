# SPDX-License-Identifier: MIT
"""A real terminal, tmux, with a shell in it."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 60
WIDTH, HEIGHT = 110, 30
ROOT = Path(__file__).parents[3]


class Terminal:
    """A terminal of 110 by 30; what is typed goes to its shell or what that runs."""

    def __init__(self, folder: Path, **env: str) -> None:
        self._socket = folder / "tmux"
        self._sent = folder / "sent"
        paths = f"{ROOT}:{ROOT / 'python/src'}"
        given = {"PYTHONPATH": paths, "LC_ALL": "C.UTF-8", "PS1": "> ", **env}
        settings = [part for name, value in given.items() for part in ("-e", f"{name}={value}")]
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, *settings, "bash", "--norc")
        self.wait(lambda seen: seen.startswith(">"))

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
            env={k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")},
        )
        return done.stdout

    def run(self, command: str) -> None:
        """Type a command into the shell."""
        self._tmux("send-keys", "-l", command)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def seen(self, *, colours: bool = False) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def line(self, text: str, *, colours: bool = False) -> str:
        """The one line with a text in it, whatever its colours."""
        lines = self.seen(colours=colours).splitlines()
        (found,) = [each for each in lines if text in re.sub(r"\x1b\[[0-9;]*m", "", each)]
        return found

    def wait(self, until: Callable[[str], bool] | str) -> str:
        """Wait for the screen to be so, or to have a text on it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen = self.seen()
            if until in seen if isinstance(until, str) else until(seen):
                return seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)

    def record(self) -> None:
        """Keep from now on what is sent to the terminal."""
        self._sent.write_bytes(b"")
        self._tmux("pipe-pane", f"cat >> {self._sent}")

    def sent_by_now(self, *, wait: bool = True) -> bytes:
        """What was sent, once there is something."""
        deadline = time.monotonic() + PATIENCE_S
        while wait and not self._sent.stat().st_size:
            assert time.monotonic() < deadline, "nothing was sent"
            time.sleep(0.05)
        time.sleep(0.2)
        return self._sent.read_bytes()

    def close(self) -> None:
        self._tmux("kill-server")
