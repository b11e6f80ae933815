# SPDX-License-Identifier: MIT
"""A registry of the tests' own: any name in it is the same image of one layer."""

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_DOCKER = "application/vnd.docker"
_MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"
_UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'


class Registry:
    """What a Docker Engine needs of a registry to pull, on a loopback port and without TLS."""

    def __init__(self, layer: bytes) -> None:
        """Make the image, of a layer that is a tar."""
        self.address = ""
        self.asked: list[str] = []
        """The path of each request."""
        self._held: dict[str, bytes] = {}
        settings = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "600"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        config = json.dumps(settings).encode()
        self.image = _digest(config)
        """The image's id once it was pulled."""
        self._manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": self._hold("container.image.v1+json", config),
                "layers": [self._hold("image.rootfs.diff.tar.gzip", gzip.compress(layer, 1))],
            }
        ).encode()
        self.digest = _digest(self._manifest)

    def _hold(self, kind: str, blob: bytes) -> dict[str, object]:
        self._held[_digest(blob)] = blob
        return {"mediaType": f"{_DOCKER}.{kind}", "size": len(blob), "digest": _digest(blob)}

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Give a status, a type and a body."""
        self.asked.append(path)
        *_, kind, reference = path.split("/")
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if kind == "manifests" and reference in ("latest", "1.0", self.digest):
            return 200, _MANIFEST, self._manifest
        if kind == "blobs" and reference in self._held:
            return 200, "application/octet-stream", self._held[reference]
        return 404, "application/json", _UNKNOWN

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Listen at `address`."""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self.wfile.write(self._answer())

            def _answer(self) -> bytes:
                status, kind, body = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", _digest(body))
                self.end_headers()
                return body

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.address = f"127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
