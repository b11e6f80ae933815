# SPDX-License-Identifier: MIT
"""This machine as a host to run roles on: what they write to its /etc is gone afterwards."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
LIFETIME_S = 1_200
START_S = 60
PLAY_S = 600
SETUP = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
rm -rf /etc/so1 /etc/cron.d/so1-*
ip link set lo up
"""


class Host:
    """Namespaces in which /etc and the network are their own, and Ansible in them."""

    def __init__(self, folder: Path) -> None:
        """Make them, with what they need beneath `folder`; raises subprocess errors."""
        self.folder = folder
        etc = folder / "etc"
        etc.mkdir()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sleep", str(LIFETIME_S)]
        )
        try:
            self._wait_for_namespaces()
            self.inside("sh", "-c", SETUP, "sh", str(etc))
        except BaseException:
            self.stop()
            raise

    def _wait_for_namespaces(self) -> None:
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + START_S
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == own:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def enter(self, *command: str) -> list[str]:
        """Give what runs a command in the namespaces."""
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--", *command]

    def inside(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command in the namespaces."""
        return subprocess.run(
            self.enter(*command), check=check, capture_output=True, text=True, timeout=PLAY_S
        )

    def play(self, playbook: Path, *options: str, **variables: object) -> "Play":
        """Run a playbook on this machine, in the namespaces."""
        return self.play_with({}, playbook, *options, **variables)

    def play_with(
        self, environment: dict[str, str], playbook: Path, *options: str, **variables: object
    ) -> "Play":
        """Run a playbook with more in Ansible's environment."""
        extra = {"ansible_python_interpreter": sys.executable, **variables}
        done = subprocess.run(
            self.enter(
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("-i", "localhost,", "-c", "local", "-e", json.dumps(extra)),
                *(*options, str(playbook)),
            ),
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
                **environment,
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=PLAY_S,
        )
        return Play(done.returncode, done.stdout + done.stderr)

    def stop(self) -> None:
        """End the namespaces; their mounts and networks go with them."""
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


def playbook(folder: Path, task: dict[str, Any]) -> Path:
    """Write a playbook of one role, or of one task."""
    part = {"roles": [task]} if "role" in task else {"tasks": [task]}
    path = folder / "playbook.yml"
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, **part}]))
    return path
