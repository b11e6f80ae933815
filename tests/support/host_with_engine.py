# SPDX-License-Identifier: MIT
"""A Docker Engine of the tests' own, on a host whose /etc and network are its own too."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.host import START_S, Host, Play

GROUP_ID = 64_321
GROUP = f"""
set -e
sed -i '/^so1:/d' /etc/group
echo 'so1:x:{GROUP_ID}:' >> /etc/group
"""


class Engine(Host):
    """dockerd, and Ansible beside it; what a play writes to /etc is gone with them."""

    def __init__(self, folder: Path) -> None:
        """Start everything beneath `folder`; raises subprocess errors where that fails."""
        super().__init__(folder)
        self.socket = folder / "docker.sock"
        self.database = folder / "so1"
        try:
            self.inside("sh", "-c", GROUP)
            self._make_database()
            self._log = (folder / "dockerd.log").open("w")
            self._daemon = subprocess.Popen(
                self.enter(
                    *("dockerd", "--host", f"unix://{self.socket}"),
                    *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
                    *("--pidfile", str(folder / "pid"), "--iptables=false", "--ip6tables=false"),
                    *("--bip", "10.253.8.1/24"),
                ),
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
            self._wait_for_engine()
        except BaseException:
            self.stop()
            raise

    def _wait_for_engine(self) -> None:
        deadline = time.monotonic() + START_S
        while self.docker("version", check=False).returncode:
            assert self._daemon.poll() is None, (self.folder / "dockerd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def _make_database(self) -> None:
        self.database.mkdir(mode=0o750)
        file = self.database / "metrics.db"
        file.write_text("a database")
        file.chmod(0o640)
        for path in (self.database, file):
            os.chown(path, 0, GROUP_ID)

    def docker(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the docker client against this engine."""
        return self.inside("docker", "--host", f"unix://{self.socket}", *command, check=check)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine says of a container."""
        (found,) = json.loads(self.docker("inspect", container).stdout)
        assert isinstance(found, dict)
        return found

    def stand_in(self, image: str, *, plugin: bool = True) -> None:
        """Make an image that stands in for Grafana's: busybox answers where Grafana would."""
        root = self.folder / f"root-{plugin}"
        datasource = "www/api/datasources/uid/so1-sqlite"
        for part in ("bin", datasource, "var/lib/grafana"):
            (root / part).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in ("sh", "cat", "id", "touch"):
            (root / "bin" / applet).symlink_to("busybox")
        (root / "www/api/health").write_text("{}")
        if plugin:
            (root / datasource / "health").write_text('{"status": "OK"}')
        (root / "var/lib/grafana").chmod(0o777)
        serve = ["/bin/busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]
        tar = self.folder / f"root-{plugin}.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
        self.docker("import", "-c", f"CMD {json.dumps(serve)}", str(tar), image)

    def archive(self, image: str) -> Path:
        """Save such an image, and forget it."""
        self.stand_in(image)
        saved = self.folder / "image.tar"
        self.docker("save", "-o", str(saved), image)
        self.docker("image", "rm", image)
        return saved

    def play(self, playbook: Path, *options: str, **variables: object) -> Play:
        """Run a playbook on this machine, in the namespaces, against this engine."""
        ours = {
            "so1_grafana_docker_host": f"unix://{self.socket}",
            "so1_grafana_database_directory": str(self.database),
        }
        return super().play(
            playbook, "--skip-tags", "so1_grafana_packages", *options, **{**ours, **variables}
        )

    def stop(self) -> None:
        """End the engine and the namespaces."""
        if hasattr(self, "_daemon"):
            if self._daemon.poll() is None:
                for container in self.docker("ps", "-q", check=False).stdout.split():
                    self.docker("kill", container, check=False)
            self._daemon.terminate()
            self._daemon.wait(timeout=60)
        if hasattr(self, "_log"):
            self._log.close()
        super().stop()
