# SPDX-License-Identifier: MIT
"""A Docker Engine of the tests' own: its socket, its data and its processes beneath one folder."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from so1.config import Docker

IMAGE = "so1-lab/alpine"
OTHER_IMAGE = "so1-lab/stress"
START_S = 60
STOP_S = 60
CALL_S = 60


class LiveEngine:
    """dockerd without a network of its own, and the docker client beside it."""

    def __init__(self, folder: Path) -> None:
        """Start it, with two images made of busybox."""
        self.folder = folder
        # Beneath a deep folder the name of a socket would be too long.
        self.host = f"unix://{folder}/s"
        self._log = (folder / "log").open("w")
        self._daemon = self._start()
        try:
            self._wait()
            self._make_images()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                # It ends with the tests, however they end, and its containers with it.
                *("setpriv", "--pdeathsig", "TERM"),
                *("dockerd", "--host", self.host, "--data-root", str(self.folder / "data")),
                *("--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid")),
                *("--bridge=none", "--iptables=false", "--ip6tables=false"),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def restart(self) -> None:
        """Start dockerd again; its containers end with the one before."""
        self._daemon.terminate()
        self._daemon.wait(timeout=STOP_S)
        self._daemon = self._start()
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while self.docker("version", check=False).returncode:
            assert self._daemon.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "dockerd does not answer"
            time.sleep(0.1)

    def _make_images(self) -> None:
        root = self.folder / "root"
        (root / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in ("sh", "sleep", "cat", "id", "env", "hostname", "yes"):
            (root / "bin" / applet).symlink_to("busybox")
        subprocess.run(["tar", "-C", root, "-cf", self.root, "."], check=True)
        settings = ("-c", "ENV PATH=/bin", "-c", "CMD sleep 600")
        for image in (IMAGE, OTHER_IMAGE):
            self.docker("import", *settings, str(self.root), image)

    @property
    def root(self) -> Path:
        """The tar that the images are made of."""
        return self.folder / "root.tar"

    @property
    def settings(self) -> Docker:
        """How so1 reaches it."""
        return Docker(host=self.host, timeout=5)

    @property
    def environment(self) -> dict[str, str]:
        """An environment in which the docker client reaches it."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def docker(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run the docker client against it."""
        done = subprocess.run(
            ["docker", *command],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=CALL_S,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done

    def start(
        self, name: str, *options: str, labels: dict[str, str] | None = None, command: str = ""
    ) -> str:
        """Start a container that ends at once when it is told to; gives its id."""
        labelled = [f"--label={key}={value}" for key, value in (labels or {}).items()]
        return self.docker(
            *("run", "--detach", "--network", "none", "--name", name, "--stop-signal", "KILL"),
            *(*labelled, *options, IMAGE),
            *(["sh", "-c", command] if command else []),
        ).stdout.strip()

    def managed(self, name: str, class_: str = "low", *options: str, command: str = "") -> str:
        """Start a managed container."""
        labels = {"so1.managed": "true", "so1.class": class_}
        return self.start(name, *options, labels=labels, command=command)

    def names(self, *options: str) -> set[str]:
        """Name the running containers; with `-a` all of them."""
        return set(self.docker("ps", "--format", "{{.Names}}", *options).stdout.split())

    def inspect(self, container: str) -> dict[str, Any]:
        """Tell what the engine says of a container."""
        (found,) = json.loads(self.docker("inspect", container).stdout)
        assert isinstance(found, dict)
        return found

    def shim(self, container: str) -> int:
        """Find the process that stands between the engine and a container."""
        stat = Path(f"/proc/{self.inspect(container)['State']['Pid']}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])

    @contextmanager
    def paused(self, pid: int | None = None) -> Iterator[None]:
        """Hold dockerd, or another process of the engine, still."""
        pid = pid or self._daemon.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            # On a busy machine a thread may still be at work when kill() returns.
            deadline = time.monotonic() + STOP_S
            while not _stands_still(pid):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def clear(self) -> None:
        """Remove every container and volume."""
        if found := self.docker("ps", "-aq").stdout.split():
            self.docker("rm", "--force", "--volumes", *found, check=False)
        self.docker("volume", "prune", "--force", "--all", check=False)
        self.docker("volume", "prune", "--force")

    def stop(self) -> None:
        """End the containers and the engine."""
        if self._daemon.poll() is None:
            self.clear()
            self._daemon.terminate()
            self._daemon.wait(timeout=STOP_S)
        self._log.close()


def _stands_still(pid: int) -> bool:
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in tasks)
