# SPDX-License-Identifier: MIT
"""A headless Chromium that shows the page, driven over its debugging pipe."""

import base64
import contextlib
import functools
import http.server
import json
import os
import select
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

DIST = Path(os.environ.get("SO1_CACHE", Path(__file__).parents[2] / ".cache")) / "draw/dist"
CHROMIUM = (
    *(
        "/usr/lib/chromium/chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
    ),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--force-device-scale-factor=1", "--remote-debugging-pipe"),
)
PATIENCE_S = 60
_READ, _WRITE = 3, 4
"""The descriptors on which Chromium takes commands and answers them."""


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class Browser(contextlib.ExitStack):
    """The page in a browser; ends it on exit."""

    def __enter__(self) -> Self:
        """Start Chromium and wait for the page's script."""
        super().__enter__()
        if not (DIST / "main.js").exists():
            raise FileNotFoundError(f"{DIST} is empty: run grafana/draw/setup.sh")
        url = self.enter_context(_served(DIST))
        profile = self.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # The shell puts the pipes where Chromium looks for them.
        start = f'exec "$@" {_READ}<&{commands} {_WRITE}>&{answers}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", start, "bash", *CHROMIUM, f"--user-data-dir={profile}"],
            pass_fds=(commands, answers),
            env={**os.environ, "TZ": "UTC"},
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self.callback(self._stop)
        self._buffer, self._number, self._session = b"", 0, None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")
        self._call("Page.navigate", url=url)
        self.evaluate("import('/main.js').then(() => true)")
        return self

    def _stop(self) -> None:
        self._session = None
        with contextlib.suppress(OSError):
            self._call("Browser.close")
        self._process.wait(timeout=30)
        os.close(self._commands)
        os.close(self._answers)

    def _call(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._commands, rest) :]
        while True:
            *lines, self._buffer = self._buffer.split(b"\0")
            for line in map(json.loads, lines):
                if line.get("id") == self._number:
                    if "error" in line:
                        raise RuntimeError(f"{method}: {line['error']}")
                    result: dict[str, Any] = line["result"]
                    return result
            self._buffer += self._read(method)

    def _read(self, method: str) -> bytes:
        ready, _, _ = select.select([self._answers], [], [], PATIENCE_S)
        if not ready:
            raise TimeoutError(f"{method}: no answer within {PATIENCE_S} s")
        more = os.read(self._answers, 1 << 20)
        if not more:
            raise ConnectionResetError(f"{method}: Chromium ended")
        return more

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page says
        """Run JavaScript in the page, and give what it comes to."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def draw(self, what: dict[str, Any], width: int) -> dict[str, Any]:
        """Draw a dashboard on a screen of this width; say what the page found on it."""
        self._resize(width, 1080)
        found: dict[str, Any] = self.evaluate(f"draw({json.dumps(what)})")
        self._resize(width, found["height"])
        return found

    def _resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def picture(self) -> bytes:
        """Take a PNG of the page as it is."""
        self.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])
