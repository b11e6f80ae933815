#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The disposable machines of the lab: one QEMU process each, reached by ssh on loopback.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("SO1_CACHE", ROOT / ".cache")).resolve() / "lab"
KEY = CACHE / "ssh_key"
SSH_OPTIONS = [
    "-i",
    str(KEY),
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "BatchMode=yes",
]
BOOT_SECONDS = 300
"""An emulated machine boots in about 30 s; a busy host may take several times that."""


class LabError(Exception):
    """Something the user can mend; the message says how."""


def say(text: str) -> None:
    """Show progress."""
    print(f"lab: {text}", flush=True)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time do this."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ssh_key() -> Path:
    """The key pair of this lab, made once."""
    with locked("key"):
        if not KEY.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "so1-lab"]
            subprocess.run([*command, "-f", str(KEY)], check=True)
    return KEY.with_suffix(".pub")


def image(suite: str) -> Path:
    """The directory with disk, kernel and initrd; built where no one has built the same before."""
    script = ROOT / "lab" / "image.sh"
    key = ssh_key()
    parts = [script, ROOT / "lab" / "zip_bytecode.py", key]
    recipe = b"".join(part.read_bytes() for part in parts) + suite.encode()
    directory = CACHE / f"image-{suite}-{hashlib.sha256(recipe).hexdigest()[:12]}"
    with locked("image"):
        if not directory.exists():
            say(f"building the {suite} image (about two minutes, once) ...")
            started = time.monotonic()
            sudo = [] if os.geteuid() == 0 else ["sudo"]
            log = CACHE / "image.log"
            with log.open("w") as output:
                done = subprocess.run(
                    [*sudo, str(script), suite, str(directory), str(key)],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if done.returncode:
                raise LabError(f"the image could not be built; {log} says why")
            for old in CACHE.glob(f"image-{suite}-*"):
                if old != directory and not in_use(old):
                    shutil.rmtree(old, ignore_errors=True)
            say(f"image built in {time.monotonic() - started:.0f} s")
    return directory


def in_use(directory: Path) -> bool:
    """Whether a machine's disk is an overlay on this image."""
    return any(
        json.loads(state.read_text())["image"] == str(directory)
        for state in CACHE.glob("vm-*/state.json")
    )


def accelerator(directory: Path) -> str:
    """'kvm' where it really works, else 'tcg'.

    /dev/kvm may exist and still not bring a guest out of early boot, so the answer is a boot.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    answer = CACHE / "accelerator"
    with locked("accelerator"):
        if not answer.exists():
            command = [
                *("qemu-system-x86_64", "-accel", "kvm", "-m", "256", "-nographic", "-no-reboot"),
                *("-kernel", str(directory / "vmlinuz")),
                *("-append", "console=ttyS0 panic=-1"),
            ]
            try:
                done = subprocess.run(
                    command, capture_output=True, stdin=subprocess.DEVNULL, timeout=20, check=False
                )
                works = b"Linux version" in done.stdout and b"Kernel panic" in done.stdout
            except subprocess.TimeoutExpired:
                works = False
            answer.write_text("kvm" if works else "tcg")
    return answer.read_text()


class Machine:
    """One VM: a directory with its disk overlay, its state and its console log."""

    def __init__(self, name: str, port: int) -> None:
        """Refer to the machine; nothing is started."""
        self.name = name
        self.port = port
        self.directory = CACHE / f"vm-{name}"
        self.state = self.directory / "state.json"

    @property
    def pid(self) -> int | None:
        """The QEMU process, if it runs and is ours (a pid may have been given to another)."""
        try:
            pid = int((self.directory / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"so1-{self.name}".encode() in command else None

    def up(self, suite: str, cpus: int, memory: int, forwards: list[str], append: str) -> bool:
        """Start the machine and wait for ssh; False where it ran already."""
        if self.pid and f"/image-{suite}-" not in json.loads(self.state.read_text())["image"]:
            raise LabError(f"{self.name} runs another release; remove it first: make down")
        directory = image(suite)
        if self.pid:
            self.wait()
            return False
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise LabError(
                    f"port {self.port} is taken; choose another with SO1_LAB_PORT"
                ) from error
        self.directory.mkdir(parents=True, exist_ok=True)
        disk = self.directory / "disk.qcow2"
        if self.state.exists() and json.loads(self.state.read_text())["image"] != str(directory):
            say(f"{self.name} was made from another image and is made anew")
            disk.unlink(missing_ok=True)
        if not disk.exists():
            base = ["-b", str(directory / "disk.raw"), "-F", "raw"]
            subprocess.run(
                ["qemu-img", "create", "-q", "-f", "qcow2", *base, str(disk)], check=True
            )
        self.state.write_text(json.dumps({"image": str(directory), "port": self.port}))
        accel = accelerator(directory)
        forward = "".join(f",hostfwd=tcp:127.0.0.1:{pair.replace(':', '-:')}" for pair in forwards)
        subprocess.run(
            [
                *("qemu-system-x86_64", "-name", f"so1-{self.name}", "-daemonize"),
                *("-accel", "kvm" if accel == "kvm" else "tcg,thread=multi,tb-size=512"),
                # Nehalem is the oldest CPU that numpy's wheels run on, and cheap to emulate
                *("-cpu", "host" if accel == "kvm" else "Nehalem"),
                *("-smp", str(cpus), "-m", str(memory), "-display", "none"),
                *("-kernel", str(directory / "vmlinuz"), "-initrd", str(directory / "initrd")),
                *("-append", f"root=/dev/vda rw console=ttyS0 mitigations=off quiet {append}"),
                *("-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe,discard=unmap"),
                *("-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self.port}-:22{forward}"),
                *("-device", "virtio-net-pci,netdev=n0", "-device", "virtio-rng-pci"),
                *("-serial", f"file:{self.directory / 'console.log'}"),
                *("-pidfile", str(self.directory / "pid")),
            ],
            check=True,
        )
        say(f"{self.name} is booting ({accel}; about 30 s when emulated) ...")
        started = time.monotonic()
        self.wait()
        say(f"{self.name} answers on ssh after {time.monotonic() - started:.0f} s")
        return True

    def wait(self) -> None:
        """Wait until ssh answers."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if not self.pid:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self.ssh(["true"], timeout=30, quiet=True) == 0:
                    return
            time.sleep(1)
        raise LabError(
            f"{self.name} did not come up within {BOOT_SECONDS} s;"
            f" its console is in {self.directory / 'console.log'}"
        )

    def ssh(self, command: list[str], timeout: float | None = None, *, quiet: bool = False) -> int:
        """Run a command on the machine; the exit status is ssh's."""
        output = subprocess.DEVNULL if quiet else None
        return subprocess.run(
            ["ssh", *SSH_OPTIONS, "-p", str(self.port), "root@127.0.0.1", *command],
            timeout=timeout,
            stdout=output,
            stderr=output,
            check=False,
        ).returncode

    def down(self) -> bool:
        """Stop the machine and remove its disk; False where there was none."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while self.pid and time.monotonic() < deadline:
                time.sleep(0.1)
            if self.pid:
                os.kill(pid, signal.SIGKILL)
        existed = self.directory.exists()
        shutil.rmtree(self.directory, ignore_errors=True)
        return existed


def main() -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["image", "up", "down", "status", "ssh"])
    parser.add_argument("arguments", nargs="*", help="for ssh: the command to run there")
    parser.add_argument("--name", default="lab", help="which machine (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("SO1_LAB_PORT", "22022")),
        help="loopback port of its ssh (default: %(default)s)",
    )
    parser.add_argument(
        "--suite",
        default=os.environ.get("SO1_LAB_SUITE", "bookworm"),
        help="Debian's name for the release (default: %(default)s)",
    )
    parser.add_argument("--cpus", type=int, default=2, help="how many (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=3072, help="MiB (default: %(default)s)")
    parser.add_argument(
        "--forward",
        action="append",
        default=[],
        metavar="HERE:THERE",
        help="also forward this loopback port to one of the machine's",
    )
    parser.add_argument("--append", default="", help="more words for the kernel's command line")
    arguments = parser.parse_args()
    machine = Machine(arguments.name, arguments.port)
    if arguments.command == "image":
        print(image(arguments.suite))
    elif arguments.command == "up":
        started = machine.up(
            arguments.suite,
            arguments.cpus,
            arguments.memory,
            arguments.forward,
            arguments.append,
        )
        if not started:
            say(f"{machine.name} is up already")
    elif arguments.command == "down":
        say(f"{machine.name} removed" if machine.down() else f"there is no {machine.name}")
    elif arguments.command == "status":
        say(f"{machine.name}: {'runs as pid ' + str(machine.pid) if machine.pid else 'is down'}")
        return 0 if machine.pid else 3
    else:
        return machine.ssh(arguments.arguments)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"lab: {error}")
