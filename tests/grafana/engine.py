# SPDX-License-Identifier: MIT
"""A Docker Engine of the tests' own, in namespaces where /etc and the network are its own too."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
LIFETIME_S = 1_200
START_S = 60
PLAY_S = 300
GROUP_ID = 64_321
SETUP = f"""
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/var"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
rm -rf /etc/so1
sed -i '/^so1:/d' /etc/group
echo 'so1:x:{GROUP_ID}:' >> /etc/group
ip link set lo up
"""


class Engine:
    """dockerd, and Ansible beside it; what a play writes to /etc is gone with them."""

    def __init__(self, folder: Path) -> None:
        """Start everything beneath `folder`; raises subprocess errors where that fails."""
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.database = folder / "so1"
        etc = folder / "etc"
        etc.mkdir()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sleep", str(LIFETIME_S)]
        )
        try:
            self._wait_for_namespaces()
            self.inside("sh", "-c", SETUP, "sh", str(etc))
            self._make_database()
            self._log = (folder / "dockerd.log").open("w")
            self._daemon = subprocess.Popen(
                self._enter(
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

    def _enter(self, *command: str) -> list[str]:
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--", *command]

    def _wait_for_namespaces(self) -> None:
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + START_S
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == own:
            assert time.monotonic() < deadline
            time.sleep(0.05)

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

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespaces."""
        return subprocess.run(
            self._enter(*command), check=check, capture_output=True, text=True, timeout=PLAY_S
        )

    def docker(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the docker client against this engine."""
        return self.inside("docker", "--host", f"unix://{self.socket}", *command, check=check)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine says of a container."""
        (found,) = json.loads(self.docker("inspect", container).stdout)
        assert isinstance(found, dict)
        return found

    def archive(self, image: str) -> Path:
        """Save an image that stands in for Grafana's: busybox answers where Grafana would."""
        root = self.folder / "root"
        for part in ("bin", "www/api", "var/lib/grafana"):
            (root / part).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in ("sh", "cat", "id", "touch"):
            (root / "bin" / applet).symlink_to("busybox")
        (root / "www/api/health").write_text("{}")
        (root / "var/lib/grafana").chmod(0o777)
        serve = ["/bin/busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]
        tar = self.folder / "root.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
        self.docker("import", "-c", f"CMD {json.dumps(serve)}", str(tar), image)
        saved = self.folder / "image.tar"
        self.docker("save", "-o", str(saved), image)
        self.docker("image", "rm", image)
        return saved

    def play(self, playbook: Path, *options: str, **variables: object) -> "Play":
        """Run a playbook on this machine, in the namespaces."""
        extra = {
            "ansible_python_interpreter": sys.executable,
            "grafana_docker_host": f"unix://{self.socket}",
            "grafana_database_directory": str(self.database),
            **variables,
        }
        done = subprocess.run(
            self._enter(
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("-i", "localhost,", "-c", "local", "-e", json.dumps(extra)),
                *("--skip-tags", "grafana_packages", *options, str(playbook)),
            ),
            env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
            check=False,
            capture_output=True,
            text=True,
            timeout=PLAY_S,
        )
        return Play(done.returncode, done.stdout + done.stderr)

    def stop(self) -> None:
        """End the engine and the namespaces; their mounts and networks go with them."""
        if hasattr(self, "_daemon"):
            if self._daemon.poll() is None:
                for container in self.docker("ps", "-q", check=False).stdout.split():
                    self.docker("kill", container, check=False)
            self._daemon.terminate()
            self._daemon.wait(timeout=60)
        if hasattr(self, "_log"):
            self._log.close()
        self._holder.kill()
        self._holder.wait(timeout=10)


class Play:
    """What came of a playbook."""

    def __init__(self, status: int, output: str) -> None:
        """Keep the exit status and all that was printed."""
        self.status = status
        self.output = output

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        (recap,) = [line for line in self.output.splitlines() if "changed=" in line]
        return int(recap.split("changed=")[1].split()[0])
